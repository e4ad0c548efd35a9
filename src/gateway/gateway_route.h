/* One route as it is written, in dure.yaml or in a gateway's own file. Private to this folder. */
#ifndef DURE_GATEWAY_GATEWAY_ROUTE_H
#define DURE_GATEWAY_GATEWAY_ROUTE_H

#include "proxy/snapshot.h"
#include "wire/yaml.h"

struct gateway_route_text {
    struct bytes path, host, to, rewrite;
    bool exact;
    const struct bytes *methods;
    size_t method_count;
    const struct yaml_pair *headers;
    size_t header_count;
    uint32_t timeout_ms; /* 0: the cluster's */
    uint32_t retries;    /* 0: none */
};

int gateway_add_route(struct snapshot_builder *builder, const struct gateway_route_text *text,
                      struct error *error);

/* Adds `error` at the place of `member`; returns its number. */
int gateway_complain(const struct yaml_source *source, const void *member,
                     const struct error *error, struct errors *errors);

#endif
