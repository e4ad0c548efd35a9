/* What the parts of a consumer share: consumer.c (lifecycle, settling), consumer_pump.c (choosing
 * and delivering), consumer_dead.c (dead letters). */
#ifndef DURE_BUS_CONSUMER_IMPL_H
#define DURE_BUS_CONSUMER_IMPL_H

#include "stream/consumer_old.h"
#include "stream/consumer_state.h"
#include "stream/stream_impl.h"

enum { CONSUMER_PATH = STREAM_PATH + 160 };

/* A message on its way to the dead-letter stream. */
struct dead_letter {
    struct consumer *consumer;
    uint64_t seq;
    struct stream_op op;
    struct list link;
};

struct consumer {
    struct io *io;
    struct streams *streams;
    struct stream *stream;
    struct stream_metrics *metrics;
    char name[STREAM_NAME_MAX + 1];
    char dir[CONSUMER_PATH];
    char *filter; /* "" for every message */
    struct consumer_config config;
    consumer_deliver *deliver;
    void (*settled)(void *context, uint64_t seq);
    void *context;

    struct journal *journal;
    struct consumer_state state;
    uint64_t covers; /* recovery: the snapshot includes the records up to here */
    bool snapshot;   /* one is being written */

    uint32_t wanted;
    uint32_t unwritten;  /* pending messages that are */
    struct list due;     /* of struct consumer_pending */
    struct list unsaved; /* of struct consumer_pending: settled, but the disk would not take it */
    struct io_task pump;
    struct io_timer retry; /* for `unsaved` and dead letters that were refused */

    struct stream_observer observer;
    struct stream_get next_get, due_get;
    bool getting_next, getting_due;
    struct list dead; /* of struct dead_letter: those being published */

    bool closing, destroying;
    void (*closed)(void *context);
    void *closed_context;
    struct io_task close_task;
};

void consumer_pump(struct io_task *task);
void consumer_post(struct consumer *consumer);
void consumer_stored(struct stream_observer *observer, const struct stream_message *message);

/* The timer of a pending message has fired. */
void consumer_pending_due(struct io_timer *timer);

/* Puts it into the queue of those that are to be delivered again. */
void consumer_make_due(struct consumer *consumer, struct consumer_pending *pending);

/* Writes a record. Errors of journal_append. */
int consumer_write(struct consumer *consumer, enum consumer_record_kind kind, uint64_t seq,
                   uint32_t attempt);

/* Writes the record of a delivery. While one cannot be written nothing more is delivered or
 * settled: a recovery takes a message before the last delivery for settled when it knows nothing of
 * it. */
void consumer_write_delivery(struct consumer *consumer, struct consumer_pending *pending);

/* The record of a delivery was lost on its way to the disk. */
void consumer_delivery_lost(struct consumer *consumer, struct consumer_pending *pending);

/* The message is done with: settled when the disk has it. */
void consumer_settle(struct consumer *consumer, struct consumer_pending *pending);

/* Sends a message, whose content is given, to the dead-letter stream. */
void consumer_bury(struct consumer *consumer, struct consumer_pending *pending,
                   const struct stream_message *message);

/* Tries again later what could not be written. */
void consumer_retry_later(struct consumer *consumer);

/* Goes on with closing when nothing is under way. */
void consumer_close_step(struct consumer *consumer);

#endif
