/* proxy: the data plane. Listeners take requests; each is routed, balanced, relayed and recorded:
 *
 *     listener -> route -> cluster -> endpoint -> pooled connection -> relay -> record
 *
 * Two sides. The *edge* takes requests from outside and chooses by the snapshot's routes. The
 * *internal* road takes calls between services and chooses by name: `GET http://payment/charge`
 * (an http_proxy target) and `GET /payment/charge` both go to the cluster `payment` as `/charge`.
 *
 * Configuration is a snapshot (snapshot.h). A request keeps the snapshot that it began with; what
 * is learnt about an endpoint (latency, connections, ejection) belongs to its address and outlives
 * snapshots. One proxy uses one loop; several loops have one each and share nothing. */
#ifndef DURE_PROXY_PROXY_H
#define DURE_PROXY_PROXY_H

#include "base/buf.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/io.h"
#include "proxy/snapshot.h"
#include "wire/trace.h"

struct http_exchange;
struct proxy;

enum proxy_side { PROXY_EDGE, PROXY_INTERNAL };

/* What became of one request; the views live only during the call. */
struct access_event {
    enum proxy_side side;
    struct bytes method, host;
    struct bytes path;    /* as the client sent it, without query */
    struct bytes route;   /* the route's name; "" on the internal road and where none matched */
    struct bytes service; /* the cluster's name; "" when none was found */
    struct bytes version, instance, address; /* of the endpoint that answered (or failed last) */
    struct bytes caller; /* internal: the name in the proxy URL's user part, if any; not verified */
    struct io_addr peer; /* of the client's connection */
    int status;          /* sent to the client; 0: the connection ended before a response */
    int error;           /* enum err: why the request failed, also in mid-body; 0: it did not */
    uint32_t attempts;   /* how many endpoints were tried; 0: none */
    uint64_t bytes_in, bytes_out; /* bodies, without framing */
    uint64_t begin_wall_ns;
    uint64_t duration_ns; /* to the end of the response */
    uint64_t wait_ns;     /* part of it: until an endpoint was there */
    uint64_t upstream_ns; /* from the last attempt's begin to its response's head; 0: no response */
    struct trace trace;
};

/* Zero means the default in every field. */
struct proxy_options {
    size_t requests_max;   /* client connections at a time: 16,384 */
    size_t waiting_max;    /* requests held for a first usable endpoint: 1,024 */
    size_t idle_max;       /* idle connections kept for each endpoint: 1,024 */
    uint32_t pool_idle_ms; /* how long an idle connection is kept: 60,000 */
    uint64_t body_max;     /* bytes of a request's body: 1 GiB; more is 413 */
    size_t replay_max;     /* bytes of a request's body kept for a retry: 64 KiB */
    const char *name;      /* in Via: "dure" */

    /* Called once for each request, when it is over. May be NULL. */
    void (*access)(void *context, const struct access_event *event);
    void *context;
};

/* `options` may be NULL, `log` too; `io` and `log` must outlive the proxy. It starts with an empty
 * snapshot: the edge answers 404. */
int proxy_new(struct io *io, const struct proxy_options *options, struct log *log,
              struct proxy **ret_proxy);

/* Listens on `addr`; ret_addr (may be NULL) is the real address. May be called several times. */
int proxy_listen(struct proxy *proxy, enum proxy_side side, const struct io_addr *addr,
                 struct io_addr *ret_addr);

/* The same with a listening socket that another process made; the proxy owns `fd` from now on. */
int proxy_adopt(struct proxy *proxy, enum proxy_side side, int fd, struct io_addr *ret_addr);

/* Requests on the internal road whose path is `prefix` (begins with "/-/") or lies below it are not
 * relayed: `handler` takes the exchange over, as a server's `request` does (http/server.h). */
int proxy_handle(struct proxy *proxy, struct bytes prefix,
                 void (*handler)(void *context, struct http_exchange *x), void *context);

/* From now on new requests use `snapshot`, of which a reference is taken. Endpoints that are no
 * longer in it finish what they have; their idle connections are closed. Requests that wait are
 * looked at again. ERR_NOMEM: the old one stays. */
int proxy_apply(struct proxy *proxy, struct snapshot *snapshot);

/* ---- draining ---------------------------------------------------------------------------- */

/* Requests that are with this endpoint now, under any snapshot. */
size_t proxy_in_flight(const struct proxy *proxy, const struct io_addr *addr);

/* Embedded in its owner. */
struct proxy_drain {
    void (*done)(struct proxy_drain *drain);

    /* private */
    struct upstream *upstream;
    struct list link;
    struct io_task task;
};

/* Calls `done` from the loop as soon as nothing is in flight to this endpoint: what to wait for,
 * behind a snapshot that no longer sends anything there, before stopping the instance. */
void proxy_drain(struct proxy *proxy, struct proxy_drain *drain, const struct io_addr *addr,
                 void (*done)(struct proxy_drain *drain));

/* After this `done` will not run. Harmless when it has run. */
void proxy_drain_cancel(struct proxy *proxy, struct proxy_drain *drain);

/* ---- what is known ------------------------------------------------------------------------ */

/* Counters of one route or one service (metrics.def). */
struct traffic_metrics {
#define METRICS "proxy/metrics.def"
#include "base/metric_fields.h"
};

/* By name; NULL when there is no such service or route now. Valid until the next proxy_apply. */
const struct traffic_metrics *proxy_service_metrics(const struct proxy *proxy, struct bytes name);
const struct traffic_metrics *proxy_route_metrics(const struct proxy *proxy, struct bytes name);

/* Appends all metrics in the Prometheus text format: families dure_route_* with the label `route`,
 * dure_service_* with `service`, and dure_proxy_* of the whole. */
void proxy_expose(const struct proxy *proxy, struct buf *out);

/* Of the connections that the proxy serves and opens; whoever has other ones exposes both together:
 * a family of metrics may stand in the text once only. */
const struct http_metrics *proxy_http_metrics(const struct proxy *proxy);

struct endpoint_status {
    size_t in_flight, connections, idle; /* idle: of the connections */
    uint64_t latency_us;                 /* peak EWMA; 0: unknown */
    uint32_t failures;                   /* in a row */
    uint32_t ejections;                  /* of late: sets how long the next one lasts */
    uint64_t ejected_ms;                 /* how much longer; 0: not ejected */
};

/* ERR_NOT_FOUND when no such endpoint was ever in a snapshot, or it is forgotten. */
int proxy_endpoint_status(const struct proxy *proxy, const struct io_addr *addr,
                          struct endpoint_status *ret_status);

/* ---- the end ------------------------------------------------------------------------------ */

/* Stops listening, lets requests that are in flight end for at most grace_ms, then cuts them off;
 * `done` runs when everything is freed. */
void proxy_close(struct proxy *proxy, uint32_t grace_ms, void (*done)(void *context),
                 void *context);

#endif
