/* gateway_config: a gateway that runs alone (`dure gateway --config FILE`): one file says where it
 * listens, which upstreams there are and which requests go to which.
 *
 *     listen: 127.0.0.1:8080
 *     upstreams:
 *       - name: order
 *         servers: [127.0.0.1:4001, 127.0.0.1:4002]
 *     routes:
 *       - path: /orders
 *         to: order
 *
 * Everything lives in the arena that it was parsed into; a snapshot keeps nothing of it. */
#ifndef DURE_GATEWAY_GATEWAY_CONFIG_H
#define DURE_GATEWAY_GATEWAY_CONFIG_H

#include "proxy/snapshot.h"
#include "wire/yaml.h"

enum { GATEWAY_SERVERS_MAX = 1024 };

struct gateway_upstream {
    struct bytes name;
    struct bytes *servers; /* addresses */
    size_t server_count;
    uint32_t connect_timeout_ms, timeout_ms, idle_timeout_ms;
    uint32_t connections; /* to each server */
    uint32_t wait_ms;
};

struct gateway_route {
    struct bytes path;
    bool exact;
    struct bytes host;
    struct bytes *methods;
    size_t method_count;
    struct yaml_pair *headers;
    size_t header_count;
    struct bytes to, rewrite;
    uint32_t timeout_ms; /* 0: the upstream's */
    uint32_t retries;
};

struct gateway_config {
    const struct yaml_source *source;
    struct bytes listen;
    struct io_addr listen_addr;
    struct gateway_upstream *upstreams;
    size_t upstream_count;
    struct gateway_route *routes;
    size_t route_count;
};

/* Parses and checks `text`; `name` is the file's, for errors. All mistakes go to `errors`; returns
 * 0 or the number of the first. */
int gateway_config_parse(struct bytes text, const char *name, struct arena *arena,
                         struct errors *errors, struct gateway_config **ret_config);

/* Compiles what was parsed without mistakes. */
int gateway_config_compile(const struct gateway_config *config, struct errors *errors,
                           struct snapshot **ret_snapshot);

/* The table of the file's keys, for the manual. */
extern const struct yaml_schema gateway_config_schema;

#endif
