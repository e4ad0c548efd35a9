#include "proxy/upstream.h"

#include "proxy/proxy_impl.h"

#include <assert.h>
#include <stdlib.h>

enum { NS_PER_MS = 1000000 };

static void close_conn(struct upstream_conn *conn)
{
    struct upstream *upstream = conn->upstream;
    upstream->idle_count -= list_linked(&conn->link);
    list_remove(&conn->link);
    http_client_close(conn->client);
    upstream->connections--;
    free(conn);
    upstream_unref(upstream);
}

/* The list is in order of age, the oldest at its end. */
static void close_old(struct io_timer *timer)
{
    struct upstream *upstream = CONTAINER_OF(timer, struct upstream, timer);
    struct io *io = upstream->http->io;
    uint64_t now_ns = io_now_ns(io), keep_ns = (uint64_t)upstream->idle_ms * NS_PER_MS;
    uint64_t left_ns = 0; /* of the oldest that stays; 0: none does */
    upstream_ref(upstream);
    LIST_EACH(&upstream->idle, struct upstream_conn, link, conn) {
        uint64_t age_ns = now_ns - conn->idle_since_ns;
        if (age_ns < keep_ns)
            left_ns = keep_ns - age_ns;
        else
            close_conn(conn);
    }
    if (left_ns) io_timer_set(io, &upstream->timer, left_ns / NS_PER_MS + 1);
    upstream_unref(upstream);
}

static struct upstream *upstream_new(struct map *map, struct http *http,
                                     const struct endpoint *endpoint,
                                     const struct proxy_options *options)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (!upstream) return NULL;
    upstream->map = map;
    upstream->http = http;
    upstream->refs = 1;
    upstream->addr = endpoint->addr;
    size_t len = io_addr_format(&endpoint->addr, upstream->text, sizeof upstream->text);
    upstream->address = bytes_make(upstream->text, len);
    upstream->idle_max = (uint32_t)options->idle_max;
    upstream->idle_ms = options->pool_idle_ms;
    list_init(&upstream->idle);
    list_init(&upstream->drains);
    io_timer_init(&upstream->timer, close_old);
    if (map_put(map, upstream->address, upstream, NULL) == 0) return upstream;
    free(upstream);
    return NULL;
}

int upstream_get(struct map *map, struct http *http, const struct endpoint *endpoint,
                 const struct proxy_options *options, struct upstream **ret_upstream)
{
    struct upstream *upstream = map_get(map, endpoint->address);
    if (upstream) {
        upstream_ref(upstream);
    } else {
        upstream = upstream_new(map, http, endpoint, options);
        if (!upstream) return ERR_NOMEM;
    }
    *ret_upstream = upstream;
    return 0;
}

void upstream_ref(struct upstream *upstream)
{
    upstream->refs++;
}

void upstream_unref(struct upstream *upstream)
{
    if (!upstream || --upstream->refs > 0) return;
    assert(!upstream->connections && !upstream->in_flight && list_empty(&upstream->drains));
    io_timer_cancel(upstream->http->io, &upstream->timer);
    map_remove(upstream->map, upstream->address);
    free(upstream);
}

bool upstream_has_room(const struct upstream *upstream, uint32_t connections_max)
{
    return upstream->idle_count > 0 || upstream->connections < connections_max;
}

/* The peer closed an idle connection, or sent something that nobody asked for. */
static void client_gone(struct http_client *client)
{
    struct upstream_conn *conn = http_client_context(client);
    if (list_linked(&conn->link)) close_conn(conn);
}

struct upstream *upstream_find(const struct map *map, const struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    size_t len = io_addr_format(addr, text, sizeof text);
    return map_get(map, bytes_make(text, len));
}

struct upstream_conn *upstream_take(struct upstream *upstream)
{
    struct upstream_conn *found = NULL;
    upstream_ref(upstream);
    LIST_EACH(&upstream->idle, struct upstream_conn, link, conn) {
        if (http_client_reusable(conn->client)) {
            list_remove(&conn->link);
            upstream->idle_count--;
            found = conn;
            break;
        }
        close_conn(conn);
    }
    upstream_unref(upstream);
    return found;
}

static void client_connected(struct http_client *client, int result)
{
    struct upstream_conn *conn = http_client_context(client);
    if (!result) http_client_watch(client, client_gone);
    conn->connected(conn, result);
}

struct upstream_conn *upstream_connect(struct upstream *upstream, void *owner,
                                       void (*connected)(struct upstream_conn *conn, int result))
{
    struct upstream_conn *conn = calloc(1, sizeof *conn);
    if (!conn) return NULL;
    *conn = (struct upstream_conn){.upstream = upstream, .connected = connected, .owner = owner};
    list_init(&conn->link);
    if (http_client_new(upstream->http, &upstream->options, conn, &conn->client)) {
        free(conn);
        return NULL;
    }
    upstream_ref(upstream);
    upstream->connections++;
    http_client_connect(conn->client, &upstream->addr, client_connected);
    return conn;
}

void upstream_give(struct upstream_conn *conn)
{
    struct upstream *upstream = conn->upstream;
    conn->owner = NULL;
    if (!upstream->current || upstream->idle_count >= upstream->idle_max ||
        !http_client_reusable(conn->client)) {
        close_conn(conn);
        return;
    }
    conn->idle_since_ns = io_now_ns(upstream->http->io);
    list_push_front(&upstream->idle, &conn->link);
    upstream->idle_count++;
    if (!upstream->timer.armed)
        io_timer_set(upstream->http->io, &upstream->timer, upstream->idle_ms);
}

void upstream_discard(struct upstream_conn *conn)
{
    close_conn(conn);
}

void upstream_purge(struct upstream *upstream)
{
    upstream_ref(upstream);
    LIST_EACH(&upstream->idle, struct upstream_conn, link, conn) close_conn(conn);
    upstream_unref(upstream);
}

void upstream_enter(struct upstream *upstream)
{
    upstream_ref(upstream);
    upstream->in_flight++;
}

static void drained(struct io_task *task)
{
    struct proxy_drain *drain = CONTAINER_OF(task, struct proxy_drain, task);
    drain->done(drain);
}

void upstream_leave(struct upstream *upstream)
{
    assert(upstream->in_flight > 0);
    upstream->in_flight--;
    while (!upstream->in_flight && !list_empty(&upstream->drains)) {
        struct proxy_drain *drain =
            CONTAINER_OF(list_pop(&upstream->drains), struct proxy_drain, link);
        io_post(upstream->http->io, &drain->task);
        drain->upstream = NULL;
        upstream->refs--; /* the drain's; the last one is this request's */
    }
    upstream_unref(upstream);
}

void proxy_drain(struct proxy *proxy, struct proxy_drain *drain, const struct io_addr *addr,
                 void (*done)(struct proxy_drain *drain))
{
    *drain = (struct proxy_drain){.done = done};
    list_init(&drain->link);
    io_task_init(&drain->task, drained);
    struct upstream *upstream = upstream_find(&proxy->upstreams, addr);
    if (!upstream || !upstream->in_flight) {
        io_post(proxy->io, &drain->task);
        return;
    }
    drain->upstream = upstream;
    upstream_ref(upstream);
    list_push(&upstream->drains, &drain->link);
}

void proxy_drain_cancel(struct proxy *proxy, struct proxy_drain *drain)
{
    io_task_cancel(proxy->io, &drain->task);
    list_remove(&drain->link);
    upstream_unref(drain->upstream);
    drain->upstream = NULL;
}

size_t proxy_in_flight(const struct proxy *proxy, const struct io_addr *addr)
{
    const struct upstream *upstream = upstream_find(&proxy->upstreams, addr);
    return upstream ? upstream->in_flight : 0;
}

int proxy_endpoint_status(const struct proxy *proxy, const struct io_addr *addr,
                          struct endpoint_status *ret_status)
{
    const struct upstream *upstream = upstream_find(&proxy->upstreams, addr);
    if (!upstream) return ERR_NOT_FOUND;
    uint64_t now_ns = io_now_ns(proxy->io);
    *ret_status = (struct endpoint_status){
        .in_flight = upstream->in_flight,
        .connections = upstream->connections,
        .idle = upstream->idle_count,
        .latency_us = latency_ns(&upstream->latency, now_ns) / 1000,
        .failures = upstream->outlier.failures,
        .ejections = upstream->outlier.ejections,
    };
    if (outlier_ejected(&upstream->outlier, now_ns))
        ret_status->ejected_ms = (upstream->outlier.until_ns - now_ns) / NS_PER_MS + 1;
    return 0;
}
