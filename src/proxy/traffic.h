/* traffic: what is counted for one name (a route or a service), by name across snapshots. Owned by
 * references: one for each generation that has the name, and by who else asks. */
#ifndef DURE_PROXY_TRAFFIC_H
#define DURE_PROXY_TRAFFIC_H

#include "base/list.h"
#include "base/map.h"
#include "proxy/proxy.h"

struct traffic {
    struct map *map; /* where it is found by name */
    size_t refs;
    struct bytes name;
    char *labels; /* for the exposition, escaped */
    struct traffic_metrics metrics;

    /* of a service */
    uint32_t retrying;   /* its requests that are beyond their first attempt */
    struct list waiters; /* its requests that wait for an endpoint (struct request.wait_link) */
};

/* The one of that name in `map`, referenced; made when there is none: its label is `label`. */
int traffic_get(struct map *map, struct bytes name, const char *label,
                struct traffic **ret_traffic);

void traffic_ref(struct traffic *traffic);

/* NULL is allowed. */
void traffic_unref(struct traffic *traffic);

/* Counts the end of a request; status 0: none was sent. */
void traffic_count(struct traffic *traffic, const struct access_event *event);

#endif
