#include "sdk/src/worker.h"

#include "sdk/src/api.h"
#include "sdk/src/buslink_parts.h"
#include "sdk/src/logger.h"
#include "sdk/src/puller.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WORKERS_MAX = 64,
    CONCURRENCY = 16,
    ACK_WAIT_MS = 30 * 1000,
    MAX_DELIVER = 5,
    RETRY_MS = 1000,
    RETRY_MAX_MS = 60 * 1000,
    SETUP_AGAIN_MS = 1000,
    EXTEND_MIN_MS = 50
};

struct worker {
    struct list link; /* in tenant->workers */
    struct tenant *tenant;
    struct dure_worker config; /* texts are our own */
    struct puller puller;
    bool stopped;
    bool complained;         /* of what keeps it from working */
    uint64_t extend_ms;      /* how often a message in work is kept */
    struct loop_timer setup; /* tries to begin */
};

/* One message in work; in its ctx's arena. */
struct worker_run {
    struct worker *worker;
    struct dure_ctx *ctx;
    struct loop_timer extend;
};

/* ---- one message -------------------------------------------------------------------------- */

static void extend(struct loop_timer *timer)
{
    struct worker_run *run = CONTAINER_OF(timer, struct worker_run, extend);
    struct buslink *bus = run->worker->puller.bus;
    buf_clear(&bus->headers);
    buslink_put(bus, run->ctx->delivery->reply, NULL, BYTES("+WPI")); /* or the next time */
    loop_timer_in_ms(&bus->host->loop, timer, run->worker->extend_ms);
}

/* Doubles with each delivery, and a little at random so that those which failed together do not
 * come together. */
static int64_t retry_delay_ms(const struct worker *worker, uint64_t deliveries)
{
    int64_t delay = worker->config.retry_ms;
    uint32_t random;
    for (uint64_t i = 1; i < deliveries && delay < worker->config.retry_max_ms; i++) delay *= 2;
    if (delay > worker->config.retry_max_ms) delay = worker->config.retry_max_ms;
    host_random(worker->tenant->host, &random, sizeof random);
    return delay - delay / 8 + (int64_t)(random % (uint64_t)(delay / 4 + 1));
}

static void finished(struct dure_ctx *ctx, int err)
{
    struct worker_run *run = ctx->finished_argument;
    struct worker *worker = run->worker;
    loop_timer_cancel(&ctx->tenant->host->loop, &run->extend);
    if (err)
        LOGGER(ctx->tenant->host, ctx->tenant, DURE_WARN, "work_failed",
               DURE_S("subject", ctx->subject), DURE_S("error", dure_error_name(err)),
               DURE_I("sequence", (int64_t)ctx->delivery->sequence),
               DURE_I("delivery", (int64_t)ctx->delivery->deliveries));
    buslink_settle(ctx, err, retry_delay_ms(worker, ctx->delivery->deliveries));
    worker->puller.held--;
    puller_fill(&worker->puller);
}

/* It never began: another may have it at once. */
static void hand_back(struct worker *worker, const struct nats_frame *frame)
{
    struct buslink *bus = worker->puller.bus;
    char reply[1024];
    if (!frame->reply.len || frame->reply.len >= sizeof reply) return;
    snprintf(reply, sizeof reply, "%.*s", BYTES_ARG(frame->reply));
    buf_clear(&bus->headers);
    buslink_put(bus, reply, NULL, BYTES("-NAK")); /* or when its time is over */
}

static void came(struct puller *puller, const struct nats_frame *frame)
{
    struct worker *worker = CONTAINER_OF(puller, struct worker, puller);
    struct host *host = worker->tenant->host;
    const char *reply;
    struct dure_ctx *ctx =
        worker->stopped ? NULL : ctx_new(worker->tenant, CTX_MESSAGE, worker->config.handler);
    if (!ctx) {
        hand_back(worker, frame);
        return;
    }
    struct worker_run *run = arena_alloc(&ctx->arena, sizeof *run);
    int err =
        run ? buslink_fill(ctx, frame, worker->config.filter ? worker->config.filter : ">", &reply)
            : DURE_ENOMEM;
    if (!run || !ctx->delivery) { /* nothing can be said of it but that it comes again */
        LOGGER(host, worker->tenant, DURE_ERROR, "work_dropped",
               DURE_S("error", dure_error_name(err)));
        ctx_free(ctx);
        hand_back(worker, frame);
        return;
    }
    ctx->deadline_ns =
        loop_monotonic_ns() + (uint64_t)worker->config.timeout_ms * UINT64_C(1000000);
    *run = (struct worker_run){worker, ctx, {.fire = extend}};
    ctx->finished = finished;
    ctx->finished_argument = run;
    puller->held++;
    if (err) {
        ctx_refuse(ctx, err);
        return;
    }
    loop_timer_in_ms(&host->loop, &run->extend, worker->extend_ms);
    ctx_start(ctx);
}

/* ---- the consumer ------------------------------------------------------------------------- */

static void lost(struct puller *puller, int err, struct bytes text)
{
    struct worker *worker = CONTAINER_OF(puller, struct worker, puller);
    char why[128];
    snprintf(why, sizeof why, "%.*s", BYTES_ARG(bytes_head(text, sizeof why - 1)));
    LOGGER(worker->tenant->host, worker->tenant, DURE_WARN, "queue_lost",
           DURE_S("consumer", worker->config.consumer), DURE_S("why", why));
    if (!worker->stopped)
        loop_timer_in_ms(&worker->tenant->host->loop, &worker->setup, SETUP_AGAIN_MS);
}

static json_t *describe(const struct worker *worker)
{
    const struct dure_worker *config = &worker->config;
    json_t *consumer = json_object(), *request = json_object();
    json_object_set_new(consumer, "durable_name", json_string(config->consumer));
    json_object_set_new(consumer, "name", json_string(config->consumer));
    json_object_set_new(consumer, "ack_policy", json_string("explicit"));
    json_object_set_new(consumer, "deliver_policy", json_string("all"));
    json_object_set_new(consumer, "ack_wait", json_integer(config->ack_wait_ms * 1000000));
    json_object_set_new(consumer, "max_deliver", json_integer(config->max_deliver));
    if (config->filter)
        json_object_set_new(consumer, "filter_subject", json_string(config->filter));
    json_object_set_new(request, "stream_name", json_string(config->stream));
    json_object_set_new(request, "config", consumer);
    return request;
}

/* Finds the consumer or makes it; *ret_ack_wait_ms is what holds. */
static int find_consumer(struct dure_ctx *ctx, const struct worker *worker,
                         uint64_t *ret_ack_wait_ms)
{
    const struct dure_worker *config = &worker->config;
    char what[600];
    json_t *answer = NULL;
    snprintf(what, sizeof what, "CONSUMER.INFO.%s.%s", config->stream, config->consumer);
    int err = api_request(ctx, what, NULL, 0, &answer);
    if (err == DURE_ENOTFOUND) {
        snprintf(what, sizeof what, "CONSUMER.DURABLE.CREATE.%s.%s", config->stream,
                 config->consumer);
        err = api_request(ctx, what, describe(worker), 0, &answer);
    }
    *ret_ack_wait_ms = api_u64(json_object_get(answer, "config"), "ack_wait") / 1000000;
    json_decref(answer);
    return err;
}

static void set_up_returned(struct dure_ctx *ctx, int err)
{
    struct worker *worker = ctx->finished_argument;
    if (worker->stopped || !err) return;
    if (!worker->complained)
        LOGGER(ctx->tenant->host, ctx->tenant, DURE_ERROR, "queue_not_ready",
               DURE_S("stream", worker->config.stream), DURE_S("consumer", worker->config.consumer),
               DURE_S("error", dure_error_name(err)), DURE_S("why", dure_reason(ctx)));
    worker->complained = true;
    loop_timer_in_ms(&ctx->tenant->host->loop, &worker->setup, SETUP_AGAIN_MS);
}

static int set_up(struct dure_ctx *ctx)
{
    struct worker *worker = ctx->finished_argument;
    uint64_t ack_wait_ms;
    int err = find_consumer(ctx, worker, &ack_wait_ms);
    if (err || worker->stopped) return err;
    worker->complained = false;
    worker->extend_ms = ack_wait_ms / 3 > EXTEND_MIN_MS ? ack_wait_ms / 3 : EXTEND_MIN_MS;
    size_t held = worker->puller.held;
    puller_stop(&worker->puller); /* of a consumer that was lost */
    worker->puller.ahead = 0;
    err = puller_start(&worker->puller, ctx->tenant->host->bus, worker->config.stream,
                       worker->config.consumer);
    if (err) return err;
    worker->puller.route.service = true;
    worker->puller.held = held;
    worker->puller.ahead = worker->config.concurrency;
    puller_fill(&worker->puller);
    return 0;
}

static void begin(struct loop_timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, setup);
    struct dure_ctx *ctx = ctx_new(worker->tenant, CTX_HOOK, set_up);
    if (!ctx) {
        loop_timer_in_ms(&worker->tenant->host->loop, timer, SETUP_AGAIN_MS);
        return;
    }
    ctx_set_deadline(ctx, NULL);
    ctx->finished = set_up_returned;
    ctx->finished_argument = worker;
    ctx_start(ctx);
}

/* ---- life --------------------------------------------------------------------------------- */

void worker_start_all(struct tenant *tenant)
{
    LIST_EACH(&tenant->workers, struct worker, link, worker)
        loop_timer_in_ms(&tenant->host->loop, &worker->setup, 0);
}

void worker_stop_all(struct tenant *tenant)
{
    LIST_EACH(&tenant->workers, struct worker, link, worker) {
        worker->stopped = true;
        worker->puller.ahead = 0;
        loop_timer_cancel(&tenant->host->loop, &worker->setup);
    }
}

static void worker_free(struct worker *worker)
{
    puller_stop(&worker->puller);
    loop_timer_cancel(&worker->tenant->host->loop, &worker->setup);
    list_remove(&worker->link);
    free((char *)worker->config.stream);
    free((char *)worker->config.consumer);
    free((char *)worker->config.filter);
    free(worker);
}

void worker_free_all(struct tenant *tenant)
{
    LIST_EACH(&tenant->workers, struct worker, link, worker) worker_free(worker);
}

static bool config_valid(const struct dure_worker *config)
{
    if (!config || !config->handler) return false;
    if (!api_name_valid(config->stream) || !api_name_valid(config->consumer)) return false;
    if (config->filter && !busname_valid(config->filter, true)) return false;
    if (config->concurrency > DURE_MAX_QUEUED || config->max_deliver < -1) return false;
    return config->timeout_ms >= 0 && config->ack_wait_ms >= 0 && config->retry_ms >= 0 &&
           config->retry_max_ms >= 0;
}

static void set_defaults(struct worker *worker)
{
    struct dure_worker *config = &worker->config;
    if (!config->concurrency) config->concurrency = CONCURRENCY;
    if (!config->timeout_ms) config->timeout_ms = (int64_t)worker->tenant->host->limits.timeout_ms;
    if (!config->ack_wait_ms) config->ack_wait_ms = ACK_WAIT_MS;
    if (!config->max_deliver) config->max_deliver = MAX_DELIVER;
    if (!config->retry_ms) config->retry_ms = RETRY_MS;
    if (!config->retry_max_ms) config->retry_max_ms = RETRY_MAX_MS;
}

int dure_work(struct dure_ctx *ctx, const struct dure_worker *config)
{
    struct tenant *tenant = ctx->tenant;
    size_t count = 0;
    if (tenant->state != TENANT_STARTING) return DURE_ECLOSED;
    if (!config_valid(config)) return DURE_EINVALID;
    LIST_EACH(&tenant->workers, struct worker, link, each) count += each->tenant == tenant;
    if (count >= WORKERS_MAX) return DURE_EFULL;
    struct worker *worker = calloc(1, sizeof *worker);
    if (!worker) return DURE_ENOMEM;
    worker->tenant = tenant;
    worker->config = *config;
    worker->config.stream = strdup(config->stream);
    worker->config.consumer = strdup(config->consumer);
    worker->config.filter = config->filter ? strdup(config->filter) : NULL;
    worker->setup.fire = begin;
    worker->puller.message = came;
    worker->puller.lost = lost;
    list_init(&worker->puller.route.link);
    list_init(&worker->link);
    set_defaults(worker);
    if (!worker->config.stream || !worker->config.consumer ||
        (config->filter && !worker->config.filter)) {
        worker_free(worker);
        return DURE_ENOMEM;
    }
    list_push(&tenant->workers, &worker->link);
    return 0;
}

/* ---- of the message at hand --------------------------------------------------------------- */

const struct dure_message *dure_delivery(struct dure_ctx *ctx)
{
    return ctx->delivery;
}

int dure_give_up(struct dure_ctx *ctx, const char *reason)
{
    ctx->verdict = CTX_GIVE_UP;
    ctx->verdict_reason = reason ? arena_copy(&ctx->arena, bytes_str(reason)) : "";
    if (!ctx->verdict_reason) ctx->verdict_reason = "";
    return DURE_EREMOTE;
}

int dure_again(struct dure_ctx *ctx, int64_t delay_ms)
{
    ctx->verdict = CTX_RETRY_IN;
    ctx->verdict_delay_ms = delay_ms > 0 ? delay_ms : 0;
    return DURE_EREMOTE;
}
