#include "bus/bus_server.h"

#include "bus/report.h"
#include "bus/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void set_defaults(struct bus_server_options *options)
{
    if (!options->max_payload) options->max_payload = NATS_PAYLOAD_MAX;
    if (options->max_payload > NATS_PAYLOAD_CAP) options->max_payload = NATS_PAYLOAD_CAP;
    if (!options->max_pending) options->max_pending = 64 << 20;
    if (!options->max_control_line) options->max_control_line = NATS_LINE_MAX;
    if (!options->max_connections) options->max_connections = 65536;
    if (!options->max_subscriptions) options->max_subscriptions = 2000000;
    if (!options->ping_interval_ms) options->ping_interval_ms = 120 * 1000;
    if (!options->max_pings) options->max_pings = 2;
    if (!options->write_deadline_ms) options->write_deadline_ms = 10 * 1000;
}

static void close_listeners(struct bus_server *server)
{
    LIST_EACH(&server->listeners, struct bus_listener, link, listener) {
        if (!listener->closed) io_listener_close(&listener->listener);
        listener->closed = true;
    }
}

static void release(struct bus_server *server)
{
    struct list *link;
    while ((link = list_pop(&server->listeners))) {
        struct bus_listener *listener = CONTAINER_OF(link, struct bus_listener, link);
        free(listener->websocket);
        free(listener);
    }
    auth_queue_release(&server->passwords);
    bus_auth_free(server->auth);
    bus_tls_free(server->tls);
    outbox_pool_release(&server->pool);
    report_release(&server->ended);
    free(server);
}

static void finish_closing(struct bus_server *server)
{
    void (*closed)(void *context) = server->closed;
    void *context = server->closed_context;
    io_task_cancel(server->io, &server->close_task);
    io_task_cancel(server->io, &server->flush);
    io_timer_cancel(server->io, &server->resume);
    io_timer_cancel(server->io, &server->write_deadline);
    io_timer_cancel(server->io, &server->lame_duck_step);
    release(server);
    if (closed) closed(context);
}

/* The last session, or the last password that a thread had to look at, has gone. */
void bus_server_session_gone(struct bus_server *server)
{
    if (server->deserted && !server->closing && list_empty(&server->sessions))
        io_timer_set(server->io, &server->lame_duck_step, 0);
    if (!server->closing || !list_empty(&server->sessions) || server->passwords.running) return;
    finish_closing(server);
}

static void close_run(struct io_task *task)
{
    struct bus_server *server = CONTAINER_OF(task, struct bus_server, close_task);
    LIST_EACH(&server->sessions, struct session, link, session) session_close(session);
    bus_server_session_gone(server);
}

static void passwords_idle(struct auth_queue *queue)
{
    bus_server_session_gone(CONTAINER_OF(queue, struct bus_server, passwords));
}

static void copy_advertised(struct bus_server *server)
{
    for (size_t i = 0; i < server->options.advertise_count; i++) {
        struct bytes url = server->options.advertise[i];
        if (url.len >= NATS_NAME_MAX || server->advertise_count == NATS_URLS_MAX) continue;
        memcpy(server->advertise[server->advertise_count++], url.data, url.len);
    }
    server->options.advertise = NULL;
}

/* ---- lame duck ------------------------------------------------------------------------------ */

static void send_one_away(struct io_timer *timer)
{
    struct bus_server *server = CONTAINER_OF(timer, struct bus_server, lame_duck_step);
    if (server->closing) return;
    if (list_empty(&server->sessions)) {
        void (*deserted)(void *context) = server->deserted;
        server->deserted = NULL;
        if (deserted) deserted(server->deserted_context);
        return;
    }
    LIST_EACH(&server->sessions, struct session, link, session) {
        if (session->state != SESSION_OPEN) continue;
        session_end(session, NULL);
        break;
    }
    io_timer_set(server->io, &server->lame_duck_step, server->lame_duck_every_ms);
}

void bus_server_lame_duck(struct bus_server *server, uint32_t grace_ms, uint32_t duration_ms,
                          void (*done)(void *context), void *context)
{
    if (server->lame_duck || server->closing) return;
    LOG(server->log, LOG_INFO, "bus_lame_duck", LOG_U("clients", server->session_count));
    server->lame_duck = true;
    server->deserted = done;
    server->deserted_context = context;
    LIST_EACH(&server->sessions, struct session, link, session)
        if (session->state == SESSION_OPEN) session_say_info(session);
    close_listeners(server);
    server->lame_duck_every_ms = duration_ms / (server->session_count + 1);
    if (!server->lame_duck_every_ms) server->lame_duck_every_ms = 1;
    io_timer_set(server->io, &server->lame_duck_step, server->session_count ? grace_ms : 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

int bus_server_new(struct io *io, const struct bus_server_options *options, struct bus *bus,
                   struct log *log, struct bus_server **ret_server)
{
    struct bus_server *server = calloc(1, sizeof *server);
    if (!server) return ERR_NOMEM;
    server->io = io;
    server->log = log;
    server->began_ns = io_wall_ns(io);
    server->bus = bus;
    if (options) server->options = *options;
    set_defaults(&server->options);
    bus_make_id(io, server->id);
    snprintf(server->name, sizeof server->name, "%s",
             server->options.name ? server->options.name : server->id);
    server->options.name = server->name;
    auth_queue_init(&server->passwords, io, passwords_idle);
    outbox_pool_init(&server->pool);
    list_init(&server->finished);
    list_init(&server->listeners);
    list_init(&server->sessions);
    list_init(&server->dirty);
    list_init(&server->borrowers);
    list_init(&server->stalled);
    list_init(&server->sending);
    io_task_init(&server->flush, sessions_flush);
    io_task_init(&server->close_task, close_run);
    io_timer_init(&server->resume, sessions_resume);
    io_timer_init(&server->write_deadline, sessions_write_deadline);
    io_timer_init(&server->lame_duck_step, send_one_away);
    copy_advertised(server);
    *ret_server = server;
    return 0;
}

void bus_server_set_auth(struct bus_server *server, struct bus_auth *auth)
{
    assert(!server->auth && list_empty(&server->listeners));
    server->auth = auth;
}

void bus_server_close(struct bus_server *server, void (*done)(void *context), void *context)
{
    if (!server) {
        if (done) done(context);
        return;
    }
    assert(!server->closing);
    server->closing = true;
    server->closed = done;
    server->closed_context = context;
    close_listeners(server);
    io_post(server->io, &server->close_task);
}

void bus_server_free(struct bus_server *server)
{
    if (!server) return;
    while (!list_empty(&server->sessions))
        session_free(CONTAINER_OF(server->sessions.next, struct session, link));
    release(server);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void accepted(struct io_listener *listener)
{
    session_accept(CONTAINER_OF(listener, struct bus_listener, listener));
}

static struct bus_listener *listener_new(struct bus_server *server)
{
    struct bus_listener *listener = calloc(1, sizeof *listener);
    if (!listener) return NULL;
    listener->server = server;
    list_init(&listener->link);
    return listener;
}

static int listener_add(struct bus_listener *listener, int result, struct io_addr *ret_addr)
{
    if (result) {
        free(listener);
        return result;
    }
    list_push(&listener->server->listeners, &listener->link);
    if (ret_addr) *ret_addr = listener->listener.addr;
    return 0;
}

int bus_server_listen_for(struct bus_server *server, const struct io_addr *addr,
                          const struct io_listen_options *options, struct bus_websocket *websocket,
                          struct io_addr *ret_addr)
{
    struct bus_listener *listener = listener_new(server);
    if (!listener) return ERR_NOMEM;
    listener->websocket = websocket;
    int r = io_listen(server->io, &listener->listener, addr, options, accepted);
    return listener_add(listener, r, ret_addr);
}

int bus_server_listen(struct bus_server *server, const struct io_addr *addr,
                      struct io_addr *ret_addr)
{
    return bus_server_listen_for(server, addr, NULL, NULL, ret_addr);
}

int bus_server_listen_unix(struct bus_server *server, const struct io_addr *addr, unsigned mode)
{
    struct io_listen_options options = {.unix_mode = mode};
    return bus_server_listen_for(server, addr, &options, NULL, NULL);
}

int bus_server_adopt(struct bus_server *server, int fd, struct io_addr *ret_addr)
{
    struct bus_listener *listener = listener_new(server);
    if (!listener) return ERR_NOMEM;
    int r = io_listener_adopt(server->io, &listener->listener, fd, accepted);
    return listener_add(listener, r, ret_addr);
}

/* ---- metrics -------------------------------------------------------------------------------- */

const struct bus_server_metrics *bus_server_metrics(struct bus_server *server)
{
    server->metrics.connections = server->session_count;
    server->metrics.outbox_bytes = server->pool.pending;
    server->metrics.stalled = 0;
    LIST_EACH(&server->stalled, struct session, stalled, session) server->metrics.stalled++;
    return &server->metrics;
}

const struct metric bus_server_metric_table[] = {
#define METRICS "bus/server_metrics.def"
#define METRICS_OF struct bus_server_metrics
#include "base/metric_rows.h"
};
const size_t bus_server_metric_count =
    sizeof bus_server_metric_table / sizeof *bus_server_metric_table;
