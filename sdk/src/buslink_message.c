/* Messages that come in: each runs the handler of its subscription. Its reply goes to the subject
 * that the asker waits on; a JetStream push consumer's message is acknowledged or handed back. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/message.h"
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

void buslink_term(const struct buslink *link, const char *reason, char ret_word[BUSLINK_TERM])
{
    if (buslink_version(link) < 2010004 || !reason || !*reason)
        snprintf(ret_word, BUSLINK_TERM, "+TERM");
    else
        snprintf(ret_word, BUSLINK_TERM, "+TERM %.480s", reason);
}

/* What a JetStream consumer wants to hear (ADR-15): done, again, or never again. */
void buslink_settle(struct dure_ctx *ctx, int err, int64_t delay_ms)
{
    struct buslink *bus = ctx->tenant->host->bus;
    char word[BUSLINK_TERM] = "+ACK";
    if (ctx->verdict == CTX_RETRY_IN) delay_ms = ctx->verdict_delay_ms;
    if (err && ctx->verdict == CTX_GIVE_UP)
        buslink_term(bus, ctx->verdict_reason, word);
    else if (err && delay_ms)
        snprintf(word, sizeof word, "-NAK {\"delay\":%lld}", (long long)delay_ms * 1000000);
    else if (err)
        snprintf(word, sizeof word, "-NAK");
    buf_clear(&bus->headers);
    int lost = buslink_put_reply(bus, ctx->delivery->reply, bytes_str(word));
    if (lost) /* it comes again when its time is over */
        LOGGER(bus->host, ctx->tenant, DURE_WARN, "ack_lost",
               DURE_S("error", dure_error_name(lost)));
}

static void acknowledge(struct dure_ctx *ctx, int err)
{
    buslink_settle(ctx, err, 0);
}

/* Nobody waits, so nobody hears of it but the log. */
static void dropped(struct dure_ctx *ctx, int err)
{
    if (err)
        LOGGER(ctx->tenant->host, ctx->tenant, DURE_WARN, "message_failed",
               DURE_S("subject", ctx->subject), DURE_S("error", dure_error_name(err)));
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

/* What a stream says of a message in its reply subject. */
static int fill_delivery(struct dure_ctx *ctx, const struct nats_frame *frame, const char *reply)
{
    struct ack_subject ack;
    if (!ack_subject_parse(frame->reply, &ack)) return 0;
    struct dure_message *delivery = arena_alloc(&ctx->arena, sizeof *delivery);
    if (!delivery) return DURE_ENOMEM;
    *delivery = (struct dure_message){
        .subject = ctx->subject,
        .reply = reply,
        .body = buf_bytes(&ctx->body).data,
        .len = buf_len(&ctx->body),
        .headers = &ctx->headers,
        .stream = arena_copy(&ctx->arena, ack.stream),
        .consumer = arena_copy(&ctx->arena, ack.consumer),
        .sequence = ack.sequence,
        .consumer_sequence = ack.consumer_sequence,
        .deliveries = ack.deliveries,
        .pending = ack.pending,
        .time_ns = ack.time_ns,
    };
    ctx->delivery = delivery;
    return 0;
}

int buslink_fill(struct dure_ctx *ctx, const struct nats_frame *frame, const char *pattern,
                 const char **ret_reply)
{
    const char *subject = arena_copy(&ctx->arena, frame->subject);
    *ret_reply = arena_copy(&ctx->arena, frame->reply);
    if (!subject || !*ret_reply) return DURE_ENOMEM;
    int err = headers_copy(frame->headers, &ctx->arena, &ctx->headers);
    tenant_route_message(ctx, pattern, subject);
    ctx_take_trace(ctx);
    buf_append(&ctx->body, frame->payload);
    char *end = ctx->body.failed ? NULL : buf_reserve(&ctx->body, 1);
    if (!end) return frame->payload.len >= ctx->body.max ? DURE_ETOOBIG : DURE_ENOMEM;
    *end = '\0';
    if (!err) err = fill_delivery(ctx, frame, *ret_reply);
    return ctx->arena.failed ? DURE_ENOMEM : err;
}

static int fill(struct dure_ctx *ctx, struct buslink *bus, const struct subscription *subscription,
                const struct nats_frame *frame)
{
    struct bus_message *message = arena_alloc(&ctx->arena, sizeof *message);
    if (!message) return DURE_ENOMEM;
    message->bus = bus;
    message->tenant = ctx->tenant;
    message->caller.answer = answered;
    ctx->handler = subscription->handler;
    int err = buslink_fill(ctx, frame, subscription->subject, &message->reply_to);
    ctx_set_deadline(ctx, headers_find(&ctx->headers, "Dure-Deadline-Ms"));
    if (ctx->delivery)
        ctx->finished = acknowledge;
    else if (frame->reply.len && message->reply_to)
        ctx->caller = &message->caller;
    else
        ctx->finished = dropped;
    return err;
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

void buslink_cancelled(struct bus_route *route, const struct nats_frame *frame)
{
    struct buslink *bus = CONTAINER_OF(route, struct buslink, cancels);
    struct dure_ctx *ctx = find_asked(bus, frame->payload);
    if (ctx) ctx_abandon(ctx);
}

void buslink_deliver(struct bus_route *route, const struct nats_frame *frame)
{
    struct subscription *subscription = CONTAINER_OF(route, struct subscription, route);
    struct buslink *bus = subscription->tenant->host->bus;
    if (is_control(bus, frame)) return;
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
