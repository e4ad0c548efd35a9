/* streams: all durable streams of one bus. Implements the bus's capture: what is published to a
 * captured subject is stored, and when the publisher gave a reply subject, it is answered as
 * JetStream does, `{"stream":"S","seq":N}`, when the disk has it.
 *
 * On the disk: DIR/streams/NAME.ID/ is one stream's journal, which holds its configuration too (ID:
 * see stream_folder.h); DIR/streams/NAME.ID/consumers/C.ID/ the state of its durable consumer C;
 * DIR/wal/ the commit log of all. A stream in memory has no files, and is gone after a restart. */
#ifndef DURE_BUS_STREAMS_H
#define DURE_BUS_STREAMS_H

#include "base/log.h"
#include "base/metric.h"
#include "stream/stream.h"

struct bus;
struct streams;

/* One for each loop. */
struct stream_metrics {
#define METRICS "stream/stream_metrics.def"
#include "base/metric_fields.h"
};

extern const struct metric stream_metric_table[];
extern const size_t stream_metric_count;

struct streams_options {
    const char *dir;        /* made if missing (its parent must exist) */
    unsigned max_streams;   /* 0: 65536 */
    uint64_t segment_bytes; /* of the journals; 0: 64 MiB */
    /* Of the commit log: a file when little happens, under load, and all files (store/wal.h). */
    uint64_t log_file_min, log_file_max, log_total_max; /* 0: 1, 16 and 256 MiB */
    uint64_t scrub_bytes_per_second; /* of old data read again and checked (store/wal.h); 0: none */
    struct log *log;                 /* may be NULL */
};

/* What the streams of an account may take together. */
struct streams_limits {
    int64_t memory_bytes, disk_bytes; /* messages held; < 0: no limit */
    int64_t streams;                  /* <= 0: no limit, as for: */
    int64_t consumers;                /* of one stream */
};

/* None at first. Holds for what is made, changed and published from then on. */
void streams_set_limits(struct streams *streams, const struct streams_limits *limits);
const struct streams_limits *streams_limits(const struct streams *streams);

/* Opens every stream there is; BLOCKS. `bus` may be NULL: nothing is captured or answered. A stream
 * that is damaged ends it with ERR_CORRUPT and `error` naming file and offset. */
int streams_open(struct io *io, struct bus *bus, const struct streams_options *options,
                 struct streams **ret_streams, struct error *error);

/* Stops capturing, writes what waits, closes all, the consumers first; `done` (may be NULL) runs
 * last. Buckets must be closed before. NULL is allowed. */
void streams_close(struct streams *streams, void (*done)(void *context), void *context);

/* Frees memory without I/O, for a simulated host that has crashed. */
void streams_free(struct streams *streams);

/* Makes a stream. It is there at once, and whatever is done to it is durable behind its making; who
 * wants to know when that is asks stream_when_durable. When the disk refuses it, it stays, and is
 * tried again with the next that is done to it. The same configuration again gives the stream that
 * exists. ERR_EXISTS (10058: with another configuration), ERR_CONFLICT (10065: subjects
 * overlap those of another stream), ERR_INVALID, ERR_FULL (10027). `refusal` (may be NULL) has the
 * words. */
int streams_add(struct streams *streams, const struct stream_config *config,
                struct stream **ret_stream, struct api_error *refusal);

/* Closes a stream, destroys its consumers and removes all of it, in one step: when `done` (may be
 * NULL) runs with 0 it is gone for good, else it comes back whole at the next start. It is found no
 * more when this returns. ERR_NOMEM: it stays. */
void streams_remove(struct streams *streams, struct stream *stream,
                    void (*done)(void *context, int result), void *context);

/* NULL: there is none. */
struct stream *streams_find(struct streams *streams, struct bytes name);

/* The stream that captures this literal subject; NULL: none. Costs the same for any number of
 * streams. */
struct stream *streams_capturing(struct streams *streams, struct bytes subject);

/* Walks the streams in no order: start with *cursor = 0; NULL at the end. */
struct stream *streams_next(struct streams *streams, size_t *cursor);

/* How a stream stands to its mirror's origin (index 0) or to one of its sources. */
struct streams_origin {
    const struct stream_source *source;
    bool there;
    uint64_t lag;      /* messages that are still to come */
    int64_t active_ns; /* since something came; -1: never */
};

/* False: it has no such origin, or not yet. */
bool streams_origin(const struct stream *stream, size_t index, struct streams_origin *ret);

/* As of now; good until the next call. */
const struct stream_metrics *streams_metrics(struct streams *streams);
const struct store_metrics *streams_store_metrics(const struct streams *streams);

#endif
