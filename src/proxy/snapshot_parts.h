/* What a snapshot is made of: for its builder, which fills it, and for snapshot.c. */
#ifndef DURE_PROXY_SNAPSHOT_PARTS_H
#define DURE_PROXY_SNAPSHOT_PARTS_H

#include "proxy/snapshot.h"
#include "proxy/table.h"

enum { SNAPSHOT_SIZE_MAX = 128 << 20 };

struct snapshot {
    size_t refs;
    struct arena arena; /* everything below lives here, except what the maps allocate */
    struct cluster *clusters;
    struct endpoint *endpoints;
    struct route *routes;
    size_t cluster_count, endpoint_count, route_count;
    struct map by_name; /* struct cluster */
    struct table table;
};

/* The name among those of `clusters` that is nearest to `name`, or {"", 0}. */
struct bytes snapshot_nearest(const struct map *clusters, struct bytes name);

#endif
