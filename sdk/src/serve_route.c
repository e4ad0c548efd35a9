/* Which handler a request gets, and the handlers that are there without the module. */
#include "sdk/src/serve.h"

#include "sdk/src/buslink.h"

static int unknown_path(struct dure_ctx *ctx)
{
    return dure_reply_problem(ctx, 404, "%s has nothing at %s", dure_service(ctx), dure_path(ctx));
}

static int bad_path(struct dure_ctx *ctx)
{
    return dure_reply_problem(ctx, 400, "the path has an escape that is none");
}

static int wrong_method(struct dure_ctx *ctx)
{
    dure_reply_header(ctx, "Allow", ctx->allow);
    return dure_reply_problem(ctx, 405, "%s answers %s, not %s", dure_path(ctx), ctx->allow,
                              dure_method(ctx));
}

/* Ready is another word for: init has returned, and nobody has asked to stop. A bus that is away
 * does not make a service unhealthy: its requests wait for the bus until their deadline. */
static int health(struct dure_ctx *ctx)
{
    struct host *host = ctx->tenant->host;
    bool up = ctx->tenant->state == TENANT_UP;
    struct dure_json *json = dure_json_object(ctx);
    dure_json_set_string(json, "status", up ? "up" : "stopping");
    dure_json_set_string(json, "service", ctx->tenant->name);
    if (host->instance) dure_json_set_string(json, "instance", host->instance);
    dure_json_set_string(json, "bus", buslink_state_name(host->bus));
    dure_json_set_int(json, "handlers", (int64_t)ctx->tenant->run_count);
    return dure_reply_json(ctx, up ? 200 : 503, json);
}

static bool is_health(const struct dure_ctx *ctx, struct bytes raw_path)
{
    bool reads = strcmp(ctx->method, "GET") == 0 || strcmp(ctx->method, "HEAD") == 0;
    return reads && bytes_eq(raw_path, BYTES("/health"));
}

void serve_route(struct dure_ctx *ctx, struct bytes raw_path)
{
    int status;
    const struct route *route =
        router_find(&ctx->tenant->router, ctx->method, raw_path, &ctx->arena, ctx->params,
                    &ctx->param_count, &status, &ctx->allow);
    ctx->path = route_decode(&ctx->arena, raw_path, false);
    ctx->span_kind = "server";
    ctx->span_name =
        arena_format(&ctx->arena, "%s %s", ctx->method, route ? route->pattern : "(no route)");
    if (!ctx->path) {
        ctx->path = "";
        ctx->handler = bad_path;
    } else if (route) {
        ctx->handler = route->handler;
    } else if (is_health(ctx, raw_path)) {
        ctx->handler = health;
        ctx->report_span = false; /* nobody's request */
    } else {
        ctx->handler = status == 405 ? wrong_method : status == 404 ? unknown_path : bad_path;
    }
}
