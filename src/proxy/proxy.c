#include "proxy/proxy.h"

#include "proxy/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REQUESTS_MAX = 16384,
    WAITING_MAX = 1024,
    IDLE_MAX = 1024,
    POOL_IDLE_MS = 60000,
    REPLAY_MAX = 64 << 10,
};

static void size_default(size_t *value, size_t otherwise)
{
    if (!*value) *value = otherwise;
}

static struct proxy_options complete(const struct proxy_options *options)
{
    struct proxy_options full = options ? *options : (struct proxy_options){0};
    size_default(&full.requests_max, REQUESTS_MAX);
    size_default(&full.waiting_max, WAITING_MAX);
    size_default(&full.idle_max, IDLE_MAX);
    size_default(&full.replay_max, REPLAY_MAX);
    if (!full.pool_idle_ms) full.pool_idle_ms = POOL_IDLE_MS;
    if (!full.name) full.name = "dure";
    return full;
}

static int apply(struct proxy *proxy, struct snapshot *snapshot)
{
    struct generation *old = proxy->generation;
    int err = generation_new(proxy, snapshot, &proxy->generation);
    if (err) return err;
    proxy->metrics.snapshots++;
    if (!old) return 0;
    size_t count;
    snapshot_endpoints(old->snapshot, &count);
    for (size_t i = 0; i < count; i++)
        if (!old->upstreams[i]->current) upstream_purge(old->upstreams[i]);
    generation_unref(old);
    return 0;
}

static int apply_empty(struct proxy *proxy)
{
    struct snapshot_builder *builder;
    struct snapshot *snapshot = NULL;
    int err = snapshot_builder_new(&builder);
    if (err) return err;
    err = snapshot_build(builder, &snapshot, NULL);
    snapshot_builder_free(builder);
    if (err) return err;
    err = apply(proxy, snapshot);
    snapshot_unref(snapshot);
    return err;
}

static void free_proxy(struct proxy *proxy)
{
    generation_unref(proxy->generation);
    request_release_spare(proxy);
    assert(!proxy->upstreams.count && !proxy->services.count && !proxy->routes.count);
    map_release(&proxy->upstreams);
    map_release(&proxy->services);
    map_release(&proxy->routes);
    http_release(&proxy->http);
    free(proxy);
}

static void freed(struct io_task *task)
{
    struct proxy *proxy = CONTAINER_OF(task, struct proxy, freed);
    if (proxy->http.metrics.client_connections) { /* closing: a matter of a few turns */
        io_post(proxy->io, task);
        return;
    }
    void (*closed)(void *context) = proxy->closed;
    void *context = proxy->closed_context;
    free_proxy(proxy);
    if (closed) closed(context);
}

int proxy_new(struct io *io, const struct proxy_options *options, struct log *log,
              struct proxy **ret_proxy)
{
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (!proxy) return ERR_NOMEM;
    proxy->io = io;
    proxy->log = log;
    proxy->options = complete(options);
    struct bytes *vias[] = {&proxy->via_1_0, &proxy->via};
    for (int i = 0; i < 2; i++) {
        int len = snprintf(proxy->via_text[i], sizeof proxy->via_text[i], "1.%d %.48s", i,
                           proxy->options.name);
        *vias[i] = bytes_make(proxy->via_text[i], (size_t)len);
    }
    list_init(&proxy->entrances);
    list_init(&proxy->spare);
    io_task_init(&proxy->freed, freed);
    map_init(&proxy->upstreams, PROXY_UPSTREAMS_MAX);
    map_init(&proxy->services, PROXY_NAMES_MAX);
    map_init(&proxy->routes, PROXY_NAMES_MAX);
    http_init(&proxy->http, io, log);
    int err = apply_empty(proxy);
    if (err) {
        free_proxy(proxy);
        return err;
    }
    *ret_proxy = proxy;
    return 0;
}

/* ---- entrances --------------------------------------------------------------------------- */

/* With `addr` a new listener, without it the listening socket `fd`. */
static int enter(struct proxy *proxy, enum proxy_side side, const struct io_addr *addr, int fd,
                 struct io_addr *ret_addr)
{
    assert(!proxy->closing);
    struct entrance *entrance = calloc(1, sizeof *entrance);
    if (!entrance) return ERR_NOMEM;
    entrance->proxy = proxy;
    entrance->side = side;
    struct http_server_options options = {
        .request = request_begin,
        .context = entrance,
        .eof_ends = true, /* nobody is left to do the work for */
        .body_max = proxy->options.body_max,
        .connections_max = (uint32_t)proxy->options.requests_max,
    };
    int err = addr ? http_server_open(&proxy->http, addr, &options, &entrance->server)
                   : http_server_adopt(&proxy->http, fd, &options, &entrance->server);
    if (err) {
        free(entrance);
        return err;
    }
    list_push(&proxy->entrances, &entrance->link);
    if (ret_addr) *ret_addr = *http_server_addr(entrance->server);
    return 0;
}

int proxy_listen(struct proxy *proxy, enum proxy_side side, const struct io_addr *addr,
                 struct io_addr *ret_addr)
{
    return enter(proxy, side, addr, -1, ret_addr);
}

int proxy_adopt(struct proxy *proxy, enum proxy_side side, int fd, struct io_addr *ret_addr)
{
    return enter(proxy, side, NULL, fd, ret_addr);
}

int proxy_handle(struct proxy *proxy, struct bytes prefix,
                 void (*handler)(void *context, struct http_exchange *x), void *context)
{
    assert(bytes_starts(prefix, BYTES("/-/")));
    if (proxy->handler_count == PROXY_HANDLERS_MAX) return ERR_FULL;
    proxy->handlers[proxy->handler_count++] = (struct handler){prefix, handler, context};
    return 0;
}

int proxy_apply(struct proxy *proxy, struct snapshot *snapshot)
{
    int err = apply(proxy, snapshot);
    if (err) {
        proxy->metrics.snapshots_refused++;
        LOG(proxy->log, LOG_ERROR, "snapshot_refused", LOG_ERR(err));
        return err;
    }
    request_wake_all(proxy);
    return 0;
}

/* ---- the end ----------------------------------------------------------------------------- */

void proxy_check_closed(struct proxy *proxy)
{
    if (!proxy->closing || !list_empty(&proxy->entrances) || proxy->metrics.requests) return;
    size_t count;
    snapshot_endpoints(proxy->generation->snapshot, &count);
    for (size_t i = 0; i < count; i++) upstream_purge(proxy->generation->upstreams[i]);
    io_post(proxy->io, &proxy->freed);
}

static void entrance_closed(void *context)
{
    struct entrance *entrance = context;
    struct proxy *proxy = entrance->proxy;
    list_remove(&entrance->link);
    free(entrance);
    proxy_check_closed(proxy);
}

void proxy_close(struct proxy *proxy, uint32_t grace_ms, void (*done)(void *context), void *context)
{
    assert(!proxy->closing);
    proxy->closing = true;
    proxy->closed = done;
    proxy->closed_context = context;
    LIST_EACH(&proxy->entrances, struct entrance, link, entrance)
        http_server_close(entrance->server, grace_ms, entrance_closed);
    proxy_check_closed(proxy);
}
