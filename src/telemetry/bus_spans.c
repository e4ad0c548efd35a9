#include "telemetry/bus_spans.h"

#include "base/map.h"

#include <jansson.h>
#include <stdlib.h>

/* A request whose reply has not come. */
struct asked {
    uint64_t start_wall_ns, start_ns;
    struct trace_parent caller;
    char subject[96];
    char reply[128]; /* "": free */
};

struct bus_spans {
    struct bus_observer observer;
    struct messaging_subscription *reports;
    struct io *io;
    struct messaging *messaging;
    struct spans *spans;
    struct map by_reply;
    size_t next; /* place of the oldest */
    struct asked asked[BUS_SPANS_PENDING];
};

static void forget(struct bus_spans *bus_spans, struct asked *asked)
{
    if (asked->reply[0]) map_remove(&bus_spans->by_reply, bytes_str(asked->reply));
    asked->reply[0] = 0;
}

static void remember(struct bus_spans *bus_spans, const struct bus_event *event)
{
    struct trace_parent caller;
    if (event->reply.len >= sizeof((struct asked *)0)->reply) return;
    if (trace_parent_parse(event->trace, &caller) != 0) return;
    struct asked *asked = &bus_spans->asked[bus_spans->next++ % BUS_SPANS_PENDING];
    forget(bus_spans, asked);
    asked->start_wall_ns = io_wall_ns(bus_spans->io);
    asked->start_ns = io_now_ns(bus_spans->io);
    asked->caller = caller;
    SPAN_TEXT(asked->subject, event->subject);
    SPAN_TEXT(asked->reply, event->reply);
    void *old;
    int err = map_put(&bus_spans->by_reply, bytes_str(asked->reply), asked, &old);
    if (err) asked->reply[0] = 0;
    if (!err && old) ((struct asked *)old)->reply[0] = 0;
}

static void answer(struct bus_spans *bus_spans, const struct bus_event *event)
{
    struct asked *asked = map_get(&bus_spans->by_reply, event->subject);
    if (!asked) return;
    struct span span = {
        .trace = asked->caller.trace,
        .parent = asked->caller.span,
        .start_wall_ns = asked->start_wall_ns,
        .duration_ns = io_now_ns(bus_spans->io) - asked->start_ns,
        .kind = SPAN_ASK,
    };
    io_random(bus_spans->io, span.id.bytes, sizeof span.id.bytes);
    SPAN_TEXT(span.name, bytes_str(asked->subject));
    SPAN_TEXT(span.service, BYTES("bus"));
    spans_add(bus_spans->spans, &span);
    forget(bus_spans, asked);
}

static void published(struct bus_observer *observer, const struct bus_event *event)
{
    struct bus_spans *bus_spans = CONTAINER_OF(observer, struct bus_spans, observer);
    if (event->kind == BUS_EVENT_REQUEST && event->trace.len) remember(bus_spans, event);
    if (event->kind == BUS_EVENT_REPLY) answer(bus_spans, event);
}

static struct bytes member(json_t *object, const char *key)
{
    return bytes_str(json_string_value(json_object_get(object, key)));
}

static enum span_kind kind_of(struct bytes kind)
{
    if (bytes_eq(kind, BYTES("server"))) return SPAN_SERVER;
    if (bytes_eq(kind, BYTES("client"))) return SPAN_CLIENT;
    return SPAN_INTERNAL;
}

/* A number of a report, which must lie from 0 to max. */
static bool take_number(json_t *report, const char *key, json_int_t max, uint64_t *ret_number)
{
    json_int_t number = json_integer_value(json_object_get(report, key));
    *ret_number = (uint64_t)number;
    return number >= 0 && number <= max;
}

/* {trace, span, parent, name, service, kind, start_ns, duration_us, status} */
static void take_report(struct bus_spans *bus_spans, json_t *report)
{
    struct span span = {.kind = kind_of(member(report, "kind"))};
    if (trace_id_parse(member(report, "trace"), &span.trace) != 0) return;
    if (span_id_parse(member(report, "span"), &span.id) != 0) return;
    if (span_id_parse(member(report, "parent"), &span.parent) != 0)
        span.parent = (struct span_id){0};
    uint64_t duration_us, status;
    if (!take_number(report, "start_ns", INT64_MAX / 2, &span.start_wall_ns)) return;
    if (!take_number(report, "duration_us", INT64_MAX / 2000, &duration_us)) return;
    if (!take_number(report, "status", 999, &status)) return;
    span.duration_ns = duration_us * 1000;
    span.status = (int)status;
    span.failed = span.status >= 500;
    SPAN_TEXT(span.name, member(report, "name"));
    SPAN_TEXT(span.service, member(report, "service"));
    spans_add(bus_spans->spans, &span);
}

/* What services say of themselves is not trusted further than its form. */
static void reported(void *context, struct message *message)
{
    json_t *reports = json_loadb(message->payload.data, message->payload.len, 0, NULL);
    size_t i;
    json_t *report;
    json_array_foreach(reports, i, report) take_report(context, report);
    json_decref(reports);
}

int bus_spans_new(struct io *io, struct messaging *messaging, struct spans *spans,
                  struct bus_spans **ret_bus_spans)
{
    struct bus_spans *bus_spans = calloc(1, sizeof *bus_spans);
    if (!bus_spans) return ERR_NOMEM;
    bus_spans->io = io;
    bus_spans->messaging = messaging;
    bus_spans->spans = spans;
    bus_spans->observer.published = published;
    map_init(&bus_spans->by_reply, BUS_SPANS_PENDING);
    int err = messaging_subscribe(messaging, BYTES("_DURE.SPANS"), BYTES(""), reported, bus_spans,
                                  &bus_spans->reports);
    if (err) {
        free(bus_spans);
        return err;
    }
    messaging_observe(messaging, &bus_spans->observer);
    *ret_bus_spans = bus_spans;
    return 0;
}

void bus_spans_free(struct bus_spans *bus_spans)
{
    if (!bus_spans) return;
    messaging_observe(bus_spans->messaging, NULL);
    messaging_unsubscribe(bus_spans->reports);
    map_release(&bus_spans->by_reply);
    free(bus_spans);
}
