/* Durable publishes: kept until a stream has acknowledged them. `unsent` holds those that this
 * connection has not carried yet, `sent` those whose answer is awaited. */
#include "client/client_impl.h"
#include "client/jsapi.h"

#include <stdio.h>

enum {
    TICK_MS = 100,
    NOBODY_AGAIN_MS = 200, /* a stream without a leader has one soon */
    AGAIN_MS = 2000,       /* no answer: doubled each time */
    AGAIN_MAX_MS = 8000,
    TIMEOUT_MS = 10000,
    COST = 256 /* bytes counted for one besides its own */
};

static const uint64_t ms_ns = 1000000;

static struct bytes key_of(const struct client_durable *durable)
{
    return bytes_make(&durable->number, sizeof durable->number);
}

static size_t cost_of(const struct message *message)
{
    return message->subject.len + message->headers.len + message->payload.len + COST;
}

/* ---- life ----------------------------------------------------------------------------------- */

/* A counted message with a Nats-Msg-Id. NULL: no memory. */
static struct message *with_id(struct client *client, struct message *message, uint64_t number)
{
    struct bytes id;
    char own[CLIENT_ID_TEXT + 24];
    if (nats_headers_get(message->headers, BYTES("Nats-Msg-Id"), &id) == 0)
        return message_ref(message);
    int len = snprintf(own, sizeof own, "%s.%llu", client->id, (unsigned long long)number);
    struct buf *headers = &client->scratch;
    buf_clear(headers);
    if (message->headers.len > 4) /* its end is the empty line */
        buf_append(headers, bytes_head(message->headers, message->headers.len - 2));
    else
        nats_headers_begin(headers, 0, NULL);
    nats_headers_add(headers, BYTES("Nats-Msg-Id"), bytes_make(own, (size_t)len));
    nats_headers_end(headers);
    if (headers->failed) return NULL;
    struct message copy =
        message_borrow(message->subject, BYTES(""), buf_bytes(headers), message->payload);
    struct message *kept = message_ref(&copy);
    message_done(&copy);
    return kept;
}

int client_durable(struct client *client, struct client_durable *durable, struct message *message,
                   uint32_t timeout_ms, void (*done)(struct client_durable *durable, int result))
{
    *durable = (struct client_durable){.done = done};
    list_init(&durable->link);
    int err = client_check(client, message);
    if (err) return err;
    if (client->durable_count >= client->options.max_unacknowledged ||
        client->durable_bytes + cost_of(message) > client->options.max_unacknowledged_bytes)
        return ERR_FULL;
    durable->number = client->next_number++;
    durable->message = with_id(client, message, durable->number);
    if (!durable->message) return ERR_NOMEM;
    err = map_put(&client->durables, key_of(durable), durable, NULL);
    if (err) {
        message_unref(durable->message);
        return err;
    }
    durable->client = client;
    durable->deadline_ns = io_now_ns(client->io) + (timeout_ms ? timeout_ms : TIMEOUT_MS) * ms_ns;
    client->durable_count++;
    client->durable_bytes += cost_of(durable->message);
    list_push(&client->unsent, &durable->link);
    client_send_durables(client);
    if (!client->durable_timer.armed) io_timer_set(client->io, &client->durable_timer, TICK_MS);
    return 0;
}

void client_durable_cancel(struct client_durable *durable)
{
    struct client *client = durable->client;
    if (!client) return;
    durable->client = NULL;
    map_remove(&client->durables, key_of(durable));
    list_remove(&durable->link);
    client->durable_count--;
    client->durable_bytes -= cost_of(durable->message);
    message_unref(durable->message);
    durable->message = NULL;
}

static void end(struct client_durable *durable, int result)
{
    struct client *client = durable->client;
    if (result)
        client->metrics.refused++;
    else
        client->metrics.acknowledged++;
    client_durable_cancel(durable);
    durable->done(durable, result);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void send_one(struct client *client, struct client_durable *durable)
{
    char inbox[CLIENT_INBOX_TEXT];
    int len = snprintf(inbox, sizeof inbox, "_INBOX.%s.%llu", client->id,
                       (unsigned long long)durable->number);
    const struct message *message = durable->message;
    nats_put_pub(&client->out, message->subject, bytes_make(inbox, (size_t)len), message->headers,
                 message->payload);
    client->metrics.messages_out++;
    if (durable->sends++) client->metrics.replayed++;
    uint32_t wait = AGAIN_MS;
    for (uint32_t i = 1; i < durable->sends && wait < AGAIN_MAX_MS; i++) wait *= 2;
    durable->again_ns = io_now_ns(client->io) + wait * ms_ns;
    durable->nobody = false;
}

void client_send_durables(struct client *client)
{
    if (client->state != CLIENT_UP) return;
    LIST_EACH(&client->unsent, struct client_durable, link, durable) {
        if (!client_has_room(client, cost_of(durable->message))) break;
        list_remove(&durable->link);
        list_push(&client->sent, &durable->link);
        send_one(client, durable);
        client_send_soon(client);
    }
}

/* What was sent before comes before what was not. */
void client_resend_durables(struct client *client)
{
    list_splice(&client->sent, &client->unsent);
    list_splice(&client->unsent, &client->sent);
    client_send_durables(client);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Whether the stream may take it a moment later: it has no leader now. */
static bool passing(const struct puback *ack)
{
    return ack->code == 503 && ack->err_code != 10077;
}

static void again_later(struct client *client, struct client_durable *durable)
{
    durable->again_ns = io_now_ns(client->io) + NOBODY_AGAIN_MS * ms_ns;
}

void client_durable_answered(struct client *client, struct client_durable *durable,
                             const struct nats_frame *frame)
{
    if (client_says_nobody(frame)) {
        durable->nobody = true;
        again_later(client, durable);
        return;
    }
    int err = jsapi_puback(frame->payload, &durable->ack);
    if (err == ERR_PROTOCOL) return; /* somebody who listens has said something */
    if (err && passing(&durable->ack))
        again_later(client, durable);
    else
        end(durable, err);
    client_drain_step(client);
}

static int late_result(const struct client_durable *durable)
{
    if (!durable->sends) return ERR_UNREACHABLE;
    return durable->nobody || durable->ack.code ? ERR_UNAVAILABLE : ERR_TIMEOUT;
}

/* Ends those whose time is over; takes back to `unsent` those that are to be sent again. Callbacks
 * may add to the lists and cancel in them: so each list is gone through as it was. */
static void look_through(struct client *client, struct list *list, uint64_t now_ns)
{
    struct list looked;
    list_init(&looked);
    list_splice(&looked, list);
    while (!list_empty(&looked)) {
        struct client_durable *durable = CONTAINER_OF(looked.next, struct client_durable, link);
        list_remove(&durable->link);
        if (now_ns >= durable->deadline_ns) {
            end(durable, late_result(durable));
            continue;
        }
        bool again = list == &client->sent && now_ns >= durable->again_ns;
        list_push(again ? &client->unsent : list, &durable->link);
    }
}

void client_durable_timer(struct io_timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, durable_timer);
    uint64_t now_ns = io_now_ns(client->io);
    look_through(client, &client->unsent, now_ns);
    look_through(client, &client->sent, now_ns);
    client_send_durables(client);
    client_drain_step(client);
    if (client->durable_count && !client->closing) io_timer_set(client->io, timer, TICK_MS);
}

void client_fail_durables(struct client *client, int result)
{
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &client->sent);
    list_splice(&failed, &client->unsent);
    while (!list_empty(&failed))
        end(CONTAINER_OF(failed.next, struct client_durable, link), result);
}

void client_durables_release(struct client *client)
{
    struct list *lists[] = {&client->sent, &client->unsent};
    for (int i = 0; i < 2; i++)
        LIST_EACH(lists[i], struct client_durable, link, durable) message_unref(durable->message);
    map_release(&client->durables);
}
