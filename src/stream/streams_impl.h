/* What the parts of `streams` share: streams.c (making, finding, closing), streams_capture.c (what
 * is published to a captured subject), streams_limits.c (what an account may take),
 * streams_circles.c (what would come back to where it came from), streams_source.c (see there). */
#ifndef DURE_STREAM_STREAMS_IMPL_H
#define DURE_STREAM_STREAMS_IMPL_H

#include "bus/bus.h"
#include "bus/trie.h"
#include "stream/stream_impl.h"
#include "stream/streams.h"

#define STREAMS_MEMBERS "streams" /* folder of the streams, beside that of the commit log */

struct streams {
    struct io *io;
    struct bus *bus;                             /* may be NULL */
    char dir[STREAM_PATH], members[STREAM_PATH]; /* of the store, and of the streams in it */
    struct stream_host host;
    struct wal *wal;
    struct stream_metrics metrics;
    struct store_metrics store_metrics;
    struct map streams; /* of struct stream, by name */
    struct streams_limits limits;
    uint64_t used[2], used_at_ns; /* on disk, in memory: see streams_limits.c */

    struct consumer_port *consumer_port;
    struct list followers; /* see streams_source.h */
    struct list removals;  /* of struct removal */

    struct bus_capture capture;
    struct trie patterns;       /* of struct capture_pattern */
    struct list ops, ops_busy;  /* of struct capture_op: not in use, and in use */
    size_t op_count, pool_size; /* all of them, and those in `ops` */

    uint64_t made_ns; /* when the last stream or consumer was made */
    bool closing, all_closed;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* Whether a stream may be made or become like this; it is the caller who counts streams. */
int streams_limits_admit(struct streams *streams, const struct stream_config *config,
                         struct api_error *refusal);

/* How many consumers a stream may have; <= 0: no limit. */
int64_t streams_limits_consumers(const struct streams *streams, const struct stream_config *config);

/* Whether following what the configuration says would lead back to its own stream. */
bool streams_circles(struct streams *streams, const struct stream_config *config);

void streams_capture_init(struct streams *streams);
void streams_capture_release(struct streams *streams);

/* Captures for the stream what its configuration says. ERR_NOMEM: what was captured before is. */
int streams_capture_set(struct streams *streams, struct stream *stream);
void streams_capture_drop(struct streams *streams, struct stream *stream);

#endif
