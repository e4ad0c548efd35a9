/* bridge: lets services without a bus client take part in the bus: durable events and requests come
 * to them as POSTs (events.h, answers.h), and they send by POSTing to the internal road
 * (publish.h).
 *
 * Configured with a manifest, again and again: the stream EVENTS captures every subject that a
 * service publishes or subscribes to; deliveries that are no longer wanted end, new ones begin,
 * others go on undisturbed. */
#ifndef DURE_MESH_BRIDGE_H
#define DURE_MESH_BRIDGE_H

#include "base/log.h"
#include "http/http.h"
#include "messaging/messaging.h"
#include "proxy/proxy.h"
#include "wire/manifest.h"

#define BRIDGE_STREAM "EVENTS"

enum { BRIDGE_SUBJECTS_MAX = 512 }; /* durable subjects of all services */

struct bridge;

struct bridge_options {
    struct io *io;
    struct http *http;
    struct messaging *messaging;
    struct proxy *proxy; /* whose internal road serves $DURE_BUS */
    struct io_addr road; /* where that road listens */
    size_t max_payload;
    struct log *log;
    /* Something that the manifest asks for is not so, and why. May be NULL. */
    void (*incomplete)(void *context, const char *reason);
    void *context;
};

/* Everything must outlive the bridge. ERR_NOMEM. */
int bridge_new(const struct bridge_options *options, struct bridge **ret_bridge);

/* Makes it what the manifest says, which must stay until the next call or bridge_close(). What must
 * wait (for an earlier change, for a cluster) is done behind it, and may BLOCK shortly; what cannot
 * be done is told with `incomplete`, and the rest is done. */
void bridge_configure(struct bridge *bridge, const struct manifest *manifest);

/* `settled` runs when everything that was configured is in force: later, or at once. One waits at a
 * time; not after bridge_close(). */
void bridge_when_settled(struct bridge *bridge, void (*settled)(void *context), void *context);

/* Ends deliveries; `done` (may be NULL) runs when their places are safe. The proxy must not take
 * requests any more. NULL is allowed. */
void bridge_close(struct bridge *bridge, void (*done)(void *context), void *context);

#endif
