/* The bus for this program: subscriptions that call a function, requests that wait for an answer.
 * A delivery is queued, never made inside the publish, so what a callback does (publish,
 * unsubscribe, close) finds the bus at rest. */
#include "bus/core.h"
#include "bus/subject.h"
#include "wire/nats.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REQUESTS_MAX = 65536,
    DELIVERIES_PER_TURN = 256, /* then the loop gets to see other things */
    DELIVERY_COST = 64         /* bytes counted for a message besides its own */
};

struct bus_subscription {
    struct subscription subscription;
    struct bus *bus;
    bus_message_fn *deliver;
    void *context;
    struct list link;
    size_t pending; /* bytes queued */
    uint32_t queued;
    char text[]; /* the queue's name */
};

struct delivery_item {
    struct list link;
    struct bus_subscription *to;
    struct message *message;
    size_t cost;
};

static struct bus_subscription *owner_of(struct subscription *subscription)
{
    return CONTAINER_OF(subscription, struct bus_subscription, subscription);
}

/* Frees a subscription that is gone and that nothing queued points to any more. */
static void free_if_done(struct bus_subscription *s)
{
    if (s->subscription.gone && !s->queued) free(s);
}

static void drop_item(struct delivery_item *item)
{
    struct bus_subscription *s = item->to;
    s->queued--;
    s->pending -= item->cost;
    s->bus->local_pending -= item->cost;
    message_unref(item->message);
    free(item);
    free_if_done(s);
}

bool local_put(struct subscription *subscription, struct message *message)
{
    struct bus_subscription *s = owner_of(subscription);
    struct bus *bus = s->bus;
    size_t cost = message->headers.len + message->payload.len + message->subject.len +
                  message->reply.len + DELIVERY_COST;
    struct delivery_item *item = NULL;
    if (s->pending + cost <= bus->options.max_pending) item = malloc(sizeof *item);
    if (item) item->message = message_ref(message);
    if (!item || !item->message) {
        free(item);
        bus->metrics.dropped++;
        return false;
    }
    item->to = s;
    item->cost = cost;
    s->pending += cost;
    bus->local_pending += cost;
    s->queued++;
    list_init(&item->link);
    list_push(&bus->local_queue, &item->link);
    io_post(bus->io, &bus->local_task);
    return true;
}

/* The count kept in the item lets the subscription go from inside its own callback. */
static void run_queue(struct io_task *task)
{
    struct bus *bus = CONTAINER_OF(task, struct bus, local_task);
    for (int i = 0; i < DELIVERIES_PER_TURN; i++) {
        struct list *link = list_pop(&bus->local_queue);
        if (!link) return;
        struct delivery_item *item = CONTAINER_OF(link, struct delivery_item, link);
        struct bus_subscription *s = item->to;
        if (!s->subscription.gone) s->deliver(s->context, item->message);
        drop_item(item);
    }
    io_post(bus->io, &bus->local_task);
}

int bus_publish(struct bus *bus, struct message *message)
{
    if (!subject_is_literal(message->subject)) return ERR_INVALID;
    if (message->reply.len && !subject_is_literal(message->reply)) return ERR_INVALID;
    if (message->subject.len + message->reply.len + 32 > NATS_LINE_MAX) return ERR_TOO_BIG;
    if (message->headers.len + message->payload.len > bus->options.max_payload) return ERR_TOO_BIG;
    if (bus->closing) return 0;
    unsigned deliveries = deliver(bus, message, (struct bytes){0}, NULL);
    if (!message->refs) message_done(message);
    return (int)deliveries;
}

int bus_publish_stored(struct bus *bus, struct message *message)
{
    message->stored = true;
    return bus_publish(bus, message);
}

int bus_subscribe(struct bus *bus, struct bytes pattern, struct bytes queue,
                  bus_message_fn *deliver_fn, void *context, struct bus_subscription **ret)
{
    if (!subject_is_pattern(pattern)) return ERR_INVALID;
    struct bus_subscription *s = calloc(1, sizeof *s + queue.len);
    if (!s) return ERR_NOMEM;
    s->bus = bus;
    s->deliver = deliver_fn;
    s->context = context;
    if (queue.len) memcpy(s->text, queue.data, queue.len);
    s->subscription.queue = bytes_make(s->text, queue.len);
    int r = router_add(&bus->router, &s->subscription, pattern);
    if (r) {
        free(s);
        return r;
    }
    list_init(&s->link);
    list_push(&bus->local_subscriptions, &s->link);
    *ret = s;
    return 0;
}

void bus_unsubscribe(struct bus_subscription *s)
{
    if (!s) return;
    assert(!s->subscription.gone && !s->bus->delivering);
    s->subscription.gone = true;
    router_remove(&s->bus->router, &s->subscription);
    list_remove(&s->link);
    free_if_done(s);
}

bool bus_has_interest(struct bus *bus, struct bytes subject)
{
    LIST_EACH(&bus->services, struct bus_service, link, service) {
        if (bytes_starts(subject, bytes_make(service->prefix, service->prefix_len))) return true;
    }
    const struct route *route = router_find(&bus->router, subject);
    return route && (route->target_count || route->group_count || route->captured);
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct bytes request_key(const struct bus_request *request)
{
    return bytes_make(&request->number, sizeof request->number);
}

static void request_end(struct bus_request *request, int result, struct message *reply)
{
    bus_request_cancel(request);
    request->done(request, result, reply);
}

static void request_timer(struct io_timer *timer)
{
    struct bus_request *request = CONTAINER_OF(timer, struct bus_request, timer);
    request_end(request, request->result, NULL);
}

static bool says_no_responders(const struct message *reply)
{
    struct nats_headers headers;
    return reply->headers.len && !reply->payload.len &&
           nats_headers_parse(reply->headers, &headers) == 0 && headers.status == 503;
}

/* A message to our inbox: "_INBOX.<id>.<number>". */
static void inbox_message(void *context, struct message *message)
{
    struct bus *bus = context;
    uint64_t number;
    struct bytes last = bytes_skip(message->subject, strlen("_INBOX.") + strlen(bus->id) + 1);
    if (bytes_to_u64(last, UINT64_MAX, &number)) return;
    struct bus_request *request = map_get(&bus->requests, bytes_make(&number, sizeof number));
    if (!request) return;
    if (says_no_responders(message))
        request_end(request, ERR_UNAVAILABLE, NULL);
    else
        request_end(request, 0, message);
}

int bus_request(struct bus *bus, struct bus_request *request, struct message *message,
                uint32_t timeout_ms,
                void (*done)(struct bus_request *request, int result, struct message *reply))
{
    char inbox[64];
    if (message->reply.len) return ERR_INVALID;
    if (bus->closing) return ERR_CLOSED;
    *request = (struct bus_request){.done = done, .number = bus->next_request++};
    int len = snprintf(inbox, sizeof inbox, "_INBOX.%s.%llu", bus->id,
                       (unsigned long long)request->number);
    io_timer_init(&request->timer, request_timer);
    int r = map_put(&bus->requests, request_key(request), request, NULL);
    if (r) return r;
    request->bus = bus;

    struct message asked = message_borrow(message->subject, bytes_make(inbox, (size_t)len),
                                          message->headers, message->payload);
    r = bus_publish(bus, &asked);
    if (r < 0) {
        bus_request_cancel(request);
        return r;
    }
    if (r == 0) bus->metrics.no_responders++;
    request->result = r == 0 ? ERR_UNAVAILABLE : ERR_TIMEOUT;
    io_timer_set(bus->io, &request->timer, r == 0 ? 0 : timeout_ms);
    return 0;
}

void bus_request_cancel(struct bus_request *request)
{
    struct bus *bus = request->bus;
    if (!bus) return;
    request->bus = NULL;
    map_remove(&bus->requests, request_key(request));
    io_timer_cancel(bus->io, &request->timer);
}

/* ---- life ----------------------------------------------------------------------------------- */

int local_init(struct bus *bus)
{
    char pattern[64];
    list_init(&bus->local_subscriptions);
    list_init(&bus->local_queue);
    io_task_init(&bus->local_task, run_queue);
    map_init(&bus->requests, REQUESTS_MAX);
    snprintf(pattern, sizeof pattern, "_INBOX.%s.*", bus->id);
    return bus_subscribe(bus, bytes_str(pattern), (struct bytes){0}, inbox_message, bus,
                         &bus->inbox);
}

void local_close(struct bus *bus)
{
    size_t cursor = 0;
    struct bus_request *request;
    while ((request = map_next(&bus->requests, &cursor))) {
        request_end(request, ERR_CLOSED, NULL);
        cursor = 0;
    }
}

void local_release(struct bus *bus)
{
    struct list *link;
    while ((link = list_pop(&bus->local_queue)))
        drop_item(CONTAINER_OF(link, struct delivery_item, link));
    while (!list_empty(&bus->local_subscriptions))
        bus_unsubscribe(CONTAINER_OF(bus->local_subscriptions.next, struct bus_subscription, link));
    map_release(&bus->requests);
}
