/* upstream: what is learnt about one endpoint, by its address and across snapshots: latency,
 * failures, connections. Owned by references: generations that name it, its connections, and
 * requests that are with it. */
#ifndef DURE_PROXY_UPSTREAM_H
#define DURE_PROXY_UPSTREAM_H

#include "base/map.h"
#include "http/client.h"
#include "proxy/balance.h"
#include "proxy/outlier.h"
#include "proxy/proxy.h"

struct upstream {
    struct map *map; /* where it is found by address */
    struct http *http;
    size_t refs;
    struct io_addr addr;
    struct bytes address; /* addr as text */
    char text[IO_ADDR_TEXT];

    bool current; /* the snapshot in force has it */
    struct latency latency;
    struct outlier outlier;
    uint32_t in_flight;   /* requests */
    uint32_t connections; /* open or being opened */
    uint32_t idle_count;
    uint32_t idle_max;
    uint32_t idle_ms;      /* how long one is kept */
    struct list idle;      /* struct upstream_conn, the latest used first */
    struct io_timer timer; /* closes those that have been idle too long */
    struct list drains;    /* struct proxy_drain */
    struct http_client_options options;
};

/* One connection: idle, or with the one request that owns it. */
struct upstream_conn {
    struct upstream *upstream;
    struct http_client *client;
    struct list link; /* in upstream->idle */
    uint64_t idle_since_ns;
    void (*connected)(struct upstream_conn *conn, int result);
    void *owner;
};

/* The one of that address in `map`, referenced; made when there is none. ERR_NOMEM. */
int upstream_get(struct map *map, struct http *http, const struct endpoint *endpoint,
                 const struct proxy_options *options, struct upstream **ret_upstream);

/* NULL: none. */
struct upstream *upstream_find(const struct map *map, const struct io_addr *addr);

void upstream_ref(struct upstream *upstream);

/* NULL is allowed. */
void upstream_unref(struct upstream *upstream);

/* Whether a request more may be sent there: a connection is idle, or may be opened. */
bool upstream_has_room(const struct upstream *upstream, uint32_t connections_max);

/* An idle connection that can be used now, or NULL. It is the caller's then. */
struct upstream_conn *upstream_take(struct upstream *upstream);

/* A new connection: `connected` runs later with 0 or an error. NULL: no memory. */
struct upstream_conn *upstream_connect(struct upstream *upstream, void *owner,
                                       void (*connected)(struct upstream_conn *conn, int result));

/* Gives a connection back: kept if it can be used again, else closed. */
void upstream_give(struct upstream_conn *conn);

/* Closes a connection that the caller has. */
void upstream_discard(struct upstream_conn *conn);

/* Closes all that are idle. */
void upstream_purge(struct upstream *upstream);

/* A request goes there, and comes back; the end may set drains off and frees with the last
 * reference. */
void upstream_enter(struct upstream *upstream);
void upstream_leave(struct upstream *upstream);

#endif
