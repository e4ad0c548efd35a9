#include "proxy/table.h"

#include "proxy/check.h"

/* Routes of one host and path, the first that matches wins. */
struct table_bucket {
    const struct route **routes;
    uint32_t count, size;
};

/* ---- building ---------------------------------------------------------------------------- */

static uint32_t depth_of(struct bytes prefix)
{
    uint32_t depth = 0;
    if (prefix.len == 1) return 0;
    for (size_t i = 0; i < prefix.len; i++) depth += prefix.data[i] == '/';
    return depth;
}

static void paths_init(struct table_paths *paths)
{
    map_init(&paths->exact, SNAPSHOT_ROUTES_MAX);
    map_init(&paths->prefix, SNAPSHOT_ROUTES_MAX);
}

/* The paths of this host, made when there are none yet; NULL: no memory. */
static struct table_paths *paths_of(struct table *table, struct arena *arena, struct bytes host)
{
    if (!host.len) return &table->any;
    struct map *map = &table->hosts;
    if (host.data[0] == '*') {
        map = &table->wildcards;
        host = bytes_skip(host, 1);
    }
    struct table_paths *paths = map_get(map, host);
    if (paths) return paths;
    paths = arena_alloc(arena, sizeof *paths);
    if (!paths) return NULL;
    paths_init(paths);
    return map_put(map, host, paths, NULL) ? NULL : paths;
}

static bool has_method(const struct route *route, struct bytes method)
{
    for (uint32_t i = 0; i < route->method_count; i++)
        if (bytes_eq(route->methods[i], method)) return true;
    return false;
}

static bool has_header(const struct route *route, const struct route_header *header)
{
    for (uint32_t i = 0; i < route->header_count; i++)
        if (bytes_eq_nocase(route->headers[i].name, header->name) &&
            bytes_eq(route->headers[i].value, header->value))
            return true;
    return false;
}

/* Whether two routes of one bucket match the same requests. Neither has a method or header twice.
 */
static bool same(const struct route *a, const struct route *b)
{
    if (a->method_count != b->method_count || a->header_count != b->header_count) return false;
    for (uint32_t i = 0; i < a->method_count; i++)
        if (!has_method(b, a->methods[i])) return false;
    for (uint32_t i = 0; i < a->header_count; i++)
        if (!has_header(b, &a->headers[i])) return false;
    return true;
}

/* Whether `a`, which is newer, goes before `b`. */
static bool precedes(const struct route *a, const struct route *b)
{
    if ((a->method_count > 0) != (b->method_count > 0)) return a->method_count > 0;
    return a->header_count > b->header_count;
}

static int bucket_add(struct table_bucket *bucket, struct arena *arena, const struct route *route,
                      struct error *error)
{
    for (uint32_t i = 0; i < bucket->count; i++) {
        const struct route *other = bucket->routes[i];
        if (!same(route, other)) continue;
        error_set(error, ERR_EXISTS,
                  "routes \"%.*s\" and \"%.*s\" match the same requests (host \"%.*s\", path "
                  "\"%.*s\")",
                  BYTES_ARG(other->name), BYTES_ARG(route->name), BYTES_ARG(route->host),
                  BYTES_ARG(route->path));
        error_remedy(error, "Remove one, or tell them apart by method or header.");
        return ERR_EXISTS;
    }
    if (bucket->count == bucket->size) {
        uint32_t size = bucket->size ? bucket->size * 2 : 2;
        const struct route **routes = arena_array(arena, size, sizeof(struct route *));
        if (!routes) return ERR_NOMEM;
        if (bucket->count) memcpy(routes, bucket->routes, bucket->count * sizeof *routes);
        bucket->routes = routes;
        bucket->size = size;
    }
    uint32_t at = bucket->count++;
    for (; at > 0 && precedes(route, bucket->routes[at - 1]); at--)
        bucket->routes[at] = bucket->routes[at - 1];
    bucket->routes[at] = route;
    return 0;
}

static int add(struct table *table, struct arena *arena, const struct route *route,
               struct error *error)
{
    struct table_paths *paths = paths_of(table, arena, route->host);
    if (!paths) return ERR_NOMEM;
    struct map *map = route->match == PATH_EXACT ? &paths->exact : &paths->prefix;
    struct table_bucket *bucket = map_get(map, route->path);
    if (!bucket) {
        bucket = arena_alloc(arena, sizeof *bucket);
        if (!bucket || map_put(map, route->path, bucket, NULL)) return ERR_NOMEM;
    }
    uint32_t depth = depth_of(route->path);
    if (route->match == PATH_PREFIX && depth > paths->depth_max) paths->depth_max = depth;
    return bucket_add(bucket, arena, route, error);
}

int table_build(struct table *table, struct arena *arena, const struct route *routes, size_t count,
                struct error *error)
{
    *table = (struct table){0};
    map_init(&table->hosts, SNAPSHOT_ROUTES_MAX);
    map_init(&table->wildcards, SNAPSHOT_ROUTES_MAX);
    paths_init(&table->any);
    for (size_t i = 0; i < count; i++) {
        int err = add(table, arena, &routes[i], error);
        if (err == ERR_NOMEM) error_set(error, err, "out of memory while compiling the routes");
        if (err) return err;
    }
    return 0;
}

static void release_paths(struct table_paths *paths)
{
    map_release(&paths->exact);
    map_release(&paths->prefix);
}

void table_release(struct table *table)
{
    if (!table) return;
    struct map *maps[] = {&table->hosts, &table->wildcards};
    for (size_t i = 0; i < 2; i++) {
        size_t cursor = 0;
        struct table_paths *paths;
        while ((paths = map_next(maps[i], &cursor))) release_paths(paths);
        map_release(maps[i]);
    }
    release_paths(&table->any);
}

/* ---- lookup ------------------------------------------------------------------------------ */

static bool headers_match(const struct route *route, const struct route_query *query)
{
    for (uint32_t i = 0; i < route->header_count; i++) {
        struct bytes value;
        if (!query->header || !query->header(query->context, route->headers[i].name, &value) ||
            !bytes_eq(value, route->headers[i].value))
            return false;
    }
    return true;
}

static const struct route *bucket_find(const struct map *map, struct bytes path,
                                       const struct route_query *query)
{
    const struct table_bucket *bucket = map_get(map, path);
    if (!bucket) return NULL;
    for (uint32_t i = 0; i < bucket->count; i++) {
        const struct route *route = bucket->routes[i];
        if (route->method_count && !has_method(route, query->method)) continue;
        if (headers_match(route, query)) return route;
    }
    return NULL;
}

/* The first `depth` elements of the path, or fewer when it has no more. */
static size_t cut_depth(struct bytes path, uint32_t depth)
{
    size_t at = 0;
    for (uint32_t i = 0; i < depth && at < path.len; i++)
        at += 1 + bytes_find(bytes_skip(path, at + 1), '/');
    return at < path.len ? at : path.len;
}

static const struct route *paths_find(const struct table_paths *paths,
                                      const struct route_query *query)
{
    struct bytes path = query->path;
    const struct route *route = bucket_find(&paths->exact, path, query);
    if (route || !paths->prefix.count) return route;
    for (size_t len = cut_depth(path, paths->depth_max); len > 0;) {
        route = bucket_find(&paths->prefix, bytes_head(path, len), query);
        if (route) return route;
        while (--len > 0 && path.data[len] != '/') {
        }
    }
    return bucket_find(&paths->prefix, BYTES("/"), query);
}

const struct route *table_find(const struct table *table, const struct route_query *query)
{
    const struct route *route = NULL;
    struct bytes host = query->host;
    /* No route has such a host, and looking for its suffixes would be dear. */
    if (host.len > HOST_NAME_MAX) return paths_find(&table->any, query);
    if (table->hosts.count) {
        const struct table_paths *paths = map_get(&table->hosts, host);
        if (paths) route = paths_find(paths, query);
    }
    if (table->wildcards.count) {
        /* At least one label stands for the '*'. */
        for (size_t at = 1; !route && at < host.len; at++) {
            at += bytes_find(bytes_skip(host, at), '.');
            const struct table_paths *paths = map_get(&table->wildcards, bytes_skip(host, at));
            if (paths) route = paths_find(paths, query);
        }
    }
    return route ? route : paths_find(&table->any, query);
}
