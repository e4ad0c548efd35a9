/* snapshot: everything the data plane is configured with, at one moment: routes, clusters,
 * endpoints, policies. Compiled once by a builder that validates, then never changed; a new
 * configuration is a new snapshot. Reference-counted without locks: one loop uses it.
 *
 *     struct snapshot_builder *b = NULL;
 *     err = snapshot_builder_new(&b);
 *     err = snapshot_add_cluster(b, &(struct cluster_spec){.name = BYTES("order")}, &error);
 *     err = snapshot_add_endpoint(b, &(struct endpoint_spec){.cluster = BYTES("order"), ...},
 * &error); err = snapshot_add_route(b, &(struct route_spec){.path = BYTES("/orders"), ...},
 * &error); err = snapshot_build(b, &snapshot, &error); snapshot_builder_free(b); proxy_apply(proxy,
 * snapshot);   (takes its own reference) snapshot_unref(snapshot);
 *
 * Words: a *route* says which requests go to which *cluster*; a cluster is a service as the data
 * plane sees it: a name, a policy and its *endpoints*, one for each instance. The edge chooses by
 * route; the internal road chooses by the service's name. */
#ifndef DURE_PROXY_SNAPSHOT_H
#define DURE_PROXY_SNAPSHOT_H

#include "base/bytes.h"
#include "base/err.h"
#include "io/io.h"

struct snapshot;
struct snapshot_builder;

enum {
    SNAPSHOT_CLUSTERS_MAX = 4096,
    SNAPSHOT_ENDPOINTS_MAX = 65536,
    SNAPSHOT_ROUTES_MAX = 65536,
    ROUTE_METHODS_MAX = 16,
    ROUTE_HEADERS_MAX = 16,
    CLUSTER_VERSIONS_MAX = 16
};

/* ---- what the data plane reads -------------------------------------------------------------- */

enum endpoint_health {
    ENDPOINT_UP,       /* gets requests */
    ENDPOINT_STARTING, /* known, not ready: gets none; requests may wait for it */
    ENDPOINT_DOWN,     /* fails its health check: gets none */
    ENDPOINT_DRAINING, /* leaves: finishes what it has, gets nothing new */
    ENDPOINT_HEALTH_COUNT
};

struct endpoint {
    struct io_addr addr;
    struct bytes address;  /* addr as text; the endpoint's identity across snapshots */
    struct bytes instance; /* the instance's id, "" when it has none */
    struct bytes version;  /* of the service, "" when unknown */
    enum endpoint_health health;
    uint32_t index; /* among all endpoints of the snapshot */
};

/* Endpoints of one version, which get a share of the traffic together. */
struct cluster_version {
    struct bytes version;
    uint32_t first, count; /* in the cluster's endpoints */
    uint32_t weight;       /* relative to the cluster's other versions; 0: no traffic */
};

/* In every field 0 means: the default (named here). */
struct cluster_policy {
    uint32_t connect_timeout_ms; /* 5,000 */
    uint32_t request_timeout_ms; /* 15,000: from the request to the response's head, retries and
                                    waiting included, but not the time that the request's body takes
                                    to come */
    uint32_t idle_timeout_ms;    /* 300,000: without a byte in either direction */
    uint32_t retries;            /* POLICY_NONE: none; default 2 */
    uint32_t connections_max;    /* to each endpoint: 1,024 */
    uint32_t wait_ms; /* POLICY_NONE: fail at once; default 2,000: how long a request waits
                         for a first usable endpoint */
};

enum { POLICY_NONE = 0xffffffff };

struct cluster {
    struct bytes name;
    const struct endpoint *endpoints; /* sorted by version */
    uint32_t endpoint_count;
    const struct cluster_version *versions; /* none when the traffic is not split */
    uint32_t version_count;
    uint32_t weight_total;        /* of the versions */
    struct cluster_policy policy; /* complete: no zeros left except by POLICY_NONE */
    uint32_t index;               /* among all clusters of the snapshot */
};

enum path_match { PATH_PREFIX, PATH_EXACT };

struct route_header {
    struct bytes name, value; /* the name in any case; the value exact */
};

struct route {
    struct bytes name; /* for records and error documents; "HOST/PATH" when not given */
    struct bytes host; /* lower case; "": any; "*.example.com": one or more labels more */
    struct bytes path; /* begins with '/'; a prefix has no '/' at its end, except "/" */
    enum path_match match;
    const struct bytes *methods; /* any of them; none: all methods */
    uint32_t method_count;
    const struct route_header *headers; /* all of them */
    uint32_t header_count;
    const struct cluster *cluster;
    bool has_rewrite;
    struct bytes rewrite;                 /* replaces the matched prefix, or the whole exact path */
    uint32_t request_timeout_ms, retries; /* the cluster's unless the route said otherwise */
    uint32_t index; /* the order in which routes were added: the older wins a tie */
};

/* ---- lookup ----------------------------------------------------------------------------------
 * Precedence as in the Kubernetes Gateway API: the most specific host, an exact path before the
 * longest prefix (whole elements: /foo matches /foo/bar, not /foobar), a method match, more
 * headers, the older route. Where a more specific host has no matching route, less specific ones
 * are asked. The cost depends on the labels of the host and the depth of the configured prefixes,
 * not on the number of routes. */
struct route_query {
    struct bytes host; /* lower case, without port */
    struct bytes path; /* without query; begins with '/'; normalised (path.h) */
    struct bytes method;
    /* The value of a header field of the request, by name in any case; false: not there. Called
     * only for routes that ask for headers. */
    bool (*header)(const void *context, struct bytes name, struct bytes *ret_value);
    const void *context;
};

/* The route of the edge for this request; NULL: none. Valid as long as the snapshot. */
const struct route *snapshot_route(const struct snapshot *snapshot,
                                   const struct route_query *query);

/* The cluster of this name; NULL: none. */
const struct cluster *snapshot_cluster(const struct snapshot *snapshot, struct bytes name);

/* The name of a cluster that `name` may have meant; {"", 0} when none is near. */
struct bytes snapshot_nearest_cluster(const struct snapshot *snapshot, struct bytes name);

/* Everything, in order of index. */
const struct cluster *snapshot_clusters(const struct snapshot *snapshot, size_t *ret_count);
const struct endpoint *snapshot_endpoints(const struct snapshot *snapshot, size_t *ret_count);
const struct route *snapshot_routes(const struct snapshot *snapshot, size_t *ret_count);

struct snapshot *snapshot_ref(struct snapshot *snapshot);

/* Frees with the last reference. NULL is allowed. */
void snapshot_unref(struct snapshot *snapshot);

/* ---- building --------------------------------------------------------------------------------
 * Everything given is copied. Clusters, endpoints and routes may come in any order: names are
 * resolved by snapshot_build. A mistake is found as early as possible, and told in `error` (may be
 * NULL) in words about what was given; the caller adds the place in its file (error_at). */
struct cluster_spec {
    struct bytes name; /* 1 to 63 of a-z 0-9 - . _ */
    struct cluster_policy policy;
};

struct endpoint_spec {
    struct bytes cluster, instance, version;
    struct io_addr addr;
    enum endpoint_health health;
};

struct route_spec {
    struct bytes name, host, path, cluster;
    enum path_match match;
    const struct bytes *methods;
    size_t method_count;
    const struct route_header *headers;
    size_t header_count;
    bool has_rewrite;
    struct bytes rewrite;
    uint32_t request_timeout_ms; /* 0: the cluster's */
    uint32_t retries;            /* 0: the cluster's; POLICY_NONE: none */
};

int snapshot_builder_new(struct snapshot_builder **ret_builder);

/* NULL is allowed. */
void snapshot_builder_free(struct snapshot_builder *builder);

/* ERR_EXISTS for a name that is there, ERR_INVALID, ERR_FULL at the limit, ERR_NOMEM. */
int snapshot_add_cluster(struct snapshot_builder *builder, const struct cluster_spec *spec,
                         struct error *error);

/* ERR_EXISTS when the cluster has this address already. */
int snapshot_add_endpoint(struct snapshot_builder *builder, const struct endpoint_spec *spec,
                          struct error *error);

/* ERR_INVALID, ERR_FULL, ERR_NOMEM. */
int snapshot_add_route(struct snapshot_builder *builder, const struct route_spec *spec,
                       struct error *error);

/* Splits a cluster's traffic: this version gets `weight` parts. Versions of a split cluster that
 * are not named get nothing, unless none of the named has a usable endpoint. */
int snapshot_add_split(struct snapshot_builder *builder, struct bytes cluster, struct bytes version,
                       uint32_t weight, struct error *error);

/* Compiles. ERR_NOT_FOUND for a cluster that nobody added (with the nearest name), ERR_EXISTS for
 * two routes that match exactly the same requests. The builder is used up either way. */
int snapshot_build(struct snapshot_builder *builder, struct snapshot **ret_snapshot,
                   struct error *error);

#endif
