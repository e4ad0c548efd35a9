/* Requests: one subscription to "_INBOX.ID.*" for all; the last token is the request's number. */
#include "client/client_impl.h"

#include <stdio.h>

static struct bytes key_of(const struct client_request *request)
{
    return bytes_make(&request->number, sizeof request->number);
}

bool client_says_nobody(const struct nats_frame *frame)
{
    struct nats_headers headers;
    return frame->headers.len && !frame->payload.len &&
           nats_headers_parse(frame->headers, &headers) == 0 && headers.status == 503;
}

static void end(struct client_request *request, int result, struct message *reply)
{
    client_request_cancel(request);
    request->done(request, result, reply);
}

void client_answered(struct client *client, const struct nats_frame *frame)
{
    uint64_t number;
    struct bytes last = bytes_skip(frame->subject, strlen("_INBOX.") + strlen(client->id) + 1);
    if (bytes_to_u64(last, UINT64_MAX, &number) != 0) return;
    struct bytes key = bytes_make(&number, sizeof number);
    struct client_durable *durable = map_get(&client->durables, key);
    if (durable) {
        client_durable_answered(client, durable, frame);
        return;
    }
    struct client_request *request = map_get(&client->requests, key);
    if (!request) return; /* too late */
    if (client_says_nobody(frame)) {
        client->metrics.no_responders++;
        end(request, ERR_UNAVAILABLE, NULL);
        return;
    }
    struct message reply =
        message_borrow(frame->subject, frame->reply, frame->headers, frame->payload);
    end(request, 0, &reply);
    message_done(&reply);
}

static void timed_out(struct io_timer *timer)
{
    struct client_request *request = CONTAINER_OF(timer, struct client_request, timer);
    request->client->metrics.timeouts++;
    end(request, ERR_TIMEOUT, NULL);
}

int client_request(struct client *client, struct client_request *request, struct message *message,
                   uint32_t timeout_ms,
                   void (*done)(struct client_request *request, int result, struct message *reply))
{
    char inbox[CLIENT_INBOX_TEXT];
    *request = (struct client_request){.done = done, .number = client->next_number++};
    list_init(&request->link);
    io_timer_init(&request->timer, timed_out);
    if (message->reply.len) return ERR_INVALID;
    int len = snprintf(inbox, sizeof inbox, "_INBOX.%s.%llu", client->id,
                       (unsigned long long)request->number);
    struct message asked = message_borrow(message->subject, bytes_make(inbox, (size_t)len),
                                          message->headers, message->payload);
    int err = map_put(&client->requests, key_of(request), request, NULL);
    if (err) return err;
    err = client_publish(client, &asked);
    if (err) {
        map_remove(&client->requests, key_of(request));
        return err;
    }
    request->client = client;
    list_push(&client->request_list, &request->link);
    io_timer_set(client->io, &request->timer, timeout_ms);
    return 0;
}

void client_request_cancel(struct client_request *request)
{
    struct client *client = request->client;
    if (!client) return;
    request->client = NULL;
    map_remove(&client->requests, key_of(request));
    list_remove(&request->link);
    io_timer_cancel(client->io, &request->timer);
}

/* Those that are there now: what an answer to a failure asks again is another one. */
void client_fail_requests(struct client *client, int result)
{
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &client->request_list);
    while (!list_empty(&failed))
        end(CONTAINER_OF(failed.next, struct client_request, link), result, NULL);
}
