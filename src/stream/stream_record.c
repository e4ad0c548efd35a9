#include "stream/stream_record.h"

#include "base/le.h"

#include <assert.h>
#include <endian.h>

void stream_record_encode(const struct stream_record *record, char ret_header[STREAM_RECORD_HEADER])
{
    assert(record->subject.len <= UINT16_MAX && record->headers.len <= UINT32_MAX);
    uint16_t subject_len = htole16((uint16_t)record->subject.len);
    uint32_t headers_len = htole32((uint32_t)record->headers.len);
    ret_header[0] = (char)record->kind;
    ret_header[1] = 0;
    memcpy(ret_header + 2, &subject_len, sizeof subject_len);
    memcpy(ret_header + 4, &headers_len, sizeof headers_len);
    le_put64(ret_header + 8, record->seq);
    le_put64(ret_header + 16, record->time_ns);
    le_put64(ret_header + 24, record->origin);
}

int stream_record_decode(struct bytes bytes, struct stream_record *ret_record)
{
    if (bytes.len < STREAM_RECORD_HEADER) return ERR_CORRUPT;
    unsigned kind = (unsigned char)bytes.data[0];
    if (kind < STREAM_RECORD_MESSAGE || kind > STREAM_RECORD_CONFIG) return ERR_CORRUPT;
    uint16_t subject_len;
    uint32_t headers_len;
    memcpy(&subject_len, bytes.data + 2, sizeof subject_len);
    memcpy(&headers_len, bytes.data + 4, sizeof headers_len);
    subject_len = le16toh(subject_len);
    headers_len = le32toh(headers_len);
    struct bytes rest = bytes_skip(bytes, STREAM_RECORD_HEADER);
    if ((uint64_t)subject_len + headers_len > rest.len) return ERR_CORRUPT;
    *ret_record = (struct stream_record){
        .kind = (enum stream_record_kind)kind,
        .seq = le_get64(bytes.data + 8),
        .time_ns = le_get64(bytes.data + 16),
        .origin = le_get64(bytes.data + 24),
        .subject = bytes_head(rest, subject_len),
        .headers = bytes_head(bytes_skip(rest, subject_len), headers_len),
        .payload = bytes_skip(rest, (size_t)subject_len + headers_len),
    };
    bool message = kind == STREAM_RECORD_MESSAGE || kind == STREAM_RECORD_MOVE;
    if (message && (ret_record->seq == 0 || ret_record->subject.len == 0)) return ERR_CORRUPT;
    return 0;
}
