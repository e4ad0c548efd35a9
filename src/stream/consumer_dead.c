/* Dead letters: a message that has failed for good is published to the stream DEAD, and settled
 * only when it is there. Its id makes a repetition after a crash a duplicate. */
#include "stream/consumer_impl.h"

#include "base/timestamp.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = STREAM_HEADERS_MAX };

static int dead_stream(struct consumer *consumer, struct stream **ret_stream)
{
    static const char *const subjects[] = {CONSUMER_DEAD_STREAM ".>"};
    *ret_stream = streams_find(consumer->streams, BYTES(CONSUMER_DEAD_STREAM));
    if (*ret_stream) return 0;
    const struct stream_config config = {
        .name = CONSUMER_DEAD_STREAM, .subjects = subjects, .subject_count = 1};
    return streams_add(consumer->streams, &config, ret_stream, NULL);
}

static void add(struct buf *out, const char *name, struct bytes value)
{
    /* A value that a header cannot carry is left out. */
    (void)nats_headers_add(out, bytes_str(name), value);
}

static void add_u64(struct buf *out, const char *name, uint64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    add(out, name, bytes_make(text, (size_t)len));
}

/* The original's headers without those that mean something to the stream they are stored in. */
static void add_originals(struct buf *out, struct bytes headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    if (headers.len == 0 || nats_headers_parse(headers, &walk) < 0) return;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        if (name.len >= 5 && bytes_eq_nocase(bytes_head(name, 5), BYTES("Nats-"))) continue;
        (void)nats_headers_add(out, name, value);
    }
}

static void put_headers(struct buf *out, const struct consumer *consumer,
                        const struct consumer_pending *pending,
                        const struct stream_message *message)
{
    char id[2 * STREAM_NAME_MAX + 32], time[TIMESTAMP_TEXT];
    int len = snprintf(id, sizeof id, "%s.%s.%" PRIu64, consumer->stream->name, consumer->name,
                       pending->seq);
    timestamp_format(io_wall_ns(consumer->io), time);
    nats_headers_begin(out, 0, NULL);
    add(out, "Nats-Msg-Id", bytes_make(id, (size_t)len));
    add(out, "Dure-Dead-Stream", bytes_str(consumer->stream->name));
    add(out, "Dure-Dead-Consumer", bytes_str(consumer->name));
    add(out, "Dure-Dead-Subject", message->message.subject);
    add_u64(out, "Dure-Dead-Sequence", pending->seq);
    add_u64(out, "Dure-Dead-Attempts", pending->attempt);
    add(out, "Dure-Dead-Reason", bytes_str(pending->reason ? pending->reason : "max_deliver"));
    add(out, "Dure-Dead-Time", bytes_str(time));
    if (message->message.headers.len < HEADERS_MAX / 2) {
        add_originals(out, message->message.headers);
    }
    nats_headers_end(out);
}

static void buried(struct stream_op *op, int result)
{
    struct dead_letter *letter = CONTAINER_OF(op, struct dead_letter, op);
    struct consumer *consumer = letter->consumer;
    struct consumer_pending *pending = consumer_state_find(&consumer->state, letter->seq);
    list_remove(&letter->link);
    free(letter);
    if (pending && result == 0) {
        consumer->metrics->dead++;
        consumer_settle(consumer, pending);
    } else if (pending) {
        pending->state = PENDING_DELAYED; /* stays dead, and is tried again */
        if (!consumer->closing) consumer_retry_later(consumer);
    }
    if (consumer->closing) consumer_close_step(consumer);
}

void consumer_bury(struct consumer *consumer, struct consumer_pending *pending,
                   const struct stream_message *message)
{
    struct stream *stream;
    char subject[2 * STREAM_NAME_MAX + 32];
    struct buf headers;
    buf_init(&headers, HEADERS_MAX);
    list_remove(&pending->due);
    pending->state = PENDING_DEAD;
    if (strcmp(consumer->stream->name, CONSUMER_DEAD_STREAM) == 0) {
        consumer_settle(consumer, pending); /* what nobody could do with a dead letter ends here */
        return;
    }
    struct dead_letter *letter = calloc(1, sizeof *letter);
    if (letter) put_headers(&headers, consumer, pending, message);
    if (!letter || headers.failed || dead_stream(consumer, &stream) < 0) {
        free(letter);
        buf_release(&headers);
        pending->state = PENDING_DELAYED;
        consumer_retry_later(consumer);
        return;
    }
    int len = snprintf(subject, sizeof subject, CONSUMER_DEAD_STREAM ".%s.%s",
                       consumer->stream->name, consumer->name);
    letter->consumer = consumer;
    letter->seq = pending->seq;
    list_init(&letter->link);
    list_push(&consumer->dead, &letter->link);
    struct message dead = message_borrow(bytes_make(subject, (size_t)len), BYTES(""),
                                         buf_bytes(&headers), message->message.payload);
    stream_publish(stream, &letter->op, &dead, NULL, buried);
    message_done(&dead);
    buf_release(&headers);
}
