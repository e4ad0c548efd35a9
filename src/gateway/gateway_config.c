#include "gateway/gateway_config.h"

#include "gateway/gateway_route.h"

int gateway_config_parse(struct bytes text, const char *name, struct arena *arena,
                         struct errors *errors, struct gateway_config **ret_config)
{
    void *value = NULL;
    const struct yaml_source *source = NULL;
    int err = yaml_bind(&gateway_config_schema, text, name, arena, errors, &value, &source);
    struct gateway_config *config = value;
    if (config) config->source = source;
    *ret_config = config;
    if (err || !config) return err;
    if (io_addr_parse(config->listen, &config->listen_addr) == 0) return 0;
    return error_set(yaml_error(source, &config->listen, errors), ERR_INVALID,
                     "`%.*s` is no address", BYTES_ARG(bytes_head(config->listen, 80)));
}

static int add_server(struct snapshot_builder *builder, const struct gateway_upstream *upstream,
                      struct bytes server, struct error *error)
{
    struct endpoint_spec spec = {.cluster = upstream->name, .health = ENDPOINT_UP};
    int err = io_addr_parse(server, &spec.addr);
    if (err)
        return error_set(error, err, "`%.*s` is no address", BYTES_ARG(bytes_head(server, 80)));
    return snapshot_add_endpoint(builder, &spec, error);
}

static int add_upstream(struct snapshot_builder *builder, const struct gateway_config *config,
                        const struct gateway_upstream *upstream, struct errors *errors)
{
    struct error error = {0};
    struct cluster_spec spec = {
        .name = upstream->name,
        .policy = {.connect_timeout_ms = upstream->connect_timeout_ms,
                   .request_timeout_ms = upstream->timeout_ms,
                   .idle_timeout_ms = upstream->idle_timeout_ms,
                   .connections_max = upstream->connections,
                   .wait_ms = upstream->wait_ms ? upstream->wait_ms : POLICY_NONE},
    };
    int first = snapshot_add_cluster(builder, &spec, &error);
    if (first) return gateway_complain(config->source, &upstream->name, &error, errors);
    for (size_t i = 0; i < upstream->server_count; i++) {
        int err = add_server(builder, upstream, upstream->servers[i], &error);
        if (err) gateway_complain(config->source, &upstream->servers[i], &error, errors);
        if (!first) first = err;
    }
    return first;
}

static int add_route(struct snapshot_builder *builder, const struct gateway_config *config,
                     const struct gateway_route *route, struct errors *errors)
{
    struct gateway_route_text text = {
        .path = route->path,
        .host = route->host,
        .exact = route->exact,
        .methods = route->methods,
        .method_count = route->method_count,
        .headers = route->headers,
        .header_count = route->header_count,
        .to = route->to,
        .rewrite = route->rewrite,
        .timeout_ms = route->timeout_ms,
        .retries = route->retries,
    };
    struct error error = {0};
    int err = gateway_add_route(builder, &text, &error);
    return err ? gateway_complain(config->source, &route->path, &error, errors) : 0;
}

static const struct gateway_upstream *find_upstream(const struct gateway_config *config,
                                                    struct bytes name)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (bytes_eq(config->upstreams[i].name, name)) return &config->upstreams[i];
    return NULL;
}

/* The builder finds this too, but without the place. */
static int check_target(const struct gateway_config *config, const struct gateway_route *route,
                        struct errors *errors)
{
    if (find_upstream(config, route->to)) return 0;
    struct error *error = yaml_error(config->source, &route->to, errors);
    error_set(error, ERR_NOT_FOUND, "there is no upstream `%.*s`",
              BYTES_ARG(bytes_head(route->to, 80)));
    struct bytes nearest = BYTES("");
    size_t distance_max = 3;
    for (size_t i = 0; i < config->upstream_count; i++) {
        struct bytes name = config->upstreams[i].name;
        size_t distance = bytes_distance(route->to, name, distance_max);
        if (distance >= distance_max) continue;
        nearest = name;
        distance_max = distance;
    }
    if (nearest.len)
        error_remedy(error, "Did you mean `%.*s`?", BYTES_ARG(nearest));
    else
        error_remedy(error, "Add it to `upstreams`.");
    return ERR_NOT_FOUND;
}

static int add_all(struct snapshot_builder *builder, const struct gateway_config *config,
                   struct errors *errors)
{
    int first = 0;
    for (size_t i = 0; i < config->upstream_count; i++) {
        int err = add_upstream(builder, config, &config->upstreams[i], errors);
        if (!first) first = err;
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct gateway_route *route = &config->routes[i];
        int err = add_route(builder, config, route, errors);
        if (!err) err = check_target(config, route, errors);
        if (!first) first = err;
    }
    return first;
}

int gateway_config_compile(const struct gateway_config *config, struct errors *errors,
                           struct snapshot **ret_snapshot)
{
    struct snapshot_builder *builder;
    int err = snapshot_builder_new(&builder);
    if (err) return error_set(yaml_error(config->source, config, errors), err, "out of memory");
    err = add_all(builder, config, errors);
    if (!err) {
        struct error error = {0};
        err = snapshot_build(builder, ret_snapshot, &error);
        if (err) gateway_complain(config->source, &config->routes, &error, errors);
    }
    snapshot_builder_free(builder);
    return err;
}
