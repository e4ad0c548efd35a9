/* pending: an ask, tell or call under way. The start of a bigger struct of whoever carries it
 * (bus link, HTTP call, local call), which lives in the ctx's arena. It is finished exactly once:
 * by its answer, its deadline, dure_cancel(), or the end of its ctx. */
#ifndef DURE_SDK_PENDING_H
#define DURE_SDK_PENDING_H

#include "sdk/src/ctx.h"

struct dure_pending {
    struct dure_ctx *ctx; /* NULL: one that could not be started */
    struct list link;     /* in ctx->pendings while it is not over */
    bool done;
    int err;
    struct dure_answer answer;
    uint64_t deadline_ns;
    struct loop_timer timer;
    /* The carrier forgets it and stops what it does for it. Called once, before `done`, and never
     * when the carrier itself finished it. */
    void (*abandon)(struct dure_pending *pending);
};

/* Zeroed memory of `size` bytes that starts with a pending which is over at the latest after
 * timeout_ms (0: with the handler). Never fails silently: when it cannot begin, *ret_failed is one
 * that has failed, and NULL is returned. */
struct dure_pending *pending_new(struct dure_ctx *ctx, size_t size, int64_t timeout_ms,
                                 void (*abandon)(struct dure_pending *pending),
                                 struct dure_pending **ret_failed);

/* A pending that has failed with this. */
struct dure_pending *pending_failed(int err);

/* Whole milliseconds until its deadline, at least 1. */
uint64_t pending_remaining_ms(const struct dure_pending *pending);

/* The carrier is through with it: no answer. */
void pending_fail(struct dure_pending *pending, int err);

/* The carrier is through with it: an answer. `headers` is in the ctx's arena (or NULL); `body` is
 * copied. Status >= 400 makes it DURE_EREMOTE. */
void pending_answer(struct dure_pending *pending, int status, const struct dure_headers *headers,
                    struct bytes body);

/* All of a ctx end with `err`; and: let go of at the end of the ctx. */
void pending_stop_all(struct dure_ctx *ctx, int err);
void pending_release_all(struct dure_ctx *ctx);

#endif
