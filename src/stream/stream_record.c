#include "stream/stream_record.h"

#include "base/le.h"

#include <assert.h>
#include <endian.h>

size_t stream_record_encode(const struct stream_record *record,
                            char ret_header[STREAM_RECORD_HEADER_MAX])
{
    assert(record->subject.len <= UINT16_MAX && record->headers.len <= UINT32_MAX);
    uint16_t subject_len = htole16((uint16_t)record->subject.len);
    uint32_t headers_len = htole32((uint32_t)record->headers.len);
    ret_header[0] = (char)record->kind;
    ret_header[1] = (char)record->flags;
    memcpy(ret_header + 2, &subject_len, sizeof subject_len);
    memcpy(ret_header + 4, &headers_len, sizeof headers_len);
    le_put64(ret_header + 8, record->seq);
    le_put64(ret_header + 16, record->value);
    if (!stream_record_has_origin(record)) return STREAM_RECORD_HEADER;
    le_put64(ret_header + 24, record->origin.key);
    le_put64(ret_header + 32, record->origin.seq);
    return STREAM_RECORD_HEADER_MAX;
}

static bool is_message(enum stream_record_kind kind)
{
    return kind == STREAM_RECORD_MESSAGE || kind == STREAM_RECORD_MOVE;
}

int stream_record_decode(struct bytes bytes, struct stream_record *ret_record)
{
    if (bytes.len < STREAM_RECORD_HEADER) return ERR_CORRUPT;
    unsigned kind = (unsigned char)bytes.data[0];
    if (kind < STREAM_RECORD_MESSAGE || kind > STREAM_RECORD_SKIP) return ERR_CORRUPT;
    uint16_t subject_len;
    uint32_t headers_len;
    memcpy(&subject_len, bytes.data + 2, sizeof subject_len);
    memcpy(&headers_len, bytes.data + 4, sizeof headers_len);
    subject_len = le16toh(subject_len);
    headers_len = le32toh(headers_len);
    *ret_record = (struct stream_record){
        .kind = (enum stream_record_kind)kind,
        .flags = (uint8_t)bytes.data[1],
        .seq = le_get64(bytes.data + 8),
        .value = le_get64(bytes.data + 16),
    };
    struct bytes rest = bytes_skip(bytes, STREAM_RECORD_HEADER);
    if (stream_record_has_origin(ret_record)) {
        if (rest.len < STREAM_RECORD_HEADER_MAX - STREAM_RECORD_HEADER) return ERR_CORRUPT;
        ret_record->origin = (struct stream_origin){le_get64(rest.data), le_get64(rest.data + 8)};
        rest = bytes_skip(rest, STREAM_RECORD_HEADER_MAX - STREAM_RECORD_HEADER);
    }
    if ((uint64_t)subject_len + headers_len > rest.len) return ERR_CORRUPT;
    ret_record->subject = bytes_head(rest, subject_len);
    ret_record->headers = bytes_head(bytes_skip(rest, subject_len), headers_len);
    ret_record->payload = bytes_skip(rest, (size_t)subject_len + headers_len);
    if (!is_message(ret_record->kind)) return ret_record->flags ? ERR_CORRUPT : 0;
    return ret_record->seq == 0 || ret_record->subject.len == 0 ? ERR_CORRUPT : 0;
}

/* ---- runs ---- */

void stream_number_put(struct buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) buf_append_char(out, (char)(value | 0x80));
    buf_append_char(out, (char)value);
}

int stream_number_get(struct bytes *rest, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; shift < 64 && rest->len > 0; shift += 7) {
        unsigned char byte = (unsigned char)rest->data[0];
        *rest = bytes_skip(*rest, 1);
        if (shift == 63 && byte > 1) return ERR_CORRUPT;
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return 0;
    }
    return ERR_CORRUPT;
}

void stream_runs_put(struct buf *out, uint64_t *end, uint64_t first, uint64_t count)
{
    stream_number_put(out, first - *end);
    stream_number_put(out, count);
    *end = first + count;
}

void stream_runs_encode(const uint64_t *seqs, size_t count, struct buf *out)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count;) {
        size_t from = i++;
        while (i < count && seqs[i] == seqs[i - 1] + 1) i++;
        stream_runs_put(out, &end, seqs[from], i - from);
    }
}

int stream_runs_next(struct bytes *rest, uint64_t *end, uint64_t *ret_first, uint64_t *ret_count)
{
    if (rest->len == 0) return 0;
    uint64_t gap;
    int r = stream_number_get(rest, &gap);
    if (r == 0) r = stream_number_get(rest, ret_count);
    if (r < 0) return r;
    if (*ret_count == 0 || gap > UINT64_MAX - *end || *ret_count > UINT64_MAX - *end - gap) {
        return ERR_CORRUPT;
    }
    *ret_first = *end + gap;
    *end = *ret_first + *ret_count;
    return 1;
}
