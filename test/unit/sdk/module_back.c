/* A module that answers. */
#include <dure/dure.h>

#include <stdlib.h>
#include <string.h>

static struct {
    int64_t cancelled, running;
} seen;

static int item(struct dure_ctx *ctx)
{
    if (strcmp(dure_param(ctx, "id"), "0") == 0) return DURE_ENOTFOUND;
    dure_reply_header(ctx, "X-Back", "yes");
    return dure_reply_text(ctx, 200, "item %s full=%s", dure_param(ctx, "id"),
                           dure_query(ctx, "full"));
}

static int echo(struct dure_ctx *ctx)
{
    size_t len;
    const char *body = dure_body(ctx, &len);
    return dure_reply(ctx, 201, dure_header(ctx, "Content-Type"), body, len);
}

static int greet(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "%s to you (%s)", dure_body(ctx, NULL), dure_subject(ctx));
}

static int wild(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "%s|%s", dure_param(ctx, "1"), dure_param(ctx, "2"));
}

static int nap(struct dure_ctx *ctx)
{
    long ms = strtol(dure_body(ctx, NULL), NULL, 10);
    if (ms < 0) return DURE_ECONFLICT;
    seen.running++;
    int err = dure_sleep(ctx, ms);
    seen.running--;
    if (err == DURE_ECANCELLED) seen.cancelled++;
    return err ? err : dure_reply_text(ctx, 200, "%ld", ms);
}

static int remaining(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "%d", (int)dure_remaining_ms(ctx));
}

static int trace(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "%s", dure_trace_id(ctx));
}

static int stats(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "cancelled=%d running=%d", (int)seen.cancelled,
                           (int)seen.running);
}

static int ticks(struct dure_ctx *ctx)
{
    dure_log(ctx, DURE_INFO, "tick");
    return 0;
}

static int start(struct dure_ctx *ctx)
{
    int err = dure_route(ctx, "GET", "/items/{id}", item);
    if (!err) err = dure_route(ctx, "POST", "/echo", echo);
    if (!err) err = dure_route(ctx, "GET", "/stats", stats);
    if (!err) err = dure_on(ctx, "back.greet", greet);
    if (!err) err = dure_on(ctx, "back.wild.*.x.>", wild);
    if (!err) err = dure_on(ctx, "back.nap", nap);
    if (!err) err = dure_on(ctx, "back.remaining", remaining);
    if (!err) err = dure_on(ctx, "back.trace", trace);
    if (!err) err = dure_every(ctx, 20, ticks);
    if (!err && dure_on(ctx, "a..b", trace) != DURE_EINVALID) err = DURE_EINTERNAL;
    if (!err && dure_on(ctx, "a.>.b", trace) != DURE_EINVALID) err = DURE_EINTERNAL;
    return err;
}

static int stop(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_sleep(ctx, 10); /* hooks may wait */
    dure_log(ctx, DURE_INFO, "back_exit");
    return err ? err : dure_ask(ctx, "back.greet", "bye", 0, &answer);
}

DURE_MODULE("back", start, stop)
