/* bus_route: a subscription on the bus link: where messages to `subject` go. Embedded in its owner,
 * who takes it out (buslink_route_remove) before it dies. */
#ifndef DURE_SDK_BUS_ROUTE_H
#define DURE_SDK_BUS_ROUTE_H

#include "base/list.h"

#include <stdint.h>

struct nats_frame;

struct bus_route {
    struct list link;
    const char *subject, *group; /* the owner's; group NULL: none */
    bool service;                /* of a module: ends when the process begins to stop */
    void (*deliver)(struct bus_route *route, const struct nats_frame *frame);
    void (*renewed)(struct bus_route *route); /* a new connection has it; may be NULL */
    uint64_t sid;
    char sid_text[24];
};

#endif
