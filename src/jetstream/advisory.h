/* advisory: tells who listens what happens to streams and consumers, as messages to
 * `$JS.EVENT.ADVISORY.>` and `$JS.EVENT.METRIC.>`. What nobody listens to is not even written. They
 * go out from the loop, so they may be made inside a publish; at most ADVISORY_QUEUE_MAX wait,
 * what is beyond is dropped and counted. */
#ifndef DURE_JETSTREAM_ADVISORY_H
#define DURE_JETSTREAM_ADVISORY_H

#include "base/metric.h"
#include "bus/bus.h"
#include "stream/consumer.h"

enum { ADVISORY_QUEUE_MAX = 4096 };

enum advisory_action { ADVISORY_CREATE, ADVISORY_DELETE, ADVISORY_MODIFY };

struct advisories {
    struct io *io;
    struct bus *bus;
    uint64_t published, dropped;

    /* private */
    struct list queue;
    size_t queued;
    struct io_task task;
};

void advisories_init(struct advisories *advisories, struct io *io, struct bus *bus);

/* Forgets what waits. */
void advisories_release(struct advisories *advisories);

void advisory_stream(struct advisories *advisories, enum advisory_action action,
                     struct bytes stream);
void advisory_consumer(struct advisories *advisories, enum advisory_action action,
                       struct bytes stream, struct bytes consumer);
void advisory_pause(struct advisories *advisories, struct bytes stream, struct bytes consumer,
                    bool paused, uint64_t until_ns);

/* A consumer's priority group has a client of its own from now on, or (id empty) none, for a
 * reason: "admin", "timeout". */
void advisory_pinned(struct advisories *advisories, struct bytes stream, struct bytes consumer,
                     const char *group, struct bytes id, const char *reason);

/* What has become of a message: acknowledged (a metric), refused, terminated, given up. */
void advisory_message(struct advisories *advisories, struct bytes stream, struct bytes consumer,
                      const struct consumer_event *event);

/* A backup of a stream has begun, or ended (error: what went wrong; NULL: nothing), and the same of
 * bringing one back. */
void advisory_snapshot_began(struct advisories *advisories, const struct stream *stream);
void advisory_snapshot_done(struct advisories *advisories, struct bytes stream, uint64_t began_ns,
                            const char *error);
void advisory_restore_began(struct advisories *advisories, struct bytes stream);
void advisory_restore_done(struct advisories *advisories, struct bytes stream, uint64_t began_ns,
                           uint64_t bytes);

/* A request to the API and its answer. */
void advisory_request(struct advisories *advisories, const struct message *request,
                      struct bytes answer);

/* So many requests were dropped because too many waited. */
void advisory_limit(struct advisories *advisories, uint64_t dropped);

#endif
