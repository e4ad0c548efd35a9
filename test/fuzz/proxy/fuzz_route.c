/* Paths and routes. A normalised path is normal, and the same again; a route table agrees with a
 * scan over its routes. The input: lines "METHOD HOST PATH", those before an empty line are routes,
 * the others are requests. */
#include <assert.h>
#include <stddef.h>

#include "proxy/path.h"
#include "proxy/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
    struct bytes method, host, path;
};

static struct line read_line(struct bytes *rest)
{
    struct bytes text = bytes_cut(rest, '\n');
    struct line line;
    line.method = bytes_cut(&text, ' ');
    line.host = bytes_cut(&text, ' ');
    line.path = text;
    if (!line.host.data) line.host = BYTES("");
    if (!line.path.data) line.path = BYTES("");
    return line;
}

static void check_path(struct bytes path, char *text, size_t *ret_len)
{
    static char again[65536];
    size_t again_len;
    if (path_normalise(path, text, ret_len)) {
        *ret_len = 0;
        return;
    }
    assert(*ret_len > 0 && *ret_len <= path.len && text[0] == '/');
    if (path_is_normal(path)) assert(bytes_eq(path, bytes_make(text, *ret_len)));
    assert(path_normalise(bytes_make(text, *ret_len), again, &again_len) == 0);
    assert(bytes_eq(bytes_make(text, *ret_len), bytes_make(again, again_len)));
    for (size_t i = 0; i + 2 < *ret_len; i++)
        assert(!(text[i] == '/' && text[i + 1] == '.' && (text[i + 2] == '/')));
}

static bool host_matches(struct bytes pattern, struct bytes host)
{
    if (!pattern.len || bytes_eq(pattern, host)) return true;
    if (pattern.data[0] != '*') return false;
    return host.len >= pattern.len && bytes_ends(host, bytes_skip(pattern, 1));
}

static bool matches(const struct route *route, const struct line *line)
{
    bool method = route->method_count == 0 || bytes_eq(route->methods[0], line->method);
    bool path = route->match == PATH_EXACT ? bytes_eq(route->path, line->path)
                                           : path_has_prefix(line->path, route->path);
    return method && path && host_matches(route->host, line->host);
}

static void check_request(const struct snapshot *snapshot, struct line line)
{
    size_t count, matching = 0;
    const struct route *routes = snapshot_routes(snapshot, &count);
    struct route_query query = {.host = line.host, .path = line.path, .method = line.method};
    const struct route *found = snapshot_route(snapshot, &query);
    if (found) assert(matches(found, &line));
    for (size_t i = 0; i < count; i++) {
        if (!matches(&routes[i], &line)) continue;
        matching++;
        if (!found) continue;
        /* Within one host nothing that matches is more specific than what was found. */
        bool same_host = bytes_eq(routes[i].host, found->host);
        if (same_host && routes[i].match == found->match)
            assert(routes[i].path.len <= found->path.len);
    }
    if (line.host.len <= 253) assert((matching > 0) == (found != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[65536];
    if (size > sizeof text) return 0;
    struct bytes rest = bytes_make(data, size);
    struct snapshot_builder *builder;
    struct snapshot *snapshot = NULL;
    if (snapshot_builder_new(&builder)) return 0;
    snapshot_add_cluster(builder, &(struct cluster_spec){.name = BYTES("a")}, NULL);
    while (rest.data) {
        struct line line = read_line(&rest);
        if (!line.method.len) break;
        struct route_spec spec = {.host = line.host, .path = line.path, .cluster = BYTES("a")};
        spec.match = line.method.data[0] == '=' ? PATH_EXACT : PATH_PREFIX;
        spec.methods = &line.method;
        spec.method_count = line.method.data[0] >= 'A' && line.method.data[0] <= 'Z';
        snapshot_add_route(builder, &spec, NULL);
    }
    int err = snapshot_build(builder, &snapshot, NULL);
    snapshot_builder_free(builder);
    if (err) return 0;
    while (rest.data) {
        struct line line = read_line(&rest);
        size_t len;
        check_path(line.path, text, &len);
        if (!len) continue;
        line.path = bytes_make(text, len);
        check_request(snapshot, line);
    }
    snapshot_unref(snapshot);
    return 0;
}
