/* What the parts of a stream share. One stream is
 *   stream.c          its life
 *   stream_ops.c      operations, and records on their way to the disk
 *   stream_publish.c  the checks of a publish
 *   stream_change.c   deletes, purges, updates
 *   stream_apply.c    the state machine: what each record does
 *   stream_recover.c  the same at start-up; snapshots
 *   stream_retain.c   what goes because of time or because nobody needs it
 *   stream_delay.c    messages that are not to be seen yet
 *   stream_memory.c   records of a stream that has no files
 *   stream_republish.c  mapped subjects
 *   stream_read.c, stream_filter.c, stream_clean.c */
#ifndef DURE_STREAM_STREAM_IMPL_H
#define DURE_STREAM_STREAM_IMPL_H

#include "stream/stream.h"
#include "stream/stream_clock.h"
#include "stream/stream_config.h"
#include "stream/stream_dedupe.h"
#include "stream/stream_digest.h"
#include "stream/stream_headers.h"
#include "stream/stream_index.h"
#include "stream/stream_mapper.h"
#include "stream/stream_record.h"
#include "stream/stream_schema.h"
#include "stream/streams.h"

#define STREAM_CONSUMERS "consumers" /* folder of the consumers' journals */

enum { STREAM_PATH = 512 };

struct consumer;
struct consumer_port;

/* The consumers of a stream, by name; see consumers.c. */
struct consumer_set {
    struct consumer **at;
    size_t count, room;
    struct list going;           /* those that are closing, and in `at` no more */
    void (*gone)(void *context); /* waits for the last of them */
    void *gone_context;
};

/* What every stream of a bus gets from their owner. */
struct stream_host {
    struct io *io;
    struct log *log;
    struct stream_metrics *metrics;
    struct store_metrics *store_metrics;
    struct wal *wal;
    const char *dir;
    uint64_t segment_bytes;
    struct consumer_port **consumer_port; /* *consumer_port: of the owner; may be NULL */
    void *context;
    /* Now, but later than what it said before: when something is made. */
    uint64_t (*made_at)(void *context);
    void (*changed)(void *context, struct stream *stream); /* its configuration has */
    /* Whether another stream captures a subject of this configuration. */
    bool (*overlaps)(void *context, const struct stream_config *config);
    /* Whether the account's limits allow this configuration. */
    int (*admits)(void *context, const struct stream_config *config, struct api_error *refusal);
    /* Whether the account has no room for so many bytes more; NULL: it has no limit. */
    bool (*is_full)(void *context, const struct stream *stream, uint64_t size);
    /* Whether what the configuration takes from other streams would lead back to it. */
    bool (*circles)(void *context, const struct stream_config *config);
    /* Messages that were submitted will not be stored. */
    void (*lost)(void *context, struct stream *stream);
    /* Publishes on the bus; `stored`: the stream has it already. */
    void (*publish)(void *context, struct message *message, bool stored);
};

/* Gives disk space back, see stream_clean.c. */
struct stream_cleaner {
    uint64_t blocker;   /* the message whose record is the oldest that is needed; 0: not known */
    uint64_t next;      /* copying: where to look for the next message */
    uint64_t moved_end; /* every message before this sequence has been copied at least once */
    unsigned records;   /* of the cleaner, on the way to the disk */
    bool copying, getting, snapshot;
    uint64_t trim_to;
    struct stream_get get;
    struct io_task task;
};

/* A record on its way to the disk. */
struct stream_pending {
    struct stream_subject *subject; /* of a message; else NULL */
    uint32_t size;
    bool birth; /* the record that makes the stream */
};

/* A stream is there, and can be used, before the disk has it: its first record, the configuration,
 * goes ahead of all others, and again ahead of the next when it was refused (a full disk). */
enum stream_birth { STREAM_UNBORN, STREAM_BEING_BORN, STREAM_BORN };

/* Those of a stream, in order. */
struct stream_ring {
    struct stream_pending *slots; /* `room` is 0 or a power of two */
    size_t start, count, room;
};

/* Records of a stream without files, see stream_memory.c. */
struct stream_memory {
    struct list waiting; /* to take effect */
    struct list dead;    /* to be freed when nobody can be looking at them */
    struct io_task task;
};

/* How far a stream has come with its sources, see streams_source.c. */
struct stream_progress {
    struct stream_source_place {
        uint64_t key, applied, submitted; /* sequences of the source */
    } * places;
    size_t count;
};

/* Those that the configuration asks for; NULL: none. */
struct stream_mappers {
    struct stream_mapper *transform, *republish;
};

/* Sequences that are to be removed by a record of their own. */
struct stream_removal {
    uint64_t *seqs;
    size_t count, room;
    struct io_task task;
    struct io_timer retry;
};

/* At start-up, see stream_recover.c. */
struct stream_recovery {
    bool running;
    uint64_t covers;     /* the snapshot stands for the records up to here */
    uint64_t covers_seq; /* the last message of them */
    bool crossed;        /* a record behind them has been seen */
    struct stream_range {
        uint64_t first, count;
    } * ranges; /* of the messages that it says are left */
    size_t range_count;
    uint64_t left;                /* how many these are */
    struct stream_entry *entries; /* found out of order: copied forward */
    size_t entry_count, entry_room;
};

struct stream {
    const struct stream_host *host;
    struct stream_config *config; /* replaced as a whole by an update */
    struct stream_mappers mappers;
    struct stream_schema *schema; /* NULL: none */
    struct stream_progress progress;
    char name[STREAM_NAME_MAX + 1];
    char dir[STREAM_PATH];
    bool in_memory;          /* no files */
    enum stream_birth birth; /* of what is on the disk */
    struct journal *journal; /* NULL: in memory, or closed */
    struct stream_memory memory;
    struct stream_index index;
    struct stream_dedupe dedupe;
    struct stream_digest digest; /* of the records that are in none yet; not in memory */
    struct stream_clock expiry, delayed;

    uint64_t created_ns;
    uint64_t last_seq, last_time_ns; /* durable */
    uint64_t submitted_seq;          /* last given out */
    uint64_t applied_place;          /* the last record of the journal that has taken effect */
    uint64_t pending_messages, pending_bytes;
    uint64_t age_floor; /* messages before this one do not grow old */

    struct stream_ring ring;
    uint64_t submitted, told; /* records of this stream, since it was opened */
    struct list waiting;      /* of struct stream_op, for records that are under way */
    struct list ready;        /* of struct stream_op: `done` is due */
    struct list gets;         /* of struct stream_get: the same */
    struct io_task ready_task;

    struct consumer_set consumers;
    struct list observers;
    struct list interests;
    size_t interest_count, copier_count; /* consumers, and streams that copy from it */
    bool interest_known;
    struct io_timer timer; /* for what is due by time */
    struct stream_removal removal;
    struct stream_get release_get; /* of a delayed message whose time has come */
    bool releasing;
    uint64_t released_seq; /* the last one */
    struct stream_cleaner cleaner;
    struct stream_recovery recovery;

    struct streams_capture *capture; /* of streams.c */
    bool closing;
    struct io_task close_task;
    unsigned users; /* others that must go first, besides interests */
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- stream.c ---- */

/* Opens the stream in host->dir/folder; BLOCKS. ERR_NOT_FOUND: it holds none. */
int stream_open(const struct stream_host *host, const char *folder, struct stream **ret_stream,
                struct error *error);

/* Makes one, which is durable when its first record is: stream_when_durable. */
int stream_make(const struct stream_host *host, const struct stream_config *config,
                struct stream **ret_stream, struct error *error);

/* Completes what is under way; `done` runs last, and the stream is gone. */
void stream_close(struct stream *stream, void (*done)(void *context), void *context);
void stream_free(struct stream *stream);

/* Bytes of memory: index, subjects, ids, times; of a memory stream the messages too. */
uint64_t stream_memory_bytes(const struct stream *stream);

/* ---- streams.c ---- */

struct consumer_port **streams_consumer_port(struct streams *streams);

/* ---- streams_capture.c ---- */

void streams_capture_free(struct streams_capture *capture);

/* ---- stream_ops.c ---- */

void stream_op_begin(struct stream *stream, struct stream_op *op,
                     void (*done)(struct stream_op *op, int result));

/* Lets `op` (may be NULL) wait for the record just submitted, or (NONE, DUPLICATE) for all before.
 */
void stream_op_wait(struct stream *stream, struct stream_op *op, int result);

/* Completes an operation that was not made, in its turn. */
void stream_refuse(struct stream *stream, struct stream_op *op, int result,
                   void (*done)(struct stream_op *op, int result));

void stream_ready_run(struct io_task *task);
void stream_post_ready(struct stream *stream);

/* Writes the record that makes the stream. As below. */
int stream_submit_birth(struct stream *stream);

/* Writes one record. Errors of journal_append; nothing has happened then. */
int stream_submit(struct stream *stream, const struct stream_record *record);

/* The same for a message: from now on it counts for all later checks. `id` may be empty. */
int stream_submit_message(struct stream *stream, const struct stream_record *record,
                          struct bytes id);

/* Callback of the journal. */
void stream_appended(void *context, const struct journal_record *record, int result);

/* ---- stream_publish.c ---- */

/* The last sequence of a subject, with what is under way. */
uint64_t stream_submitted_last(const struct stream *stream, struct bytes subject);

/* What a message counts for in the stream's bytes; as nats-server counts. */
uint32_t stream_message_size(const struct stream *stream, size_t subject, size_t headers,
                             size_t payload);

/* Now, to the microsecond. */
uint64_t stream_now_ns(const struct stream *stream);

/* ---- stream_apply.c ---- */

/* One record takes effect. `subject` is that of a live message, else NULL; `op` may be NULL.
 * ERR_CORRUPT, ERR_NOMEM. */
int stream_apply(struct stream *stream, const struct stream_record *record, uint64_t place,
                 struct stream_subject *subject, struct stream_op *op);

/* Makes what the configuration says of subjects and contents. ERR_CORRUPT, ERR_NOMEM: nothing has
 * changed. */
int stream_take_rules(struct stream *stream, const struct stream_config *config);

/* Adds a message to the index, to the clocks and to the metrics. */
int stream_add_entry(struct stream *stream, const struct stream_record *record, uint64_t place,
                     struct stream_subject *subject);

/* What a message's record is in the index; its times are noted, and its subject is claimed if it is
 * NULL. */
int stream_entry_of(struct stream *stream, const struct stream_record *record, uint64_t place,
                    struct stream_subject *subject, struct stream_entry *ret_entry);

/* At recovery: whether an id that was noted then is still in the window. */
bool stream_id_counts(const struct stream *stream, uint64_t time_ns);

/* What a message's record counts for. */
uint32_t stream_record_counts(const struct stream *stream, const struct stream_record *record);

/* Removes a message at once and tells observers. */
void stream_remove(struct stream *stream, const struct stream_entry *entry);

/* ---- stream_republish.c ---- */

/* ERR_INVALID, ERR_NOMEM: nothing is made. */
int stream_mappers_make(const struct stream_config *config, struct stream_mappers *ret_mappers);
void stream_mappers_release(struct stream_mappers *mappers);

/* The subject under which a message is stored; `room` holds STREAM_SUBJECT_MAX. */
struct bytes stream_map_subject(const struct stream *stream, struct bytes subject, char *room);

/* Publishes once more what has just been stored; `before`: the one of its subject before it. */
void stream_republish(struct stream *stream, const struct stream_record *record, uint64_t before);

/* ---- stream_progress.c ---- */

/* The last message of a source that was submitted. */
uint64_t stream_source_last(const struct stream *stream, uint64_t key);
uint64_t stream_source_kept(const struct stream *stream, uint64_t key); /* durably */

/* One was submitted, or has been applied. ERR_NOMEM. */
int stream_source_submitted(struct stream *stream, const struct stream_origin *origin);
int stream_source_applied(struct stream *stream, const struct stream_origin *origin);

/* What was submitted is lost. */
void stream_source_lost(struct stream *stream);

/* As bytes: count:8 (key:8 seq:8)*. */
void stream_progress_encode(const struct stream *stream, struct buf *out);
int stream_progress_decode(struct stream *stream, struct bytes *rest);

/* ---- stream_recover.c ---- */

/* Callbacks of the journal: a record at start-up; what is to be known then of those since the last
 * call; the same, come back. */
int stream_recovered(void *context, const struct journal_record *record);
int stream_digest_wanted(void *context, struct buf *out);
int stream_digested(void *context, uint64_t first, uint32_t count, struct bytes digest);

/* Notes what is no message for the next digest. */
void stream_digest_other(struct stream *stream, const struct stream_record *record);

/* Reads the snapshot, before the journal is opened; and what is to be done behind its last record.
 */
int stream_recovery_begin(struct stream *stream, struct error *error);
int stream_recovery_end(struct stream *stream);
void stream_recovery_release(struct stream *stream);

/* What the stream holds, for the journal's snapshot. */
void stream_snapshot_encode(struct stream *stream, struct buf *out);

/* ---- stream_retain.c ---- */

void stream_retain_init(struct stream *stream);
void stream_retain_release(struct stream *stream);

/* Removes what is too old, lets go what is due, and sets the timer for the next. */
void stream_tick(struct stream *stream);

/* The same from the loop. */
void stream_tick_soon(struct stream *stream);

/* Has a message removed by a record. */
void stream_remove_later(struct stream *stream, uint64_t seq);

/* The record could not be written: its sequences are tried again. */
void stream_removal_failed(struct stream *stream, struct bytes runs);

/* When a message with this header expires; STREAM_NEVER. */
uint64_t stream_expires(const struct stream *stream, const struct stream_record *record);

/* Removes it if nobody needs it any more. */
void stream_let_go(struct stream *stream, uint64_t seq);
/* A stream that copies has it durably. A work queue keeps it for its consumers. */
void stream_copied(struct stream *stream, uint64_t seq);

/* Whether a consumer needs it. */
bool stream_needed(struct stream *stream, uint64_t seq, struct bytes subject);

/* ---- stream_delay.c ---- */

/* When it is to be seen. */
uint64_t stream_due(const struct stream_record *record);

/* Lets messages be seen whose time has come. Returns when the next is due; STREAM_NEVER. */
uint64_t stream_release_due(struct stream *stream, uint64_t now_ns);

/* The record of a release was lost on its way to the disk. */
void stream_release_failed(struct stream *stream, uint64_t seq);

/* Writes the name under which a delayed message is kept. `room` holds STREAM_SUBJECT_MAX + 1. */
struct bytes stream_hidden_name(struct bytes subject, char *room);

/* ---- stream_memory.c ---- */

void stream_memory_init(struct stream *stream);
void stream_memory_release(struct stream *stream);

/* As journal_append. */
int stream_memory_append(struct stream *stream, const struct iovec *parts, int count);

/* What stands at a place. */
struct bytes stream_memory_at(uint64_t place);

/* The index has it; the index has it no more. */
void stream_memory_hold(uint64_t place);
void stream_memory_forget(struct stream *stream, uint64_t place);

/* Applies what waits, at once. */
void stream_memory_flush(struct stream *stream);

/* ---- stream_read.c ---- */

/* Completes a get whose record has been read, or that has failed. */
void stream_get_tell(struct stream_get *get);

/* ---- stream_clean.c ---- */

/* Looks whether disk space can be given back. */
void stream_clean(struct stream *stream);
void stream_cleaner_init(struct stream *stream);

/* A copy is on the disk, or has failed. */
void stream_cleaner_told(struct stream *stream, int result);

#endif
