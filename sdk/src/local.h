/* local: asks and calls between modules of one process. The other module's handler runs on a fiber
 * of its own, with what a request over a socket would have brought: the deadline, the trace, the
 * cancellation when the asker gives up. No socket, no encoding; bodies are copied once each way, so
 * that neither side sees the other's memory. */
#ifndef DURE_SDK_LOCAL_H
#define DURE_SDK_LOCAL_H

#include "sdk/src/pending.h"

/* The subscription of a module of this process that answers `subject`, or NULL. Those without a
 * queue group do not count: every instance, here and elsewhere, is to get such a message. */
struct subscription *local_answers(struct host *host, const char *subject);

/* Runs it. Never NULL. */
struct dure_pending *local_ask(struct dure_ctx *ctx, struct subscription *subscription,
                               const char *subject, struct bytes body, int64_t timeout_ms);

/* Calls `tenant`. Never NULL. `body` is what `call` has, encoded. */
struct dure_pending *local_call(struct dure_ctx *ctx, struct tenant *tenant,
                                const struct dure_call *call, const char *method,
                                struct bytes body);

#endif
