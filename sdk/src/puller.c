#include "sdk/src/puller.h"

#include "sdk/src/buslink_parts.h"

#include <stdio.h>

enum {
    PULL_EXPIRES_MS = 30 * 1000,
    PULL_HEARTBEAT_MS = 5 * 1000,
    PULL_SILENCE_MS = 2 * PULL_HEARTBEAT_MS + 1000,
    PULL_AGAIN_MS = 100 /* after a refusal that passes */
};

/* Asks in halves, so that there is one request for many messages. */
void puller_fill(struct puller *puller)
{
    size_t taken = puller->held + puller->asked;
    size_t room = taken < puller->ahead ? puller->ahead - taken : 0;
    if (!room || puller->over || !buslink_sends(puller->bus)) return;
    if (puller->asked && room < (puller->ahead + 1) / 2) return;
    char request[128];
    snprintf(request, sizeof request, "{\"batch\":%zu,\"expires\":%llu,\"idle_heartbeat\":%llu}",
             room, PULL_EXPIRES_MS * 1000000ULL, PULL_HEARTBEAT_MS * 1000000ULL);
    buf_clear(&puller->bus->headers);
    int err = buslink_put(puller->bus, puller->subject, puller->inbox, bytes_str(request));
    if (!err && !puller->asked) puller->heard_ns = loop_monotonic_ns();
    if (!err) puller->asked += room;
    if (err || !puller->timer.at_ns)
        loop_timer_in_ms(&puller->bus->host->loop, &puller->timer,
                         err ? PULL_AGAIN_MS : PULL_SILENCE_MS);
}

static void lose(struct puller *puller, int err, struct bytes text)
{
    if (puller->over) return;
    puller->over = true;
    loop_timer_cancel(&puller->bus->host->loop, &puller->timer);
    puller->lost(puller, err, text);
}

static void ask_anew(struct puller *puller)
{
    puller->asked = 0;
    puller_fill(puller);
}

/* Either it is time to ask again, or to look whether the server was heard since it was asked. */
static void timer_fired(struct loop_timer *timer)
{
    struct puller *puller = CONTAINER_OF(timer, struct puller, timer);
    uint64_t until = puller->heard_ns + PULL_SILENCE_MS * UINT64_C(1000000);
    if (!puller->asked)
        ask_anew(puller);
    else if (loop_monotonic_ns() < until)
        loop_timer_at(&puller->bus->host->loop, timer, until);
    else if (buslink_sends(puller->bus))
        lose(puller, DURE_ETIMEOUT, BYTES("the consumer is not heard of"));
}

static void renewed(struct bus_route *route)
{
    struct puller *puller = CONTAINER_OF(route, struct puller, route);
    if (puller->fragile)
        lose(puller, DURE_ETIMEOUT, BYTES("the connection was lost"));
    else
        ask_anew(puller);
}

/* ---- what the server says instead of a message -------------------------------------------- */

static void ask_later(struct puller *puller)
{
    puller->asked = 0;
    loop_timer_in_ms(&puller->bus->host->loop, &puller->timer, PULL_AGAIN_MS);
}

/* A request is over; the header says how many of its messages did not come. */
static void request_ended(struct puller *puller, struct bytes headers)
{
    struct bytes text;
    uint64_t left = puller->asked;
    if (nats_headers_get(headers, BYTES("Nats-Pending-Messages"), &text) == 0)
        bytes_to_u64(text, UINT32_MAX, &left);
    puller->asked -= left < puller->asked ? (size_t)left : puller->asked;
    puller_fill(puller);
}

static void take_status(struct puller *puller, const struct nats_frame *frame, int status,
                        struct bytes text)
{
    if (status == 100) return; /* a heartbeat */
    if (status == 503) {
        if (buslink_settling(puller->bus))
            ask_later(puller);
        else
            lose(puller, DURE_ENOTFOUND, BYTES("consumer not found"));
    } else if (status == 404 || status == 408) {
        request_ended(puller, frame->headers);
    } else if (bytes_starts(text, BYTES("Consumer Deleted")) ||
               bytes_starts(text, BYTES("Stream Deleted"))) {
        lose(puller, DURE_ENOTFOUND, text);
    } else if (bytes_starts(text, BYTES("Consumer is push")) || status == 400 ||
               bytes_starts(text, BYTES("Exceeded MaxRequest"))) {
        lose(puller, DURE_EINVALID, text);
    } else if (bytes_starts(text, BYTES("Batch Completed")) ||
               bytes_starts(text, BYTES("Message Size"))) {
        request_ended(puller, frame->headers);
    } else { /* a change of leaders, a restart, too many waiting: it passes */
        ask_later(puller);
    }
}

static void deliver(struct bus_route *route, const struct nats_frame *frame)
{
    struct puller *puller = CONTAINER_OF(route, struct puller, route);
    struct nats_headers headers = {0};
    puller->heard_ns = puller->bus->host->loop.now_ns;
    if (frame->headers.len && nats_headers_parse(frame->headers, &headers) != 0) return;
    if (headers.status) {
        take_status(puller, frame, headers.status, headers.description);
        return;
    }
    if (puller->asked) puller->asked--;
    puller->message(puller, frame);
    puller_fill(puller);
}

/* ---- life --------------------------------------------------------------------------------- */

int puller_start(struct puller *puller, struct buslink *bus, const char *stream,
                 const char *consumer)
{
    puller->bus = bus;
    puller->asked = puller->held = 0;
    puller->over = false;
    puller->timer = (struct loop_timer){.fire = timer_fired};
    list_init(&puller->route.link);
    if (!bus) return DURE_EUNREACHABLE;
    int len = snprintf(puller->subject, sizeof puller->subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s",
                       stream, consumer);
    if (len >= (int)sizeof puller->subject) return DURE_EINVALID;
    buslink_new_inbox(bus, puller->inbox);
    puller->route =
        (struct bus_route){.subject = puller->inbox, .deliver = deliver, .renewed = renewed};
    int err = buslink_route_add(bus, &puller->route);
    if (!err) puller_fill(puller);
    return err;
}

void puller_stop(struct puller *puller)
{
    if (!puller->bus) return;
    loop_timer_cancel(&puller->bus->host->loop, &puller->timer);
    buslink_route_remove(puller->bus, &puller->route);
    puller->over = true;
}
