#include "proxy/generation.h"

#include "proxy/proxy_impl.h"

#include <stdlib.h>

struct generation *generation_ref(struct generation *generation)
{
    generation->refs++;
    return generation;
}

void generation_unref(struct generation *generation)
{
    if (!generation || --generation->refs > 0) return;
    size_t count;
    snapshot_endpoints(generation->snapshot, &count);
    for (size_t i = 0; generation->upstreams && i < count; i++)
        upstream_unref(generation->upstreams[i]);
    snapshot_clusters(generation->snapshot, &count);
    for (size_t i = 0; generation->services && i < count; i++)
        traffic_unref(generation->services[i]);
    snapshot_routes(generation->snapshot, &count);
    for (size_t i = 0; generation->routes && i < count; i++) traffic_unref(generation->routes[i]);
    free(generation->upstreams);
    free(generation->services);
    free(generation->routes);
    snapshot_unref(generation->snapshot);
    free(generation);
}

static int bind_upstreams(struct generation *generation, struct proxy *proxy)
{
    size_t count;
    const struct endpoint *endpoints = snapshot_endpoints(generation->snapshot, &count);
    generation->upstreams = calloc(count ? count : 1, sizeof(struct upstream *));
    if (!generation->upstreams) return ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        if (upstream_get(&proxy->upstreams, &proxy->http, &endpoints[i], &proxy->options,
                         &generation->upstreams[i]))
            return ERR_NOMEM;
    return 0;
}

static int bind_names(struct generation *generation, struct proxy *proxy)
{
    size_t cluster_count, route_count;
    const struct cluster *clusters = snapshot_clusters(generation->snapshot, &cluster_count);
    const struct route *routes = snapshot_routes(generation->snapshot, &route_count);
    generation->services = calloc(cluster_count ? cluster_count : 1, sizeof(struct traffic *));
    generation->routes = calloc(route_count ? route_count : 1, sizeof(struct traffic *));
    if (!generation->services || !generation->routes) return ERR_NOMEM;
    for (size_t i = 0; i < cluster_count; i++)
        if (traffic_get(&proxy->services, clusters[i].name, "service", &generation->services[i]))
            return ERR_NOMEM;
    for (size_t i = 0; i < route_count; i++)
        if (traffic_get(&proxy->routes, routes[i].name, "route", &generation->routes[i]))
            return ERR_NOMEM;
    return 0;
}

/* Connections of endpoints that are no longer named close as they become idle; of one that two
 * clusters name, the policy of the later one counts. */
static void take_into_force(struct generation *generation, struct proxy *proxy)
{
    size_t cursor = 0, count;
    struct upstream *upstream;
    while ((upstream = map_next(&proxy->upstreams, &cursor))) upstream->current = false;
    const struct cluster *clusters = snapshot_clusters(generation->snapshot, &count);
    for (size_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < clusters[i].endpoint_count; j++) {
            upstream = generation->upstreams[clusters[i].endpoints[j].index];
            upstream->current = true;
            upstream->options.connect_timeout_ms = clusters[i].policy.connect_timeout_ms;
            upstream->options.body_timeout_ms = clusters[i].policy.idle_timeout_ms;
            upstream->options.write_timeout_ms = clusters[i].policy.idle_timeout_ms;
            /* A request's own deadline is what ends it; see request.c. */
            upstream->options.response_timeout_ms = UINT32_MAX;
        }
    }
}

int generation_new(struct proxy *proxy, struct snapshot *snapshot,
                   struct generation **ret_generation)
{
    struct generation *generation = calloc(1, sizeof *generation);
    if (!generation) return ERR_NOMEM;
    generation->refs = 1;
    generation->snapshot = snapshot_ref(snapshot);
    if (bind_upstreams(generation, proxy) || bind_names(generation, proxy)) {
        generation_unref(generation);
        return ERR_NOMEM;
    }
    take_into_force(generation, proxy);
    *ret_generation = generation;
    return 0;
}
