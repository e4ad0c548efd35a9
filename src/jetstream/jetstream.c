#include "jetstream/jetstream_impl.h"

#include <stdlib.h>

enum { MAX_REQUESTS = 8192, STARTS_PER_TURN = 64 };

const struct metric jetstream_metric_table[] = {
#define METRICS "jetstream/jetstream_metrics.def"
#define METRICS_OF struct jetstream_metrics
#include "base/metric_rows.h"
};
const size_t jetstream_metric_count =
    sizeof jetstream_metric_table / sizeof jetstream_metric_table[0];

const struct jetstream_metrics *jetstream_metrics(struct jetstream *js)
{
    js->metrics.advisories = js->advisories.published;
    js->metrics.advisories_dropped = js->advisories.dropped;
    return &js->metrics;
}

/* ---- taking turns ---------------------------------------------------------------------------- */

static void start(struct jetstream *js, struct api_call *call)
{
    list_remove(&call->link);
    list_push(&js->running, &call->link);
    js->metrics.waiting--;
    if (call->request->changes)
        js->changing = true;
    else
        js->reads++;
    api_call_run(call);
}

/* One that changes something runs alone; those that do not run together. */
static void take_turn(struct io_task *task)
{
    struct jetstream *js = CONTAINER_OF(task, struct jetstream, turn);
    for (int i = 0; i < STARTS_PER_TURN && !js->changing && !list_empty(&js->waiting); i++) {
        struct api_call *call = CONTAINER_OF(js->waiting.next, struct api_call, link);
        if (call->request->changes && js->reads) return;
        start(js, call);
    }
    if (!js->changing && !list_empty(&js->waiting)) io_post(js->io, &js->turn);
}

static bool idle(const struct jetstream *js)
{
    return !js->changing && !js->reads && !js->get_count;
}

void jetstream_call_ended(struct jetstream *js, bool changes)
{
    if (changes) {
        js->changing = false;
    } else {
        js->reads--;
    }
    if (js->closing && idle(js)) io_post(js->io, &js->close_task);
    if (!list_empty(&js->waiting)) io_post(js->io, &js->turn);
}

void jetstream_get_ended(struct jetstream *js)
{
    js->get_count--;
    if (js->closing && idle(js)) io_post(js->io, &js->close_task);
}

static const struct api_request *find_request(struct bytes subject)
{
    for (size_t i = 0; i < api_request_count; i++) {
        struct bytes name = bytes_str(api_requests[i].subject);
        if (!bytes_starts(subject, name)) continue;
        if (subject.len == name.len || subject.data[name.len] == '.') return &api_requests[i];
    }
    return NULL;
}

/* What is below "$JS.API." belongs to us even when it means nothing: there is just no answer. */
static bool take(struct bus_service *service, struct message *message)
{
    struct jetstream *js = CONTAINER_OF(service, struct jetstream, api);
    struct bytes subject = bytes_skip(message->subject, service->prefix_len);
    const struct api_request *request = find_request(subject);
    if (!request) return true;
    struct api_call *call = NULL;
    if (js->metrics.waiting < js->max_requests) call = api_call_new(js, request, message);
    if (!call) {
        js->metrics.dropped++;
        if (js->metrics.waiting >= js->max_requests) advisory_limit(&js->advisories, 1);
        return true;
    }
    js->metrics.requests++;
    js->metrics.waiting++;
    list_push(&js->waiting, &call->link);
    io_post(js->io, &js->turn);
    return true;
}

int jetstream_send(struct jetstream *js, struct message *message)
{
    int r = bus_publish(js->bus, message);
    if (r != ERR_TOO_BIG) return r;
    struct bus_inbox inbox;
    return bus_inbox_find(js->bus, message->subject, &inbox) ? (int)bus_inbox_put(&inbox, message)
                                                             : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void drop(struct list *calls)
{
    struct list *link;
    while ((link = list_pop(calls))) api_call_free(CONTAINER_OF(link, struct api_call, link));
}

static void end(struct io_task *task)
{
    struct jetstream *js = CONTAINER_OF(task, struct jetstream, close_task);
    void (*closed)(void *) = js->closed;
    void *context = js->closed_context;
    io_task_cancel(js->io, &js->turn);
    advisories_release(&js->advisories);
    free(js);
    if (closed) closed(context);
}

int jetstream_open(struct io *io, struct bus *bus, struct streams *streams,
                   const struct jetstream_options *options, struct jetstream **ret_jetstream,
                   struct error *error)
{
    struct jetstream *js = calloc(1, sizeof *js);
    if (!js) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    js->io = io;
    js->bus = bus;
    js->streams = streams;
    js->log = options ? options->log : NULL;
    js->max_requests = options && options->max_requests ? options->max_requests : MAX_REQUESTS;
    list_init(&js->waiting);
    list_init(&js->running);
    list_init(&js->gets);
    list_init(&js->snapshots);
    list_init(&js->restores);
    advisories_init(&js->advisories, io, bus);
    io_task_init(&js->turn, take_turn);
    io_task_init(&js->close_task, end);
    js->api = (struct bus_service){.prefix = "$JS.API.", .take = take};
    js->direct = (struct bus_service){.prefix = "$JS.API.DIRECT.GET.", .take = direct_take};
    bus_add_service(bus, &js->api);
    if (streams) {
        bus_add_service(bus, &js->direct);
        deliveries_open(&js->deliveries, io, bus, streams, &js->advisories);
    }
    *ret_jetstream = js;
    return 0;
}

void jetstream_close(struct jetstream *js, void (*done)(void *context), void *context)
{
    if (!js) {
        if (done) done(context);
        return;
    }
    js->closing = true;
    js->closed = done;
    js->closed_context = context;
    bus_remove_service(&js->api);
    if (js->streams) {
        bus_remove_service(&js->direct);
        deliveries_close(&js->deliveries);
    }
    drop(&js->waiting);
    js->metrics.waiting = 0;
    snapshots_stop(js);
    restores_stop(js);
    if (idle(js)) io_post(js->io, &js->close_task);
}

void jetstream_free(struct jetstream *js)
{
    if (!js) return;
    drop(&js->waiting);
    drop(&js->running);
    direct_free(js);
    if (js->streams) deliveries_free(&js->deliveries);
    snapshots_free(js);
    restores_free(js);
    advisories_release(&js->advisories);
    free(js);
}
