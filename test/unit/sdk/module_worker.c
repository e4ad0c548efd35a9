/* A module that works on a queue. What the message says is what happens. */
#include <dure/dure.h>

#include <stdlib.h>
#include <string.h>

static int64_t done, running, most;

static int work(struct dure_ctx *ctx)
{
    const char *body = dure_body(ctx, NULL);
    const struct dure_message *delivery = dure_delivery(ctx);
    if (++running > most) most = running;
    int err = 0;
    if (strncmp(body, "sleep ", 6) == 0) err = dure_sleep(ctx, strtol(body + 6, NULL, 10));
    running--;
    if (err) return err;
    if (strcmp(body, "twice") == 0 && delivery->deliveries < 2) return dure_again(ctx, 10);
    if (strcmp(body, "fail") == 0) return DURE_EIO;
    if (strcmp(body, "poison") == 0) return dure_give_up(ctx, "it is poison");
    done++;
    dure_log(ctx, DURE_INFO, "worked", DURE_S("body", body), DURE_S("token", dure_param(ctx, "1")),
             DURE_I("sequence", (int64_t)delivery->sequence),
             DURE_I("deliveries", (int64_t)delivery->deliveries));
    return 0;
}

static int stats(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "done=%d most=%d", (int)done, (int)most);
}

static int start(struct dure_ctx *ctx)
{
    const struct dure_worker jobs = {.stream = "JOBS",
                                     .consumer = "worker",
                                     .filter = "jobs.*",
                                     .handler = work,
                                     .concurrency = 4,
                                     .ack_wait_ms = 1000,
                                     .max_deliver = 3,
                                     .retry_ms = 20,
                                     .retry_max_ms = 100};
    struct dure_worker bad = jobs;
    bad.consumer = "a.b";
    if (dure_work(ctx, &bad) != DURE_EINVALID) return DURE_EINTERNAL;
    int err = dure_route(ctx, "GET", "/stats", stats);
    return err ? err : dure_work(ctx, &jobs);
}

DURE_MODULE("worker", start, NULL)
