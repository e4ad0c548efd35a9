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
#include "stream/api_error.h"
#include "store/journal.h"

struct stream;
struct streams;

enum {
    STREAM_NAME_MAX = 255,
    STREAM_HEADERS_MAX = 64 << 10,
    STREAM_SUBJECT_MAX = 4096, /* bytes of one message's subject */
    STREAM_REPLICAS_MAX = 5,   /* that may be asked for; more than one is refused */
};

/* ---- what a stream is to be ------------------------------------------------------------------ */

enum stream_discard {
    STREAM_DISCARD_OLD, /* a full stream drops its oldest messages */
    STREAM_DISCARD_NEW, /* a full stream refuses new ones (max_msgs_per_subject drops all the same,
                         * unless discard_new_per_subject) */
};

enum stream_retention {
    STREAM_RETENTION_LIMITS,    /* until a limit, age, delete or purge takes it */
    STREAM_RETENTION_INTEREST,  /* until every consumer that wants it has acknowledged it */
    STREAM_RETENTION_WORKQUEUE, /* until the one consumer that wants it has acknowledged it */
};

enum stream_storage { STREAM_STORAGE_FILE, STREAM_STORAGE_MEMORY };
enum stream_compression { STREAM_COMPRESSION_NONE, STREAM_COMPRESSION_S2 }; /* echoed only */

struct stream_transform {
    const char *src; /* pattern; NULL or "": every subject */
    const char *dest;
};

/* Another stream of this node that messages are taken from. */
struct stream_source {
    const char *name;
    uint64_t start_seq;     /* 0: from the first */
    uint64_t start_time_ns; /* wall clock; 0: not given */
    const char *filter;     /* pattern; NULL: all. Not together with transforms. */
    const struct stream_transform *transforms; /* each filters by its src; dest "": unchanged */
    size_t transform_count;
};

struct stream_pair {
    const char *key, *value;
};

/* The fields of JetStream's StreamConfig; their meaning is told where NATS documents them. Limits:
 * 0 or less is unlimited. Pointers may be NULL. */
struct stream_config {
    const char *name; /* printable, no space . * > / \ */
    const char *description;
    const char *const *subjects; /* patterns; none: the name itself, unless mirror or sources */
    size_t subject_count;
    enum stream_retention retention;
    enum stream_storage storage;
    enum stream_discard discard;
    enum stream_compression compression;
    bool discard_new_per_subject; /* with DISCARD_NEW and max_msgs_per_subject */
    int64_t max_msgs, max_bytes, max_msgs_per_subject, max_msg_size, max_consumers;
    int64_t max_age_ns;
    int64_t duplicate_window_ns; /* 0: 2 minutes, or max_age when that is shorter */
    uint64_t first_seq;          /* the first sequence it gives; 0: 1 */
    unsigned num_replicas;       /* 0: 1, the only one there can be */
    const char *placement;       /* JSON, echoed only */
    const struct stream_transform *transform;
    const struct stream_transform *republish;
    bool republish_headers_only;
    const struct stream_source *mirror;
    const struct stream_source *sources;
    size_t source_count;
    int64_t consumer_inactive_threshold_ns, consumer_max_ack_pending; /* consumer_limits */
    int64_t subject_delete_marker_ttl_ns;
    bool no_ack, sealed, allow_rollup, deny_delete, deny_purge;
    bool allow_direct, mirror_direct, allow_msg_ttl;
    const struct stream_pair *metadata; /* without the keys below */
    size_t metadata_count;

    /* Ours. In JSON they are members of metadata, so every NATS client can set and see them. */
    enum journal_sync sync; /* "_dure.fsync": "each" (default), "interval", "never" */
    const char *schema;     /* "_dure.schema": JSON Schema by subject, see stream_schema.h */
};

struct stream_state {
    uint64_t messages, bytes, subjects, deleted;
    uint64_t first_seq, last_seq;         /* empty: first_seq == last_seq + 1, or both 0 when new */
    uint64_t first_time_ns, last_time_ns; /* wall clock; 0: none */
    size_t consumers;                     /* attached */
};

/* A stored message. The views are good for the call; message_ref() keeps them. */
struct stream_message {
    uint64_t seq, time_ns;
    struct message message; /* reply is empty */
};

/* Valid until the stream is changed by stream_update, or gone. */
const struct stream_config *stream_config(const struct stream *stream);
struct stream_state stream_state(const struct stream *stream);

/* Wall clock: when it was made. */
uint64_t stream_created_ns(const struct stream *stream);

/* ---- changes ----------------------------------------------------------------------------------
 * Every change is an operation embedded in its owner, which must not move until `done` has run.
 * `done` runs from the loop, in order of submission, when the disk has the change or it failed. */

struct stream_op {
    void (*done)(struct stream_op *op, int result);

    /* results, good inside `done` */
    uint64_t seq;             /* publish: the message's sequence */
    bool duplicate;           /* publish: it was stored before, as `seq` */
    uint64_t purged;          /* purge: how many messages went */
    struct api_error refusal; /* why it failed, for a client of JetStream */

    /* private */
    struct stream *stream;
    struct list link;
    uint64_t ticket; /* complete when so many of the stream's records have been told of */
    enum { STREAM_OP_NONE, STREAM_OP_RECORD, STREAM_OP_BEFORE } waits_for;
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
 * subject need not be one of the stream's (the caller decides). Returns whether subscribers may see
 * the message now: false for one that is delayed. */
bool stream_publish(struct stream *stream, struct stream_op *op, struct message *message,
                    const struct stream_expect *expect,
                    void (*done)(struct stream_op *op, int result));

/* Stores a message that was in a stream before, with its sequence, which must be behind the last
 * one (ERR_CONFLICT), and its time; without any of the conditions of a publish. NULL: a sequence
 * without a message. The limits of this stream hold. Otherwise as above. */
void stream_store(struct stream *stream, struct stream_op *op, uint64_t seq, uint64_t time_ns,
                  const struct message *message, void (*done)(struct stream_op *op, int result));

/* Tells when all that was done to the stream until now, its making included, is on the disk, or
 * that it will not be. */
void stream_when_durable(struct stream *stream, struct stream_op *op,
                         void (*done)(struct stream_op *op, int result));

/* Removes one message. op may be NULL in this and the following. ERR_NOT_FOUND, ERR_DENIED
 * (deny_delete, sealed). */
void stream_delete(struct stream *stream, struct stream_op *op, uint64_t seq,
                   void (*done)(struct stream_op *op, int result));

/* Removes messages: those whose subject matches `filter` (empty: all) and, where not 0, whose
 * sequence is below `below_seq`, but not the newest `keep`. Without a filter the next message's
 * sequence is `below_seq` at least. ERR_DENIED (deny_purge, sealed). */
void stream_purge(struct stream *stream, struct stream_op *op, struct bytes filter,
                  uint64_t below_seq, uint64_t keep,
                  void (*done)(struct stream_op *op, int result));

/* Changes the configuration as far as stream_config_may_become() allows. ERR_INVALID, ERR_CONFLICT
 * (overlap). */
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

/* The message at once, when it needs no read: the last get has read it ahead, or the stream is in
 * memory. The views are good until the next get or release. Not while one is under way. */
bool stream_get_held(struct stream *stream, struct stream_get *get, uint64_t seq,
                     struct stream_message *ret_message);

/* Calls `each` for every message, in order; an error that it returns ends the walk. BLOCKS
 * (start-up); the stream must not be changed from inside. */
int stream_each(struct stream *stream,
                int (*each)(void *context, const struct stream_message *message), void *context);

/* The sequence of the last message with this subject, 0: none; and the same looking only at
 * messages up to `up_to`. */
uint64_t stream_last_seq(const struct stream *stream, struct bytes subject);
uint64_t stream_last_seq_before(const struct stream *stream, struct bytes subject, uint64_t up_to);

/* The first message that was stored at or after this wall clock; 0: none. */
uint64_t stream_seq_at(const struct stream *stream, uint64_t time_ns);

/* The first message at or behind `seq` whose subject matches the pattern (empty: any); 0: none.
 * Looks at no more than `budget` messages; when that ends the search, *ret_resume is where to go on
 * (else 0). */
uint64_t stream_next(const struct stream *stream, uint64_t seq, struct bytes pattern, size_t budget,
                     uint64_t *ret_resume);

/* How many messages from `seq` on match the pattern. */
uint64_t stream_count(const struct stream *stream, uint64_t seq, struct bytes pattern);

/* What is held of one subject. */
struct stream_subject_info {
    struct bytes subject; /* a view, good until the stream changes */
    uint64_t first_seq, last_seq, count;
};

/* Calls `each` for every subject with messages that matches the pattern (empty: any), in no order,
 * until it returns something but 0, which is returned. The stream must not be changed from inside.
 */
int stream_subjects(const struct stream *stream, struct bytes pattern,
                    int (*each)(void *context, const struct stream_subject_info *info),
                    void *context);

/* Calls `each` for the gaps between first_seq and last_seq, in order: `count` sequences from
 * `first` on hold no message. Ends as above. */
int stream_gaps(const struct stream *stream,
                int (*each)(void *context, uint64_t first, uint64_t count), void *context);

/* Several patterns on one stream, which answers quickly: it remembers of each subject whether one
 * of them matches. Embedded in its owner; gone before the stream. */
struct stream_filter {
    /* private */
    const struct stream *stream;
    struct bytes *patterns; /* none: everything matches */
    size_t count;
    uint32_t *known; /* by the subject's number in the stream */
    size_t known_size;
};

/* Patterns are copied. ERR_NOMEM. */
int stream_filter_init(struct stream_filter *filter, const struct stream *stream,
                       const struct bytes *patterns, size_t count);
void stream_filter_release(struct stream_filter *filter);

bool stream_filter_matches(const struct stream_filter *filter, struct bytes subject);

/* As stream_next and stream_count. */
uint64_t stream_filter_next(struct stream_filter *filter, uint64_t seq, size_t budget,
                            uint64_t *ret_resume);
uint64_t stream_filter_count(struct stream_filter *filter, uint64_t seq);

/* ---- following ---------------------------------------------------------------------------------
 * Observers see each message when it has become durable, in order, with its content, and each
 * removal; and behind the removals of a purge or rollup, which subjects it was of (empty: all).
 * They may not change the stream or leave from inside, except through operations. */
struct stream_observer {
    void (*stored)(struct stream_observer *observer, const struct stream_message *message);
    void (*removed)(struct stream_observer *observer, uint64_t seq, struct bytes subject);
    void (*purged)(struct stream_observer *observer, struct bytes pattern);
    struct list link; /* private */
};

void stream_observe(struct stream *stream, struct stream_observer *observer);
void stream_unobserve(struct stream_observer *observer);

/* ---- retention by interest and work queues -----------------------------------------------------
 * Every consumer of a stream is attached to it, whatever the retention, as long as it exists, and
 * every stream that copies from it. The stream counts nothing for each message: it asks. */
struct stream_interest {
    /* Whether the consumer still needs this message of the stream (not yet delivered, or delivered
     * and not acknowledged). Must not change the stream. */
    bool (*needs)(struct stream_interest *interest, uint64_t seq, struct bytes subject);
    /* Whether it was this consumer's, and has been acknowledged. A work queue asks it at start-up,
     * of what it still holds. */
    bool (*acknowledged)(struct stream_interest *interest, uint64_t seq, struct bytes subject);
    bool copies;           /* no consumer, but a mirror or what else takes from the stream */
    struct list link;      /* private */
    struct stream *stream; /* private */
};

/* A stream with consumers cannot be closed. */
void stream_attach(struct stream *stream, struct stream_interest *interest);

/* `forgotten`: the consumer is deleted (not just closed, to be opened again after a restart), and
 * what only it needed goes. */
void stream_detach(struct stream_interest *interest, bool forgotten);

/* A consumer wants other messages than before; what nobody wants any more goes. */
void stream_interest_changed(struct stream *stream);

/* The consumer does not need this message any more: acknowledged, terminated or past its filter.
 * Call it when the acknowledgement is submitted, before or together with its record; `needs` must
 * say no by then. With retention by limits nothing happens. */
void stream_acked(struct stream_interest *interest, uint64_t seq);

/* All consumers that the disk knew are attached: from now on a message that nobody needs goes, and
 * those there are go at once. A stream that streams_add has made is so from the start. */
void stream_interest_known(struct stream *stream);

#endif
