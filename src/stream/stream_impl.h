/* What the parts of a stream share: stream.c (lifecycle), stream_publish.c (submitting and
 * telling), stream_apply.c (the state machine), stream_read.c, stream_clean.c, streams.c. */
#ifndef DURE_BUS_STREAM_IMPL_H
#define DURE_BUS_STREAM_IMPL_H

#include "stream/stream.h"
#include "stream/stream_config.h"
#include "stream/stream_dedupe.h"
#include "stream/stream_index.h"
#include "stream/stream_record.h"
#include "stream/streams.h"

#define STREAM_CONSUMERS "consumers" /* folder of the consumers' journals */

enum { STREAM_PATH = 400 };

struct consumer;
struct consumer_port;

/* The consumers of a stream, by name; see consumers.c. */
struct consumer_set {
    struct consumer **at;
    size_t count, room;
    uint64_t generation; /* changes with every one that comes or goes */
};

/* What every stream of a bus gets from their owner. */
struct stream_host {
    struct io *io;
    struct log *log;
    struct stream_metrics *metrics;
    struct store_metrics *store_metrics;
    const char *dir;
    uint64_t segment_bytes, max_messages;
    struct consumer_port **consumer_port; /* *consumer_port: of the owner; may be NULL */
    void *context;
    void (*changed)(void *context); /* a stream's subjects have changed */
    /* Whether another stream captures a subject of this configuration. */
    bool (*overlaps)(void *context, const struct stream_config *config);
};

/* Gives disk space back, see stream_clean.c. */
struct stream_cleaner {
    uint64_t blocker; /* the message whose record is the oldest that is needed; 0: not known */
    uint64_t next;    /* copying: where to look for the next message */
    unsigned records; /* of the cleaner, on the way to the disk */
    bool copying, getting, snapshot;
    uint64_t trim_to;
    struct stream_get get;
    struct io_task task;
};

struct stream {
    const struct stream_host *host;
    struct stream_config *config; /* replaced as a whole by an update */
    char name[STREAM_NAME_MAX + 1];
    char dir[STREAM_PATH];
    struct journal *journal;
    struct stream_index index;
    struct stream_dedupe dedupe;

    uint64_t created_ns;             /* wall clock */
    uint64_t last_seq, last_time_ns; /* durable */
    uint64_t submitted_seq;          /* last given out */
    uint64_t applied_place;          /* the last record of the journal that has taken effect */
    uint64_t pending_messages, pending_bytes;

    uint64_t submitted, told; /* records of this stream, since it was opened */
    struct list waiting;      /* of struct stream_op, for records that are under way */
    struct list ready;        /* of struct stream_op: `done` is due */
    struct list gets;         /* of struct stream_get: the same */
    struct io_task ready_task;

    struct consumer_set consumers;
    struct list observers;
    struct io_timer age_timer;
    struct stream_cleaner cleaner;

    bool replaying;
    /* Replaying: up to this record of the journal, exactly the messages in these ranges were left.
     */
    uint64_t snapshot_covers;
    struct stream_range {
        uint64_t first, count;
    } * ranges;
    size_t range_count;

    bool closing;
    unsigned users; /* consumers and others that must go first */
    void (*closed)(void *context);
    void *closed_context;
};

/* Opens the stream in host->dir/name; with `config` it is made, durably. BLOCKS. ERR_NOT_FOUND: the
 * directory holds no stream. */
int stream_open(const struct stream_host *host, const char *name,
                const struct stream_config *config, struct stream **ret_stream,
                struct error *error);

/* Completes what is under way; `done` runs last, and the stream is gone. */
void stream_close(struct stream *stream, void (*done)(void *context), void *context);
void stream_free(struct stream *stream);

/* Writes one record. Returns errors of journal_append; nothing has happened then. */
int stream_submit(struct stream *stream, const struct stream_record *record);

/* Lets `op` (may be NULL) wait for the record just submitted, or (NONE, DUPLICATE) for all before.
 */
void stream_op_wait(struct stream *stream, struct stream_op *op, int result);

/* Completes an operation that was not made, in its turn. */
void stream_refuse(struct stream *stream, struct stream_op *op, int result,
                   void (*done)(struct stream_op *op, int result));

/* Callbacks of the journal. */
int stream_recovered(void *context, const struct journal_record *record);
void stream_appended(void *context, const struct journal_record *record, int result);

/* The state machine: one record takes effect. `op` may be NULL. ERR_CORRUPT, ERR_NOMEM. */
int stream_apply(struct stream *stream, const struct stream_record *record, uint64_t place,
                 struct stream_op *op);

/* Removes what is too old, and sets the timer for the next. */
void stream_expire(struct stream *stream);
void stream_age_due(struct io_timer *timer);

/* The value of Nats-Msg-Id; empty: none. */
struct bytes stream_message_id(struct bytes headers);

/* Completes a get whose record has been read, or that has failed. */
void stream_get_tell(struct stream_get *get);
void stream_ready_run(struct io_task *task);
void stream_post_ready(struct stream *stream);

/* Looks whether disk space can be given back. */
void stream_clean(struct stream *stream);
void stream_cleaner_init(struct stream *stream);

/* A copy is on the disk, or has failed. */
void stream_cleaner_told(struct stream *stream, int result);

/* What the stream holds, for the journal's snapshot. */
void stream_snapshot_encode(const struct stream *stream, struct buf *out);

/* ---- streams.c ---- */

struct consumer_port **streams_consumer_port(struct streams *streams);

#endif
