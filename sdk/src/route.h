/* route: which handler answers a method and a path. Patterns are split into segments once; a path
 * is matched segment by segment as it was sent, and decoded only then, so "%2F" does not divide. */
#ifndef DURE_SDK_ROUTE_H
#define DURE_SDK_ROUTE_H

#include "base/arena.h"
#include "dure/dure.h"

enum { ROUTE_SEGMENTS_MAX = 32, ROUTE_PARAMS_MAX = 16 };

struct route_param {
    const char *name, *value;
};

struct route {
    char *method; /* NULL: any */
    char *pattern;
    dure_handler *handler;
    struct bytes segments[ROUTE_SEGMENTS_MAX]; /* of pattern; those with '{' are parameters */
    size_t count;
    bool rest; /* the last segment is "{name...}" */
};

struct router {
    struct route *routes;
    size_t count;
};

void router_release(struct router *router);

/* 0, DURE_EINVALID, DURE_EEXISTS, DURE_EFULL, DURE_ENOMEM. */
int router_add(struct router *router, const char *method, const char *pattern,
               dure_handler *handler);

/* The best route for a request, or NULL; then *ret_status is 404 or 405 (and `allow` has the list
 * of methods), or 400 when the path has a broken escape. Parameters are decoded into `arena`. */
const struct route *router_find(const struct router *router, const char *method,
                                struct bytes raw_path, struct arena *arena,
                                struct route_param params[ROUTE_PARAMS_MAX], size_t *ret_count,
                                int *ret_status, const char **ret_allow);

/* Percent-decodes into `arena` with a NUL behind; NULL for a broken escape, an encoded NUL, or no
 * memory. `plus`: '+' is a space (query strings). */
char *route_decode(struct arena *arena, struct bytes raw, bool plus);

#endif
