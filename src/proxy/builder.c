/* The builder of snapshots: takes copies of what it is given, finds mistakes early, and lays the
 * result out for reading: endpoints of a cluster side by side, sorted by version. */
#include "proxy/snapshot.h"

#include "proxy/check.h"
#include "proxy/path.h"
#include "proxy/retry.h"
#include "proxy/snapshot_parts.h"

#include <assert.h>
#include <stdlib.h>

enum { POLICY_CONNECT_MS = 5000, POLICY_REQUEST_MS = 15000, POLICY_IDLE_MS = 300000 };
enum { POLICY_CONNECTIONS = 1024, POLICY_WAIT_MS = 2000 };

struct pending_endpoint {
    struct bytes cluster;
    struct endpoint endpoint;
};

struct pending_split {
    struct bytes cluster, version;
    uint32_t weight;
};

struct pending_route {
    struct bytes cluster;
    struct route route; /* timeouts and retries: 0 until the cluster is known */
};

/* A growing array of things in the heap. */
struct pile {
    void *items;
    size_t count, size, item_size, max;
};

struct snapshot_builder {
    struct snapshot *snapshot; /* NULL once built */
    struct pile clusters, endpoints, splits, routes;
    struct map addresses; /* "CLUSTER ADDRESS" -> anything */
};

/* Room for one more, zeroed; NULL when there is no memory. The caller has checked the limit. */
static void *pile_add(struct pile *pile)
{
    if (pile->count == pile->size) {
        size_t size = pile->size ? pile->size * 2 : 16;
        void *items = realloc(pile->items, size * pile->item_size);
        if (!items) return NULL;
        pile->items = items;
        pile->size = size;
    }
    void *item = (char *)pile->items + pile->count++ * pile->item_size;
    memset(item, 0, pile->item_size);
    return item;
}

static int pile_check(const struct pile *pile, const char *what, struct error *error)
{
    if (pile->count < pile->max) return 0;
    return error_set(error, ERR_FULL, "more than %zu %s", pile->max, what);
}

static int no_memory(struct error *error)
{
    return error_set(error, ERR_NOMEM, "out of memory while building the configuration");
}

int snapshot_builder_new(struct snapshot_builder **ret_builder)
{
    struct snapshot_builder *builder = calloc(1, sizeof *builder);
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!builder || !snapshot) {
        free(builder);
        free(snapshot);
        return ERR_NOMEM;
    }
    snapshot->refs = 1;
    arena_init(&snapshot->arena, SNAPSHOT_SIZE_MAX);
    map_init(&snapshot->by_name, SNAPSHOT_CLUSTERS_MAX);
    builder->snapshot = snapshot;
    builder->clusters =
        (struct pile){.item_size = sizeof(struct cluster *), .max = SNAPSHOT_CLUSTERS_MAX};
    builder->endpoints =
        (struct pile){.item_size = sizeof(struct pending_endpoint), .max = SNAPSHOT_ENDPOINTS_MAX};
    builder->splits = (struct pile){.item_size = sizeof(struct pending_split),
                                    .max = SNAPSHOT_CLUSTERS_MAX * CLUSTER_VERSIONS_MAX};
    builder->routes =
        (struct pile){.item_size = sizeof(struct pending_route), .max = SNAPSHOT_ROUTES_MAX};
    map_init(&builder->addresses, SNAPSHOT_ENDPOINTS_MAX);
    *ret_builder = builder;
    return 0;
}

void snapshot_builder_free(struct snapshot_builder *builder)
{
    if (!builder) return;
    snapshot_unref(builder->snapshot);
    free(builder->clusters.items);
    free(builder->endpoints.items);
    free(builder->splits.items);
    free(builder->routes.items);
    map_release(&builder->addresses);
    free(builder);
}

/* ---- adding ------------------------------------------------------------------------------ */

static void or_default(uint32_t *value, uint32_t otherwise)
{
    if (!*value) *value = otherwise;
    if (*value == POLICY_NONE) *value = 0;
}

static struct cluster_policy complete(struct cluster_policy policy)
{
    or_default(&policy.connect_timeout_ms, POLICY_CONNECT_MS);
    or_default(&policy.request_timeout_ms, POLICY_REQUEST_MS);
    or_default(&policy.idle_timeout_ms, POLICY_IDLE_MS);
    or_default(&policy.retries, RETRY_DEFAULT);
    or_default(&policy.connections_max, POLICY_CONNECTIONS);
    or_default(&policy.wait_ms, POLICY_WAIT_MS);
    return policy;
}

/* Timeouts and limits of nothing would refuse every request. */
static int check_policy(const struct cluster_policy *policy, struct error *error)
{
    if (policy->connect_timeout_ms != POLICY_NONE && policy->request_timeout_ms != POLICY_NONE &&
        policy->idle_timeout_ms != POLICY_NONE && policy->connections_max != POLICY_NONE)
        return 0;
    return error_set(error, ERR_INVALID, "a timeout or limit of nothing lets no request through");
}

int snapshot_add_cluster(struct snapshot_builder *builder, const struct cluster_spec *spec,
                         struct error *error)
{
    struct arena *arena = &builder->snapshot->arena;
    int err = check_service_name(spec->name, error);
    if (!err) err = check_policy(&spec->policy, error);
    if (!err) err = pile_check(&builder->clusters, "services", error);
    if (err) return err;
    struct map *names = &builder->snapshot->by_name;
    if (map_get(names, spec->name))
        return error_set(error, ERR_EXISTS, "service \"%.*s\" is there twice",
                         BYTES_ARG(spec->name));
    struct cluster *cluster = arena_alloc(arena, sizeof *cluster);
    if (!cluster) return no_memory(error);
    cluster->name = arena_bytes(arena, spec->name);
    cluster->policy = complete(spec->policy);
    cluster->index = (uint32_t)builder->clusters.count;
    struct cluster **place = arena->failed ? NULL : pile_add(&builder->clusters);
    if (!place) return no_memory(error);
    *place = cluster;
    return map_put(names, cluster->name, cluster, NULL) ? no_memory(error) : 0;
}

int snapshot_add_endpoint(struct snapshot_builder *builder, const struct endpoint_spec *spec,
                          struct error *error)
{
    struct arena *arena = &builder->snapshot->arena;
    assert(spec->health < ENDPOINT_HEALTH_COUNT);
    int err = check_service_name(spec->cluster, error);
    if (!err) err = pile_check(&builder->endpoints, "endpoints", error);
    if (err) return err;
    char address[IO_ADDR_TEXT];
    size_t len = io_addr_format(&spec->addr, address, sizeof address);
    char *key = arena_format(arena, "%.*s %.*s", BYTES_ARG(spec->cluster), (int)len, address);
    if (!key) return no_memory(error);
    if (map_get(&builder->addresses, bytes_str(key)))
        return error_set(error, ERR_EXISTS, "service \"%.*s\" has the endpoint %.*s twice",
                         BYTES_ARG(spec->cluster), (int)len, address);
    struct pending_endpoint pending = {
        .cluster = arena_bytes(arena, spec->cluster),
        .endpoint = {.addr = spec->addr,
                     .address = arena_bytes(arena, bytes_make(address, len)),
                     .instance = arena_bytes(arena, spec->instance),
                     .version = arena_bytes(arena, spec->version),
                     .health = spec->health},
    };
    struct pending_endpoint *place = arena->failed ? NULL : pile_add(&builder->endpoints);
    if (!place) return no_memory(error);
    *place = pending;
    return map_put(&builder->addresses, bytes_str(key), key, NULL) ? no_memory(error) : 0;
}

int snapshot_add_split(struct snapshot_builder *builder, struct bytes cluster, struct bytes version,
                       uint32_t weight, struct error *error)
{
    enum { WEIGHT_MAX = 1000000 };
    struct arena *arena = &builder->snapshot->arena;
    if (weight > WEIGHT_MAX)
        return error_set(error, ERR_INVALID, "a weight of %u: at most %d", weight, WEIGHT_MAX);
    struct pending_split split = {arena_bytes(arena, cluster), arena_bytes(arena, version), weight};
    struct pending_split *place = arena->failed ? NULL : pile_add(&builder->splits);
    if (!place) return no_memory(error);
    *place = split;
    return 0;
}

static int add_methods(struct arena *arena, struct route *route, const struct route_spec *spec,
                       struct error *error)
{
    if (spec->method_count > ROUTE_METHODS_MAX)
        return error_set(error, ERR_INVALID, "more than %d methods in one route",
                         ROUTE_METHODS_MAX);
    struct bytes *methods = arena_array(arena, spec->method_count, sizeof *methods);
    if (!methods) return no_memory(error);
    for (size_t i = 0; i < spec->method_count; i++) {
        int err = check_method(spec->methods[i], error);
        if (err) return err;
        bool known = false;
        for (size_t j = 0; j < i; j++) known |= bytes_eq(spec->methods[j], spec->methods[i]);
        if (!known) methods[route->method_count++] = arena_bytes(arena, spec->methods[i]);
    }
    route->methods = methods;
    return 0;
}

static int add_headers(struct arena *arena, struct route *route, const struct route_spec *spec,
                       struct error *error)
{
    if (spec->header_count > ROUTE_HEADERS_MAX)
        return error_set(error, ERR_INVALID, "more than %d headers in one route",
                         ROUTE_HEADERS_MAX);
    struct route_header *headers = arena_array(arena, spec->header_count, sizeof *headers);
    if (!headers) return no_memory(error);
    for (size_t i = 0; i < spec->header_count; i++) {
        const struct route_header *header = &spec->headers[i];
        int err = check_header(header->name, header->value, error);
        if (err) return err;
        for (size_t j = 0; j < i; j++)
            if (bytes_eq_nocase(spec->headers[j].name, header->name))
                return error_set(error, ERR_INVALID, "header %.*s is asked for twice",
                                 BYTES_ARG(header->name));
        headers[i].name = arena_bytes(arena, header->name);
        headers[i].value = arena_bytes(arena, header->value);
    }
    route->headers = headers;
    route->header_count = (uint32_t)spec->header_count;
    return 0;
}

int snapshot_add_route(struct snapshot_builder *builder, const struct route_spec *spec,
                       struct error *error)
{
    struct arena *arena = &builder->snapshot->arena;
    struct pending_route pending = {0};
    struct route *route = &pending.route;
    int err = check_service_name(spec->cluster, error);
    if (!err) err = pile_check(&builder->routes, "routes", error);
    if (!err) err = check_host(arena, spec->host, &route->host, error);
    if (!err) err = check_path(arena, spec->path, spec->match == PATH_PREFIX, &route->path, error);
    if (!err) err = add_methods(arena, route, spec, error);
    if (!err) err = add_headers(arena, route, spec, error);
    if (!err && spec->has_rewrite)
        err = check_path(arena, spec->rewrite, spec->match == PATH_PREFIX, &route->rewrite, error);
    if (err) return err;
    char *name = spec->name.len ? arena_copy(arena, spec->name)
                                : arena_format(arena, "%.*s%.*s", BYTES_ARG(route->host),
                                               BYTES_ARG(route->path));
    route->name = bytes_str(name);
    route->match = spec->match;
    route->has_rewrite = spec->has_rewrite;
    route->request_timeout_ms = spec->request_timeout_ms;
    route->retries = spec->retries;
    route->index = (uint32_t)builder->routes.count;
    pending.cluster = arena_bytes(arena, spec->cluster);
    struct pending_route *place = arena->failed ? NULL : pile_add(&builder->routes);
    if (!place) return no_memory(error);
    *place = pending;
    return 0;
}

/* ---- compiling --------------------------------------------------------------------------- */

static int resolve(const struct snapshot *snapshot, struct bytes name, const char *who,
                   struct bytes which, struct cluster **ret_cluster, struct error *error)
{
    *ret_cluster = map_get(&snapshot->by_name, name);
    if (*ret_cluster) return 0;
    error_set(error, ERR_NOT_FOUND, "%s \"%.*s\" names the service \"%.*s\", which does not exist",
              who, BYTES_ARG(bytes_head(which, 80)), BYTES_ARG(name));
    struct bytes nearest = snapshot_nearest(&snapshot->by_name, name);
    if (nearest.len) error_remedy(error, "Did you mean \"%.*s\"?", BYTES_ARG(nearest));
    return ERR_NOT_FOUND;
}

static int by_cluster(const void *left, const void *right)
{
    const struct pending_endpoint *a = left, *b = right;
    int order = bytes_cmp(a->cluster, b->cluster);
    if (!order) order = bytes_cmp(a->endpoint.version, b->endpoint.version);
    if (!order) order = bytes_cmp(a->endpoint.address, b->endpoint.address);
    return order;
}

static int place_endpoints(struct snapshot_builder *builder, struct error *error)
{
    struct snapshot *snapshot = builder->snapshot;
    struct pending_endpoint *pending = builder->endpoints.items;
    size_t count = builder->endpoints.count;
    if (count) qsort(pending, count, sizeof *pending, by_cluster);
    snapshot->endpoints = arena_array(&snapshot->arena, count, sizeof *snapshot->endpoints);
    if (!snapshot->endpoints) return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        struct cluster *cluster;
        int err = resolve(snapshot, pending[i].cluster, "endpoint", pending[i].endpoint.address,
                          &cluster, error);
        if (err) return err;
        snapshot->endpoints[i] = pending[i].endpoint;
        snapshot->endpoints[i].index = (uint32_t)i;
        if (!cluster->endpoint_count++) cluster->endpoints = &snapshot->endpoints[i];
    }
    snapshot->endpoint_count = count;
    return 0;
}

/* Adds the version's range of the cluster's endpoints, which may be empty. */
static int place_split(struct snapshot *snapshot, const struct pending_split *split,
                       struct error *error)
{
    struct cluster *cluster;
    int err =
        resolve(snapshot, split->cluster, "split of version", split->version, &cluster, error);
    if (err) return err;
    if (cluster->version_count == CLUSTER_VERSIONS_MAX)
        return error_set(error, ERR_FULL, "service \"%.*s\" is split into more than %d versions",
                         BYTES_ARG(cluster->name), CLUSTER_VERSIONS_MAX);
    struct cluster_version *versions = (struct cluster_version *)cluster->versions;
    if (!versions) {
        versions = arena_array(&snapshot->arena, CLUSTER_VERSIONS_MAX, sizeof *versions);
        if (!versions) return no_memory(error);
        cluster->versions = versions;
    }
    for (uint32_t i = 0; i < cluster->version_count; i++)
        if (bytes_eq(versions[i].version, split->version))
            return error_set(error, ERR_EXISTS,
                             "service \"%.*s\": version \"%.*s\" has two weights",
                             BYTES_ARG(cluster->name), BYTES_ARG(split->version));
    struct cluster_version *version = &versions[cluster->version_count++];
    *version = (struct cluster_version){.version = split->version, .weight = split->weight};
    cluster->weight_total += split->weight;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        if (!bytes_eq(cluster->endpoints[i].version, split->version)) continue;
        if (!version->count++) version->first = i;
    }
    return 0;
}

static int place_routes(struct snapshot_builder *builder, struct error *error)
{
    struct snapshot *snapshot = builder->snapshot;
    const struct pending_route *pending = builder->routes.items;
    size_t count = builder->routes.count;
    snapshot->routes = arena_array(&snapshot->arena, count, sizeof *snapshot->routes);
    if (!snapshot->routes) return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        struct route *route = &snapshot->routes[i];
        *route = pending[i].route;
        struct cluster *cluster;
        int err = resolve(snapshot, pending[i].cluster, "route", route->name, &cluster, error);
        if (err) return err;
        route->cluster = cluster;
        or_default(&route->request_timeout_ms, cluster->policy.request_timeout_ms);
        bool has_retries = route->retries != 0;
        or_default(&route->retries, 0);
        if (!has_retries) route->retries = cluster->policy.retries;
    }
    snapshot->route_count = count;
    return table_build(&snapshot->table, &snapshot->arena, snapshot->routes, count, error);
}

/* Clusters were made one by one, for their names' sake; here they move side by side. */
static int place_clusters(struct snapshot_builder *builder, struct error *error)
{
    struct snapshot *snapshot = builder->snapshot;
    struct cluster **pending = builder->clusters.items;
    size_t count = builder->clusters.count;
    snapshot->clusters = arena_array(&snapshot->arena, count, sizeof *snapshot->clusters);
    if (!snapshot->clusters) return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        snapshot->clusters[i] = *pending[i];
        struct cluster *cluster = &snapshot->clusters[i];
        if (map_put(&snapshot->by_name, cluster->name, cluster, NULL)) return no_memory(error);
    }
    snapshot->cluster_count = count;
    return 0;
}

int snapshot_build(struct snapshot_builder *builder, struct snapshot **ret_snapshot,
                   struct error *error)
{
    assert(builder->snapshot && "a builder builds once");
    struct snapshot *snapshot = builder->snapshot;
    int err = place_clusters(builder, error);
    if (!err) err = place_endpoints(builder, error);
    const struct pending_split *splits = builder->splits.items;
    for (size_t i = 0; !err && i < builder->splits.count; i++)
        err = place_split(snapshot, &splits[i], error);
    if (!err) err = place_routes(builder, error);
    builder->snapshot = NULL;
    if (err) {
        snapshot_unref(snapshot);
        return err;
    }
    *ret_snapshot = snapshot;
    return 0;
}
