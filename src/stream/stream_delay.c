/* Delayed messages: stored like all others, durably and with a sequence, but under a hidden name,
 * so that no reader by subject, consumer or observer sees them. When their time has come one record
 * puts the message, with a new sequence and without the header that delayed it, in the place of the
 * delayed one. To cancel one is to delete its sequence. */
#include "stream/stream_impl.h"
#include "wire/nats.h"

enum { RETRY_MS = 1000 };

uint64_t stream_due(const struct stream_record *record)
{
    struct stream_headers headers;
    if (stream_headers_read(record->headers, &headers) < 0 || headers.bad_delay) return 0;
    return stream_headers_due(&headers, record->value);
}

struct bytes stream_hidden_name(struct bytes subject, char *room)
{
    room[0] = STREAM_SUBJECT_HIDDEN;
    memcpy(room + 1, subject.data, subject.len);
    return bytes_make(room, subject.len + 1);
}

/* The headers that stay, and where the message came from. What it expected of the stream was
 * checked when it was published; its id is known already. */
static void put_headers(struct buf *out, struct bytes headers, uint64_t seq)
{
    static const char *const gone[] = {"Dure-Delay", "Dure-Deliver-At"};
    struct nats_headers walk;
    struct bytes name, value;
    nats_headers_begin(out, 0, NULL);
    if (headers.len > 0 && nats_headers_parse(headers, &walk) == 0) {
        while (nats_headers_next(&walk, &name, &value) > 0) {
            bool left_out = bytes_eq_nocase(name, bytes_str(gone[0])) ||
                            bytes_eq_nocase(name, bytes_str(gone[1]));
            if (!left_out) (void)nats_headers_add(out, name, value);
        }
    }
    nats_headers_add_u64(out, BYTES("Dure-Delayed-Sequence"), seq);
    nats_headers_end(out);
}

static int submit_release(struct stream *stream, uint64_t seq, const struct message *message)
{
    struct stream_headers wishes;
    struct buf headers;
    buf_init(&headers, 2 * STREAM_HEADERS_MAX);
    put_headers(&headers, message->headers, seq);
    struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .flags = STREAM_FLAG_RELEASED,
        .seq = stream->submitted_seq + 1,
        .value = stream_now_ns(stream),
        .origin = {.seq = seq},
        .subject = message->subject,
        .headers = buf_bytes(&headers),
        .payload = message->payload,
    };
    if (stream_headers_read(record.headers, &wishes) == 0 && wishes.has_ttl) {
        record.flags |= STREAM_FLAG_TTL;
    }
    int r = headers.failed ? ERR_NOMEM : stream_submit_message(stream, &record, BYTES(""));
    buf_release(&headers);
    return r;
}

/* It stays the first of the clock until its release is on its way. */
static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct stream *stream = CONTAINER_OF(get, struct stream, release_get);
    const struct stream_due *due = stream_clock_first(&stream->delayed);
    stream->releasing = false;
    if (stream->closing) return;
    if (result == 0) result = submit_release(stream, get->seq, &message->message);
    if (result < 0 && result != ERR_NOT_FOUND) {
        stream->released_seq = 0;
        io_timer_set(stream->host->io, &stream->timer, RETRY_MS);
        return;
    }
    if (due && due->seq == get->seq) stream_clock_pop(&stream->delayed);
    stream_tick_soon(stream);
}

void stream_release_failed(struct stream *stream, uint64_t seq)
{
    stream->released_seq = 0;
    (void)stream_clock_add(&stream->delayed, stream_now_ns(stream), seq);
    if (!stream->closing) io_timer_set(stream->host->io, &stream->timer, RETRY_MS);
}

/* A release that is on its way would be made a second time for a sequence that is noted twice
 * (which a recovery may do). */
static bool under_way(const struct stream *stream, uint64_t seq)
{
    return stream->released_seq == seq;
}

uint64_t stream_release_due(struct stream *stream, uint64_t now_ns)
{
    const struct stream_due *due;
    while ((due = stream_clock_first(&stream->delayed)) && !stream->releasing) {
        struct stream_entry entry;
        if (due->time_ns > now_ns) return due->time_ns;
        bool there = stream_index_find(&stream->index, due->seq, &entry);
        if (!there || under_way(stream, due->seq)) {
            stream_clock_pop(&stream->delayed);
            continue;
        }
        stream->releasing = true;
        stream->released_seq = due->seq;
        stream_get(stream, &stream->release_get, due->seq, got);
    }
    return STREAM_NEVER;
}
