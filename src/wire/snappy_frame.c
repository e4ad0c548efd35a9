#include "wire/snappy_frame.h"

#include "base/le.h"

enum {
    CHUNK_COMPRESSED = 0x00,
    CHUNK_PLAIN = 0x01,
    CHUNK_SKIPPABLE = 0x80, /* and above */
    CHUNK_BEGIN = 0xFF,
    CHUNK_HEADER = 4,
    CHECKSUM = 4
};

static const char identifier[] = "\xFF\x06\0\0sNaPpY";

/* CRC-32C (Castagnoli), four bits at a time. */
static uint32_t crc32c(struct bytes bytes)
{
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* A checksum of data that holds checksums itself is masked. */
static uint32_t masked(struct bytes bytes)
{
    uint32_t crc = crc32c(bytes);
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

void snappy_frame_begin(struct buf *out)
{
    buf_append(out, bytes_make(identifier, sizeof identifier - 1));
}

void snappy_frame_put(struct buf *out, struct bytes data)
{
    while (data.len) {
        struct bytes part = bytes_head(data, SNAPPY_FRAME_DATA_MAX);
        char header[CHUNK_HEADER + CHECKSUM];
        le_put32(header, CHUNK_PLAIN | (uint32_t)(part.len + CHECKSUM) << 8);
        le_put32(header + CHUNK_HEADER, masked(part));
        buf_append(out, bytes_make(header, sizeof header));
        buf_append(out, part);
        data = bytes_skip(data, part.len);
    }
}

int64_t snappy_frame_next(struct bytes in, struct bytes *ret_data)
{
    *ret_data = bytes_make("", 0);
    if (in.len < CHUNK_HEADER) return 0;
    uint32_t header = le_get32(in.data), kind = header & 0xFF, len = header >> 8;
    if (kind == CHUNK_COMPRESSED) return ERR_UNSUPPORTED;
    if (kind != CHUNK_PLAIN && kind < CHUNK_SKIPPABLE) return ERR_SYNTAX;
    if (kind == CHUNK_PLAIN && (len < CHECKSUM || len > SNAPPY_FRAME_DATA_MAX + CHECKSUM))
        return ERR_SYNTAX;
    if (in.len < CHUNK_HEADER + len) return 0;
    if (kind == CHUNK_PLAIN) {
        *ret_data = bytes_make(in.data + CHUNK_HEADER + CHECKSUM, len - CHECKSUM);
        if (le_get32(in.data + CHUNK_HEADER) != masked(*ret_data)) return ERR_CORRUPT;
    }
    return CHUNK_HEADER + (int64_t)len;
}
