/* Deliveries that are not settled yet. While the owner works at one, the server is told so again
 * and again: then it need not wait long for a program that has died. A settlement is told until the
 * server has confirmed it. */
#include "messaging/cluster_queue.h"

#include "stream/dead_letter.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROGRESS_MS = QUEUE_ACK_WAIT_MS / 3, AGAIN_MS = 500, DEAD_TIMEOUT_MS = 30000 };

static const uint64_t ms_ns = 1000000;

static struct bytes key_of(const struct held *held)
{
    return bytes_make(&held->seq, sizeof held->seq);
}

static uint64_t now(const struct held *held)
{
    return io_now_ns(held->queue->cluster->messaging.io);
}

struct held *cluster_held_find(struct cluster_queue *queue, uint64_t seq)
{
    return map_get(&queue->by_seq, bytes_make(&seq, sizeof seq));
}

void cluster_held_free(struct held *held)
{
    if (held->asking) client_request_cancel(&held->request);
    if (held->publishing) client_durable_cancel(&held->durable);
    map_remove(&held->queue->by_seq, key_of(held));
    list_remove(&held->link);
    message_unref(held->message);
    free(held);
}

/* ---- settling -------------------------------------------------------------------------------- */

static int tell(struct held *held, const char *word,
                void (*done)(struct client_request *request, int result, struct message *reply))
{
    struct client *client = held->queue->cluster->client;
    struct message message = message_borrow(bytes_make(held->reply, held->reply_len), BYTES(""),
                                            BYTES(""), bytes_str(word));
    int err = done ? client_request(client, &held->request, &message, QUEUE_CONFIRM_MS, done)
                   : client_publish(client, &message);
    message_done(&message);
    return err;
}

static void confirmed(struct client_request *request, int result, struct message *reply)
{
    struct held *held = CONTAINER_OF(request, struct held, request);
    held->asking = false;
    if (result)
        held->again_ns = now(held) + AGAIN_MS * ms_ns;
    else
        cluster_held_free(held);
}

static void settle_step(struct held *held)
{
    held->asking = tell(held, held->word, confirmed) == 0;
    if (!held->asking) held->again_ns = now(held) + AGAIN_MS * ms_ns;
}

void cluster_held_settle(struct held *held, const char *word)
{
    held->state = SETTLING;
    snprintf(held->word, sizeof held->word, "%s", word);
    settle_step(held);
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static void buried(struct client_durable *durable, int result)
{
    struct held *held = CONTAINER_OF(durable, struct held, durable);
    held->publishing = false;
    if (!result) {
        cluster_held_settle(held, "+TERM");
        return;
    }
    LOG(held->queue->cluster->log, LOG_ERROR, "dead_letter_not_stored",
        LOG_S("stream", held->queue->stream), LOG_U("seq", held->seq), LOG_ERR(result),
        LOG_S("reason", durable->ack.description));
    held->again_ns = now(held) + AGAIN_MS * ms_ns;
}

static int publish_dead(struct held *held)
{
    struct cluster_queue *queue = held->queue;
    const struct dead_letter letter = {
        .stream = queue->stream,
        .consumer = queue->name,
        .subject = held->message->subject,
        .headers = held->message->headers,
        .seq = held->seq,
        .time_ns = held->time_ns,
        .attempts = held->attempt,
        .reason = bytes_str(held->reason),
        .died_wall_ns = io_wall_ns(queue->cluster->messaging.io),
    };
    struct buf headers;
    char subject[DEAD_LETTER_SUBJECT];
    size_t len = dead_letter_subject(&letter, subject);
    buf_init(&headers, DEAD_LETTER_HEADERS);
    dead_letter_headers(&letter, &headers);
    struct message message = message_borrow(bytes_make(subject, len), BYTES(""),
                                            buf_bytes(&headers), held->message->payload);
    int err = headers.failed ? ERR_NOMEM
                             : client_durable(queue->cluster->client, &held->durable, &message,
                                              DEAD_TIMEOUT_MS, buried);
    message_done(&message);
    buf_release(&headers);
    return err;
}

static void bury_step(struct held *held)
{
    held->again_ns = now(held) + QUEUE_TICK_MS * ms_ns;
    /* The server waits for us meanwhile, as long as it takes. */
    if (cluster_keep_dead(held->queue->cluster)) held->publishing = publish_dead(held) == 0;
}

void cluster_held_bury(struct held *held, struct bytes reason)
{
    held->state = DYING;
    snprintf(held->reason, sizeof held->reason, "%.*s",
             BYTES_ARG(bytes_head(reason, sizeof held->reason - 1)));
    bury_step(held);
}

/* ---- time ------------------------------------------------------------------------------------ */

void cluster_held_tick(struct cluster_queue *queue, uint64_t now_ns)
{
    LIST_EACH(&queue->held, struct held, link, held) {
        bool at_work = held->state == DYING || (held->state == HELD && now_ns < held->until_ns);
        if (at_work && now_ns >= held->progress_ns && tell(held, "+WPI", NULL) == 0)
            held->progress_ns = now_ns + PROGRESS_MS * ms_ns;
        if (held->state == HELD || held->asking || held->publishing) continue;
        if (now_ns < held->again_ns) continue;
        if (held->state == DYING)
            bury_step(held);
        else
            settle_step(held);
    }
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void deliver(struct held *held)
{
    struct cluster_queue *queue = held->queue;
    const struct queue_delivery delivery = {
        .seq = held->seq,
        .time_ns = held->time_ns,
        .attempt = held->attempt,
        .message = message_borrow(held->message->subject, BYTES(""), held->message->headers,
                                  held->message->payload),
    };
    if (queue->wanted) queue->wanted--;
    queue->deliver(queue->context, &delivery);
}

static struct held *held_new(struct cluster_queue *queue, struct message *message,
                             const struct jsapi_position *at)
{
    struct held *held = calloc(1, sizeof *held + message->reply.len);
    if (!held) return NULL;
    uint64_t now_ns = io_now_ns(queue->cluster->messaging.io);
    held->queue = queue;
    held->seq = at->stream_seq;
    held->time_ns = at->time_ns;
    held->attempt = at->delivered > UINT32_MAX ? UINT32_MAX : (uint32_t)at->delivered;
    held->until_ns = now_ns + queue->ack_wait_ms * ms_ns;
    held->progress_ns = now_ns + PROGRESS_MS * ms_ns;
    held->reply_len = message->reply.len;
    memcpy(held->reply, message->reply.data, message->reply.len);
    struct message copy =
        message_borrow(message->subject, BYTES(""), message->headers, message->payload);
    held->message = message_ref(&copy);
    message_done(&copy);
    if (!held->message || map_put(&queue->by_seq, key_of(held), held, NULL) != 0) {
        message_unref(held->message);
        free(held);
        return NULL;
    }
    list_init(&held->link);
    list_push(&queue->held, &held->link);
    return held;
}

/* It comes again although it is here: the server did not hear of us for a while. True: that is all
 * there is to do with it. */
static bool is_known(struct held *held, const struct jsapi_position *at)
{
    bool still_at_work = held->state == HELD && now(held) < held->until_ns;
    bool naked = held->state == SETTLING && held->word[0] == '-';
    if (naked || (held->state == HELD && !still_at_work)) {
        cluster_held_free(held);
        return false;
    }
    held->progress_ns = now(held);
    return true;
}

void cluster_queue_take(struct cluster_queue *queue, struct message *message)
{
    struct jsapi_position at;
    if (jsapi_position(message->reply, &at) != 0) return;
    struct held *known = cluster_held_find(queue, at.stream_seq);
    if (known && is_known(known, &at)) return;
    struct held *held = held_new(queue, message, &at);
    if (!held) return; /* no memory: it comes again */
    if (held->attempt > queue->max_deliver)
        cluster_held_bury(held, BYTES("max_deliver"));
    else if (!queue->wanted || queue->closing)
        cluster_held_settle(held, "-NAK");
    else
        deliver(held);
}
