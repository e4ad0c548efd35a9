/* bus_spans: requests on the bus as spans. Watches what is published; a request that carries a
 * trace and its first reply make one span. Holds at most BUS_SPANS_PENDING requests without a
 * reply; the oldest is forgotten for a new one. Also takes the spans that services report
 * themselves, as JSON on the subject _DURE.SPANS. */
#ifndef DURE_TELEMETRY_BUS_SPANS_H
#define DURE_TELEMETRY_BUS_SPANS_H

#include "messaging/messaging.h"
#include "telemetry/span.h"

enum { BUS_SPANS_PENDING = 4096 };

struct bus_spans;

/* Becomes the bus's observer, where there is one to be observed: a cluster shows only what services
 * report themselves. ERR_NOMEM. */
int bus_spans_new(struct io *io, struct messaging *messaging, struct spans *spans,
                  struct bus_spans **ret_bus_spans);

/* Before the bus is closed. NULL is allowed. */
void bus_spans_free(struct bus_spans *bus_spans);

#endif
