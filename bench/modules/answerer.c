/* answerer: answers bench.price with what it was asked. */
#include <dure/dure.h>

static int price(struct dure_ctx *ctx)
{
    size_t len;
    const char *body = dure_body(ctx, &len);
    return dure_reply(ctx, 200, NULL, body, len);
}

static int start(struct dure_ctx *ctx)
{
    return dure_on(ctx, "bench.price", price);
}

DURE_MODULE("answerer", start, NULL)
