/* generation: a snapshot bound to what this proxy knows: for each of its endpoints the upstream,
 * for each cluster and route the counters, by index, so that the request path never looks up a
 * name. Referenced by the proxy while it is in force and by each request that began under it. */
#ifndef DURE_PROXY_GENERATION_H
#define DURE_PROXY_GENERATION_H

#include "proxy/snapshot.h"
#include "proxy/traffic.h"
#include "proxy/upstream.h"

struct generation {
    size_t refs;
    struct snapshot *snapshot;
    struct upstream **upstreams; /* by endpoint.index */
    struct traffic **services;   /* by cluster.index */
    struct traffic **routes;     /* by route.index */
};

/* Binds `snapshot`, of which a reference is taken, and takes it into force: its endpoints are
 * current, and have their clusters' timeouts. ERR_NOMEM: nothing has changed. */
int generation_new(struct proxy *proxy, struct snapshot *snapshot,
                   struct generation **ret_generation);

struct generation *generation_ref(struct generation *generation);

/* NULL is allowed. */
void generation_unref(struct generation *generation);

#endif
