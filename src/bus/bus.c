#include "bus/bus.h"

#include "bus/core.h"
#include "wire/nats.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TAILS_MAX = 16 << 10 };

static void set_defaults(struct bus_options *options)
{
    if (!options->max_payload) options->max_payload = NATS_PAYLOAD_MAX;
    if (options->max_payload > NATS_PAYLOAD_CAP) options->max_payload = NATS_PAYLOAD_CAP;
    if (!options->max_pending) options->max_pending = 64 << 20;
}

void bus_make_id(struct io *io, char ret_id[24])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint8_t random[22];
    io_random(io, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) ret_id[i] = letters[random[i] % 32];
    ret_id[sizeof random] = '\0';
}

static void release(struct bus *bus)
{
    local_release(bus);
    router_release(&bus->router);
    buf_release(&bus->tails[0]);
    buf_release(&bus->tails[1]);
    buf_release(&bus->prefix);
    interest_release(bus);
    free(bus);
}

/* Requests are failed from the loop, not inside bus_close(). */
static void close_run(struct io_task *task)
{
    struct bus *bus = CONTAINER_OF(task, struct bus, close_task);
    void (*closed)(void *context) = bus->closed;
    void *context = bus->closed_context;
    local_close(bus);
    io_task_cancel(bus->io, &bus->local_task);
    release(bus);
    if (closed) closed(context);
}

static void *route_captures(void *context, struct bytes subject)
{
    struct bus *bus = context;
    return bus->capture ? bus->capture->captures(bus->capture, subject) : NULL;
}

int bus_new(struct io *io, const struct bus_options *options, struct log *log, struct bus **ret_bus)
{
    struct bus *bus = calloc(1, sizeof *bus);
    if (!bus) return ERR_NOMEM;
    bus->io = io;
    bus->log = log;
    if (options) bus->options = *options;
    set_defaults(&bus->options);
    bus_make_id(io, bus->id);
    snprintf(bus->name, sizeof bus->name, "%s",
             bus->options.name ? bus->options.name : BUS_DEFAULT_ACCOUNT);
    bus->options.name = bus->name;
    buf_init(&bus->tails[0], TAILS_MAX);
    buf_init(&bus->tails[1], TAILS_MAX);
    buf_init(&bus->prefix, TAILS_MAX);
    list_init(&bus->services);
    io_task_init(&bus->close_task, close_run);
    int r = router_init(&bus->router);
    if (r) {
        free(bus);
        return r;
    }
    bus->router.captures = route_captures;
    bus->router.captures_context = bus;
    interest_init(bus);
    bus->router.admits = session_admits;
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
    assert(!bus->closing && !bus->session_count);
    bus->closing = true;
    bus->closed = done;
    bus->closed_context = context;
    io_post(bus->io, &bus->close_task);
}

void bus_free(struct bus *bus)
{
    if (!bus) return;
    assert(!bus->session_count);
    release(bus);
}

const char *bus_name(const struct bus *bus)
{
    return bus->name;
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

void bus_add_service(struct bus *bus, struct bus_service *service)
{
    size_t len = service->prefix_len = strlen(service->prefix);
    assert(service->prefix[0] == '$' && service->prefix[len - 1] == '.');
    struct list *place = &bus->services;
    LIST_EACH(&bus->services, struct bus_service, link, other) {
        if (other->prefix_len >= len) continue;
        place = &other->link;
        break;
    }
    list_init(&service->link);
    list_insert_before(place, &service->link);
    service->generation = 0; /* no router has it */
}

void bus_remove_service(struct bus_service *service)
{
    list_remove(&service->link);
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
    bus->metrics.subscriptions = bus->router.count;
    bus->metrics.pending_bytes = bus->local_pending;
    return &bus->metrics;
}

const struct metric bus_metric_table[] = {
#define METRICS "bus/metrics.def"
#define METRICS_OF struct bus_metrics
#include "base/metric_rows.h"
};
const size_t bus_metric_count = sizeof bus_metric_table / sizeof *bus_metric_table;
