/* nats_permissions: what a user may publish and subscribe to, as a configuration or a JWT says it.
 * Plain values; the views belong to whoever read them. bus/permissions.h answers questions. */
#ifndef DURE_WIRE_NATS_PERMISSIONS_H
#define DURE_WIRE_NATS_PERMISSIONS_H

#include "base/bytes.h"

/* Patterns; for subscribing also "pattern queue", which speaks of that queue group alone. */
struct nats_subjects {
    struct bytes *allow;
    size_t allow_count;
    struct bytes *deny; /* stronger than allow */
    size_t deny_count;
    bool allow_given; /* only what `allow` says, be it nothing; else everything */
};

struct nats_permissions {
    struct nats_subjects publish, subscribe;
    bool responses;          /* may answer the requests that it gets */
    int64_t max_responses;   /* to one request; < 0: any number */
    int64_t response_ttl_ms; /* how long; < 0: for ever */
};

#endif
