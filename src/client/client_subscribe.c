#include "client/client_impl.h"

#include "bus/subject.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_SID = 2, SID_TEXT = 24 };

static struct bytes key_of(const struct client_subscription *s)
{
    return bytes_make(&s->sid, sizeof s->sid);
}

static struct bytes sid_text(const struct client_subscription *s, char text[static SID_TEXT])
{
    int len = snprintf(text, SID_TEXT, "%llu", (unsigned long long)s->sid);
    return bytes_make(text, (size_t)len);
}

static void put(struct client *client, const struct client_subscription *s)
{
    char text[SID_TEXT];
    nats_put_sub(&client->out, bytes_make(s->text, s->pattern_len),
                 bytes_make(s->text + s->pattern_len, s->queue_len), sid_text(s, text));
}

static void put_unsub(struct client *client, const struct client_subscription *s)
{
    char text[SID_TEXT];
    nats_put_unsub(&client->out, sid_text(s, text), 0);
}

void client_put_subscriptions(struct client *client)
{
    char inbox[CLIENT_INBOX_TEXT];
    snprintf(inbox, sizeof inbox, "_INBOX.%s.*", client->id);
    nats_put_sub(&client->out, bytes_str(inbox), BYTES(""), BYTES("1"));
    if (client->draining) return;
    LIST_EACH(&client->subscriptions, struct client_subscription, link, s) put(client, s);
}

void client_put_unsubscribes(struct client *client)
{
    LIST_EACH(&client->subscriptions, struct client_subscription, link, s) put_unsub(client, s);
}

void client_deliver(struct client *client, const struct nats_frame *frame)
{
    uint64_t sid;
    if (bytes_to_u64(frame->sid, UINT64_MAX, &sid) != 0) return;
    struct client_subscription *s = map_get(&client->by_sid, bytes_make(&sid, sizeof sid));
    if (!s) return; /* unsubscribed; the server did not know yet */
    struct message message =
        message_borrow(frame->subject, frame->reply, frame->headers, frame->payload);
    s->deliver(s->context, &message);
    message_done(&message);
}

int client_subscribe(struct client *client, struct bytes pattern, struct bytes queue,
                     client_message_fn *deliver, void *context, struct client_subscription **ret)
{
    if (client->closing || client->draining) return ERR_CLOSED;
    if (!subject_is_pattern(pattern) || pattern.len + queue.len + 64 > NATS_LINE_MAX)
        return ERR_INVALID;
    struct client_subscription *s = calloc(1, sizeof *s + pattern.len + queue.len);
    if (!s) return ERR_NOMEM;
    s->client = client;
    s->deliver = deliver;
    s->context = context;
    s->sid = FIRST_SID + client->next_sid++;
    s->pattern_len = pattern.len;
    s->queue_len = queue.len;
    memcpy(s->text, pattern.data, pattern.len);
    if (queue.len) memcpy(s->text + pattern.len, queue.data, queue.len);
    int err = map_put(&client->by_sid, key_of(s), s, NULL);
    if (err) {
        free(s);
        return err;
    }
    list_push(&client->subscriptions, &s->link);
    if (client->state >= CLIENT_JOINING) {
        put(client, s);
        client_send_soon(client);
    }
    *ret = s;
    return 0;
}

static void forget(struct client_subscription *s)
{
    map_remove(&s->client->by_sid, key_of(s));
    list_remove(&s->link);
    free(s);
}

void client_unsubscribe(struct client_subscription *s)
{
    if (!s) return;
    struct client *client = s->client;
    if (client->state >= CLIENT_JOINING && !client->closing) {
        put_unsub(client, s);
        client_send_soon(client);
    }
    forget(s);
}

void client_subscriptions_release(struct client *client)
{
    LIST_EACH(&client->subscriptions, struct client_subscription, link, s) forget(s);
    map_release(&client->by_sid);
}

size_t client_inbox(struct client *client, char *text)
{
    int len = snprintf(text, CLIENT_INBOX_TEXT, "_INBOX.%s.s.%llu", client->id,
                       (unsigned long long)client->next_inbox++);
    return (size_t)len;
}
