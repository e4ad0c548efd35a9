/* Messages that have been in a stream before: from a backup, or from another stream. */
#include "stream/stream_impl.h"

/* What a message was asked for when it was published goes on, except what had its effect then. */
static int flags_of(const struct message *message, uint8_t *ret_flags, struct bytes *ret_id)
{
    struct stream_headers headers = {0};
    *ret_flags = 0;
    *ret_id = BYTES("");
    if (message->headers.len == 0) return 0;
    if (stream_headers_read(message->headers, &headers) < 0) return ERR_INVALID;
    *ret_id = headers.id;
    if (headers.id.len > 0) *ret_flags |= STREAM_FLAG_ID;
    if (headers.has_ttl) *ret_flags |= STREAM_FLAG_TTL;
    if (headers.marker) *ret_flags |= STREAM_FLAG_MARKER;
    return 0;
}

static int store(struct stream *stream, uint64_t seq, uint64_t time_ns,
                 const struct message *message)
{
    if (stream->closing) return ERR_CLOSED;
    if (seq <= stream->submitted_seq) return ERR_CONFLICT;
    struct stream_record record = {.kind = STREAM_RECORD_SKIP, .seq = seq, .value = time_ns};
    if (!message) {
        int r = stream_submit(stream, &record);
        if (r == 0) stream->submitted_seq = seq;
        return r;
    }
    struct bytes id;
    int r = flags_of(message, &record.flags, &id);
    if (message->subject.len == 0 || message->subject.len > STREAM_SUBJECT_MAX) r = ERR_INVALID;
    if (r < 0) return r;
    record.kind = STREAM_RECORD_MESSAGE;
    record.subject = message->subject;
    record.headers = message->headers;
    record.payload = message->payload;
    return stream_submit_message(stream, &record, id);
}

void stream_store(struct stream *stream, struct stream_op *op, uint64_t seq, uint64_t time_ns,
                  const struct message *message, void (*done)(struct stream_op *op, int result))
{
    struct stream_op nobody;
    struct stream_op *target = op ? op : &nobody;
    stream_op_begin(stream, target, done);
    int r = store(stream, seq, time_ns, message);
    if (r < 0) {
        api_error_of(&target->refusal, r);
    } else {
        target->seq = seq;
        target->waits_for = STREAM_OP_RECORD;
    }
    stream_op_wait(stream, op, r);
}
