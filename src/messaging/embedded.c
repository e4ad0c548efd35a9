/* The engine of a system that has its bus in this very program: thin over bus and streams. */
#include "messaging/embedded.h"

#include <stdio.h>
#include <stdlib.h>

static struct embedded *embedded_of(struct messaging *messaging)
{
    return CONTAINER_OF(messaging, struct embedded, messaging);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void tell_ready(struct io_task *task)
{
    struct embedded *embedded = CONTAINER_OF(task, struct embedded, ready_task);
    embedded->ready(embedded->ready_context);
}

static void when_ready(struct messaging *messaging, void (*ready)(void *context), void *context)
{
    struct embedded *embedded = embedded_of(messaging);
    embedded->ready = ready;
    embedded->ready_context = context;
    io_post(messaging->io, &embedded->ready_task);
}

static void release(struct messaging *messaging)
{
    struct embedded *embedded = embedded_of(messaging);
    io_task_cancel(messaging->io, &embedded->ready_task);
    free(embedded);
}

static void close_it(struct messaging *messaging, void (*done)(void *context), void *context)
{
    release(messaging);
    if (done) done(context);
}

static void status(struct messaging *messaging, struct messaging_status *ret_status)
{
    ret_status->embedded = ret_status->reachable = true;
    ret_status->replicas = 1;
}

/* ---- what does not last ---------------------------------------------------------------------- */

static int publish(struct messaging *messaging, struct message *message)
{
    return bus_publish(embedded_of(messaging)->bus, message);
}

static int subscribe(struct messaging *messaging, struct bytes pattern, struct bytes queue,
                     bus_message_fn *deliver, void *context, void **ret_subscription)
{
    struct bus_subscription *subscription = NULL;
    int err =
        bus_subscribe(embedded_of(messaging)->bus, pattern, queue, deliver, context, &subscription);
    *ret_subscription = subscription;
    return err;
}

static void unsubscribe(void *subscription)
{
    bus_unsubscribe(subscription);
}

static void replied(struct bus_request *bus, int result, struct message *reply)
{
    struct messaging_request *request = CONTAINER_OF(bus, struct messaging_request, bus);
    request->messaging = NULL;
    request->done(request, result, reply);
}

static int ask(struct messaging *messaging, struct messaging_request *request,
               struct message *message, uint32_t timeout_ms)
{
    return bus_request(embedded_of(messaging)->bus, &request->bus, message, timeout_ms, replied);
}

static void request_cancel(struct messaging_request *request)
{
    bus_request_cancel(&request->bus);
}

/* ---- what lasts ------------------------------------------------------------------------------ */

static void store_end(struct messaging_store *store, int result)
{
    store->messaging = NULL;
    store->state = STORE_IDLE;
    store->done(store, result);
}

static void acknowledged(struct bus_request *bus, int result, struct message *reply)
{
    struct messaging_store *store = CONTAINER_OF(bus, struct messaging_store, bus);
    store_end(store, result ? result : jsapi_puback(reply->payload, &store->ack));
}

static void nowhere(struct io_task *task)
{
    store_end(CONTAINER_OF(task, struct messaging_store, task), ERR_NOT_FOUND);
}

static int store_message(struct messaging *messaging, struct messaging_store *store,
                         struct message *message, uint32_t timeout_ms)
{
    struct embedded *embedded = embedded_of(messaging);
    store->state = STORE_WAITS;
    if (streams_capturing(embedded->streams, message->subject))
        return bus_request(embedded->bus, &store->bus, message, timeout_ms, acknowledged);
    store->state = STORE_NOWHERE;
    io_task_init(&store->task, nowhere);
    io_post(messaging->io, &store->task);
    return 0;
}

static void store_cancel(struct messaging_store *store)
{
    if (store->state == STORE_WAITS) bus_request_cancel(&store->bus);
    if (store->state == STORE_NOWHERE) io_task_cancel(store->messaging->io, &store->task);
}

/* A stream that is being made or changed. Lives until the change is over, even when its owner does
 * not wait for it any more. */
struct embedded_setup {
    struct messaging_setup *setup; /* NULL: cancelled */
    struct io_task task;
    struct stream_op op;
    int result;
    struct error error;
};

static void setup_done(struct io_task *task)
{
    struct embedded_setup *of_engine = CONTAINER_OF(task, struct embedded_setup, task);
    struct messaging_setup *setup = of_engine->setup;
    int result = of_engine->result;
    struct error error = of_engine->error;
    free(of_engine);
    if (!setup) return;
    setup->messaging = NULL;
    setup->done(setup, result, &error);
}

static void updated(struct stream_op *op, int result)
{
    struct embedded_setup *of_engine = CONTAINER_OF(op, struct embedded_setup, op);
    of_engine->result = result;
    if (result) api_error_tell(&op->refusal, result, &of_engine->error);
    setup_done(&of_engine->task);
}

static bool same(const struct stream_config *config, const struct messaging_stream *stream)
{
    bool equal = config->subject_count == stream->subject_count &&
                 config->max_age_ns == stream->max_age_ns &&
                 (!stream->duplicate_window_ns ||
                  config->duplicate_window_ns == stream->duplicate_window_ns);
    for (size_t i = 0; equal && i < config->subject_count; i++)
        equal = bytes_eq(bytes_str(config->subjects[i]), bytes_str(stream->subjects[i]));
    return equal;
}

static void wanted(struct stream_config *config, const struct messaging_stream *stream)
{
    config->name = stream->name;
    config->subjects = stream->subjects;
    config->subject_count = stream->subject_count;
    config->max_age_ns = stream->max_age_ns;
    if (stream->duplicate_window_ns) config->duplicate_window_ns = stream->duplicate_window_ns;
}

static int keep_stream(struct messaging *messaging, struct messaging_setup *setup,
                       const struct messaging_stream *stream)
{
    struct streams *streams = embedded_of(messaging)->streams;
    struct stream *there = streams_find(streams, bytes_str(stream->name));
    struct stream_config config = {0};
    struct embedded_setup *of_engine = calloc(1, sizeof *of_engine);
    if (!of_engine) return ERR_NOMEM;
    setup->of_engine = of_engine;
    of_engine->setup = setup;
    io_task_init(&of_engine->task, setup_done);
    if (there && !same(stream_config(there), stream)) {
        config = *stream_config(there);
        wanted(&config, stream);
        stream_update(there, &of_engine->op, &config, updated);
        return 0;
    }
    if (!there) {
        struct api_error refusal = {0};
        wanted(&config, stream);
        of_engine->result = streams_add(streams, &config, &there, &refusal);
        if (of_engine->result) api_error_tell(&refusal, of_engine->result, &of_engine->error);
    }
    io_post(messaging->io, &of_engine->task);
    return 0;
}

static void setup_cancel(struct messaging_setup *setup)
{
    struct embedded_setup *of_engine = setup->of_engine;
    of_engine->setup = NULL;
}

static const struct messaging_engine engine = {
    .close = close_it,
    .free = release,
    .when_ready = when_ready,
    .status = status,
    .publish = publish,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .ask = ask,
    .request_cancel = request_cancel,
    .store = store_message,
    .store_cancel = store_cancel,
    .keep_stream = keep_stream,
    .setup_cancel = setup_cancel,
    .queue_open = embedded_queue_open,
    .bucket_open = embedded_bucket_open,
};

int messaging_embed(struct io *io, struct bus *bus, struct streams *streams,
                    struct messaging **ret_messaging)
{
    struct embedded *embedded = calloc(1, sizeof *embedded);
    if (!embedded) return ERR_NOMEM;
    embedded->messaging = (struct messaging){&engine, io};
    embedded->bus = bus;
    embedded->streams = streams;
    io_task_init(&embedded->ready_task, tell_ready);
    *ret_messaging = &embedded->messaging;
    return 0;
}

bool messaging_observe(struct messaging *messaging, struct bus_observer *observer)
{
    if (messaging->engine != &engine) return false;
    bus_set_observer(embedded_of(messaging)->bus, observer);
    return true;
}
