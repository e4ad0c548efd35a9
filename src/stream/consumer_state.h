/* consumer_state: what a consumer remembers: how far it has delivered, what is pending, what is on
 * its way to the dead-letter stream. Changed by one set of functions, the same live and when the
 * journal's records are applied at recovery. Pure but for its memory.
 *
 * A record holds what happened in one turn of the loop, in order; runs of neighbours are one step
 * of it. Numbers are as in base/varint.h:
 *
 *     record  = kind:1 time_ns:8 (CONFIG: json | STEPS: step*)
 *     step    = op:1 as in enum consumer_op (a ± marks a difference)
 *
 * Applying records twice, in order and up to the same end, leads to the same state: a snapshot may
 * be newer than what it says it covers. */
#ifndef DURE_STREAM_CONSUMER_STATE_H
#define DURE_STREAM_CONSUMER_STATE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "stream/consumer_pending.h"

enum { CONSUMER_REASON_MAX = 200, CONSUMER_RUN_MAX = 1 << 20 };

/* A message that has failed for good. */
struct consumer_grave {
    uint64_t seq;
    uint32_t attempts;
    bool exceeded; /* max_deliver; else it was terminated */
    bool busy;     /* it is being buried */
    bool kept;     /* it is buried, and the stream keeps the message */
    struct list link;
    size_t reason_len;
    char reason[];
};

struct consumer_state {
    bool keeps;            /* what is delivered stays pending until it is settled; the owner's */
    bool started;          /* next_seq was chosen */
    uint64_t next_seq;     /* everything before has been delivered, or is not for this consumer */
    uint64_t consumer_seq; /* deliveries made */
    uint64_t seen_seq;     /* the last message delivered, or passed while somebody wanted one */
    uint64_t last_until;   /* up to here only the last message of each subject counts; 0: no */
    uint64_t floor_consumer_seq, floor_seq; /* everything up to here is settled */
    uint64_t delivered_ns, settled_ns;      /* wall clock of the last; 0: never */
    struct consumer_pending pending;
    struct list graves, kept; /* still to be buried; buried */
    struct map graves_by_seq; /* both */
    size_t grave_count, kept_count;
};

void consumer_state_init(struct consumer_state *state, bool keeps);
void consumer_state_release(struct consumer_state *state);

/* ---- what happens ---- */

/* Begins, or begins anew, at a sequence; what was pending is forgotten. */
void consumer_state_start(struct consumer_state *state, uint64_t next_seq, uint64_t last_until);

/* The first delivery of a message at or behind next_seq. ERR_NOMEM: nothing has happened. */
int consumer_state_deliver(struct consumer_state *state, uint64_t seq, uint64_t due_ns);

/* A further one of a pending message. */
void consumer_state_redeliver(struct consumer_state *state, struct pending *one, uint32_t attempts,
                              uint64_t consumer_seq, uint64_t due_ns);

/* It is done with. */
void consumer_state_settle(struct consumer_state *state, struct pending *one);

/* What was below the sequence has been purged: delivered or not, the consumer is past it. Returns
 * whether that changes anything. */
bool consumer_state_skip(struct consumer_state *state, uint64_t seq);

/* It has failed for good: from pending to the graves. NULL: no memory, nothing has happened. */
struct consumer_grave *consumer_state_die(struct consumer_state *state, struct pending *one,
                                          bool exceeded, struct bytes reason);

struct consumer_grave *consumer_state_grave(const struct consumer_state *state, uint64_t seq);

/* It is in the dead-letter stream, and forgotten. */
void consumer_state_bury(struct consumer_state *state, struct consumer_grave *grave);

/* It is in the dead-letter stream, and the stream keeps the message: nobody has settled it. */
void consumer_state_keep(struct consumer_state *state, struct consumer_grave *grave);

/* ---- records ---- */

enum consumer_record_kind { CONSUMER_RECORD_CONFIG = 1, CONSUMER_RECORD_STEPS };

enum { CONSUMER_RECORD_HEADER = 9 };

enum consumer_op {
    CONSUMER_OP_START = 1, /* next_seq last_until */
    CONSUMER_OP_DELIVER,   /* seq± count consumer_seq± due± */
    CONSUMER_OP_REDELIVER, /* seq± attempts consumer_seq± due± */
    CONSUMER_OP_SETTLE,    /* seq± count */
    CONSUMER_OP_DUE,       /* seq± due± naked:1 */
    CONSUMER_OP_DIE,       /* seq± exceeded:1 reason_len reason */
    CONSUMER_OP_BURY,      /* seq± */
    CONSUMER_OP_KEEP,      /* seq± */
    CONSUMER_OP_SKIP,      /* seq± */
};

/* What has happened and is not in the journal yet. */
struct consumer_log {
    struct buf steps;
    uint64_t seq, consumer_seq, due_ns; /* of the last step written */
    struct {
        enum consumer_op op;
        uint64_t seq, count, consumer_seq, due_ns;
    } run; /* the step that may still grow; count 0: none */
};

void consumer_log_init(struct consumer_log *log);
void consumer_log_release(struct consumer_log *log);
void consumer_log_clear(struct consumer_log *log);
bool consumer_log_is_empty(const struct consumer_log *log);

void consumer_log_start(struct consumer_log *log, uint64_t next_seq, uint64_t last_until);
void consumer_log_deliver(struct consumer_log *log, uint64_t seq, uint64_t consumer_seq,
                          uint64_t due_ns);
void consumer_log_redeliver(struct consumer_log *log, const struct pending *one,
                            uint64_t consumer_seq);
void consumer_log_settle(struct consumer_log *log, uint64_t seq);
void consumer_log_due(struct consumer_log *log, const struct pending *one);
void consumer_log_die(struct consumer_log *log, const struct consumer_grave *grave);
void consumer_log_bury(struct consumer_log *log, uint64_t seq);
void consumer_log_keep(struct consumer_log *log, uint64_t seq);
void consumer_log_skip(struct consumer_log *log, uint64_t seq);

/* The steps so far, whole; good until the log is used again. Failure is log->steps.failed. */
struct bytes consumer_log_steps(struct consumer_log *log);

void consumer_record_header(enum consumer_record_kind kind, uint64_t time_ns,
                            char ret_header[CONSUMER_RECORD_HEADER]);

/* ERR_CORRUPT. */
int consumer_record_parse(struct bytes record, enum consumer_record_kind *ret_kind,
                          uint64_t *ret_time_ns, struct bytes *ret_rest);

/* Lets the steps of a record take effect. ERR_CORRUPT, ERR_NOMEM. */
int consumer_state_apply(struct consumer_state *state, uint64_t time_ns, struct bytes steps);

/* ---- the whole state ---- */

void consumer_state_encode(const struct consumer_state *state, struct buf *out);

/* Into an empty state; *ret_rest is what stands behind it. ERR_CORRUPT, ERR_NOMEM. */
int consumer_state_decode(struct consumer_state *state, struct bytes bytes, struct bytes *ret_rest);

#endif
