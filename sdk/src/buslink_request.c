/* Requests on the bus: dure_ask and dure_tell. Each has a token in its reply subject and stays in
 * link->requests until it is answered or over, so that a new connection can send it again.
 *
 *   ask   sent once for each connection
 *   tell  also sent again when no acknowledgement comes: the Nats-Msg-Id makes that harmless
 *
 * "No responders" (status 503) shortly after a reconnect means little, because those who answer
 * have to come back too: then the request is tried again after a moment. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/message.h"

#include "wire/puback.h"

#include <stdio.h>

enum {
    TELL_AGAIN_MS = 2000, /* doubled each time */
    TELL_AGAIN_MAX_MS = 8000,
    SETTLE_AGAIN_MS = 50
};

struct bus_request {
    struct dure_pending pending;
    struct list link; /* in buslink->requests */
    struct buslink *bus;
    bool tell;
    const char *subject, *id;
    const char **headers; /* name, value, ..., NULL; or NULL */
    struct bytes body;
    char token[24];
    struct loop_timer again;
    unsigned sends;
};

/* ---- sending ------------------------------------------------------------------------------ */

static void add_header(struct buslink *bus, const char *name, const char *value)
{
    if (value) nats_headers_add(&bus->headers, bytes_str(name), bytes_str(value));
}

static void put_headers(struct bus_request *request)
{
    struct buslink *bus = request->bus;
    struct dure_ctx *ctx = request->pending.ctx;
    char remaining[24];
    snprintf(remaining, sizeof remaining, "%llu",
             (unsigned long long)pending_remaining_ms(&request->pending));
    buf_clear(&bus->headers);
    nats_headers_begin(&bus->headers, 0, NULL);
    add_header(bus, request->tell ? "Nats-Msg-Id" : "Dure-Request-Id", request->id);
    add_header(bus, "traceparent", dure_traceparent(ctx));
    add_header(bus, "tracestate", ctx->trace_state);
    if (!request->tell) add_header(bus, "Dure-Deadline-Ms", remaining);
    for (const char **h = request->headers; h && h[0]; h += 2) add_header(bus, h[0], h[1]);
    nats_headers_end(&bus->headers);
}

/* 0 also when there is no connection: the next one sends it. */
static int send_request(struct bus_request *request)
{
    struct buslink *bus = request->bus;
    if (!buslink_sends(bus)) return 0;
    char reply[BUSLINK_INBOX_TEXT + sizeof request->token];
    snprintf(reply, sizeof reply, "%s%s", bus->inbox, request->token);
    put_headers(request);
    int err = buslink_put(bus, request->subject, reply, request->body);
    if (err) return err;
    if (request->tell) {
        uint64_t delay = TELL_AGAIN_MS;
        for (unsigned i = 0; i < request->sends && delay < TELL_AGAIN_MAX_MS; i++) delay *= 2;
        loop_timer_in_ms(&bus->host->loop, &request->again, delay);
    }
    request->sends++;
    return 0;
}

static void forget(struct bus_request *request)
{
    list_remove(&request->link);
    map_remove(&request->bus->by_token, bytes_str(request->token));
    loop_timer_cancel(&request->bus->host->loop, &request->again);
}

static void fail(struct bus_request *request, int err)
{
    forget(request);
    pending_fail(&request->pending, err);
}

/* Whoever has it now learns that nobody waits any more; of a deadline it knows itself. */
static void say_cancelled(struct bus_request *request)
{
    struct buslink *bus = request->bus;
    char reply[BUSLINK_INBOX_TEXT + sizeof request->token];
    if (request->tell || !request->sends) return;
    if (loop_monotonic_ns() >= request->pending.deadline_ns) return;
    snprintf(reply, sizeof reply, "%s%s", bus->inbox, request->token);
    buf_clear(&bus->headers);
    buslink_put(bus, BUSLINK_CANCEL_SUBJECT, NULL, bytes_str(reply)); /* at most once will do */
}

static void abandoned(struct dure_pending *pending)
{
    struct bus_request *request = (struct bus_request *)pending;
    say_cancelled(request);
    forget(request);
}

static void send_again(struct loop_timer *timer)
{
    struct bus_request *request = CONTAINER_OF(timer, struct bus_request, again);
    int err = send_request(request);
    if (err == DURE_EFULL) /* what is queued goes out first */
        loop_timer_in_ms(&request->bus->host->loop, timer, SETTLE_AGAIN_MS);
    else if (err)
        fail(request, err);
}

void buslink_resend(struct buslink *bus)
{
    LIST_EACH(&bus->requests, struct bus_request, link, request) send_again(&request->again);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* The status line's number; 0: none. */
static int status_of(struct bytes block)
{
    struct nats_headers headers;
    if (!block.len || nats_headers_parse(block, &headers) != 0) return 0;
    return headers.status;
}

/* Nobody is subscribed to it. */
static void no_responders(struct bus_request *request)
{
    struct buslink *bus = request->bus;
    if (buslink_settling(bus))
        loop_timer_in_ms(&bus->host->loop, &request->again, SETTLE_AGAIN_MS);
    else
        fail(request, request->tell ? DURE_ENOSTREAM : DURE_ENOBODY);
}

/* Somebody who answers something else is not a stream. */
static void take_acknowledgement(struct bus_request *request, struct bytes body)
{
    struct puback ack;
    if (puback_parse(body, &ack) != 0) {
        fail(request, DURE_ENOSTREAM);
        return;
    }
    forget(request);
    pending_answer(&request->pending,
                   !ack.code         ? 200
                   : ack.code >= 400 ? ack.code
                                     : 500,
                   NULL, body);
}

static void take_answer(struct bus_request *request, const struct nats_frame *frame)
{
    struct arena *arena = &request->pending.ctx->arena;
    struct dure_headers *headers = arena_alloc(arena, sizeof *headers);
    int err = headers ? headers_copy(frame->headers, arena, headers) : DURE_ENOMEM;
    if (!err && frame->payload.len > request->bus->host->limits.answer) err = DURE_ETOOBIG;
    if (err) {
        fail(request, err);
        return;
    }
    const char *code = headers_find(headers, "Nats-Service-Error-Code");
    uint64_t status = 200;
    if (code && bytes_to_u64(bytes_str(code), 599, &status) != 0) status = 500;
    if (!code && headers_find(headers, "Nats-Service-Error")) status = 500;
    forget(request);
    pending_answer(&request->pending, status >= 200 ? (int)status : 500, headers, frame->payload);
}

void buslink_answered(struct bus_route *route, const struct nats_frame *frame)
{
    struct buslink *bus = CONTAINER_OF(route, struct buslink, answers);
    struct bytes token = bytes_skip(frame->subject, strlen(bus->inbox));
    struct bus_request *request = map_get(&bus->by_token, token);
    if (!request) return; /* it is over */
    if (status_of(frame->headers) == 503 && !frame->payload.len)
        no_responders(request);
    else if (request->tell)
        take_acknowledgement(request, frame->payload);
    else
        take_answer(request, frame);
}

/* ---- starting ----------------------------------------------------------------------------- */

static const char **copy_headers(struct arena *arena, const char *const *headers)
{
    size_t count = 0;
    while (headers && headers[count]) count += 2;
    const char **copy = count ? arena_array(arena, count + 1, sizeof *copy) : NULL;
    for (size_t i = 0; copy && i < count; i++) copy[i] = arena_copy(arena, bytes_str(headers[i]));
    return copy;
}

static int fill(struct bus_request *request, struct dure_ctx *ctx,
                const struct dure_publication *publication)
{
    struct buslink *bus = request->bus;
    struct arena *arena = &ctx->arena;
    snprintf(request->token, sizeof request->token, "%llx", (unsigned long long)++bus->next_token);
    request->subject = arena_copy(arena, bytes_str(publication->subject));
    request->body = arena_bytes(arena, bytes_make(publication->body, publication->len));
    request->headers = copy_headers(arena, publication->headers);
    request->id =
        publication->id ? arena_copy(arena, bytes_str(publication->id)) : dure_new_id(ctx);
    if (arena->failed) return DURE_ENOMEM;
    int err = map_put(&bus->by_token, bytes_str(request->token), request, NULL);
    return err ? DURE_ENOMEM : 0;
}

static struct dure_pending *start(struct dure_ctx *ctx, const struct dure_publication *publication,
                                  int64_t timeout_ms, bool tell)
{
    struct buslink *bus = ctx->tenant->host->bus;
    struct dure_pending *failed;
    if (!bus) return pending_failed(DURE_EUNREACHABLE);
    struct bus_request *request =
        (struct bus_request *)pending_new(ctx, sizeof *request, timeout_ms, abandoned, &failed);
    if (!request) return failed;
    request->bus = bus;
    request->tell = tell;
    request->again.fire = send_again;
    list_init(&request->link);
    int err = fill(request, ctx, publication);
    if (err) {
        pending_fail(&request->pending, err);
        return &request->pending;
    }
    list_push(&bus->requests, &request->link);
    err = send_request(request);
    if (err) fail(request, err);
    return &request->pending;
}

struct dure_pending *buslink_ask(struct dure_ctx *ctx, const struct dure_publication *publication,
                                 int64_t timeout_ms)
{
    return start(ctx, publication, timeout_ms, false);
}

struct dure_pending *buslink_tell(struct dure_ctx *ctx, const struct dure_publication *publication,
                                  int64_t timeout_ms)
{
    return start(ctx, publication, timeout_ms, true);
}
