/* Dead letters: a message that has failed for good is published to the stream DEAD, with its
 * history, when the consumer's state that says so is durable: else it could come again after a
 * crash and be acknowledged, and yet be dead. It stays in the consumer's state until it is there
 * durably; its id makes a repetition after a crash a duplicate. */
#include "stream/consumer_impl.h"

#include "stream/dead_letter.h"

#include <stdlib.h>

enum { LETTERS_MAX = 64 };

/* A message on its way to the dead-letter stream. */
struct letter {
    struct consumer *consumer;
    uint64_t seq;
    struct consumer_wait wait;
    struct stream_get get;
    struct stream_op op;
    bool waiting;
    struct list link;
};

/* ---- dying ---- */

/* What was only delivered too often stays in a stream that keeps what is not acknowledged. */
static bool stays(const struct consumer *consumer)
{
    return consumer->stream->config->retention != STREAM_RETENTION_LIMITS;
}

void consumer_die(struct consumer *consumer, struct pending *one, bool exceeded,
                  struct bytes reason)
{
    uint64_t seq = one->seq;
    const struct consumer_event event = {
        .kind = exceeded ? CONSUMER_EVENT_MAX_DELIVERIES : CONSUMER_EVENT_TERMINATED,
        .stream_seq = seq,
        .consumer_seq = one->consumer_seq,
        .attempts = one->attempts,
        .reason = reason,
    };
    consumer_event(consumer, &event);
    consumer->metrics->ack_pending--;
    struct consumer_grave *grave = NULL;
    if (consumer->dead_letters || (exceeded && stays(consumer))) {
        grave = consumer_state_die(&consumer->state, one, exceeded, reason);
    }
    if (grave) {
        consumer_log_die(&consumer->writing.log, grave);
        io_post(consumer->io, &consumer->bury);
    } else {
        consumer_state_settle(&consumer->state, one);
        consumer_log_settle(&consumer->writing.log, seq);
        if (!exceeded) stream_acked(&consumer->interest, seq);
        if (consumer->local) consumer_note_settled(consumer, seq);
    }
    consumer_changed(consumer);
    consumer_post(consumer);
}

/* ---- the letter ---- */

static int dead_stream(struct consumer *consumer, struct stream **ret_stream)
{
    static const char *const subjects[] = {CONSUMER_DEAD_STREAM ".>"};
    *ret_stream = streams_find(consumer->streams, BYTES(CONSUMER_DEAD_STREAM));
    if (*ret_stream) return 0;
    const struct stream_config config = {
        .name = CONSUMER_DEAD_STREAM,
        .subjects = subjects,
        .subject_count = 1,
        .duplicate_window_ns = DEAD_LETTER_WINDOW_NS,
    };
    return streams_add(consumer->streams, &config, ret_stream, NULL);
}

static struct bytes reason_of(const struct consumer_grave *grave)
{
    if (grave->exceeded) return BYTES("max_deliver");
    if (grave->reason_len == 0) return BYTES("terminated");
    return bytes_make(grave->reason, grave->reason_len);
}

/* ---- burying ---- */

static void bury_later(struct consumer *consumer)
{
    if (!consumer->closing) consumer_wake_in(consumer, CONSUMER_RETRY_MS);
}

static void letter_free(struct letter *letter)
{
    struct consumer *consumer = letter->consumer;
    list_remove(&letter->link);
    consumer->letter_count--;
    stream_get_release(&letter->get);
    free(letter);
    if (consumer->closing) consumer_close_step(consumer);
}

/* It is in the dead-letter stream, or is gone for good. What stays in the stream is remembered, or
 * it would go with the next start, or as soon as other consumers have acknowledged it. */
static void buried(struct consumer *consumer, struct consumer_grave *grave)
{
    uint64_t seq = grave->seq;
    bool exceeded = grave->exceeded;
    if (exceeded && stays(consumer) && stream_index_find(&consumer->stream->index, seq, NULL)) {
        consumer_state_keep(&consumer->state, grave);
        consumer_log_keep(&consumer->writing.log, seq);
    } else {
        consumer_state_bury(&consumer->state, grave);
        consumer_log_bury(&consumer->writing.log, seq);
    }
    consumer_changed(consumer);
    if (!exceeded && !consumer->released) stream_acked(&consumer->interest, seq);
    if (consumer->local) consumer_note_settled(consumer, seq);
    if (consumer->state.grave_count && !consumer->closing) {
        io_post(consumer->io, &consumer->bury);
    }
}

static void published(struct stream_op *op, int result)
{
    struct letter *letter = CONTAINER_OF(op, struct letter, op);
    struct consumer *consumer = letter->consumer;
    struct consumer_grave *grave = consumer_state_grave(&consumer->state, letter->seq);
    if (grave && result == 0) {
        consumer->metrics->dead++;
        buried(consumer, grave);
    } else if (grave) {
        grave->busy = false;
        bury_later(consumer);
    }
    letter_free(letter);
}

static int post(struct letter *letter, const struct consumer_grave *grave,
                const struct stream_message *message)
{
    struct consumer *consumer = letter->consumer;
    const struct dead_letter text = {
        .stream = consumer->stream->name,
        .consumer = consumer->name,
        .subject = message->message.subject,
        .headers = message->message.headers,
        .seq = grave->seq,
        .time_ns = message->time_ns,
        .attempts = grave->attempts,
        .reason = reason_of(grave),
        .died_wall_ns = io_wall_ns(consumer->io),
    };
    char subject[DEAD_LETTER_SUBJECT];
    struct stream *stream;
    struct buf headers;
    int r = dead_stream(consumer, &stream);
    if (r < 0) return r;
    buf_init(&headers, DEAD_LETTER_HEADERS);
    dead_letter_headers(&text, &headers);
    if (headers.failed) {
        buf_release(&headers);
        return ERR_NOMEM;
    }
    size_t len = dead_letter_subject(&text, subject);
    struct message dead = message_borrow(bytes_make(subject, len), BYTES(""), buf_bytes(&headers),
                                         message->message.payload);
    stream_publish(stream, &letter->op, &dead, NULL, published);
    message_done(&dead);
    buf_release(&headers);
    return 0;
}

static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct letter *letter = CONTAINER_OF(get, struct letter, get);
    struct consumer *consumer = letter->consumer;
    struct consumer_grave *grave = consumer_state_grave(&consumer->state, letter->seq);
    if (grave && result == 0 && !consumer->closing) {
        result = post(letter, grave, message);
        if (result == 0) return;
    }
    if (grave && result == ERR_NOT_FOUND) {
        buried(consumer, grave); /* limits or a purge have taken it */
    } else if (grave) {
        grave->busy = false;
        bury_later(consumer);
    }
    letter_free(letter);
}

static void durable(struct consumer_wait *wait, int result)
{
    struct letter *letter = CONTAINER_OF(wait, struct letter, wait);
    letter->waiting = false;
    if (result < 0) { /* it may come again */
        struct consumer *consumer = letter->consumer;
        struct consumer_grave *grave = consumer_state_grave(&consumer->state, letter->seq);
        if (grave) grave->busy = false;
        letter_free(letter);
        bury_later(consumer);
        return;
    }
    stream_get(letter->consumer->stream, &letter->get, letter->seq, got);
}

/* Without dead letters the graves only remember what was given up. */
void consumer_bury(struct io_task *task)
{
    struct consumer *consumer = CONTAINER_OF(task, struct consumer, bury);
    if (consumer->closing || !consumer->dead_letters) return;
    LIST_EACH(&consumer->state.graves, struct consumer_grave, link, grave) {
        if (grave->busy) continue;
        struct letter *letter =
            consumer->letter_count < LETTERS_MAX ? calloc(1, sizeof *letter) : NULL;
        if (!letter) break;
        letter->consumer = consumer;
        letter->seq = grave->seq;
        letter->waiting = true;
        grave->busy = true;
        list_init(&letter->link);
        list_push(&consumer->letters, &letter->link);
        consumer->letter_count++;
        stream_get_init(&letter->get);
        consumer_when_durable(consumer, &letter->wait, durable);
    }
    if (consumer->state.grave_count > consumer->letter_count) bury_later(consumer);
}

void consumer_letters_stop(struct consumer *consumer)
{
    LIST_EACH(&consumer->letters, struct letter, link, letter) {
        if (!letter->waiting) continue;
        consumer_wait_cancel(&letter->wait);
        list_remove(&letter->link);
        consumer->letter_count--;
        stream_get_release(&letter->get);
        free(letter);
    }
}

void consumer_letters_free(struct consumer *consumer)
{
    consumer_letters_stop(consumer);
    LIST_EACH(&consumer->letters, struct letter, link, letter) {
        letter->get.read.busy = false;
        stream_get_release(&letter->get);
        free(letter);
    }
}
