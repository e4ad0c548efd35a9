/* await: a fiber waits for something, with a limit. What it waits for calls ctx_wake(); the fiber
 * looks and waits again. Lives on the fiber's stack. */
#ifndef DURE_SDK_AWAIT_H
#define DURE_SDK_AWAIT_H

#include "sdk/src/ctx.h"

struct await {
    struct dure_ctx *ctx;
    struct list link; /* in the bus link's waiters, or alone */
    struct loop_timer timer;
    bool expired;
};

/* timeout_ms 0: as long as the ctx has. */
void await_begin(struct await *await, struct dure_ctx *ctx, int64_t timeout_ms);

/* Until somebody wakes the ctx: 0; DURE_ETIMEOUT; what stopped the ctx. */
int await_turn(struct await *await);
void await_end(struct await *await);

#endif
