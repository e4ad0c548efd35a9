#include "sdk/src/pending.h"

#include <assert.h>

/* ---- one ----------------------------------------------------------------------------------------
 */

/* Never changed after it is made: `done` pendings are only read. */
struct dure_pending *pending_failed(int err)
{
    static struct dure_pending failed[DURE_ERROR_COUNT];
    int at = err < 0 && err > -DURE_ERROR_COUNT ? -err : -DURE_EINTERNAL;
    failed[at].done = true;
    failed[at].err = -at;
    return &failed[at];
}

static void settle(struct dure_pending *pending, int err)
{
    struct host *host = pending->ctx->tenant->host;
    assert(!pending->done);
    pending->done = true;
    pending->err = err;
    loop_timer_cancel(&host->loop, &pending->timer);
    list_remove(&pending->link);
    pending->ctx->pending_count--;
    host->pending_count--;
    ctx_wake(pending->ctx);
}

static void abandon(struct dure_pending *pending, int err)
{
    pending->abandon(pending);
    settle(pending, err);
}

static void timed_out(struct loop_timer *timer)
{
    abandon(CONTAINER_OF(timer, struct dure_pending, timer), DURE_ETIMEOUT);
}

struct dure_pending *pending_new(struct dure_ctx *ctx, size_t size, int64_t timeout_ms,
                                 void (*carrier)(struct dure_pending *pending),
                                 struct dure_pending **ret_failed)
{
    struct host *host = ctx->tenant->host;
    int err = ctx_check(ctx);
    if (!err && timeout_ms < 0) err = DURE_EINVALID;
    if (!err &&
        (ctx->pending_count >= DURE_MAX_PENDING_EACH || host->pending_count >= DURE_MAX_PENDING))
        err = DURE_EFULL;
    struct dure_pending *pending = err ? NULL : arena_alloc(&ctx->arena, size);
    if (!pending) {
        *ret_failed = pending_failed(err ? err : DURE_ENOMEM);
        return NULL;
    }
    uint64_t now = loop_monotonic_ns();
    uint64_t ms = timeout_ms ? (uint64_t)timeout_ms : host->limits.timeout_ms;
    uint64_t deadline = ms < UINT64_MAX / 2000000 ? now + ms * 1000000 : UINT64_MAX / 2;
    if (ctx->deadline_ns && (!timeout_ms || ctx->deadline_ns < deadline))
        deadline = ctx->deadline_ns;
    pending->ctx = ctx;
    pending->abandon = carrier;
    pending->deadline_ns = deadline;
    pending->timer.fire = timed_out;
    loop_timer_at(&host->loop, &pending->timer, deadline);
    list_init(&pending->link);
    list_push(&ctx->pendings, &pending->link);
    ctx->pending_count++;
    host->pending_count++;
    return pending;
}

uint64_t pending_remaining_ms(const struct dure_pending *pending)
{
    uint64_t now = loop_monotonic_ns();
    if (now + 1000000 >= pending->deadline_ns) return 1;
    return (pending->deadline_ns - now) / 1000000;
}

void pending_fail(struct dure_pending *pending, int err)
{
    settle(pending, err);
}

/* The other side was given our deadline, so it says 504 about when our own time is over: which of
 * the two is seen first is chance, and must not make a difference. */
static bool is_our_timeout(const struct dure_pending *pending, int status)
{
    const uint64_t about_ns = 10 * 1000000;
    return status == 504 && loop_monotonic_ns() + about_ns >= pending->deadline_ns;
}

void pending_answer(struct dure_pending *pending, int status, const struct dure_headers *headers,
                    struct bytes body)
{
    if (is_our_timeout(pending, status)) {
        settle(pending, DURE_ETIMEOUT);
        return;
    }
    const char *copy = arena_copy(&pending->ctx->arena, body);
    if (!copy) {
        settle(pending, DURE_ENOMEM);
        return;
    }
    pending->answer = (struct dure_answer){status, copy, body.len, headers};
    settle(pending, status >= 400 ? DURE_EREMOTE : 0);
}

void pending_stop_all(struct dure_ctx *ctx, int err)
{
    while (!list_empty(&ctx->pendings))
        abandon(CONTAINER_OF(ctx->pendings.next, struct dure_pending, link), err);
}

void pending_release_all(struct dure_ctx *ctx)
{
    pending_stop_all(ctx, DURE_ECANCELLED);
}

/* ---- public ------------------------------------------------------------------------------- */

bool dure_done(const struct dure_pending *pending)
{
    return pending->done;
}

int dure_wait(struct dure_ctx *ctx, struct dure_pending *pending, struct dure_answer *ret_answer)
{
    if (ret_answer) *ret_answer = (struct dure_answer){0};
    if (pending->ctx && pending->ctx != ctx) return DURE_EINVALID;
    while (!pending->done) ctx_wait(ctx); /* a stopped ctx has ended all its pendings */
    if (ret_answer) *ret_answer = pending->answer;
    return pending->err;
}

int dure_all(struct dure_ctx *ctx, struct dure_pending *const *pendings, size_t count)
{
    int first = 0;
    for (size_t i = 0; i < count; i++) {
        int err = dure_wait(ctx, pendings[i], NULL);
        if (!first) first = err;
    }
    return first;
}

/* The index of the first that succeeded; -1: none yet, and *ret_open says whether any may. */
static int winner(struct dure_pending *const *pendings, size_t count, bool *ret_open)
{
    *ret_open = false;
    for (size_t i = 0; i < count; i++) {
        if (pendings[i]->done && !pendings[i]->err) return (int)i;
        if (!pendings[i]->done) *ret_open = true;
    }
    return -1;
}

int dure_race(struct dure_ctx *ctx, struct dure_pending *const *pendings, size_t count)
{
    if (!count || count > INT32_MAX) return DURE_EINVALID;
    for (size_t i = 0; i < count; i++)
        if (pendings[i]->ctx && pendings[i]->ctx != ctx) return DURE_EINVALID;
    bool open;
    int index;
    while ((index = winner(pendings, count, &open)) < 0 && open) ctx_wait(ctx);
    if (index < 0) return pendings[count - 1]->err;
    for (size_t i = 0; i < count; i++) dure_cancel(ctx, pendings[i]);
    return index;
}

void dure_cancel(struct dure_ctx *ctx, struct dure_pending *pending)
{
    if (!pending->done && pending->ctx == ctx) abandon(pending, DURE_ECANCELLED);
}
