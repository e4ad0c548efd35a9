#include "bus/session.h"

#include "bus/opening.h"
#include "bus/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINGER_MS = 1000,
    REFUSED_MAX = 64,           /* connections beyond the maximum that are told so */
    FRAME_OVERHEAD = 64,        /* verb, blanks and line ends around the arguments and a payload */
    BEHIND_CONNECT = 256 << 10, /* bytes that came with a CONNECT whose password is looked at */
    NS_PER_MS = 1000000,
};

static struct session *session_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct session, stream);
}

void session_bind(struct session *session, struct bus *bus)
{
    if (session->bus == bus) return;
    if (session->bus) {
        session_forget_subscriptions(session);
        session->bus->session_count--;
    }
    session->bus = bus;
    if (bus) bus->session_count++;
}

/* ---- going ---------------------------------------------------------------------------------- */

void session_free(struct session *session)
{
    struct bus_server *server = session->server;
    opening_free(session->opening);
    io_stream_forget(&session->stream);
    session->out.in_flight = false;
    outbox_release(&session->out);
    buf_release(&session->partial);
    session_connect_cancel(session);
    session_bind(session, NULL);
    session_forget_permissions(session);
    map_release(&session->subscriptions);
    list_remove(&session->dirty);
    list_remove(&session->borrowing);
    list_remove(&session->stalled);
    list_remove(&session->sending);
    list_remove(&session->link);
    server->session_count--;
    free(session->user);
    free(session->about);
    free(session);
}

static void stream_closed(struct io_stream *stream)
{
    struct session *session = session_of(stream);
    struct bus_server *server = session->server;
    LOG(server->log, LOG_DEBUG, "bus_disconnected", LOG_U("client", session->id));
    report_end(session);
    session_free(session);
    bus_server_session_gone(server);
}

void session_close(struct session *session)
{
    if (session->state == SESSION_CLOSING) return;
    if (session->server->closing) report_reason(session, NULL);
    if (session->state <= SESSION_OPEN) session->ended_subscriptions = session->subscriptions.count;
    session->state = SESSION_CLOSING;
    io_timer_cancel(session->server->io, &session->timer);
    io_close(&session->stream, stream_closed);
}

/* Everything has been sent: says so, and waits until the client has read it. */
void session_linger(struct session *session)
{
    session->state = SESSION_LINGERING;
    io_shutdown(&session->stream);
    if (!session->receiving) session_receive(session);
}

void session_end(struct session *session, const char *text)
{
    if (session->state == SESSION_OPENING) session_close(session);
    if (session->state != SESSION_OPEN) return;
    if (text) session_say_err(session, text);
    if (session->state != SESSION_OPEN) return;
    report_reason(session, text);
    session->ended_subscriptions = session->subscriptions.count;
    session->state = SESSION_DRAINING;
    list_remove(&session->stalled);
    if (session->receiving) io_recv_cancel(&session->stream);
    session->receiving = false;
    io_timer_set(session->server->io, &session->timer, LINGER_MS);
    session_mark_dirty(session);
}

/* ---- coming --------------------------------------------------------------------------------- */

void session_set_timer(struct session *session)
{
    struct bus_server *server = session->server;
    uint64_t delay = server->options.ping_interval_ms, now = io_now_ns(server->io) / NS_PER_MS;
    if (!session->bus) delay = server->auth->timeout_ms;
    if (session->expires_ms && session->expires_ms < now + delay)
        delay = session->expires_ms > now ? session->expires_ms - now : 0;
    io_timer_set(server->io, &session->timer, delay);
}

static void end_expired(struct session *session)
{
    session->server->metrics.expired++;
    LOG(session->server->log, LOG_INFO, "bus_authentication_expired", LOG_U("client", session->id));
    session_end(session, "User Authentication Expired");
}

static void end_stale(struct session *session)
{
    session->server->metrics.stale++;
    LOG(session->server->log, LOG_INFO, "bus_stale_connection", LOG_U("client", session->id));
    session_end(session, "Stale Connection");
}

void session_ponged(struct session *session)
{
    if (session->pinged_ns) session->rtt_ns = io_now_ns(session->server->io) - session->pinged_ns;
    session->pinged_ns = 0;
}

static void ping(struct session *session)
{
    if (session->heard) session->pings = 0;
    if (session->pings >= session->server->options.max_pings) {
        end_stale(session);
        return;
    }
    if (!session->heard) {
        session->pings++;
        session->pinged_ns = io_now_ns(session->server->io);
        session_say(session, BYTES("PING\r\n"));
    }
    session->heard = false;
    session_set_timer(session);
}

/* While it is open: who has not said who it is goes, and whose time is over; the others are asked
 * whether they are still there. Else the end of draining and lingering. */
static void timer_done(struct io_timer *timer)
{
    struct session *session = CONTAINER_OF(timer, struct session, timer);
    if (session->state != SESSION_OPEN) {
        session_close(session);
    } else if (!session->bus) {
        session->server->metrics.auth_failures++;
        session_end(session, "Authentication Timeout");
    } else if (session->expires_ms &&
               session->expires_ms <= io_now_ns(session->server->io) / NS_PER_MS) {
        end_expired(session);
    } else {
        ping(session);
    }
}

static struct session *session_new(struct bus_server *server)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session) return NULL;
    session->server = server;
    session->id = ++server->next_client_id;
    list_init(&session->dirty);
    list_init(&session->borrowing);
    list_init(&session->stalled);
    list_init(&session->sending);
    list_init(&session->link);
    list_push(&server->sessions, &session->link);
    server->session_count++;
    outbox_init(&session->out, &server->pool);
    size_t largest = server->options.max_control_line + server->options.max_payload;
    buf_init(&session->partial,
             FRAME_OVERHEAD + (largest > BEHIND_CONNECT ? largest : BEHIND_CONNECT));
    map_init(&session->subscriptions, server->options.max_subscriptions);
    io_timer_init(&session->timer, timer_done);
    struct nats_connect defaults;
    nats_connect_init(&defaults);
    session->verbose = defaults.verbose;
    session->pedantic = defaults.pedantic;
    session->echo = defaults.echo;
    return session;
}

void session_accept(struct bus_listener *listener)
{
    struct bus_server *server = listener->server;
    bool refuse = server->session_count >= server->options.max_connections;
    if (refuse) server->metrics.refused++;
    struct session *session = NULL;
    if (server->session_count < server->options.max_connections + REFUSED_MAX)
        session = session_new(server);
    if (!session) return;
    session->listener = listener;
    io_accept(&listener->listener, &session->stream);
    session->is_local = listener->listener.addr.family == IO_UNIX;
    session->refused = refuse;
    if (!refuse) server->metrics.accepted++;
    report_begin(session);
    LOG(server->log, LOG_DEBUG, "bus_connected", LOG_U("client", session->id));
    if (session_greet(session))
        session_close(session);
    else
        opening_begin(session);
}

void session_begin(struct session *session, bool say_info, struct bytes first)
{
    session->state = SESSION_OPEN;
    if (say_info) session_say_info(session);
    if (session->refused) session_end(session, "maximum connections exceeded");
    if (session->state != SESSION_OPEN) return;
    session_set_timer(session);
    if (first.len)
        session_take(session, first);
    else
        session_receive(session);
}
