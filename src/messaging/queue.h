/* queue: a durable place in a stream, and who has what of it: each message is delivered until it is
 * settled, at least once. A message that has failed for good goes to the stream DEAD and is settled
 * when it is there. In NATS's words a durable pull consumer with explicit acknowledgement.
 *
 * Owned by its opener until queue_close(). */
#ifndef DURE_MESSAGING_QUEUE_H
#define DURE_MESSAGING_QUEUE_H

#include "messaging/messaging.h"

struct queue;

struct queue_config {
    const char *stream;       /* which must exist */
    const char *name;         /* printable, no space . * > / \ */
    const char *filter;       /* pattern; NULL: every message */
    uint32_t ack_wait_ms;     /* how long one delivery may be worked at; 0: 30 s */
    uint32_t max_deliver;     /* then it is dead; 0: 5 */
    uint32_t max_ack_pending; /* 0: 1000 */
};

struct queue_delivery {
    uint64_t seq;           /* names the message in ack, nak, term, progress */
    uint64_t time_ns;       /* wall clock: when it was stored */
    uint32_t attempt;       /* from 1 */
    struct message message; /* views for the call; to keep it: copy, message_ref, message_done */
};

typedef void queue_deliver(void *context, const struct queue_delivery *delivery);

/* Opens the queue, or makes it, from the oldest message on. The config is copied. Delivers nothing
 * before queue_want. Embedded: BLOCKS shortly, ERR_NOT_FOUND (the stream), ERR_EXISTS (open
 * already), ERR_CORRUPT; in a cluster it is made in the background, again and again until it is
 * there. ERR_INVALID, ERR_NOMEM. */
int queue_open(struct messaging *messaging, const struct queue_config *config,
               queue_deliver *deliver, void *context, struct queue **ret_queue,
               struct error *error);

/* `opened` runs when it exists: later, or at once. NULL: nobody waits any more. */
void queue_when_open(struct queue *queue, void (*opened)(void *context), void *context);

/* Stops delivering at once; `done` (may be NULL) runs when its place is safe. What is not settled
 * comes again when the queue is opened again: at once (embedded), or within half a minute. */
void queue_close(struct queue *queue, void (*done)(void *context), void *context);

/* Frees memory without any I/O, for a simulated host that has crashed. NULL is allowed. */
void queue_free(struct queue *queue);

/* Takes `count` more deliveries than wanted until now. */
void queue_want(struct queue *queue, uint32_t count);

/* Settle a delivery. One that is not pending (settled already, or taken away because its time ran
 * out) is ERR_NOT_FOUND. */
int queue_ack(struct queue *queue, uint64_t seq);
int queue_nak(struct queue *queue, uint64_t seq, uint32_t delay_ms);    /* again after delay_ms */
int queue_term(struct queue *queue, uint64_t seq, struct bytes reason); /* to DEAD */

/* Still at work: ack_wait begins anew. */
int queue_progress(struct queue *queue, uint64_t seq);

#endif
