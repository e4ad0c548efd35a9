/* What a stream does with subjects: mapping them before a message is stored, and publishing what
 * is stored once more under another one. */
#include "stream/stream_impl.h"
#include "base/timestamp.h"
#include "wire/nats.h"

static int make(const struct stream_transform *transform, struct stream_mapper **ret)
{
    const char *why;
    *ret = NULL;
    if (!transform) return 0;
    return stream_mapper_new(bytes_str(transform->src), bytes_str(transform->dest), ret, &why);
}

int stream_mappers_make(const struct stream_config *config, struct stream_mappers *ret_mappers)
{
    int r = make(config->transform, &ret_mappers->transform);
    if (r < 0) return r;
    r = make(config->republish, &ret_mappers->republish);
    if (r < 0) stream_mapper_free(ret_mappers->transform);
    return r;
}

void stream_mappers_release(struct stream_mappers *mappers)
{
    stream_mapper_free(mappers->transform);
    stream_mapper_free(mappers->republish);
    *mappers = (struct stream_mappers){0};
}

/* What is not matched, or would become no subject, stays as it is. */
struct bytes stream_map_subject(const struct stream *stream, struct bytes subject, char *room)
{
    size_t len;
    const struct stream_mapper *transform = stream->mappers.transform;
    if (!transform) return subject;
    if (stream_mapper_map(transform, subject, room, STREAM_SUBJECT_MAX, &len) < 0) return subject;
    return bytes_make(room, len);
}

/* ---- republishing ---- */

static void add(struct buf *out, const char *name, struct bytes value)
{
    (void)nats_headers_add(out, bytes_str(name), value);
}

static void put_headers(struct buf *out, const struct stream *stream,
                        const struct stream_record *record, uint64_t before)
{
    char time[TIMESTAMP_TEXT];
    struct bytes headers = record->headers;
    timestamp_format_ns(record->value, time);
    if (headers.len > 2) {
        buf_append(out, bytes_head(headers, headers.len - 2)); /* without the empty line */
    } else {
        nats_headers_begin(out, 0, NULL);
    }
    add(out, "Nats-Stream", bytes_str(stream->name));
    add(out, "Nats-Subject", record->subject);
    nats_headers_add_u64(out, BYTES("Nats-Sequence"), record->seq);
    add(out, "Nats-Time-Stamp", bytes_str(time));
    nats_headers_add_u64(out, BYTES("Nats-Last-Sequence"), before);
    if (stream->config->republish_headers_only) {
        nats_headers_add_u64(out, BYTES("Nats-Msg-Size"), record->payload.len);
    }
    nats_headers_end(out);
}

void stream_republish(struct stream *stream, const struct stream_record *record, uint64_t before)
{
    char room[STREAM_SUBJECT_MAX];
    size_t len;
    struct buf headers;
    if (!stream->mappers.republish) return;
    if (stream_mapper_map(stream->mappers.republish, record->subject, room, sizeof room, &len) <
        0) {
        return;
    }
    buf_init(&headers, 2 * STREAM_HEADERS_MAX);
    put_headers(&headers, stream, record, before);
    struct bytes payload = stream->config->republish_headers_only ? BYTES("") : record->payload;
    struct message message =
        message_borrow(bytes_make(room, len), BYTES(""), buf_bytes(&headers), payload);
    if (!headers.failed) stream->host->publish(stream->host->context, &message, false);
    message_done(&message);
    buf_release(&headers);
}
