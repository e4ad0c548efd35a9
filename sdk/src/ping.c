#include "sdk/src/ping.h"

#include "sdk/src/tenant.h"

static int pong(struct dure_ctx *ctx)
{
    ctx->report_span = false; /* nobody's request */
    struct dure_json *reply = dure_json_object(ctx);
    dure_json_set_string(reply, "type", "io.nats.micro.v1.ping_response");
    dure_json_set_string(reply, "name", ctx->tenant->name);
    dure_json_set_string(reply, "id", tenant_env(ctx->tenant, "DURE_INSTANCE"));
    dure_json_set_string(reply, "version", tenant_env(ctx->tenant, "DURE_VERSION"));
    return dure_reply_json(ctx, 200, reply);
}

int ping_register(struct dure_ctx *ctx)
{
    const char *instance = tenant_env(ctx->tenant, "DURE_INSTANCE");
    if (!instance) return 0;
    const char *subject = dure_format(ctx, "$SRV.PING.%s.%s", ctx->tenant->name, instance);
    return subject ? dure_on_group(ctx, subject, NULL, pong) : DURE_ENOMEM;
}
