#include "sdk/src/await.h"

#include "base/err.h"

#include <errno.h>
#include <unistd.h>

static void expire(struct loop_timer *timer)
{
    struct await *await = CONTAINER_OF(timer, struct await, timer);
    await->expired = true;
    ctx_wake(await->ctx);
}

void await_begin(struct await *await, struct dure_ctx *ctx, int64_t timeout_ms)
{
    *await = (struct await){.ctx = ctx, .timer.fire = expire};
    list_init(&await->link);
    if (timeout_ms <= 0) return;
    uint64_t ms = (uint64_t)timeout_ms < UINT32_MAX ? (uint64_t)timeout_ms : UINT32_MAX;
    loop_timer_at(&ctx->tenant->host->loop, &await->timer, loop_monotonic_ns() + ms * 1000000);
}

int await_turn(struct await *await)
{
    if (await->expired) return DURE_ETIMEOUT;
    int stop = ctx_wait(await->ctx);
    if (stop) return stop;
    return await->expired ? DURE_ETIMEOUT : 0;
}

void await_end(struct await *await)
{
    loop_timer_cancel(&await->ctx->tenant->host->loop, &await->timer);
    list_remove(&await->link);
}

/* ---- a descriptor ------------------------------------------------------------------------- */

struct readable {
    struct loop_watch watch;
    struct dure_ctx *ctx;
    bool ready;
};

static void ready(struct loop_watch *watch, uint32_t events)
{
    struct readable *readable = CONTAINER_OF(watch, struct readable, watch);
    readable->ready = true;
    ctx_wake(readable->ctx);
}

static int wait_readable(struct dure_ctx *ctx, int fd, int64_t timeout_ms)
{
    struct loop *loop = &ctx->tenant->host->loop;
    struct readable readable = {.watch = {.ready = ready, .fd = -1}, .ctx = ctx};
    struct await await;
    int err = loop_watch(loop, &readable.watch, fd, EPOLLIN);
    if (err == ERR_DENIED) return 0; /* a file: epoll has nothing to wait for */
    if (err) return DURE_EINVALID;
    await_begin(&await, ctx, timeout_ms);
    while (!err && !readable.ready) err = await_turn(&await);
    await_end(&await);
    loop_unwatch(loop, &readable.watch);
    return err;
}

int64_t dure_read(struct dure_ctx *ctx, int fd, void *buffer, size_t size, int64_t timeout_ms)
{
    if (timeout_ms < 0 || (size && !buffer)) return DURE_EINVALID;
    int err = wait_readable(ctx, fd, timeout_ms);
    if (err) return err;
    ssize_t got;
    do got = read(fd, buffer, size);
    while (got < 0 && errno == EINTR);
    return got < 0 ? DURE_EIO : got;
}
