/* A queue in a cluster: a durable pull consumer, made and found again, and one pull request at a
 * time. */
#include "messaging/cluster_queue.h"

#include "stream/consumer_config.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ACK_WAIT_MS = 30000,
    MAX_DELIVER = 5,
    MAX_ACK_PENDING = 1000,
    PULL_MAX = 256,
    PULL_EXPIRES_MS = 30000,
    HEARTBEAT_MS = 3000,
    SILENCE_MS = 3 * HEARTBEAT_MS,
    CLOSE_MS = 2000,
    CONSUMER_NOT_FOUND = 10014
};

static const int64_t ms_ns = 1000000;

static struct cluster_queue *queue_of(struct queue *queue)
{
    return CONTAINER_OF(queue, struct cluster_queue, queue);
}

static struct io *io_of(const struct cluster_queue *queue)
{
    return queue->cluster->messaging.io;
}

/* ---- the consumer ---------------------------------------------------------------------------- */

void cluster_queue_make(struct cluster_queue *queue, uint64_t delay_ms)
{
    queue->state = QUEUE_MAKING;
    queue->asked = 0;
    queue->pull++;
    queue->again_ns = io_now_ns(io_of(queue)) + delay_ms * (uint64_t)ms_ns;
}

static void later(struct cluster_queue *queue, const char *reason)
{
    if (!queue->told)
        LOG(queue->cluster->log, LOG_WARN, "queue_waits", LOG_S("stream", queue->stream),
            LOG_S("queue", queue->name), LOG_S("reason", reason));
    queue->told = true;
    cluster_queue_make(queue, CLUSTER_AGAIN_MS);
}

static void ask(struct cluster_queue *queue, const char *what, json_t *body,
                void (*done)(struct jsapi *api, int result, json_t *answer,
                             const struct error *error))
{
    char subject[2 * QUEUE_NAME_MAX + 64];
    snprintf(subject, sizeof subject, "CONSUMER.%s.%s.%s", what, queue->stream, queue->name);
    int err = jsapi_ask(queue->cluster->client, &queue->api, subject, body, CLUSTER_API_MS, done);
    queue->asking = !err;
    if (err) later(queue, err_text(err));
}

static void is_there(struct cluster_queue *queue)
{
    queue->state = QUEUE_THERE;
    queue->told = false;
    if (!queue->queue.open) queue_is_open(&queue->queue);
    cluster_queue_pull(queue);
}

static void made(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster_queue *queue = CONTAINER_OF(api, struct cluster_queue, api);
    queue->asking = false;
    if (result)
        later(queue, error->message);
    else
        is_there(queue);
}

/* `existing`: what it is now; NULL: it is new. Returns NULL when it is as it should be. A server
 * that buries dead letters itself is told not to: it is done here, for every server alike. */
static json_t *consumer_config(const struct cluster_queue *queue, json_t *existing)
{
    json_t *wanted = json_pack(
        "{s:s, s:s, s:I, s:i, s:I, s:{s:s}}", "durable_name", queue->name, "ack_policy", "explicit",
        "ack_wait", (json_int_t)QUEUE_ACK_WAIT_MS * ms_ns, "max_deliver", -1, "max_ack_pending",
        (json_int_t)queue->max_ack_pending, "metadata", CONSUMER_DEAD_LETTERS, "off");
    if (queue->filter[0]) json_object_set_new(wanted, "filter_subject", json_string(queue->filter));
    if (!existing) {
        json_object_set_new(wanted, "deliver_policy", json_string("all"));
        json_object_set_new(wanted, "replay_policy", json_string("instant"));
        return wanted;
    }
    json_t *config = cluster_merge(existing, wanted);
    json_decref(wanted);
    return config;
}

static void found(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster_queue *queue = CONTAINER_OF(api, struct cluster_queue, api);
    queue->asking = false;
    if (result && api->err_code != CONSUMER_NOT_FOUND) {
        later(queue, error->message);
        return;
    }
    json_t *config = consumer_config(queue, json_object_get(answer, "config"));
    if (config)
        ask(queue, "DURABLE.CREATE",
            json_pack("{s:s, s:o}", "stream_name", queue->stream, "config", config), made);
    else
        is_there(queue);
}

/* ---- pulling --------------------------------------------------------------------------------- */

void cluster_queue_pull(struct cluster_queue *queue)
{
    char subject[2 * QUEUE_NAME_MAX + 64], reply[CLIENT_INBOX_TEXT + 24], body[160];
    if (queue->state != QUEUE_THERE || queue->asked || !queue->wanted || queue->closing) return;
    uint32_t batch = queue->wanted < PULL_MAX ? queue->wanted : PULL_MAX;
    queue->pull++;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", queue->stream,
             queue->name);
    snprintf(reply, sizeof reply, "%s.%llu", queue->inbox, (unsigned long long)queue->pull);
    snprintf(body, sizeof body,
             "{\"batch\":%u,\"expires\":%" PRId64 ",\"idle_heartbeat\":%" PRId64 "}", batch,
             PULL_EXPIRES_MS * ms_ns, HEARTBEAT_MS * ms_ns);
    struct message message =
        message_borrow(bytes_str(subject), bytes_str(reply), BYTES(""), bytes_str(body));
    if (client_publish(queue->cluster->client, &message) == 0) {
        queue->asked = batch;
        queue->heard_ns = io_now_ns(io_of(queue));
    } else {
        cluster_queue_make(queue, CLUSTER_AGAIN_MS);
    }
    message_done(&message);
}

static bool is_of_pull(const struct cluster_queue *queue, struct bytes subject)
{
    uint64_t number;
    struct bytes last = bytes_skip(subject, strlen(queue->inbox) + 1);
    return bytes_to_u64(last, UINT64_MAX, &number) == 0 && number == queue->pull;
}

/* What a server says about a pull request: it is over, or goes on. */
static void take_status(struct cluster_queue *queue, struct bytes subject, int status)
{
    if (!is_of_pull(queue, subject) || status == 100) return;
    if (status == 404 || status == 408) {
        queue->asked = 0;
        cluster_queue_pull(queue);
    } else {
        /* 409: it is gone, or led by another server now; 503: nobody leads it. */
        cluster_queue_make(queue, CLUSTER_AGAIN_MS);
    }
}

static void received(void *context, struct message *message)
{
    struct cluster_queue *queue = context;
    struct nats_headers headers;
    queue->heard_ns = io_now_ns(io_of(queue));
    bool is_status = !message->reply.len && message->headers.len &&
                     nats_headers_parse(message->headers, &headers) == 0 && headers.status;
    if (is_status) {
        take_status(queue, message->subject, headers.status);
        return;
    }
    if (queue->asked) queue->asked--;
    cluster_queue_take(queue, message);
    cluster_queue_pull(queue);
}

/* ---- time, and the end ----------------------------------------------------------------------- */

static void finish(struct cluster_queue *queue)
{
    void (*done)(void *) = queue->done;
    void *context = queue->done_context;
    queue_free(&queue->queue);
    if (done) done(context);
}

static bool settled(const struct cluster_queue *queue, uint64_t now_ns)
{
    if (list_empty(&queue->held) || now_ns >= queue->closing_ns) return true;
    return client_status(queue->cluster->client).state != CLIENT_UP;
}

static void tick(struct io_timer *timer)
{
    struct cluster_queue *queue = CONTAINER_OF(timer, struct cluster_queue, timer);
    uint64_t now_ns = io_now_ns(io_of(queue));
    if (queue->closing && settled(queue, now_ns)) {
        finish(queue);
        return;
    }
    bool silent = queue->asked && now_ns > queue->heard_ns + SILENCE_MS * (uint64_t)ms_ns;
    if (silent) cluster_queue_make(queue, 0);
    if (queue->state == QUEUE_MAKING && !queue->asking && !queue->closing &&
        now_ns >= queue->again_ns)
        ask(queue, "INFO", NULL, found);
    cluster_held_tick(queue, now_ns);
    io_timer_set(io_of(queue), timer, queue->closing ? 10 : QUEUE_TICK_MS);
}

void cluster_queues_changed(struct cluster *cluster, bool up)
{
    LIST_EACH(&cluster->queues, struct cluster_queue, link, queue) {
        cluster_queue_make(queue, 0);
        if (up) io_timer_set(cluster->messaging.io, &queue->timer, 0);
    }
}

/* ---- the port -------------------------------------------------------------------------------- */

static void close_it(struct queue *of, void (*done)(void *context), void *context)
{
    struct cluster_queue *queue = queue_of(of);
    queue->closing = true;
    queue->done = done;
    queue->done_context = context;
    queue->closing_ns = io_now_ns(io_of(queue)) + CLOSE_MS * (uint64_t)ms_ns;
    if (queue->asking) jsapi_cancel(&queue->api);
    queue->asking = false;
    client_unsubscribe(queue->subscription);
    queue->subscription = NULL;
    /* What nobody works at any more may come to somebody else at once. */
    LIST_EACH(&queue->held, struct held, link, held)
        if (held->state == HELD) cluster_held_settle(held, "-NAK");
    io_timer_set(io_of(queue), &queue->timer, 0);
}

static void release(struct queue *of)
{
    struct cluster_queue *queue = queue_of(of);
    if (queue->asking) jsapi_cancel(&queue->api);
    io_timer_cancel(io_of(queue), &queue->timer);
    client_unsubscribe(queue->subscription);
    LIST_EACH(&queue->held, struct held, link, held) cluster_held_free(held);
    map_release(&queue->by_seq);
    list_remove(&queue->link);
    free(queue);
}

static void want(struct queue *of, uint32_t count)
{
    struct cluster_queue *queue = queue_of(of);
    queue->wanted += count;
    cluster_queue_pull(queue);
}

static struct held *pending(struct queue *of, uint64_t seq)
{
    struct held *held = cluster_held_find(queue_of(of), seq);
    return held && held->state == HELD ? held : NULL;
}

static int ack(struct queue *of, uint64_t seq)
{
    struct held *held = pending(of, seq);
    if (!held) return ERR_NOT_FOUND;
    cluster_held_settle(held, "+ACK");
    return 0;
}

static int nak(struct queue *of, uint64_t seq, uint32_t delay_ms)
{
    struct held *held = pending(of, seq);
    char word[48];
    if (!held) return ERR_NOT_FOUND;
    snprintf(word, sizeof word, "-NAK {\"delay\":%" PRId64 "}", delay_ms * ms_ns);
    cluster_held_settle(held, delay_ms ? word : "-NAK");
    return 0;
}

static int term(struct queue *of, uint64_t seq, struct bytes reason)
{
    struct held *held = pending(of, seq);
    if (!held) return ERR_NOT_FOUND;
    cluster_held_bury(held, reason);
    return 0;
}

static int progress(struct queue *of, uint64_t seq)
{
    struct held *held = pending(of, seq);
    if (!held) return ERR_NOT_FOUND;
    held->until_ns = io_now_ns(io_of(queue_of(of))) + queue_of(of)->ack_wait_ms * (uint64_t)ms_ns;
    return 0;
}

static const struct queue_engine engine = {close_it, release, want, ack, nak, term, progress};

static int copy_names(struct cluster_queue *queue, const struct queue_config *config)
{
    const char *filter = config->filter ? config->filter : "";
    if (strlen(config->stream) >= QUEUE_NAME_MAX || strlen(config->name) >= QUEUE_NAME_MAX ||
        strlen(filter) >= QUEUE_NAME_MAX)
        return ERR_TOO_BIG;
    snprintf(queue->stream, sizeof queue->stream, "%s", config->stream);
    snprintf(queue->name, sizeof queue->name, "%s", config->name);
    snprintf(queue->filter, sizeof queue->filter, "%s", filter);
    return 0;
}

int cluster_queue_open(struct messaging *messaging, const struct queue_config *config,
                       queue_deliver *deliver, void *context, struct queue **ret_queue,
                       struct error *error)
{
    struct cluster *cluster = cluster_of(messaging);
    struct cluster_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return error_set(error, ERR_NOMEM, "out of memory");
    queue->queue.engine = &engine;
    queue->cluster = cluster;
    queue->deliver = deliver;
    queue->context = context;
    queue->ack_wait_ms = config->ack_wait_ms ? config->ack_wait_ms : ACK_WAIT_MS;
    queue->max_deliver = config->max_deliver ? config->max_deliver : MAX_DELIVER;
    queue->max_ack_pending = config->max_ack_pending ? config->max_ack_pending : MAX_ACK_PENDING;
    map_init(&queue->by_seq, 65536);
    list_init(&queue->held);
    list_init(&queue->link);
    io_timer_init(&queue->timer, tick);
    int err = copy_names(queue, config);
    char pattern[CLIENT_INBOX_TEXT + 4];
    client_inbox(cluster->client, queue->inbox);
    snprintf(pattern, sizeof pattern, "%s.*", queue->inbox);
    if (!err)
        err = client_subscribe(cluster->client, bytes_str(pattern), BYTES(""), received, queue,
                               &queue->subscription);
    if (err) {
        free(queue);
        return error_set(error, err, "cannot open the queue %s: %s", config->name, err_text(err));
    }
    list_push(&cluster->queues, &queue->link);
    cluster_queue_make(queue, 0);
    io_timer_set(messaging->io, &queue->timer, 0);
    *ret_queue = &queue->queue;
    return 0;
}
