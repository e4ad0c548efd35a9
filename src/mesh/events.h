/* events: durable events for a service without a bus client. Each message of the stream whose
 * subject matches is delivered as a POST to a path of the service (CloudEvents 1.0, HTTP binding,
 * binary mode). A response with 2xx settles it; anything else, or none, brings it again after a
 * back-off, up to `attempts` times in all; then it goes to the dead-letter stream. The place in the
 * stream is durable: what was not settled when this program died is delivered again. */
#ifndef DURE_MESH_EVENTS_H
#define DURE_MESH_EVENTS_H

#include "base/log.h"
#include "mesh/call.h"
#include "messaging/queue.h"

struct events;

enum { EVENTS_IN_FLIGHT_MAX = 32, EVENTS_ATTEMPTS_MAX = 1000, EVENTS_PATH_MAX = 512 };

struct events_config {
    struct bytes system, service, subject, path;
    uint32_t attempts, timeout_ms;
};

/* Of messages that the stream named `stream` holds. The config is copied. The queue is named
 * SERVICE_ and a hash of the subject: it keeps its place when the path or the limits change. Errors
 * of queue_open. */
int events_open(struct messaging *messaging, const char *stream, struct callers *callers,
                struct log *log, const struct events_config *config, struct events **ret_events,
                struct error *error);

/* `opened` runs when its place is there: later, or at once. */
void events_when_open(struct events *events, void (*opened)(void *context), void *context);

/* Changes path, attempts and timeout from the next delivery on; service and subject stay.
 * ERR_NOMEM. */
int events_update(struct events *events, const struct events_config *config);

/* Stops delivering; `done` (may be NULL) runs when the place is safe. What is under way is
 * cancelled and will come again. */
void events_close(struct events *events, void (*done)(void *context), void *context);

#endif
