/* consumer_state: what a consumer remembers: how far it has delivered, and what is pending with how
 * many attempts. Changed by records, the same live and at recovery; as bytes for its snapshot. Pure
 * but for its memory.
 *
 *     record    = kind:1 0:3 attempt:4 seq:8
 *     snapshot  = next_seq:8 consumer_seq:8 count:8 (seq:8 attempt:8)*
 */
#ifndef DURE_BUS_CONSUMER_STATE_H
#define DURE_BUS_CONSUMER_STATE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "io/io.h"

enum consumer_record_kind {
    CONSUMER_RECORD_START = 1, /* seq: where it begins */
    CONSUMER_RECORD_DELIVER,   /* seq, attempt */
    CONSUMER_RECORD_SETTLE,    /* seq: acknowledged, in the dead-letter stream, or gone */
};

enum { CONSUMER_RECORD_SIZE = 16 };

struct consumer_record {
    enum consumer_record_kind kind;
    uint32_t attempt;
    uint64_t seq;
};

void consumer_record_encode(const struct consumer_record *record,
                            char ret_bytes[CONSUMER_RECORD_SIZE]);
int consumer_record_decode(struct bytes bytes, struct consumer_record *ret_record);

enum pending_state {
    PENDING_DUE,     /* to be delivered again, as soon as somebody wants it */
    PENDING_OUT,     /* delivered; its timer is its ack wait */
    PENDING_DELAYED, /* not done; its timer is its delay */
    PENDING_DEAD,    /* has failed for good; on its way to the dead-letter stream */
    PENDING_SETTLED, /* acknowledged; on its way to the disk */
};

struct consumer_pending {
    uint64_t seq;
    uint32_t attempt; /* deliveries so far */
    enum pending_state state;
    bool unwritten; /* the disk would not take the record of its last delivery */
    char *reason;   /* PENDING_DEAD: why; NULL: too many attempts. Owned. */
    struct consumer *consumer;
    struct io_timer timer;
    struct list link; /* in the order of sequences */
    struct list due;  /* in the order in which they became due */
};

struct consumer_state {
    uint64_t next_seq;     /* everything before has been delivered, or is not for this consumer */
    uint64_t consumer_seq; /* deliveries made */
    struct map pending;    /* of struct consumer_pending */
    struct list order;     /* the same, by sequence */
    bool started;
};

void consumer_state_init(struct consumer_state *state);
void consumer_state_release(struct consumer_state *state);

struct consumer_pending *consumer_state_find(const struct consumer_state *state, uint64_t seq);

/* A pending message, made if it is new; it is PENDING_DUE then. NULL: no memory. */
struct consumer_pending *consumer_state_claim(struct consumer_state *state, uint64_t seq);

/* Removes and frees. */
void consumer_state_drop(struct consumer_state *state, struct consumer_pending *pending);

/* Recovery: one record takes effect. ERR_NOMEM. */
int consumer_state_apply(struct consumer_state *state, const struct consumer_record *record);

/* Every sequence up to here is settled. */
uint64_t consumer_state_floor(const struct consumer_state *state);

void consumer_state_encode(const struct consumer_state *state, struct buf *out);

/* Into an empty state. ERR_CORRUPT, ERR_NOMEM. */
int consumer_state_decode(struct consumer_state *state, struct bytes bytes);

#endif
