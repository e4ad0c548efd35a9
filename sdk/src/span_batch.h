/* span_batch: what handlers did, told to the telemetry of dure: finished spans are gathered and
 * published together as one JSON array on the bus subject _DURE.SPANS. Best effort: without a bus
 * they are dropped. Only sampled traces, and not what the proxy has recorded already. */
#ifndef DURE_SDK_SPAN_BATCH_H
#define DURE_SDK_SPAN_BATCH_H

#include "sdk/src/ctx.h"

struct span_batch;

#define SPANS_SUBJECT "_DURE.SPANS"

/* NULL: no memory. */
struct span_batch *span_batch_new(struct host *host);
void span_batch_free(struct span_batch *spans);

/* The handler of `ctx` has returned `err`. */
void span_batch_report(struct dure_ctx *ctx, int err);

/* Publishes what is gathered now. */
void span_batch_flush(struct span_batch *spans);

#endif
