/* The consumer as it was, until the one of consumer.h takes its place. Semantics of a JetStream
 * durable pull consumer with explicit acknowledgement, as a C interface.
 *
 * The owner says how many messages it will take (consumer_want); each comes once through `deliver`
 * and is settled with ack, nak, term, or not at all: then it comes again after ack_wait (or the
 * back-off of its attempt), until max_deliver. A message that has failed for good goes to the
 * dead-letter stream DEAD, and is settled when it is there durably.
 *
 * The state (ack floor, what is pending, attempts) is durable in a journal of its own: after a
 * crash everything not durably acknowledged is delivered again, nothing that was. Attempts are
 * written with the next group commit, without making the delivery wait: a crash within that moment
 * may forget the last one. */
#ifndef DURE_STREAM_CONSUMER_OLD_H
#define DURE_STREAM_CONSUMER_OLD_H

#include "stream/stream.h"
#include "stream/streams.h"

struct consumer;

enum consumer_start {
    CONSUMER_FROM_FIRST, /* everything the stream holds */
    CONSUMER_FROM_NEW,   /* what comes after the consumer was made */
    CONSUMER_FROM_SEQ,   /* start_seq */
};

enum { CONSUMER_BACKOFF_MAX = 16 };

struct consumer_config {
    const char *name;          /* as a stream's name */
    const char *filter;        /* pattern; NULL: every message */
    enum consumer_start start; /* counts only when the consumer is made */
    uint64_t start_seq;
    uint32_t ack_wait_ms;                      /* 0: 30 s */
    uint32_t max_deliver;                      /* 0: 5 */
    uint32_t max_ack_pending;                  /* 0: 1000; at most 65536 */
    uint32_t backoff_ms[CONSUMER_BACKOFF_MAX]; /* wait after attempt 1, 2, ...; the last repeats */
    size_t backoff_count;                      /* 0: ack_wait_ms each time */
};

struct delivery {
    uint64_t seq;          /* names the message in ack, nak, term, progress */
    uint64_t consumer_seq; /* counts deliveries, from 1, without gaps */
    uint64_t time_ns;      /* wall clock: when it was stored */
    uint32_t attempt;      /* from 1 */
    /* Views for the call; reply is empty. To keep it: copy the struct, message_ref, message_done.
     */
    struct message message;
};

typedef void consumer_deliver(void *context, const struct delivery *delivery);

/* Opens the durable consumer, or makes it; BLOCKS shortly. Delivers nothing before consumer_want.
 * The limits are those of this call. ERR_INVALID, ERR_CORRUPT, ERR_EXISTS (it is open). */
int consumer_open(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, consumer_deliver *deliver, void *context,
                  struct consumer **ret_consumer, struct error *error);

/* Stops delivering at once; `done` (may be NULL) runs when all is written and it is gone. */
void consumer_close(struct consumer *consumer, void (*done)(void *context), void *context);

/* Closes and forgets it: its files are removed. */
void consumer_destroy(struct consumer *consumer, void (*done)(void *context), void *context);

/* Frees memory without I/O, for a simulated host that has crashed. NULL is allowed. */
void consumer_free(struct consumer *consumer);

/* Takes `count` more deliveries than wanted until now. Each delivery uses up one. */
void consumer_want(struct consumer *consumer, uint32_t count);

/* Settles a delivery. `seq` that is not pending (settled already, or never delivered) is
 * ERR_NOT_FOUND. `settled` of the owner, if set with consumer_on_settled, tells when it is durable.
 */
int consumer_ack(struct consumer *consumer, uint64_t seq);

/* Not done: deliver again after delay_ms; CONSUMER_DELAY_BACKOFF: after the back-off. */
#define CONSUMER_DELAY_BACKOFF UINT32_MAX
int consumer_nak(struct consumer *consumer, uint64_t seq, uint32_t delay_ms);

/* Will never be done: to the dead-letter stream, with the reason (copied, cut at 200 bytes). */
int consumer_term(struct consumer *consumer, uint64_t seq, struct bytes reason);

/* Still at work: ack_wait starts anew. */
int consumer_progress(struct consumer *consumer, uint64_t seq);

/* `settled(context, seq)` runs, in order, when an ack or a dead letter has become durable. */
void consumer_on_settled(struct consumer *consumer, void (*settled)(void *context, uint64_t seq));

struct consumer_info {
    uint64_t delivered_consumer_seq, delivered_stream_seq; /* the last delivery */
    uint64_t ack_floor; /* every stream sequence up to here is settled */
    uint64_t pending;   /* messages that were never delivered yet (counted when asked) */
    uint32_t ack_pending, redelivered, wanted;
    int status; /* 0, or the error after which nothing is delivered any more */
};

struct consumer_info consumer_info(const struct consumer *consumer);

/* The dead-letter stream. A dead letter has the subject DEAD.STREAM.CONSUMER, the message's payload
 * and headers, and further headers: Dure-Dead-Stream, -Consumer, -Subject, -Sequence, -Attempts,
 * -Reason ("max_deliver" or what consumer_term was told) and -Time (RFC 3339). */
#define CONSUMER_DEAD_STREAM "DEAD"

#endif
