/* pick: which endpoint of a cluster a request is sent to next. Asks for the best that there is: one
 * that is up, not ejected, has room and was not tried by this request; failing that one that was
 * tried; failing that one that is ejected (to be out of reach altogether would be worse). A split
 * cluster draws the version first. */
#ifndef DURE_PROXY_PICK_H
#define DURE_PROXY_PICK_H

#include "proxy/generation.h"

enum { PICK_TRIED_MAX = 4 };

/* Upstreams that a request has been with, to be avoided; only compared. */
struct pick_tried {
    const struct upstream *upstreams[PICK_TRIED_MAX];
    uint32_t count;
};

void pick_tried_add(struct pick_tried *tried, const struct upstream *upstream);

/* NULL: none can be used now. */
const struct endpoint *pick_endpoint(const struct generation *generation,
                                     const struct cluster *cluster, const struct pick_tried *tried,
                                     uint64_t now_ns, uint64_t random);

/* How a cluster stands, for error documents and for ejection. */
struct pick_census {
    uint32_t endpoints, up, starting, down, draining;
    uint32_t ejected, full; /* of those that are up */
};

struct pick_census pick_count(const struct generation *generation, const struct cluster *cluster,
                              uint64_t now_ns);

#endif
