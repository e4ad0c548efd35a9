/* Subscriptions that a handler takes messages from. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/message.h"

#include <stdlib.h>

struct dure_subscription {
    struct ctx_resource resource;
    struct dure_ctx *ctx;
    struct bus_route route;
    struct message_queue queue;
    uint64_t dropped;
    bool ended;
};

static void take(struct bus_route *route, const struct nats_frame *frame)
{
    struct dure_subscription *subscription = CONTAINER_OF(route, struct dure_subscription, route);
    struct message_queue *queue = &subscription->queue;
    bool full = queue->count >= DURE_MAX_QUEUED || queue->bytes >= DURE_MAX_QUEUED_BYTES;
    struct message *message = full ? NULL : message_new(frame);
    if (!message) {
        subscription->dropped++;
        return;
    }
    message_queue_push(queue, message);
    ctx_wake(subscription->ctx);
}

static void release(struct ctx_resource *resource)
{
    struct dure_subscription *subscription =
        CONTAINER_OF(resource, struct dure_subscription, resource);
    buslink_route_remove(subscription->ctx->tenant->host->bus, &subscription->route);
    message_queue_release(&subscription->queue);
    free((char *)subscription->route.subject);
    free((char *)subscription->route.group);
    free(subscription);
}

int dure_subscribe(struct dure_ctx *ctx, const char *subject, const char *group,
                   struct dure_subscription **ret_subscription)
{
    *ret_subscription = NULL;
    if (!busname_valid(subject, true) || (group && !busname_valid(group, false)))
        return DURE_EINVALID;
    struct dure_subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription) return DURE_ENOMEM;
    subscription->ctx = ctx;
    message_queue_init(&subscription->queue);
    list_init(&subscription->route.link);
    subscription->route.subject = strdup(subject);
    subscription->route.group = group ? strdup(group) : NULL;
    subscription->route.deliver = take;
    bool copied = subscription->route.subject && (!group || subscription->route.group);
    int err = copied ? 0 : DURE_ENOMEM;
    if (!err) err = buslink_route_add(ctx->tenant->host->bus, &subscription->route);
    if (err) {
        release(&subscription->resource);
        return err;
    }
    ctx_own(ctx, &subscription->resource, release);
    *ret_subscription = subscription;
    return 0;
}

int dure_next(struct dure_subscription *subscription, int64_t timeout_ms,
              struct dure_message *ret_message)
{
    struct message *message = NULL;
    struct await await;
    int err = 0;
    *ret_message = (struct dure_message){.subject = "", .reply = "", .body = ""};
    if (timeout_ms < 0) return DURE_EINVALID;
    if (!subscription->queue.count) {
        await_begin(&await, subscription->ctx, timeout_ms);
        while (!err && !subscription->queue.count && !subscription->ended) err = await_turn(&await);
        await_end(&await);
    }
    if (!err || subscription->queue.count) message = message_queue_take(&subscription->queue);
    if (!message) return err ? err : DURE_ECLOSED;
    *ret_message = message->public;
    return 0;
}

uint64_t dure_dropped(const struct dure_subscription *subscription)
{
    return subscription->dropped;
}

int dure_drain(struct dure_subscription *subscription, int64_t timeout_ms)
{
    struct dure_ctx *ctx = subscription->ctx;
    buslink_route_end(ctx->tenant->host->bus, &subscription->route);
    int err = dure_flush(ctx, timeout_ms);
    buslink_route_remove(ctx->tenant->host->bus, &subscription->route);
    subscription->ended = true;
    return err;
}

void dure_unsubscribe(struct dure_subscription *subscription)
{
    if (!subscription) return;
    ctx_disown(&subscription->resource);
    release(&subscription->resource);
}
