#include "base/base64.h"

#include "base/err.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void append(struct buf *out, struct bytes bytes, const char *alphabet, bool padded)
{
    size_t tail = bytes.len % 3;
    size_t len = bytes.len / 3 * 4 + (tail ? (padded ? 4 : tail + 1) : 0);
    char *at = buf_reserve(out, len);
    if (!at) return;
    const unsigned char *in = (const unsigned char *)bytes.data;
    size_t i = 0;
    for (; i + 3 <= bytes.len; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        *at++ = alphabet[group >> 6 & 63];
        *at++ = alphabet[group & 63];
    }
    if (tail) {
        uint32_t group = (uint32_t)in[i] << 16 | (tail == 2 ? (uint32_t)in[i + 1] << 8 : 0);
        *at++ = alphabet[group >> 18];
        *at++ = alphabet[group >> 12 & 63];
        if (tail == 2) *at++ = alphabet[group >> 6 & 63];
        for (size_t pad = tail; padded && pad < 3; pad++) *at++ = '=';
    }
    buf_commit(out, len);
}

void base64_append(struct buf *out, struct bytes bytes)
{
    append(out, bytes, standard, true);
}

void base64url_append(struct buf *out, struct bytes bytes, bool padded)
{
    append(out, bytes, url, padded);
}

/* The value of a digit of either alphabet; negative: none. */
static int digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

int base64_decode(struct bytes text, void *ret, size_t size, size_t *ret_len)
{
    size_t len = text.len;
    if (len % 4 == 0 && len && text.data[len - 1] == '=') len--;
    if (len % 4 == 3 && len < text.len && text.data[len - 1] == '=') len--;
    if (len % 4 == 1) return ERR_SYNTAX;
    size_t bytes = len / 4 * 3 + (len % 4 ? len % 4 - 1 : 0);
    if (bytes > size) return ERR_TOO_BIG;
    unsigned char *out = ret;
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        int value = digit((unsigned char)text.data[i]);
        if (value < 0) return ERR_SYNTAX;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count < 8) continue;
        count -= 8;
        *out++ = (unsigned char)(bits >> count);
    }
    if (bits & ((1U << count) - 1)) return ERR_SYNTAX;
    *ret_len = bytes;
    return 0;
}
