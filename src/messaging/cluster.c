/* The engine of a system whose bus is a NATS cluster. */
#include "messaging/cluster.h"

#include <stdlib.h>

enum { DRAIN_MS = 2000 };

struct messaging_watch {
    struct client_watch client;
    struct cluster *cluster;
};

bool cluster_passes(int err)
{
    return err == ERR_UNREACHABLE || err == ERR_UNAVAILABLE || err == ERR_TIMEOUT ||
           err == ERR_RESET || err == ERR_FULL || err == ERR_NOMEM;
}

unsigned cluster_replicas(const struct cluster *cluster)
{
    if (cluster->replicas) return cluster->replicas;
    struct client_status status = client_status(cluster->client);
    return status.cluster[0] && status.servers >= 3 ? 3 : 1;
}

/* ---- until it is ready ----------------------------------------------------------------------- */

static void probed(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster *cluster = CONTAINER_OF(api, struct cluster, probe);
    if (result) {
        if (result != ERR_RESET)
            LOG(cluster->log, LOG_WARN, "bus_without_jetstream", LOG_S("reason", error->message));
        io_timer_set(cluster->messaging.io, &cluster->probe_timer, 4 * CLUSTER_AGAIN_MS);
        return;
    }
    cluster->is_ready = true;
    void (*ready)(void *context) = cluster->ready;
    cluster->ready = NULL;
    if (ready) ready(cluster->ready_context);
}

static void probe(struct cluster *cluster)
{
    if (jsapi_ask(cluster->client, &cluster->probe, "INFO", NULL, CLUSTER_API_MS, probed) != 0)
        io_timer_set(cluster->messaging.io, &cluster->probe_timer, CLUSTER_AGAIN_MS);
}

static void probe_again(struct io_timer *timer)
{
    probe(CONTAINER_OF(timer, struct cluster, probe_timer));
}

static void when_ready(struct messaging *messaging, void (*ready)(void *context), void *context)
{
    struct cluster *cluster = cluster_of(messaging);
    cluster->ready = ready;
    cluster->ready_context = context;
    io_timer_set(messaging->io, &cluster->probe_timer, 0);
}

static void connection_changed(struct client_watch *watch, bool up)
{
    struct cluster *cluster = CONTAINER_OF(watch, struct messaging_watch, client)->cluster;
    cluster_queues_changed(cluster, up);
    cluster_buckets_changed(cluster, up);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct engine {
    struct cluster cluster;
    struct messaging_watch watch;
    void (*closed)(void *context);
    void *closed_context;
};

static struct engine *engine_of(struct messaging *messaging)
{
    return CONTAINER_OF(messaging, struct engine, cluster.messaging);
}

static void forget(struct engine *engine)
{
    cluster_forget_subjects(&engine->cluster);
    json_decref(engine->cluster.dead.config);
    free(engine);
}

static void client_closed(void *context)
{
    struct engine *engine = context;
    void (*closed)(void *) = engine->closed;
    void *closed_context = engine->closed_context;
    forget(engine);
    if (closed) closed(closed_context);
}

/* What was asked for last (an instance that leaves the registry) is still acknowledged. */
static void drained(void *context, int result)
{
    struct engine *engine = context;
    client_close(engine->cluster.client, client_closed, engine);
}

static void close_it(struct messaging *messaging, void (*done)(void *context), void *context)
{
    struct engine *engine = engine_of(messaging);
    struct cluster *cluster = &engine->cluster;
    engine->closed = done;
    engine->closed_context = context;
    jsapi_cancel(&cluster->probe);
    io_timer_cancel(messaging->io, &cluster->probe_timer);
    cluster_keep_cancel(&cluster->dead);
    client_unwatch(&engine->watch.client);
    if (client_status(cluster->client).state == CLIENT_UP)
        client_drain(cluster->client, DRAIN_MS, drained, engine);
    else
        client_close(cluster->client, client_closed, engine);
}

static void release(struct messaging *messaging)
{
    struct engine *engine = engine_of(messaging);
    client_free(engine->cluster.client);
    forget(engine);
}

static void status(struct messaging *messaging, struct messaging_status *ret_status)
{
    struct cluster *cluster = cluster_of(messaging);
    ret_status->client = client_status(cluster->client);
    ret_status->reachable = ret_status->client.state == CLIENT_UP;
    ret_status->replicas = cluster_replicas(cluster);
}

/* ---- what does not last ---------------------------------------------------------------------- */

static int publish(struct messaging *messaging, struct message *message)
{
    return client_publish(cluster_of(messaging)->client, message);
}

static int subscribe(struct messaging *messaging, struct bytes pattern, struct bytes queue,
                     bus_message_fn *deliver, void *context, void **ret_subscription)
{
    struct client_subscription *subscription = NULL;
    int err = client_subscribe(cluster_of(messaging)->client, pattern, queue, deliver, context,
                               &subscription);
    *ret_subscription = subscription;
    return err;
}

static void unsubscribe(void *subscription)
{
    client_unsubscribe(subscription);
}

static void replied(struct client_request *client, int result, struct message *reply)
{
    struct messaging_request *request = CONTAINER_OF(client, struct messaging_request, client);
    request->messaging = NULL;
    request->done(request, result, reply);
}

static int ask(struct messaging *messaging, struct messaging_request *request,
               struct message *message, uint32_t timeout_ms)
{
    return client_request(cluster_of(messaging)->client, &request->client, message, timeout_ms,
                          replied);
}

static void request_cancel(struct messaging_request *request)
{
    client_request_cancel(&request->client);
}

static const struct messaging_engine engine_table = {
    .close = close_it,
    .free = release,
    .when_ready = when_ready,
    .status = status,
    .publish = publish,
    .subscribe = subscribe,
    .unsubscribe = unsubscribe,
    .ask = ask,
    .request_cancel = request_cancel,
    .store = cluster_store,
    .store_cancel = cluster_store_cancel,
    .keep_stream = cluster_keep_stream,
    .setup_cancel = cluster_setup_cancel,
    .queue_open = cluster_queue_open,
    .bucket_open = cluster_bucket_open,
};

int messaging_connect(struct io *io, const struct messaging_cluster_options *options,
                      struct log *log, struct messaging **ret_messaging, struct error *error)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine) return error_set(error, ERR_NOMEM, "out of memory");
    struct cluster *cluster = &engine->cluster;
    cluster->messaging = (struct messaging){&engine_table, io};
    cluster->log = log;
    cluster->replicas = options->replicas;
    list_init(&cluster->queues);
    list_init(&cluster->buckets);
    list_init(&cluster->kept);
    map_init(&cluster->asked, 4096);
    io_timer_init(&cluster->probe_timer, probe_again);
    int err = client_new(io, &options->client, log, &cluster->client, error);
    if (err) {
        free(engine);
        return err;
    }
    engine->watch.cluster = cluster;
    client_watch(cluster->client, &engine->watch.client, connection_changed);
    *ret_messaging = &cluster->messaging;
    return 0;
}

struct client *messaging_client(struct messaging *messaging)
{
    return messaging->engine == &engine_table ? cluster_of(messaging)->client : NULL;
}
