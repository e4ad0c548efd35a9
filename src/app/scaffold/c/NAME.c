/* @NAME@: GET /@NAME@. The manual of the SDK is dure/dure.h itself. */
#include <dure/dure.h>

static int hello(struct dure_ctx *ctx)
{
    struct dure_json *reply = dure_json_object(ctx);
    dure_json_set_string(reply, "hello", "from @NAME@");
    return dure_reply_json(ctx, 200, reply);
}

static int start(struct dure_ctx *ctx)
{
    return dure_route(ctx, "GET", "/@NAME@", hello);
}

DURE_MODULE("@NAME@", start, NULL)
