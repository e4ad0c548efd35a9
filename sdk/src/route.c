#include "sdk/src/route.h"

#include <stdlib.h>

static bool is_param(struct bytes segment)
{
    return segment.len && segment.data[0] == '{';
}

static bool is_rest(struct bytes segment)
{
    return is_param(segment) && bytes_ends(segment, BYTES("...}"));
}

/* "{name}" -> name; "{name...}" -> name */
static struct bytes param_name(struct bytes segment)
{
    size_t tail = is_rest(segment) ? 4 : 1;
    return bytes_head(bytes_skip(segment, 1), segment.len - 1 - tail);
}

static bool segment_valid(struct bytes segment, bool last)
{
    size_t open = bytes_find(segment, '{'), close = bytes_find(segment, '}');
    if (open == segment.len && close == segment.len) return true;
    if (open != 0 || close != segment.len - 1) return false;
    if (is_rest(segment) && !last) return false;
    return param_name(segment).len > 0;
}

/* Cuts the pattern behind its leading '/' into segments. "/" has one empty segment. */
static int split(struct route *route)
{
    struct bytes rest = bytes_str(route->pattern);
    if (!rest.len || rest.data[0] != '/') return DURE_EINVALID;
    rest = bytes_skip(rest, 1);
    size_t params = 0;
    do {
        if (route->count == ROUTE_SEGMENTS_MAX) return DURE_EINVALID;
        struct bytes segment = bytes_cut(&rest, '/');
        if (!segment_valid(segment, rest.data == NULL)) return DURE_EINVALID;
        if (is_param(segment) && ++params > ROUTE_PARAMS_MAX) return DURE_EINVALID;
        route->segments[route->count++] = segment;
    } while (rest.data);
    route->rest = is_rest(route->segments[route->count - 1]);
    return 0;
}

static bool same_method(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Two patterns that the same paths match, whatever their parameters are called. */
static bool same_shape(const struct route *a, const struct route *b)
{
    if (a->count != b->count || a->rest != b->rest) return false;
    if (!same_method(a->method, b->method)) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (is_param(a->segments[i]) != is_param(b->segments[i])) return false;
        if (!is_param(a->segments[i]) && !bytes_eq(a->segments[i], b->segments[i])) return false;
    }
    return true;
}

static void route_release(struct route *route)
{
    free(route->method);
    free(route->pattern);
}

void router_release(struct router *router)
{
    for (size_t i = 0; i < router->count; i++) route_release(&router->routes[i]);
    free(router->routes);
    *router = (struct router){0};
}

int router_add(struct router *router, const char *method, const char *pattern,
               dure_handler *handler)
{
    if (!pattern || !handler || (method && !*method)) return DURE_EINVALID;
    if (router->count == DURE_MAX_ROUTES) return DURE_EFULL;
    struct route *routes = realloc(router->routes, (router->count + 1) * sizeof *routes);
    if (!routes) return DURE_ENOMEM;
    router->routes = routes;
    struct route *route = &routes[router->count];
    *route = (struct route){.handler = handler};
    route->pattern = strdup(pattern);
    route->method = method ? strdup(method) : NULL;
    int err = !route->pattern || (method && !route->method) ? DURE_ENOMEM : split(route);
    for (size_t i = 0; !err && i < router->count; i++)
        if (same_shape(&routes[i], route)) err = DURE_EEXISTS;
    if (err)
        route_release(route);
    else
        router->count++;
    return err;
}

/* ---- decoding ----------------------------------------------------------------------------------
 */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

char *route_decode(struct arena *arena, struct bytes raw, bool plus)
{
    char *text = arena_alloc(arena, raw.len + 1);
    if (!text) return NULL;
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.data[i];
        if (c == '%') {
            int high = i + 2 < raw.len ? hex_value(raw.data[i + 1]) : -1;
            int low = i + 2 < raw.len ? hex_value(raw.data[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) return NULL;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        text[len++] = c;
    }
    text[len] = '\0';
    return text;
}

/* ---- finding -----------------------------------------------------------------------------------
 */

/* Whether a segment of a path, as it was sent, stands for the literal one of a pattern. */
static bool literal_matches(struct bytes raw, struct bytes literal)
{
    if (bytes_find(raw, '%') == raw.len) return bytes_eq(raw, literal);
    struct arena arena;
    arena_init(&arena, 64 * 1024);
    const char *text = route_decode(&arena, raw, false);
    bool same = text && bytes_eq(bytes_str(text), literal);
    arena_release(&arena);
    return same;
}

static bool route_matches(const struct route *route, const struct bytes *segments, size_t count)
{
    size_t fixed = route->count - route->rest;
    if (route->rest ? count < fixed : count != fixed) return false;
    for (size_t i = 0; i < fixed; i++) {
        if (is_param(route->segments[i])) {
            if (!segments[i].len) return false;
        } else if (!literal_matches(segments[i], route->segments[i])) {
            return false;
        }
    }
    return true;
}

/* Whether `a`, which matches too, is the nearer of the two: the first segment where they differ in
 * kind decides, literal before parameter before rest. */
static bool nearer(const struct route *a, const struct route *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int rank_a = is_param(a->segments[i]) + is_rest(a->segments[i]);
        int rank_b = is_param(b->segments[i]) + is_rest(b->segments[i]);
        if (rank_a != rank_b) return rank_a < rank_b;
    }
    if (a->rest != b->rest) return b->rest;
    return a->method && !b->method;
}

static bool method_fits(const struct route *route, const char *method)
{
    if (!route->method || strcmp(route->method, method) == 0) return true;
    return strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
}

static size_t split_path(struct bytes raw, struct bytes segments[ROUTE_SEGMENTS_MAX * 4])
{
    size_t count = 0;
    struct bytes rest = bytes_skip(raw, 1);
    do segments[count++] = bytes_cut(&rest, '/');
    while (rest.data && count < ROUTE_SEGMENTS_MAX * 4);
    return rest.data ? 0 : count;
}

/* The raw text that the parameter at `i` stands for. */
static struct bytes param_value(const struct route *route, size_t i, struct bytes raw_path,
                                const struct bytes *segments, size_t count)
{
    if (!is_rest(route->segments[i])) return segments[i];
    if (i >= count) return BYTES("");
    return bytes_skip(raw_path, (size_t)(segments[i].data - raw_path.data));
}

static const char *allowed(const struct router *router, const struct bytes *segments, size_t count,
                           struct arena *arena)
{
    const char *list = NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct route *route = &router->routes[i];
        if (!route_matches(route, segments, count)) continue;
        list = list ? arena_format(arena, "%s, %s", list, route->method)
                    : arena_format(arena, "%s", route->method);
        if (!list) return "";
    }
    return list;
}

const struct route *router_find(const struct router *router, const char *method,
                                struct bytes raw_path, struct arena *arena,
                                struct route_param params[ROUTE_PARAMS_MAX], size_t *ret_count,
                                int *ret_status, const char **ret_allow)
{
    struct bytes segments[ROUTE_SEGMENTS_MAX * 4];
    size_t count = raw_path.len && raw_path.data[0] == '/' ? split_path(raw_path, segments) : 0;
    const struct route *best = NULL;
    *ret_count = 0;
    *ret_allow = NULL;
    *ret_status = 404;
    if (!count) return NULL;
    for (size_t i = 0; i < router->count; i++) {
        const struct route *route = &router->routes[i];
        if (!method_fits(route, method) || !route_matches(route, segments, count)) continue;
        if (!best || nearer(route, best)) best = route;
    }
    if (!best) {
        *ret_allow = allowed(router, segments, count, arena);
        if (*ret_allow) *ret_status = 405;
        return NULL;
    }
    for (size_t i = 0; i < best->count; i++) {
        if (!is_param(best->segments[i])) continue;
        struct route_param *param = &params[(*ret_count)++];
        struct bytes value = param_value(best, i, raw_path, segments, count);
        param->name = arena_copy(arena, param_name(best->segments[i]));
        param->value = route_decode(arena, value, false);
        if (param->name && param->value) continue;
        *ret_status = arena->failed ? 503 : 400;
        return NULL;
    }
    return best;
}
