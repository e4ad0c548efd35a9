/* The keys of a gateway's own file: what they are called, what they hold, their defaults and their
 * meaning. The manual is printed from here. */
#include "gateway/gateway_config.h"

#define AT(type, member) .at = offsetof(struct type, member)
#define LIST_AT(type, member, count) AT(type, member), .count_at = offsetof(struct type, count)

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };

static bool check_address(struct bytes value, struct error *error)
{
    struct io_addr addr;
    if (io_addr_parse(value, &addr) == 0) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no address", BYTES_ARG(bytes_head(value, 80)));
    error_remedy(error, "Write it as 127.0.0.1:4001, [::1]:4001, localhost:4001 or "
                        "unix:/path/to/socket; names are not looked up.");
    return false;
}

static bool check_server(struct bytes value, struct error *error)
{
    struct io_addr addr;
    if (!check_address(value, error)) return false;
    if (io_addr_parse(value, &addr) == 0 && (addr.family == IO_UNIX || addr.port)) return true;
    error_set(error, ERR_INVALID, "`%.*s` has no port", BYTES_ARG(bytes_head(value, 80)));
    error_remedy(error, "Write the port on which the server listens.");
    return false;
}

static const struct yaml_field upstream_fields[] = {
    {.key = "name",
     .type = YAML_STRING,
     AT(gateway_upstream, name),
     .required = true,
     .example = "name: order",
     .doc = "The name by which routes refer to it. Lower-case letters, digits, `-`, `.`, `_`."},
    {.key = "servers",
     .type = YAML_STRINGS,
     LIST_AT(gateway_upstream, servers, server_count),
     .required = true,
     .max = GATEWAY_SERVERS_MAX,
     .check = check_server,
     .example = "servers: [127.0.0.1:4001]",
     .doc = "The addresses of its servers, each with a port. Requests are shared out by latency "
            "and load."},
    {.key = "connect_timeout",
     .type = YAML_DURATION,
     AT(gateway_upstream, connect_timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .fallback = "5s",
     .example = "connect_timeout: 5s",
     .doc = "For a connection to be made."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(gateway_upstream, timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .fallback = "15s",
     .example = "timeout: 15s",
     .doc = "From a request to the head of its response, with all its retries; then the client "
            "gets 504."},
    {.key = "idle_timeout",
     .type = YAML_DURATION,
     AT(gateway_upstream, idle_timeout_ms),
     .min = 1,
     .max = 24 * HOUR_MS,
     .fallback = "5m",
     .example = "idle_timeout: 5m",
     .doc = "How long the body of a response may pause."},
    {.key = "connections",
     .type = YAML_INT,
     AT(gateway_upstream, connections),
     .min = 1,
     .max = 65535,
     .fallback = "1024",
     .example = "connections: 1024",
     .doc = "At most, to each server."},
    {.key = "wait",
     .type = YAML_DURATION,
     AT(gateway_upstream, wait_ms),
     .max = MINUTE_MS,
     .fallback = "2s",
     .example = "wait: 2s",
     .doc = "How long a request waits when no server can take it, before it is answered with 503."},
    {0}};

static const struct yaml_schema upstream_schema = {"an upstream", sizeof(struct gateway_upstream),
                                                   upstream_fields};

static const struct yaml_field route_fields[] = {
    {.key = "path",
     .type = YAML_STRING,
     AT(gateway_route, path),
     .required = true,
     .example = "path: /orders",
     .doc =
         "Matches this path and all below it: `/orders` matches `/orders/7`, not `/orders2`. The "
         "longest match wins."},
    {.key = "exact",
     .type = YAML_BOOL,
     AT(gateway_route, exact),
     .fallback = "false",
     .example = "exact: true",
     .doc = "Matches this path only, and wins against every longer prefix."},
    {.key = "to",
     .type = YAML_STRING,
     AT(gateway_route, to),
     .required = true,
     .example = "to: order",
     .doc = "The upstream that answers."},
    {.key = "host",
     .type = YAML_STRING,
     AT(gateway_route, host),
     .example = "host: shop.example.org",
     .doc = "Only requests for this host; \"*.example.org\" stands for all below."},
    {.key = "method",
     .type = YAML_STRINGS,
     LIST_AT(gateway_route, methods, method_count),
     .max = ROUTE_METHODS_MAX,
     .example = "method: [GET, HEAD]",
     .doc = "Only requests with one of these methods."},
    {.key = "headers",
     .type = YAML_MAP,
     LIST_AT(gateway_route, headers, header_count),
     .example = "headers: {X-Canary: \"1\"}",
     .doc = "Only requests that have all of these header fields with these values."},
    {.key = "rewrite",
     .type = YAML_STRING,
     AT(gateway_route, rewrite),
     .example = "rewrite: /",
     .doc = "What the matched part of the path becomes before the server sees it. Left out, the "
            "path stays as it is."},
    {.key = "timeout",
     .type = YAML_DURATION,
     AT(gateway_route, timeout_ms),
     .min = 1,
     .max = HOUR_MS,
     .example = "timeout: 15s",
     .doc = "Instead of the upstream's."},
    {.key = "retries",
     .type = YAML_INT,
     AT(gateway_route, retries),
     .max = 10,
     .fallback = "2",
     .example = "retries: 2",
     .doc = "How often an idempotent request that failed is tried again, on another server where "
            "there is one."},
    {0}};

static const struct yaml_schema route_schema = {"a route", sizeof(struct gateway_route),
                                                route_fields};

static const struct yaml_field config_fields[] = {
    {.key = "listen",
     .type = YAML_STRING,
     AT(gateway_config, listen),
     .fallback = "127.0.0.1:8080",
     .check = check_address,
     .example = "listen: 127.0.0.1:8080",
     .doc = "Where requests come in. `:8080` listens on all interfaces."},
    {.key = "upstreams",
     .type = YAML_STRUCTS,
     LIST_AT(gateway_config, upstreams, upstream_count),
     .required = true,
     .max = SNAPSHOT_CLUSTERS_MAX,
     .schema = &upstream_schema,
     .example = "upstreams: [{name: order, servers: [127.0.0.1:4001]}]",
     .doc = "What requests can be sent to."},
    {.key = "routes",
     .type = YAML_STRUCTS,
     LIST_AT(gateway_config, routes, route_count),
     .required = true,
     .max = SNAPSHOT_ROUTES_MAX,
     .schema = &route_schema,
     .example = "routes: [{path: /orders, to: order}]",
     .doc = "Which request goes to which upstream. What no route matches is answered with 404."},
    {0}};

const struct yaml_schema gateway_config_schema = {"the gateway", sizeof(struct gateway_config),
                                                  config_fields};
