#include "gateway/gateway_route.h"

int gateway_add_route(struct snapshot_builder *builder, const struct gateway_route_text *text,
                      struct error *error)
{
    struct route_header headers[ROUTE_HEADERS_MAX];
    if (text->header_count > ROUTE_HEADERS_MAX)
        return error_set(error, ERR_INVALID, "more than %d headers in one route",
                         ROUTE_HEADERS_MAX);
    for (size_t i = 0; i < text->header_count; i++)
        headers[i] = (struct route_header){text->headers[i].key, text->headers[i].value};
    struct route_spec spec = {
        .host = text->host,
        .path = text->path,
        .cluster = text->to,
        .match = text->exact ? PATH_EXACT : PATH_PREFIX,
        .methods = text->methods,
        .method_count = text->method_count,
        .headers = headers,
        .header_count = text->header_count,
        .has_rewrite = text->rewrite.len > 0,
        .rewrite = text->rewrite,
        .request_timeout_ms = text->timeout_ms,
        .retries = text->retries ? text->retries : POLICY_NONE,
    };
    return snapshot_add_route(builder, &spec, error);
}

int gateway_complain(const struct yaml_source *source, const void *member,
                     const struct error *error, struct errors *errors)
{
    struct error *placed = yaml_error(source, member, errors);
    error_set(placed, error->code, "%s", error->message);
    if (error->remedy[0]) error_remedy(placed, "%s", error->remedy);
    return error->code;
}
