#include "bus/bus.h"

#include "bus/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAILS_MAX = 16 << 10 };

static void set_defaults(struct bus_options *options)
{
    if (!options->max_payload) options->max_payload = NATS_PAYLOAD_MAX;
    if (options->max_payload > NATS_PAYLOAD_CAP) options->max_payload = NATS_PAYLOAD_CAP;
    if (!options->max_pending) options->max_pending = 64 << 20;
    if (!options->max_connections) options->max_connections = 65536;
    if (!options->max_subscriptions) options->max_subscriptions = 65536;
    if (!options->ping_interval_ms) options->ping_interval_ms = 120 * 1000;
    if (!options->max_pings) options->max_pings = 2;
}

/* 22 characters, as the names that clients make for themselves. */
static void make_id(struct bus *bus)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[22];
    io_random(bus->io, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) bus->id[i] = letters[random[i] % 32];
}

static void free_listeners(struct bus *bus, bool close)
{
    struct list *link;
    while ((link = list_pop(&bus->listeners))) {
        struct bus_listener *listener = CONTAINER_OF(link, struct bus_listener, link);
        if (close) io_listener_close(&listener->listener);
        free(listener);
    }
}

static void release(struct bus *bus)
{
    local_release(bus);
    router_release(&bus->router);
    outbox_pool_release(&bus->pool);
    buf_release(&bus->tails[0]);
    buf_release(&bus->tails[1]);
    free(bus);
}

static void finish_closing(struct bus *bus)
{
    void (*closed)(void *context) = bus->closed;
    void *context = bus->closed_context;
    io_task_cancel(bus->io, &bus->flush);
    io_task_cancel(bus->io, &bus->local_task);
    io_timer_cancel(bus->io, &bus->resume);
    release(bus);
    if (closed) closed(context);
}

/* Requests are failed from the loop, not inside bus_close(). */
static void close_run(struct io_task *task)
{
    struct bus *bus = CONTAINER_OF(task, struct bus, close_task);
    local_close(bus);
    if (list_empty(&bus->sessions)) {
        finish_closing(bus);
        return;
    }
    LIST_EACH(&bus->sessions, struct session, link, session) session_close(session);
}

void bus_session_gone(struct bus *bus)
{
    if (bus->closing && list_empty(&bus->sessions)) finish_closing(bus);
}

static bool route_captures(void *context, struct bytes subject)
{
    struct bus *bus = context;
    return bus->capture && bus->capture->captures(bus->capture, subject);
}

int bus_new(struct io *io, const struct bus_options *options, struct log *log, struct bus **ret_bus)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (!bus) return ERR_NOMEM;
    bus->io = io;
    bus->log = log;
    if (options) bus->options = *options;
    set_defaults(&bus->options);
    make_id(bus);
    snprintf(bus->name, sizeof bus->name, "%s", bus->options.name ? bus->options.name : bus->id);
    bus->options.name = NULL;
    outbox_pool_init(&bus->pool);
    buf_init(&bus->tails[0], TAILS_MAX);
    buf_init(&bus->tails[1], TAILS_MAX);
    list_init(&bus->finished);
    list_init(&bus->listeners);
    list_init(&bus->sessions);
    list_init(&bus->dirty);
    list_init(&bus->stalled);
    io_task_init(&bus->flush, sessions_flush);
    io_task_init(&bus->close_task, close_run);
    io_timer_init(&bus->resume, sessions_resume);
    int r = router_init(&bus->router);
    if (r) {
        free(bus);
        return r;
    }
    bus->router.captures = route_captures;
    bus->router.captures_context = bus;
    r = local_init(bus);
    if (r) {
        release(bus);
        return r;
    }
    *ret_bus = bus;
    return 0;
}

void bus_close(struct bus *bus, void (*done)(void *context), void *context)
{
    if (!bus) {
        if (done) done(context);
        return;
    }
    assert(!bus->closing);
    bus->closing = true;
    bus->closed = done;
    bus->closed_context = context;
    free_listeners(bus, true);
    io_post(bus->io, &bus->close_task);
}

void bus_free(struct bus *bus)
{
    if (!bus) return;
    while (!list_empty(&bus->sessions))
        session_free(CONTAINER_OF(bus->sessions.next, struct session, link));
    free_listeners(bus, false);
    release(bus);
}

/* ---- listeners ------------------------------------------------------------------------------ */

static void accepted(struct io_listener *listener)
{
    session_accept(CONTAINER_OF(listener, struct bus_listener, listener));
}

static struct bus_listener *listener_new(struct bus *bus)
{
    struct bus_listener *listener = calloc(1, sizeof *listener);
    if (!listener) return NULL;
    listener->bus = bus;
    list_init(&listener->link);
    return listener;
}

static int listener_add(struct bus_listener *listener, int result, struct io_addr *ret_addr)
{
    if (result) {
        free(listener);
        return result;
    }
    list_push(&listener->bus->listeners, &listener->link);
    if (ret_addr) *ret_addr = listener->listener.addr;
    return 0;
}

int bus_listen(struct bus *bus, const struct io_addr *addr, struct io_addr *ret_addr)
{
    struct bus_listener *listener = listener_new(bus);
    if (!listener) return ERR_NOMEM;
    int r = io_listen(bus->io, &listener->listener, addr, NULL, accepted);
    return listener_add(listener, r, ret_addr);
}

int bus_adopt_listener(struct bus *bus, int fd, struct io_addr *ret_addr)
{
    struct bus_listener *listener = listener_new(bus);
    if (!listener) return ERR_NOMEM;
    int r = io_listener_adopt(bus->io, &listener->listener, fd, accepted);
    return listener_add(listener, r, ret_addr);
}

void bus_lame_duck(struct bus *bus)
{
    bus->lame_duck = true;
    LIST_EACH(&bus->sessions, struct session, link, session) session_say_info(session);
    free_listeners(bus, true);
}

/* ---- ports ---------------------------------------------------------------------------------- */

void bus_set_capture(struct bus *bus, struct bus_capture *capture)
{
    bus->capture = capture;
    router_invalidate(&bus->router);
}

void bus_capture_changed(struct bus *bus)
{
    router_invalidate(&bus->router);
}

void bus_set_observer(struct bus *bus, struct bus_observer *observer)
{
    bus->observer = observer;
}

/* ---- metrics -------------------------------------------------------------------------------- */

const struct bus_metrics *bus_metrics(struct bus *bus)
{
    bus->metrics.route_hits = bus->router.hits;
    bus->metrics.route_misses = bus->router.misses;
    bus->metrics.connections = bus->session_count;
    bus->metrics.subscriptions = bus->router.count;
    bus->metrics.pending_bytes = bus->pool.pending + bus->local_pending;
    bus->metrics.stalled = 0;
    LIST_EACH(&bus->stalled, struct session, stalled, session) bus->metrics.stalled++;
    return &bus->metrics;
}

const struct metric bus_metric_table[] = {
#define COUNTER(field, name, help) \
    {name, help, METRIC_COUNTER, offsetof(struct bus_metrics, field)},
#define GAUGE(field, name, help) {name, help, METRIC_GAUGE, offsetof(struct bus_metrics, field)},
#include "bus/metrics.def"
#undef COUNTER
#undef GAUGE
};
const size_t bus_metric_count = sizeof bus_metric_table / sizeof *bus_metric_table;
