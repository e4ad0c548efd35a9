/* What a client may ask for, and what it is answered. The words and their order are those of the
 * reference server: -ERR comes where it says so, +OK only to a verbose client, and before the
 * messages that a PUB brings it. */
#include "bus/session.h"
#include "bus/subject.h"

#include <stdio.h>
#include <stdlib.h>

static void say_ok(struct session *session)
{
    if (session->verbose) session_say(session, BYTES("+OK\r\n"));
}

/* ---- SUB, UNSUB ------------------------------------------------------------------------------ */

static struct client_subscription *client_of(struct subscription *subscription)
{
    return CONTAINER_OF(subscription, struct client_subscription, subscription);
}

/* The memory goes, so no route that is being walked may hold it. */
static void forget(struct client_subscription *s)
{
    struct session *session = s->subscription.session;
    map_remove(&session->subscriptions, s->subscription.sid);
    router_remove(&session->bus->router, &s->subscription);
    list_remove(&s->link);
    free(s);
}

void sessions_reap(struct bus_server *server)
{
    while (!list_empty(&server->finished))
        forget(CONTAINER_OF(server->finished.next, struct client_subscription, link));
}

void session_forget_subscriptions(struct session *session)
{
    size_t cursor = 0;
    struct client_subscription *s;
    while ((s = map_next(&session->subscriptions, &cursor))) {
        router_remove(&session->bus->router, &s->subscription);
        list_remove(&s->link);
        free(s);
    }
    map_release(&session->subscriptions);
}

void session_finish_subscription(struct subscription *subscription)
{
    struct client_subscription *s = client_of(subscription);
    if (subscription->gone) return;
    subscription->gone = true;
    list_push(&subscription->session->server->finished, &s->link);
}

static struct client_subscription *subscription_new(struct session *session,
                                                    const struct nats_frame *frame)
{
    struct client_subscription *s = calloc(1, sizeof *s + frame->sid.len + frame->queue.len);
    if (!s) return NULL;
    list_init(&s->link);
    memcpy(s->text, frame->sid.data, frame->sid.len);
    if (frame->queue.len) memcpy(s->text + frame->sid.len, frame->queue.data, frame->queue.len);
    s->subscription.session = session;
    s->subscription.sid = bytes_make(s->text, frame->sid.len);
    s->subscription.queue = bytes_make(s->text + frame->sid.len, frame->queue.len);
    return s;
}

/* Says what it may not do; the connection stays. */
static void violation(struct session *session, const char *what, struct bytes subject,
                      struct bytes queue)
{
    struct buf text;
    buf_init(&text, 2 * NATS_LINE_MAX);
    buf_append_format(&text, "Permissions Violation for %s to \"", what);
    buf_append(&text, subject);
    buf_append_char(&text, '"');
    if (queue.len) {
        buf_append_str(&text, " using queue \"");
        buf_append(&text, queue);
        buf_append_char(&text, '"');
    }
    buf_append_char(&text, '\0');
    session->server->metrics.permission_violations++;
    LOG(session->server->log, LOG_INFO, "bus_permission_violation", LOG_U("client", session->id),
        LOG_S("what", what), LOG_B("subject", subject));
    if (!text.failed) session_say_err(session, buf_bytes(&text).data);
    buf_release(&text);
}

static void command_sub(struct session *session, const struct nats_frame *frame)
{
    struct bus *bus = session->bus;
    sessions_reap(session->server);
    if (session->permissions &&
        !permissions_may_subscribe(session->permissions, frame->subject, frame->queue)) {
        violation(session, "Subscription", frame->subject, frame->queue);
        return;
    }
    if (session->subscriptions.count >= session->max_subscriptions) {
        session_say_err(session, "maximum subscriptions exceeded");
        return;
    }
    if (map_get(&session->subscriptions, frame->sid)) {
        say_ok(session); /* the first one stays */
        return;
    }
    if (!subject_is_pattern(frame->subject)) {
        session_say_err(session, "Invalid Subject");
        return;
    }
    struct client_subscription *s = subscription_new(session, frame);
    if (s && session->permissions)
        s->subscription.filtered = permissions_overlap_denied(session->permissions, frame->subject);
    int r = s ? router_add(&bus->router, &s->subscription, frame->subject) : ERR_NOMEM;
    if (!r) r = map_put(&session->subscriptions, s->subscription.sid, s, NULL);
    if (r) {
        if (s) router_remove(&bus->router, &s->subscription);
        free(s);
        session_end(session, "maximum subscriptions exceeded");
        return;
    }
    say_ok(session);
}

static void command_unsub(struct session *session, const struct nats_frame *frame)
{
    sessions_reap(session->server);
    struct client_subscription *s = map_get(&session->subscriptions, frame->sid);
    if (s && frame->max > s->subscription.delivered)
        s->subscription.max = frame->max;
    else if (s)
        forget(s);
    say_ok(session);
}

/* ---- PUB, HPUB ------------------------------------------------------------------------------- */

/* Tells a requester that nobody is there to answer, through a subscription of its own that would
 * have had the reply. */
static void no_responders(struct session *session, const struct nats_frame *frame)
{
    struct bus *bus = session->bus;
    bus->metrics.no_responders++;
    if (!session->no_responders) return;
    const struct route *route = router_find(&bus->router, frame->reply);
    for (uint32_t i = 0; route && i < route->target_count; i++) {
        struct subscription *s = route->targets[i].subscription;
        if (s->session != session || s->gone) continue;
        struct buf headers, out;
        buf_init(&headers, 2 * NATS_LINE_MAX);
        buf_init(&out, OUTBOX_TEXT_MAX);
        nats_headers_begin(&headers, 503, NULL);
        nats_headers_add(&headers, BYTES("Nats-Subject"), frame->subject);
        nats_headers_end(&headers);
        nats_put_msg(&out, frame->reply, s->sid, (struct bytes){0}, buf_bytes(&headers),
                     (struct bytes){0});
        if (!headers.failed && !out.failed) session_say(session, buf_bytes(&out));
        buf_release(&headers);
        buf_release(&out);
        return;
    }
}

static bool may_publish(struct session *session, struct bytes subject)
{
    if (permissions_may_publish(session->permissions, subject)) return true;
    return session->responses &&
           responses_take(session->responses, subject, io_now_ns(session->server->io) / 1000000);
}

static void command_pub(struct session *session, const struct nats_frame *frame)
{
    struct bus *bus = session->bus;
    if (frame->op == NATS_HPUB && !session->headers) {
        session->server->metrics.protocol_errors++;
        session_end(session, NULL);
        return;
    }
    session->traffic.in_messages++;
    session->traffic.in_bytes += frame->headers.len + frame->payload.len;
    if (session->pedantic && !subject_is_literal(frame->subject))
        session_say_err(session, "Invalid Publish Subject");
    if (session->permissions && !may_publish(session, frame->subject)) {
        violation(session, "Publish", frame->subject, (struct bytes){0});
        return;
    }
    say_ok(session);
    struct message message =
        message_borrow(frame->subject, frame->reply, frame->headers, frame->payload);
    /* HPUB with an empty block goes out as MSG, which its tail does not fit. */
    bool fits = frame->op == NATS_PUB || frame->headers.len;
    session->server->congested = false;
    unsigned deliveries = deliver(bus, &message, fits ? frame->tail : (struct bytes){0}, session);
    message_done(&message);
    if (!deliveries && frame->reply.len) no_responders(session, frame);
    if (session->server->congested) session->stall = true;
}

bool session_takes_runs(const struct session *session, const struct nats_frame *frame)
{
    return frame->op == NATS_PUB && frame->tail.len && !frame->reply.len && !session->verbose &&
           !session->pedantic && !session->responses;
}

void session_publish_run(struct session *session, const struct nats_frame *frame, size_t size,
                         size_t count)
{
    session->traffic.in_messages += count;
    session->traffic.in_bytes += count * frame->payload.len;
    if (session->permissions && !may_publish(session, frame->subject)) {
        for (; count > 0; count--) violation(session, "Publish", frame->subject, (struct bytes){0});
        return;
    }
    const struct run run = {.subject = frame->subject,
                            .first_tail = frame->tail.data,
                            .tail_len = frame->tail.len,
                            .payload_len = frame->payload.len,
                            .stride = size,
                            .count = count};
    session->server->congested = false;
    deliver_run(session->bus, &run, session);
    if (session->server->congested) session->stall = true;
}

/* The first one behind CONNECT is also told into which account it came. */
static void command_ping(struct session *session)
{
    session_say(session, BYTES("PONG\r\n"));
    if (!session->connected || session->told || session->protocol < 1) return;
    session->told = true;
    session_say_info(session);
}

void session_command(struct session *session, const struct nats_frame *frame)
{
    switch (frame->op) {
    case NATS_PUB:
    case NATS_HPUB: command_pub(session, frame); break;
    case NATS_SUB: command_sub(session, frame); break;
    case NATS_UNSUB: command_unsub(session, frame); break;
    case NATS_CONNECT: session_connect(session, frame->text); break;
    case NATS_PING: command_ping(session); break;
    case NATS_ERR: session_end(session, NULL); break;
    case NATS_PONG: session_ponged(session); break;
    case NATS_OK:
    case NATS_INFO: break;
    case NATS_MSG:
    case NATS_HMSG: break; /* a server's decoder refuses them */
    }
}
