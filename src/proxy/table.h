/* table: the routes of a snapshot, compiled for lookup. Hashed by host, then by path: an exact path
 * is one lookup, a prefix one for each depth at which prefixes are configured. What is left to
 * compare are the routes that share host and path and differ in methods and headers. */
#ifndef DURE_PROXY_TABLE_H
#define DURE_PROXY_TABLE_H

#include "base/arena.h"
#include "base/map.h"
#include "proxy/snapshot.h"

struct table_paths {
    struct map exact, prefix; /* path -> struct table_bucket */
    uint32_t depth_max;       /* of the prefixes, in elements */
};

/* A zeroed table is empty and can be released. */
struct table {
    struct map hosts;     /* "example.com" -> struct table_paths */
    struct map wildcards; /* ".example.com" -> struct table_paths */
    struct table_paths any;
};

/* Compiles `count` routes, which must outlive the table; small parts come from `arena`, the hash
 * tables from the heap. ERR_EXISTS when two match exactly the same requests; ERR_NOMEM. */
int table_build(struct table *table, struct arena *arena, const struct route *routes, size_t count,
                struct error *error);

void table_release(struct table *table);

const struct route *table_find(const struct table *table, const struct route_query *query);

#endif
