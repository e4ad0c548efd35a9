#include "proxy/snapshot.h"

#include "proxy/snapshot_parts.h"

#include <stdlib.h>

enum { NEAREST_DISTANCE = 2 };

const struct route *snapshot_route(const struct snapshot *snapshot, const struct route_query *query)
{
    return table_find(&snapshot->table, query);
}

const struct cluster *snapshot_cluster(const struct snapshot *snapshot, struct bytes name)
{
    return map_get(&snapshot->by_name, name);
}

struct bytes snapshot_nearest(const struct map *clusters, struct bytes name)
{
    struct bytes nearest = BYTES("");
    size_t distance_max = name.len <= 3 ? 1 : NEAREST_DISTANCE;
    if (name.len > 64) return nearest;
    size_t cursor = 0;
    const struct cluster *cluster;
    while ((cluster = map_next(clusters, &cursor))) {
        size_t distance = bytes_distance(name, cluster->name, distance_max);
        bool better = distance < distance_max + (nearest.len == 0);
        /* Among equals the first by name, so that the answer does not depend on the hash. */
        bool equal = nearest.len && distance == distance_max;
        if (better || (equal && bytes_cmp(cluster->name, nearest) < 0)) {
            nearest = cluster->name;
            distance_max = distance;
        }
    }
    return nearest;
}

struct bytes snapshot_nearest_cluster(const struct snapshot *snapshot, struct bytes name)
{
    return snapshot_nearest(&snapshot->by_name, name);
}

const struct cluster *snapshot_clusters(const struct snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->cluster_count;
    return snapshot->clusters;
}

const struct endpoint *snapshot_endpoints(const struct snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->endpoint_count;
    return snapshot->endpoints;
}

const struct route *snapshot_routes(const struct snapshot *snapshot, size_t *ret_count)
{
    *ret_count = snapshot->route_count;
    return snapshot->routes;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    snapshot->refs++;
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || --snapshot->refs > 0) return;
    table_release(&snapshot->table);
    map_release(&snapshot->by_name);
    struct arena arena = snapshot->arena;
    arena_release(&arena);
    free(snapshot);
}
