#include "gateway/gateway.h"

#include "gateway/gateway_route.h"

static int add_service(struct snapshot_builder *builder, const struct manifest_service *service,
                       struct errors *errors)
{
    struct error error = {0};
    struct cluster_spec spec = {.name = service->name};
    int err = snapshot_add_cluster(builder, &spec, &error);
    return err ? gateway_complain(service->source, &service->name, &error, errors) : 0;
}

static int add_route(struct snapshot_builder *builder, const struct yaml_source *source,
                     const struct manifest_route *route, struct errors *errors)
{
    struct gateway_route_text text = {
        .path = route->path,
        .host = route->host,
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
    return err ? gateway_complain(source, &route->path, &error, errors) : 0;
}

int gateway_add_manifest(struct snapshot_builder *builder, const struct manifest *manifest,
                         struct errors *errors)
{
    int first = 0;
    for (size_t i = 0; i < manifest->service_count; i++) {
        int err = add_service(builder, manifest->services[i], errors);
        if (!first) first = err;
    }
    const struct manifest_gateway *gateway = &manifest->system->gateway;
    for (size_t i = 0; i < gateway->route_count; i++) {
        int err = add_route(builder, manifest->system->source, &gateway->routes[i], errors);
        if (!first) first = err;
    }
    return first;
}
