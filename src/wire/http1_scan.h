/* http1_scan: classes of characters, and the search for the byte that ends a line. Private to the
 * HTTP/1 codec. */
#ifndef DURE_WIRE_HTTP1_SCAN_H
#define DURE_WIRE_HTTP1_SCAN_H

#include "base/bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    HTTP1_CLASS_TOKEN = 1, /* RFC 9110 section 5.6.2 */
    HTTP1_CLASS_PATH = 2,  /* pchar, '/', and what clients send unescaped without harm */
    HTTP1_CLASS_QUERY = 4,
    HTTP1_CLASS_HOST = 8, /* of a registered name: unreserved characters */
    HTTP1_CLASS_HEX = 16,
    HTTP1_CLASS_CONTROL = 32, /* not HTAB */
};

extern const uint8_t http1_classes[256];

static inline bool http1_is(char c, uint8_t class)
{
    return (http1_classes[(unsigned char)c] & class) != 0;
}

/* The place of the first control character other than HTAB in b[from..), or b.len. A line of a head
 * ends at one, whether it may or not. Reads nothing behind b. */
static inline size_t http1_scan_control(struct bytes b, size_t from)
{
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    for (; b.len - from >= 16; from += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(b.data + from));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, low), v);
        control = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), control);
        control = _mm_or_si128(control, _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(control);
        if (mask) return from + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    while (from < b.len && !http1_is(b.data[from], HTTP1_CLASS_CONTROL)) from++;
    return from;
}

/* The length of the run of characters of the class at the front of b. */
static inline size_t http1_span(struct bytes b, uint8_t class)
{
    size_t len = 0;
    while (len < b.len && http1_is(b.data[len], class)) len++;
    return len;
}

#endif
