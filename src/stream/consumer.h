/* consumer: a place in a stream, and who has what of it: a JetStream consumer. It lives with its
 * stream: made once, found again at every start, gone when it or the stream is destroyed.
 *
 *     stream --reads ahead--> consumer --deliver--> outlet (this program, pull requests, push)
 *                               ^ ack, nak, term, progress
 *
 * What it delivers goes into its outlet, which says how much it has room for. A message that must
 * be acknowledged is pending until it is settled; it comes again when its time is up (ack_wait, or
 * the back-off of its attempt), until max_deliver. One that has failed for good goes to the
 * dead-letter stream DEAD with its history.
 *
 * The state (place, ack floor, what is pending, attempts, deadlines) is durable in a journal of its
 * own, unless it is kept in memory. What happens in a turn of the loop is one record there. Nothing
 * waits for it but who asks (consumer_when_durable): a crash may forget the last turn's deliveries
 * and acknowledgements, which then come again; never more, never before their time. */
#ifndef DURE_STREAM_CONSUMER_H
#define DURE_STREAM_CONSUMER_H

#include "stream/consumer_config.h"
#include "stream/stream.h"
#include "stream/streams.h"

struct consumer;

/* ---- a stream's consumers ----------------------------------------------------------------- */

enum consumer_action {
    CONSUMER_MAKE_OR_UPDATE,
    CONSUMER_MAKE,   /* ERR_EXISTS when there is one with another configuration */
    CONSUMER_UPDATE, /* ERR_NOT_FOUND when there is none */
};

/* Makes a consumer or updates it, durably when consumer_when_durable says so. A new one delivers
 * nothing before; when the disk refuses it, who waits is told, and it is tried again. The same
 * configuration again gives the consumer that exists. ERR_INVALID, ERR_EXISTS, ERR_NOT_FOUND,
 * ERR_CONFLICT (with another consumer of a work queue), ERR_FULL and errors of the disk; `refusal`
 * has JetStream's words for all of them. */
int consumers_add(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, enum consumer_action action,
                  struct consumer **ret_consumer, struct api_error *refusal);

/* NULL: there is none. */
struct consumer *consumers_find(struct stream *stream, struct bytes name);

/* A stream's consumers in the order of their names. */
size_t consumers_count(const struct stream *stream);
struct consumer *consumers_at(const struct stream *stream, size_t index);

/* Removes the consumer; it is found no more when this returns. When `done` (may be NULL) runs with
 * 0 it is gone for good, else it comes back at the next start. */
void consumer_destroy(struct consumer *consumer, void (*done)(void *context, int result),
                      void *context);

const struct consumer_config *consumer_config(const struct consumer *consumer);
struct stream *consumer_stream(const struct consumer *consumer);

/* ---- state -------------------------------------------------------------------------------- */

struct consumer_place {
    uint64_t consumer_seq, stream_seq;
    uint64_t active_ns; /* wall clock; 0: never */
};

struct consumer_info {
    uint64_t created_ns;
    struct consumer_place delivered; /* the last delivery; of the stream: or what was passed */
    struct consumer_place ack_floor; /* everything up to here is settled */
    uint64_t num_pending;            /* messages that were never delivered yet; exact */
    uint64_t num_ack_pending, num_redelivered;
    uint64_t num_waiting; /* pull requests; of this program: messages wanted */
    bool push_bound, paused;
    int64_t pause_remaining_ns;
    int status; /* 0, or the error after which nothing can be written */
    struct consumer_group_info {
        char pinned_id[24]; /* "": nobody */
        uint64_t pinned_ns;
    } groups[CONSUMER_GROUPS_MAX]; /* in the order of config.priority_groups */
};

struct consumer_info consumer_info(const struct consumer *consumer);

/* Pauses until a wall-clock time; 0 (or one that is over) goes on at once. Durable as an update
 * is. */
int consumer_pause(struct consumer *consumer, int64_t until_ns);

/* Begins anew at a stream sequence (0: behind the ack floor): what is pending is forgotten. */
int consumer_reset(struct consumer *consumer, uint64_t seq);

/* Whether somebody may still be at work on a message that was delivered, or one was given back with
 * a delay that is not over. */
bool consumer_is_at_work(const struct consumer *consumer);

/* ---- settling ----------------------------------------------------------------------------- */

/* Whether everything up to this message was delivered, or passed over, as far as the consumer
 * remembers: a power failure may have taken the last deliveries from it. */
bool consumer_has_delivered(const struct consumer *consumer, uint64_t seq);

/* Each says ERR_NOT_FOUND when `seq` (of the stream) is not pending: settled already, or never
 * delivered. */
int consumer_ack(struct consumer *consumer, uint64_t seq);

/* Not done: deliver again after delay_ns; CONSUMER_DELAY_BACKOFF: after the back-off. */
#define CONSUMER_DELAY_BACKOFF INT64_C(-1)
int consumer_nak(struct consumer *consumer, uint64_t seq, int64_t delay_ns);

/* Will never be done: to the dead-letter stream, with the reason (copied, cut at 200 bytes). */
int consumer_term(struct consumer *consumer, uint64_t seq, struct bytes reason);

/* Still at work: ack_wait starts anew. */
int consumer_progress(struct consumer *consumer, uint64_t seq);

/* Embedded in its owner, who is told when all that was done to the consumer until now is on the
 * disk (result 0; at once when it is kept in memory) or when it is closed before (ERR_CLOSED). From
 * the loop, in order. */
struct consumer_wait {
    void (*done)(struct consumer_wait *wait, int result);
    struct list link; /* private */
    uint64_t ticket;  /* private */
};
void consumer_when_durable(struct consumer *consumer, struct consumer_wait *wait,
                           void (*done)(struct consumer_wait *wait, int result));

/* After this `done` will not run. */
static inline void consumer_wait_cancel(struct consumer_wait *wait)
{
    list_remove(&wait->link);
}

/* ---- delivering --------------------------------------------------------------------------- */

struct delivery {
    uint64_t seq;          /* names the message in ack, nak, term, progress */
    uint64_t consumer_seq; /* counts deliveries, from 1, without gaps */
    uint64_t time_ns;      /* wall clock: when it was stored */
    uint64_t pending;      /* messages behind this one that were never delivered */
    uint32_t attempt;      /* from 1 */
    /* Views for the call; reply is empty. To keep it: copy the struct, message_ref, message_done.
     */
    struct message message;
};

enum consumer_end { CONSUMER_END_CLOSED, CONSUMER_END_DESTROYED };

/* What a consumer's messages go into; one at a time. Embedded in its owner, who fills in the
 * functions. They run from the loop, and may not detach, destroy or close from inside. */
struct consumer_outlet {
    /* Whether it takes anything now. */
    bool (*wants)(struct consumer_outlet *outlet);
    /* Whether it takes this one now; `deliver` follows at once when it does. Else it comes again
     * first, at the next wake. */
    bool (*takes)(struct consumer_outlet *outlet, const struct stream_message *message);
    /* May settle messages. */
    void (*deliver)(struct consumer_outlet *outlet, const struct delivery *delivery);
    /* It wants more, but there is nothing to deliver now. */
    void (*idle)(struct consumer_outlet *outlet);
    /* The configuration has changed. May be NULL. */
    void (*updated)(struct consumer_outlet *outlet);
    /* The consumer goes, and has forgotten the outlet. */
    void (*closed)(struct consumer_outlet *outlet, enum consumer_end why);
    /* Fills num_waiting, push_bound and groups. */
    void (*info)(const struct consumer_outlet *outlet, struct consumer_info *info);
};

/* ERR_EXISTS: it has one. */
int consumer_attach(struct consumer *consumer, struct consumer_outlet *outlet);
void consumer_detach(struct consumer *consumer);
struct consumer_outlet *consumer_outlet(const struct consumer *consumer);

/* There is room again. */
void consumer_wake(struct consumer *consumer);

/* How many messages there are to deliver, also while it is paused: new ones and those that are to
 * come again. */
uint64_t consumer_available(const struct consumer *consumer);
bool consumer_is_paused(const struct consumer *consumer);

/* ---- a consumer of this program ------------------------------------------------------------ */

typedef void consumer_deliver(void *context, const struct delivery *delivery);

/* Makes the consumer if there is none (or updates it), and attaches to it: what was delivered to
 * somebody before and is not settled comes again at once. Delivers nothing before consumer_want.
 * Errors of consumers_add, ERR_EXISTS (somebody is attached). */
int consumer_open(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, consumer_deliver *deliver, void *context,
                  struct consumer **ret_consumer, struct error *error);

/* Stops delivering at once; `done` (may be NULL) runs from the loop when all that was settled is
 * written. The consumer stays with its stream. */
void consumer_close(struct consumer *consumer, void (*done)(void *context), void *context);

/* Takes `count` more deliveries than wanted until now. Each delivery uses up one. */
void consumer_want(struct consumer *consumer, uint32_t count);

/* `settled(context, seq)` runs when an ack or a dead letter has become durable, in the order of
 * settling. */
void consumer_on_settled(struct consumer *consumer, void (*settled)(void *context, uint64_t seq));

/* ---- what else must know ------------------------------------------------------------------- */

enum consumer_event_kind {
    CONSUMER_EVENT_ACKED, /* one of those that sample_freq chooses */
    CONSUMER_EVENT_NAKED,
    CONSUMER_EVENT_TERMINATED,     /* reason */
    CONSUMER_EVENT_MAX_DELIVERIES, /* was delivered max_deliver times */
};

struct consumer_event {
    enum consumer_event_kind kind;
    uint64_t stream_seq, consumer_seq; /* of its first delivery */
    uint32_t attempts;
    uint64_t delay_ns; /* ACKED: since the last delivery */
    struct bytes reason;
};

/* What the JetStream API wants to be told of the consumers of a `struct streams`; one at most,
 * embedded in its owner. May not destroy a consumer from inside. */
struct consumer_port {
    /* Is there, at the call that sets the port or later; nobody of this program is attached yet. */
    void (*opened)(struct consumer_port *port, struct consumer *consumer);
    void (*event)(struct consumer_port *port, struct consumer *consumer,
                  const struct consumer_event *event);
};

/* NULL takes it away. */
void consumers_set_port(struct streams *streams, struct consumer_port *port);

/* The dead-letter stream. A dead letter has the subject DEAD.STREAM.CONSUMER, the message's payload
 * and headers, and further headers: Dure-Dead-Stream, -Consumer, -Subject, -Sequence, -Attempts,
 * -Reason ("max_deliver" or what consumer_term was told) and -Time (RFC 3339). */
#define CONSUMER_DEAD_STREAM "DEAD"

#endif
