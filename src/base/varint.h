/* varint: numbers in as few bytes as they need (LEB128: seven bits a byte, the lowest first, the
 * high bit set on all but the last). Signed ones are zigzagged, so that small negative numbers are
 * short too. */
#ifndef DURE_BASE_VARINT_H
#define DURE_BASE_VARINT_H

#include "base/buf.h"

#include <stdint.h>

enum { VARINT_MAX = 10 };

static inline void varint_put(struct buf *out, uint64_t value)
{
    char bytes[VARINT_MAX];
    size_t len = 0;
    for (; value >= 0x80; value >>= 7) bytes[len++] = (char)(value | 0x80);
    bytes[len++] = (char)value;
    buf_append(out, bytes_make(bytes, len));
}

static inline void varint_put_signed(struct buf *out, int64_t value)
{
    varint_put(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

/* Reads one after the other. What is not there, or longer than VARINT_MAX, is 0, and sets
 * `failed`. */
struct varint_reader {
    struct bytes rest;
    bool failed;
};

static inline uint64_t varint_get(struct varint_reader *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX && i < in->rest.len; i++) {
        uint64_t byte = (unsigned char)in->rest.data[i];
        value |= (byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        in->rest = bytes_skip(in->rest, i + 1);
        return value;
    }
    in->failed = true;
    return 0;
}

static inline int64_t varint_get_signed(struct varint_reader *in)
{
    uint64_t value = varint_get(in);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline unsigned varint_get_byte(struct varint_reader *in)
{
    if (in->rest.len == 0) {
        in->failed = true;
        return 0;
    }
    unsigned byte = (unsigned char)in->rest.data[0];
    in->rest = bytes_skip(in->rest, 1);
    return byte;
}

/* A view of the next `len` bytes. */
static inline struct bytes varint_get_bytes(struct varint_reader *in, uint64_t len)
{
    if (len > in->rest.len) {
        in->failed = true;
        len = 0;
    }
    struct bytes bytes = bytes_head(in->rest, (size_t)len);
    in->rest = bytes_skip(in->rest, (size_t)len);
    return bytes;
}

#endif
