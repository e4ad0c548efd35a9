/* telemetry: what happened on this node: the last spans, and the access events as JSON lines. */
#ifndef DURE_TELEMETRY_TELEMETRY_H
#define DURE_TELEMETRY_TELEMETRY_H

#include "proxy/proxy.h"
#include "telemetry/bus_spans.h"
#include "telemetry/span.h"

struct telemetry;

enum { TELEMETRY_SPANS = 16384 };

/* Writes access events to `access_path`; NULL: does not. Watches what is said with `messaging`.
 * ERR_NOMEM, ERR_TOO_BIG. */
int telemetry_new(struct io *io, struct messaging *messaging, const char *access_path,
                  struct telemetry **ret_telemetry);

/* The proxy's port for access events: `context` is the telemetry. */
void telemetry_access(void *context, const struct access_event *event);

const struct spans *telemetry_spans(const struct telemetry *telemetry);

/* Access events that could not be written. */
uint64_t telemetry_dropped(const struct telemetry *telemetry);

/* Writes out what waits, then `done` (may be NULL). Before messaging is closed. NULL is allowed. */
void telemetry_close(struct telemetry *telemetry, void (*done)(void *context), void *context);

#endif
