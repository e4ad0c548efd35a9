/* A queue by hand: messages of a durable consumer, and what becomes of them. */
#include "sdk/src/api.h"
#include "sdk/src/buslink_parts.h"
#include "sdk/src/message.h"
#include "sdk/src/puller.h"

#include <stdlib.h>

struct dure_pull {
    struct ctx_resource resource;
    struct dure_ctx *ctx;
    struct puller puller;
    char *stream, *consumer;
    struct message_queue queue;
    bool lost; /* whether it is still there has to be asked */
};

static void came(struct puller *puller, const struct nats_frame *frame)
{
    struct dure_pull *pull = CONTAINER_OF(puller, struct dure_pull, puller);
    struct message *message = message_new(frame);
    if (!message) return; /* it comes again when its time is over */
    message_queue_push(&pull->queue, message);
    puller->held = pull->queue.count;
    ctx_wake(pull->ctx);
}

static void lost(struct puller *puller, int err, struct bytes text)
{
    struct dure_pull *pull = CONTAINER_OF(puller, struct dure_pull, puller);
    pull->lost = true;
    ctx_wake(pull->ctx);
}

/* Not every server answers a request for messages of a consumer that it has not: so it is asked
 * for first, and again when it was lost. */
static int begin(struct dure_pull *pull)
{
    char what[PULLER_SUBJECT];
    json_t *answer;
    puller_stop(&pull->puller);
    snprintf(what, sizeof what, "CONSUMER.INFO.%s.%s", pull->stream, pull->consumer);
    int err = api_request(pull->ctx, what, NULL, 0, &answer);
    if (err) return err;
    bool push = *api_text(json_object_get(answer, "config"), "deliver_subject");
    json_decref(answer);
    if (push)
        return ctx_fail(pull->ctx, DURE_EINVALID, 0, "it is a push consumer: subscribe to it");
    pull->lost = false;
    err = puller_start(&pull->puller, pull->ctx->tenant->host->bus, pull->stream, pull->consumer);
    pull->puller.held = pull->queue.count;
    return err;
}

/* Without a connection there is nobody to hand it back to: it comes again by itself. */
static void hand_back(struct dure_pull *pull, const struct message *message)
{
    struct buslink *bus = pull->ctx->tenant->host->bus;
    buf_clear(&bus->headers);
    buslink_put(bus, message->public.reply, NULL, BYTES("-NAK"));
}

static void release(struct ctx_resource *resource)
{
    struct dure_pull *pull = CONTAINER_OF(resource, struct dure_pull, resource);
    const struct message *message;
    puller_stop(&pull->puller);
    while ((message = message_queue_take(&pull->queue))) hand_back(pull, message);
    free(pull->stream);
    free(pull->consumer);
    free(pull);
}

int dure_pull_open(struct dure_ctx *ctx, const struct dure_pull_options *options,
                   struct dure_pull **ret_pull)
{
    *ret_pull = NULL;
    if (!options || !api_name_valid(options->stream) || !api_name_valid(options->consumer))
        return DURE_EINVALID;
    if (options->ahead > DURE_MAX_QUEUED) return DURE_EINVALID;
    struct dure_pull *pull = calloc(1, sizeof *pull);
    if (!pull) return DURE_ENOMEM;
    pull->ctx = ctx;
    message_queue_init(&pull->queue);
    pull->puller.ahead = options->ahead;
    pull->puller.message = came;
    pull->puller.lost = lost;
    list_init(&pull->puller.route.link);
    pull->stream = strdup(options->stream);
    pull->consumer = strdup(options->consumer);
    int err = pull->stream && pull->consumer ? begin(pull) : DURE_ENOMEM;
    if (err) {
        release(&pull->resource);
        return err;
    }
    ctx_own(ctx, &pull->resource, release);
    *ret_pull = pull;
    return 0;
}

void dure_pull_close(struct dure_pull *pull)
{
    if (!pull) return;
    ctx_disown(&pull->resource);
    release(&pull->resource);
}

/* Without `ahead` a message is asked for only while somebody waits here. */
int dure_pull_next(struct dure_pull *pull, int64_t timeout_ms, struct dure_message *ret_message)
{
    struct puller *puller = &pull->puller;
    bool by_hand = !puller->ahead;
    struct await await;
    int err = 0;
    *ret_message = (struct dure_message){.subject = "", .reply = "", .body = ""};
    if (timeout_ms < 0) return DURE_EINVALID;
    if (by_hand) {
        puller->ahead = 1;
        puller_fill(puller);
    }
    await_begin(&await, pull->ctx, timeout_ms);
    while (!err && !pull->queue.count) err = pull->lost ? begin(pull) : await_turn(&await);
    await_end(&await);
    if (by_hand) puller->ahead = 0;
    if (!pull->queue.count) return err;
    struct message *message = message_queue_take(&pull->queue);
    puller->held = pull->queue.count;
    puller_fill(puller);
    *ret_message = message->public;
    return 0;
}

/* ---- settling ----------------------------------------------------------------------------- */

static int settle(struct dure_ctx *ctx, const struct dure_message *message, const char *word)
{
    struct buslink *bus = ctx->tenant->host->bus;
    if (!bus) return DURE_EUNREACHABLE;
    if (!message || !bytes_starts(bytes_str(message->reply), BYTES("$JS.ACK.")))
        return DURE_EINVALID;
    buf_clear(&bus->headers);
    return buslink_put(bus, message->reply, NULL, bytes_str(word));
}

int dure_ack(struct dure_ctx *ctx, const struct dure_message *message)
{
    return settle(ctx, message, "+ACK");
}

int dure_nak(struct dure_ctx *ctx, const struct dure_message *message, int64_t delay_ms)
{
    char word[64] = "-NAK";
    if (delay_ms < 0 || delay_ms > INT64_MAX / 1000000) return DURE_EINVALID;
    if (delay_ms)
        snprintf(word, sizeof word, "-NAK {\"delay\":%lld}", (long long)delay_ms * 1000000);
    return settle(ctx, message, word);
}

int dure_working(struct dure_ctx *ctx, const struct dure_message *message)
{
    return settle(ctx, message, "+WPI");
}

int dure_term(struct dure_ctx *ctx, const struct dure_message *message, const char *reason)
{
    char word[BUSLINK_TERM];
    if (!ctx->tenant->host->bus) return DURE_EUNREACHABLE;
    buslink_term(ctx->tenant->host->bus, reason, word);
    return settle(ctx, message, word);
}

int dure_ack_confirmed(struct dure_ctx *ctx, const struct dure_message *message, int64_t timeout_ms)
{
    if (!message || !bytes_starts(bytes_str(message->reply), BYTES("$JS.ACK.")))
        return DURE_EINVALID;
    return dure_ask_bytes(ctx, message->reply, "+ACK", 4, timeout_ms, NULL);
}
