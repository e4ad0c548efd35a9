/* Messages that come in: each runs the handler of its subscription. Its reply goes to the subject
 * that the asker waits on; a JetStream push consumer's message is acknowledged or handed back. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/logger.h"

#include "wire/http1_write.h"

#include <stdio.h>

struct bus_message {
    struct ctx_caller caller;
    struct buslink *bus;
    struct tenant *tenant;
    const char *reply_to;
};

static int add_header(struct buslink *bus, const char *name, const char *value)
{
    return nats_headers_add(&bus->headers, bytes_str(name), bytes_str(value));
}

/* A problem's text in one line of a header: its own words, or the status's. */
static void put_error(struct buslink *bus, const struct reply *reply)
{
    char code[16];
    snprintf(code, sizeof code, "%d", reply->status);
    add_header(bus, "Nats-Service-Error-Code", code);
    const char *text = reply->problem ? reply->problem : http1_reason(reply->status).data;
    if (add_header(bus, "Nats-Service-Error", text) != 0) /* its words do not fit on a line */
        add_header(bus, "Nats-Service-Error", "error");
}

static int put_reply(struct bus_message *message, const struct reply *reply)
{
    struct buslink *bus = message->bus;
    buf_clear(&bus->headers);
    nats_headers_begin(&bus->headers, 0, NULL);
    if (reply->status >= 400) put_error(bus, reply);
    if (reply->content_type) add_header(bus, "Content-Type", reply->content_type);
    for (size_t i = 0; reply->headers && i < reply->headers->count; i++)
        add_header(bus, reply->headers->fields[i].name, reply->headers->fields[i].value);
    nats_headers_end(&bus->headers);
    return buslink_put_reply(bus, message->reply_to, reply->body);
}

static void answered(struct ctx_caller *caller, const struct reply *reply)
{
    struct bus_message *message = CONTAINER_OF(caller, struct bus_message, caller);
    int err = put_reply(message, reply);
    if (err == DURE_ETOOBIG) {
        struct reply too_big = {413, NULL, BYTES(""), NULL,
                                "the reply is larger than the bus takes"};
        err = put_reply(message, &too_big);
    }
    if (err) /* the asker sends its request again, or gives up */
        LOGGER(message->bus->host, message->tenant, DURE_WARN, "reply_lost",
               DURE_S("error", dure_error_name(err)));
}

/* What a JetStream consumer wants to hear (ADR-15): done, or again. */
static void acknowledge(struct dure_ctx *ctx, int err)
{
    struct bus_message *message = ctx->finished_argument;
    buf_clear(&message->bus->headers);
    buslink_put(message->bus, message->reply_to, NULL, err ? BYTES("-NAK") : BYTES("+ACK"));
}

/* Nobody waits, so nobody hears of it but the log. */
static void dropped(struct dure_ctx *ctx, int err)
{
    if (err)
        LOGGER(ctx->tenant->host, ctx->tenant, DURE_WARN, "message_failed",
               DURE_S("subject", ctx->subject), DURE_S("error", dure_error_name(err)));
}

static struct subscription *find(struct buslink *bus, struct bytes sid)
{
    uint64_t number;
    if (bytes_to_u64(sid, UINT32_MAX, &number) != 0) return NULL;
    if (number < BUSLINK_FIRST_SID || number - BUSLINK_FIRST_SID >= bus->subscription_count)
        return NULL;
    return bus->subscriptions[number - BUSLINK_FIRST_SID];
}

/* Flow control and heartbeats of a push consumer (status 100) are not for the handler. */
static bool is_control(struct buslink *bus, const struct nats_frame *frame)
{
    struct nats_headers headers;
    if (!frame->headers.len || nats_headers_parse(frame->headers, &headers) != 0) return false;
    if (headers.status != 100) return false;
    if (frame->reply.len && frame->reply.len < 1024) {
        char reply[1024];
        snprintf(reply, sizeof reply, "%.*s", BYTES_ARG(frame->reply));
        buf_clear(&bus->headers);
        buslink_put(bus, reply, NULL, BYTES(""));
    }
    return true;
}

static int fill(struct dure_ctx *ctx, struct buslink *bus, const struct subscription *subscription,
                const struct nats_frame *frame)
{
    const char *subject = arena_copy(&ctx->arena, frame->subject);
    struct bus_message *message = arena_alloc(&ctx->arena, sizeof *message);
    if (!subject || !message) return DURE_ENOMEM;
    message->bus = bus;
    message->tenant = ctx->tenant;
    message->caller.answer = answered;
    message->reply_to = arena_copy(&ctx->arena, frame->reply);
    if (bytes_starts(frame->reply, BYTES("$JS.ACK."))) {
        ctx->finished = acknowledge;
        ctx->finished_argument = message;
    } else if (frame->reply.len) {
        ctx->caller = &message->caller;
    } else {
        ctx->finished = dropped;
    }
    int err = buslink_copy_headers(frame->headers, &ctx->arena, &ctx->headers);
    ctx->handler = subscription->handler;
    tenant_route_message(ctx, subscription, subject);
    ctx_take_trace(ctx);
    ctx_set_deadline(ctx, headers_find(&ctx->headers, "Dure-Deadline-Ms"));
    buf_append(&ctx->body, frame->payload);
    char *end = ctx->body.failed ? NULL : buf_reserve(&ctx->body, 1);
    if (!end) return frame->payload.len >= ctx->body.max ? DURE_ETOOBIG : DURE_ENOMEM;
    *end = '\0';
    return ctx->arena.failed ? DURE_ENOMEM : err;
}

/* The handler that is to answer on this subject, if it runs here. */
static struct dure_ctx *find_asked(struct buslink *bus, struct bytes reply_to)
{
    LIST_EACH(&bus->host->tenants, struct tenant, link, tenant)
        LIST_EACH(&tenant->runs, struct dure_ctx, link, ctx) {
            if (!ctx->caller || ctx->caller->answer != answered) continue;
            struct bus_message *message = CONTAINER_OF(ctx->caller, struct bus_message, caller);
            if (bytes_eq(bytes_str(message->reply_to), reply_to)) return ctx;
        }
    return NULL;
}

void buslink_cancelled(struct buslink *bus, const struct nats_frame *frame)
{
    struct dure_ctx *ctx = find_asked(bus, frame->payload);
    if (ctx) ctx_abandon(ctx);
}

void buslink_deliver(struct buslink *bus, const struct nats_frame *frame)
{
    struct subscription *subscription = find(bus, frame->sid);
    if (!subscription || is_control(bus, frame)) return;
    struct dure_ctx *ctx = ctx_new(subscription->tenant, CTX_MESSAGE, NULL);
    int err = ctx ? fill(ctx, bus, subscription, frame) : DURE_ENOMEM;
    if (!ctx)
        LOGGER(bus->host, subscription->tenant, DURE_ERROR, "message_dropped",
               DURE_S("error", dure_error_name(err)));
    else if (err)
        ctx_refuse(ctx, err);
    else
        ctx_start(ctx);
}
