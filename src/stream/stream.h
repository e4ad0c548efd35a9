/* stream: a durable run of messages on some subjects, with the semantics of a JetStream stream,
 * over a journal of its own. Made, found and destroyed through `struct streams` (stream/streams.h).
 *
 * A stream is a state machine: its state is a function of the records in its journal, applied in
 * order by one function, live and at recovery alike. So what is visible (reads, consumers, limits)
 * is always durable; what has only been submitted shows in nothing but the checks of publishes that
 * come later (expected sequences, duplicates).
 *
 * Sequences start at 1 and are never given twice; a message keeps its sequence for good. */
#ifndef DURE_BUS_STREAM_H
#define DURE_BUS_STREAM_H

#include "bus/message.h"
#include "io/io.h"
#include "store/journal.h"

struct stream;
struct streams;

enum {
    STREAM_NAME_MAX = 128,
    STREAM_SUBJECTS_MAX = 64,
    STREAM_HEADERS_MAX = 64 << 10,
    STREAM_SUBJECT_MAX = 512, /* bytes of one message's subject */
};

enum stream_discard {
    STREAM_DISCARD_OLD, /* a full stream drops its oldest messages */
    STREAM_DISCARD_NEW, /* a full stream refuses new ones (max_msgs_per_subject always drops) */
};

/* What a stream is to be. Limits: 0 or less is unlimited. */
struct stream_config {
    const char *name;            /* printable, no space . * > / \ */
    const char *const *subjects; /* patterns; none: the name itself */
    size_t subject_count;
    int64_t max_msgs, max_bytes, max_msgs_per_subject, max_msg_size;
    int64_t max_age_ns;
    int64_t duplicate_window_ns; /* 0: 2 minutes, or max_age when that is shorter */
    enum stream_discard discard;
    enum journal_sync sync;
    bool allow_rollup, deny_delete, deny_purge;
};

struct stream_state {
    uint64_t messages, bytes, subjects;
    uint64_t first_seq, last_seq;         /* empty: first_seq == last_seq + 1, or both 0 when new */
    uint64_t first_time_ns, last_time_ns; /* wall clock; 0: none */
};

/* A stored message. The views are good for the call; message_ref() keeps them. */
struct stream_message {
    uint64_t seq, time_ns;
    struct message message; /* reply is empty */
};

const struct stream_config *stream_config(const struct stream *stream);
struct stream_state stream_state(const struct stream *stream);

/* ---- changes ----------------------------------------------------------------------------------
 * Every change is an operation embedded in its owner, which must not move until `done` has run.
 * `done` runs from the loop, in order of submission, when the disk has the change or it failed. */

/* Why a publish was refused, as a JetStream client is told it. */
struct stream_refusal {
    int code, err_code;
    char description[96];
};

struct stream_op {
    void (*done)(struct stream_op *op, int result);

    /* results, good inside `done` */
    uint64_t seq;    /* publish: the message's sequence */
    bool duplicate;  /* publish: it was stored before, as `seq` */
    uint64_t purged; /* purge: how many messages went */
    struct stream_refusal refusal;

    /* private */
    struct stream *stream;
    struct list link;
    uint64_t ticket; /* complete when so many of the stream's records have been told of */
    enum { STREAM_OP_NONE, STREAM_OP_RECORD, STREAM_OP_DUPLICATE } waits_for;
    int result;
};

/* Conditions besides those that stand in the message's headers (Nats-Expected-*). */
struct stream_expect {
    bool last_subject; /* the last message of this subject must have last_subject_seq (0: none) */
    uint64_t last_subject_seq;
};

/* Stores a message. op may be NULL (then done too): nobody waits. expect may be NULL. Honours the
 * headers Nats-Msg-Id, Nats-Expected-Stream, Nats-Expected-Last-Sequence,
 * Nats-Expected-Last-Subject-Sequence, Nats-Expected-Last-Msg-Id and Nats-Rollup. done's result: 0;
 * ERR_CONFLICT (an expectation failed), ERR_TOO_BIG, ERR_FULL (limits of the stream, or too much
 * waits for the disk), ERR_INVALID, ERR_NO_SPACE, ERR_IO, ERR_CLOSED; `refusal` has the words. The
 * subject need not be one of the stream's (the caller decides). */
void stream_publish(struct stream *stream, struct stream_op *op, struct message *message,
                    const struct stream_expect *expect,
                    void (*done)(struct stream_op *op, int result));

/* Removes one message. op may be NULL in this and the following. ERR_NOT_FOUND, ERR_DENIED
 * (deny_delete). */
void stream_delete(struct stream *stream, struct stream_op *op, uint64_t seq,
                   void (*done)(struct stream_op *op, int result));

/* Removes messages: those whose subject matches `filter` (empty: all) and, where not 0, whose
 * sequence is below `below_seq`, but not the newest `keep`. ERR_DENIED (deny_purge). */
void stream_purge(struct stream *stream, struct stream_op *op, struct bytes filter,
                  uint64_t below_seq, uint64_t keep,
                  void (*done)(struct stream_op *op, int result));

/* Changes limits, subjects and flags; the name stays. ERR_INVALID, ERR_CONFLICT (overlap). */
void stream_update(struct stream *stream, struct stream_op *op, const struct stream_config *config,
                   void (*done)(struct stream_op *op, int result));

/* ---- reading ----------------------------------------------------------------------------------
 */

/* One read at a time, embedded in its owner. `message` is NULL on an error. */
struct stream_get {
    void (*done)(struct stream_get *get, int result, const struct stream_message *message);
    size_t ahead_bytes; /* may be set after init: reads so much more, for the gets that follow */

    /* private */
    struct stream *stream;
    struct journal_read read;
    struct journal_record record;
    uint64_t seq, place;
    int result;
    struct list link;
};

void stream_get_init(struct stream_get *get);
void stream_get_release(struct stream_get *get); /* not while it is under way */

/* ERR_NOT_FOUND comes through `done` as every other result. */
void stream_get(struct stream *stream, struct stream_get *get, uint64_t seq,
                void (*done)(struct stream_get *, int, const struct stream_message *));

/* Calls `each` for every message, in order; an error that it returns ends the walk. BLOCKS
 * (start-up); the stream must not be changed from inside. */
int stream_each(struct stream *stream,
                int (*each)(void *context, const struct stream_message *message), void *context);

/* The sequence of the last message with this subject, 0: none. */
uint64_t stream_last_seq(const struct stream *stream, struct bytes subject);

/* The first message at or behind `seq` whose subject matches the pattern (empty: any); 0: none.
 * Looks at no more than `budget` messages; when that ends the search, *ret_resume is where to go on
 * (else 0). */
uint64_t stream_next(const struct stream *stream, uint64_t seq, struct bytes pattern, size_t budget,
                     uint64_t *ret_resume);

/* How many messages from `seq` on match the pattern. Looks at all of them. */
uint64_t stream_count(const struct stream *stream, uint64_t seq, struct bytes pattern);

/* ---- following ---------------------------------------------------------------------------------
 * Observers see each message when it has become durable, in order, with its content, and each
 * removal. They may not change the stream or leave from inside, except through operations. */
struct stream_observer {
    void (*stored)(struct stream_observer *observer, const struct stream_message *message);
    void (*removed)(struct stream_observer *observer, uint64_t seq, struct bytes subject);
    struct list link; /* private */
};

void stream_observe(struct stream *stream, struct stream_observer *observer);
void stream_unobserve(struct stream_observer *observer);

#endif
