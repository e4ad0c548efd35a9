#include "sdk/src/host.h"

#include "sdk/src/blocking.h"
#include "sdk/src/buslink.h"
#include "sdk/src/call.h"
#include "sdk/src/ctx.h"
#include "sdk/src/logger.h"
#include "sdk/src/serve.h"
#include "sdk/src/span_batch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    HOST_AFTER_GRACE_MS = 1000, /* for handlers that have been told that it is over */
    HOST_EXIT_MS = 5000         /* for exit hooks and the last flush */
};

/* ---- environment and randomness ----------------------------------------------------------- */

uint64_t host_env_u64(const char *name, uint64_t fallback, uint64_t max)
{
    const char *text = getenv(name);
    uint64_t value;
    if (!text || bytes_to_u64(bytes_str(text), max, &value) != 0 || !value) return fallback;
    return value;
}

static void read_limits(struct limits *limits)
{
    limits->timeout_ms = host_env_u64("DURE_TIMEOUT_MS", DURE_DEFAULT_TIMEOUT_MS, 24 * 3600 * 1000);
    limits->grace_ms = host_env_u64("DURE_GRACE_MS", 10000, 3600 * 1000);
    limits->body = host_env_u64("DURE_MAX_BODY", DURE_MAX_BODY, 1u << 30);
    limits->answer = host_env_u64("DURE_MAX_ANSWER", DURE_MAX_ANSWER, 1u << 30);
    limits->fibers = host_env_u64("DURE_MAX_FIBERS", DURE_MAX_FIBERS, 1u << 16);
    limits->connections = host_env_u64("DURE_MAX_CONNECTIONS", DURE_MAX_CONNECTIONS, 1u << 20);
    limits->memory = host_env_u64("DURE_MAX_MEMORY", DURE_MAX_MEMORY, 1u << 30);
}

void host_random(struct host *host, void *ret_bytes, size_t len)
{
    char *to = ret_bytes;
    while (len) {
        if (!host->random_left) {
            ssize_t got = getrandom(host->random, sizeof host->random, 0);
            if (got <= 0) continue; /* interrupted; it cannot fail otherwise */
            host->random_left = (size_t)got;
        }
        size_t part = len < host->random_left ? len : host->random_left;
        host->random_left -= part;
        memcpy(to, host->random + host->random_left, part);
        to += part;
        len -= part;
    }
}

/* ---- states ------------------------------------------------------------------------------- */

static void progress(struct loop_task *task);

static size_t tenants_in(struct host *host, enum tenant_state state)
{
    size_t count = 0;
    LIST_EACH(&host->tenants, struct tenant, link, tenant) count += tenant->state == state;
    return count;
}

static void stop_all_handlers(struct host *host, int err)
{
    LIST_EACH(&host->tenants, struct tenant, link, tenant)
        for (struct list *link = tenant->runs.next; link != &tenant->runs; link = link->next)
            ctx_stop(CONTAINER_OF(link, struct dure_ctx, link), err);
}

/* First what a handler has to finish in, then a little for those that have been told, then we go.
 */
static void grace_passed(struct loop_timer *timer)
{
    struct host *host = CONTAINER_OF(timer, struct host, grace);
    if (host->state == HOST_DRAINING && !host->grace_over) {
        LOGGER(host, NULL, DURE_WARN, "grace_over", DURE_I("handlers", (int64_t)host->ctx_count));
        host->grace_over = true;
        stop_all_handlers(host, DURE_ECLOSED);
        loop_timer_in_ms(&host->loop, &host->grace, HOST_AFTER_GRACE_MS);
        host_progress(host);
        return;
    }
    LOGGER(host, NULL, DURE_ERROR, "left_behind", DURE_I("handlers", (int64_t)host->ctx_count));
    loop_stop(&host->loop);
}

static void drain(struct host *host)
{
    LOGGER(host, NULL, DURE_INFO, "stopping", DURE_I("handlers", (int64_t)host->ctx_count));
    host->state = HOST_DRAINING;
    LIST_EACH(&host->tenants, struct tenant, link, tenant) tenant_stop(tenant);
    buslink_drain(host->bus);
    loop_timer_in_ms(&host->loop, &host->grace, host->limits.grace_ms);
    host_progress(host);
}

void host_finish(struct host *host)
{
    host->state = HOST_LEAVING;
    loop_timer_in_ms(&host->loop, &host->grace, HOST_EXIT_MS);
    host_progress(host);
}

static void leave(struct host *host)
{
    host->state = HOST_LEAVING;
    loop_timer_in_ms(&host->loop, &host->grace, HOST_EXIT_MS);
    host->exits_left = 1; /* ours, so that none of them is the last before all have begun */
    LIST_EACH(&host->tenants, struct tenant, link, tenant) tenant_leave(tenant);
    host->exits_left--;
}

/* A response that is still being written keeps its connection, and us. */
static bool all_is_said(struct host *host)
{
    LIST_EACH(&host->tenants, struct tenant, link, tenant)
        if (!serve_quiet(tenant)) return false;
    return true;
}

static void started(struct host *host)
{
    host->state = HOST_UP;
    if (tenants_in(host, TENANT_UP)) return;
    LOGGER(host, NULL, DURE_ERROR, "nothing_to_run");
    host->exit_code = 1;
    loop_stop(&host->loop);
}

static void progress(struct loop_task *task)
{
    struct host *host = CONTAINER_OF(task, struct host, progress);
    if (host->state == HOST_STARTING && !tenants_in(host, TENANT_STARTING)) started(host);
    if (host->state == HOST_DRAINING && !host->ctx_count && all_is_said(host) &&
        buslink_drained(host->bus))
        leave(host);
    if (host->state != HOST_LEAVING || host->exits_left) return;
    if (!host->flush_started) {
        host->flush_started = true;
        span_batch_flush(host->spans);
        buslink_flush(host->bus);
    }
    if (buslink_flushed(host->bus)) loop_stop(&host->loop);
}

void host_progress(struct host *host)
{
    loop_post(&host->loop, &host->progress);
}

/* ---- signals ------------------------------------------------------------------------------ */

/* The second signal does what it does to any program: its work may not come back. */
static void interrupt(struct host *host)
{
    sigset_t set;
    int fd = host->signals.fd;
    loop_unwatch(&host->loop, &host->signals);
    close(fd);
    stop_all_handlers(host, DURE_ECLOSED);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void signal_arrived(struct loop_watch *watch, uint32_t events)
{
    struct host *host = CONTAINER_OF(watch, struct host, signals);
    struct signalfd_siginfo info;
    if (read(watch->fd, &info, sizeof info) != sizeof info) return;
    if (host->client)
        interrupt(host);
    else if (host->state == HOST_UP || host->state == HOST_STARTING)
        drain(host);
    else
        grace_passed(&host->grace); /* asked twice: at once */
}

static int watch_signals(struct host *host)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return err_from_errno(errno);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    host->signals.ready = signal_arrived;
    int err = loop_watch(&host->loop, &host->signals, fd, EPOLLIN);
    if (err) close(fd);
    return err;
}

/* ---- life --------------------------------------------------------------------------------- */

int host_init(struct host *host, const struct bus_settings *settings)
{
    static char *no_args[] = {NULL};
    *host = (struct host){.args = no_args};
    list_init(&host->tenants);
    host->signals.fd = -1;
    host->grace.fire = grace_passed;
    loop_task_init(&host->progress, progress);
    read_limits(&host->limits);
    fiber_pool_init(&host->fibers, host->limits.fibers,
                    host_env_u64("DURE_STACK_BYTES", DURE_STACK_BYTES, 1u << 30));
    host->instance = getenv("DURE_INSTANCE");
    host->logger = calloc(1, sizeof *host->logger);
    if (!host->logger) return ERR_NOMEM;
    logger_init(host->logger);
    int err = loop_init(&host->loop);
    if (!err) err = watch_signals(host);
    if (err) return err;
    host->spans = span_batch_new(host);
    host->blocking = blocking_new(host);
    if (!host->spans || !host->blocking) return ERR_NOMEM;
    err = call_pool_new(host, &host->calls);
    if (!err) err = buslink_new(host, settings, &host->bus);
    return err;
}

int host_run(struct host *host)
{
    if (!host->client)
        LIST_EACH(&host->tenants, struct tenant, link, tenant) tenant_start(tenant);
    host_progress(host);
    loop_run(&host->loop);
    return host->exit_code;
}

void host_release(struct host *host)
{
    /* A handler that would not end has its stack in the middle of our memory: then the process ends
     * with everything as it is. */
    if (host->ctx_count) return;
    struct list *link;
    while ((link = list_pop(&host->tenants))) tenant_free(CONTAINER_OF(link, struct tenant, link));
    buslink_free(host->bus);
    call_pool_free(host->calls);
    span_batch_free(host->spans);
    blocking_free(host->blocking);
    free(host->logger);
    int fd = host->signals.fd;
    loop_unwatch(&host->loop, &host->signals);
    if (fd >= 0) close(fd);
    fiber_pool_release(&host->fibers);
    loop_release(&host->loop);
}
