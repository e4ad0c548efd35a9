/* jetstream: the JetStream API on a bus, for clients over the wire. Takes the requests to
 * `$JS.API.>` and to the consumers' own subjects, does what they ask with the streams of this bus,
 * and tells what happens as advisories (`$JS.EVENT.>`).
 *
 * One for each bus (which is an account). Owned by whoever opened it. Close it before the streams,
 * and before the bus.
 *
 * A request is taken from the loop, never inside the publish that brought it. Requests are answered
 * in order where one changes something: it begins when all before it have been answered, and those
 * behind it wait for its answer. */
#ifndef DURE_JETSTREAM_JETSTREAM_H
#define DURE_JETSTREAM_JETSTREAM_H

#include "base/log.h"
#include "base/metric.h"
#include "bus/bus.h"
#include "stream/streams.h"

struct jetstream;

/* The level of the API that is there in full (ADR-44): 1 is nats-server 2.11. */
#define JETSTREAM_API_LEVEL 1

struct jetstream_options {
    unsigned max_requests; /* that wait for their turn; 0: 8192. More are refused. */
    struct log *log;       /* may be NULL */
};

/* `options` may be NULL. The streams must be those of this bus; NULL: the account has none, and
 * every request is told so. ERR_NOMEM. */
int jetstream_open(struct io *io, struct bus *bus, struct streams *streams,
                   const struct jetstream_options *options, struct jetstream **ret_jetstream,
                   struct error *error);

/* Takes no more requests, forgets those that wait and ends those under way; `done` (may be NULL)
 * runs last. NULL is allowed, and is done at once. */
void jetstream_close(struct jetstream *jetstream, void (*done)(void *context), void *context);

/* Frees memory without I/O, for a simulated host that has crashed. NULL is allowed. */
void jetstream_free(struct jetstream *jetstream);

/* ---- metrics ------------------------------------------------------------------------------ */

struct jetstream_metrics {
#define METRICS "jetstream/jetstream_metrics.def"
#include "base/metric_fields.h"
};

extern const struct metric jetstream_metric_table[];
extern const size_t jetstream_metric_count;

const struct jetstream_metrics *jetstream_metrics(struct jetstream *jetstream);

#endif
