/* What goes out to the bus, and which messages are to come in. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/logger.h"

#include <stdio.h>

enum { SETTLE_NS = 2000 * 1000000 };

/* ---- routes ------------------------------------------------------------------------------- */

static void put_route(struct buslink *link, const struct bus_route *route)
{
    nats_put_sub(&link->out, bytes_str(route->subject), bytes_str(route->group),
                 bytes_str(route->sid_text));
}

void buslink_put_routes(struct buslink *link)
{
    LIST_EACH(&link->routes, struct bus_route, link, route)
        if (!link->draining || !route->service) put_route(link, route);
}

void buslink_renew(struct buslink *link)
{
    LIST_EACH(&link->routes, struct bus_route, link, route)
        if (route->renewed) route->renewed(route);
}

int buslink_route_add(struct buslink *link, struct bus_route *route)
{
    list_init(&route->link);
    if (!link) return DURE_EUNREACHABLE;
    route->sid = ++link->next_sid;
    snprintf(route->sid_text, sizeof route->sid_text, "%llu", (unsigned long long)route->sid);
    int err = map_put(&link->by_sid, bytes_str(route->sid_text), route, NULL);
    if (err) return err == ERR_FULL ? DURE_EFULL : DURE_ENOMEM;
    list_push(&link->routes, &route->link);
    if (!buslink_sends(link)) return 0;
    put_route(link, route);
    loop_post(&link->host->loop, &link->send);
    return 0;
}

void buslink_route_end(struct buslink *link, struct bus_route *route)
{
    if (!link || !buslink_sends(link)) return;
    nats_put_unsub(&link->out, bytes_str(route->sid_text), 0);
    loop_post(&link->host->loop, &link->send);
}

void buslink_route_remove(struct buslink *link, struct bus_route *route)
{
    if (!link || !list_linked(&route->link)) return;
    list_remove(&route->link);
    map_remove(&link->by_sid, bytes_str(route->sid_text));
    buslink_route_end(link, route);
}

void buslink_dispatch(struct buslink *link, const struct nats_frame *frame)
{
    struct bus_route *route = map_get(&link->by_sid, frame->sid);
    if (route) route->deliver(route, frame);
}

void buslink_subscribe(struct buslink *link, struct subscription *subscription)
{
    if (!link) return;
    struct bus_route *route = &subscription->route;
    *route = (struct bus_route){.subject = subscription->subject,
                                .group = subscription->group,
                                .service = true,
                                .deliver = buslink_deliver};
    int err = buslink_route_add(link, route);
    if (err)
        LOGGER(link->host, subscription->tenant, DURE_ERROR, "subscribe_failed",
               DURE_S("subject", subscription->subject), DURE_S("error", dure_error_name(err)));
}

void buslink_new_inbox(struct buslink *link, char ret_inbox[BUSLINK_INBOX_TEXT])
{
    /* not below our own inbox, whose subscription would get it too */
    snprintf(ret_inbox, BUSLINK_INBOX_TEXT, "%.*si.%llu", (int)strlen(link->inbox) - 1, link->inbox,
             (unsigned long long)++link->next_inbox);
}

bool buslink_settling(const struct buslink *link)
{
    return link->connects > 1 && link->host->loop.now_ns - link->up_since_ns < SETTLE_NS;
}

uint32_t buslink_version(const struct buslink *link)
{
    uint32_t version = 0;
    uint64_t part;
    struct bytes rest = bytes_str(link ? link->info.version : "");
    for (int i = 0; i < 3; i++) {
        struct bytes number = bytes_cut(&rest, '.');
        version = version * 1000 + (bytes_to_u64(number, 999, &part) == 0 ? (uint32_t)part : 0);
    }
    return version;
}

/* ---- sending ------------------------------------------------------------------------------ */

bool buslink_sends(const struct buslink *link)
{
    return link->state >= BUSLINK_JOINING;
}

static int check(struct buslink *link, size_t payload)
{
    if (!buslink_sends(link)) return DURE_EUNREACHABLE;
    if (link->info.max_payload && payload > link->info.max_payload) return DURE_ETOOBIG;
    if (payload + BUSLINK_FRAME_HEAD > link->out.max - buf_len(&link->out)) return DURE_EFULL;
    return 0;
}

static int gathered(struct buslink *link)
{
    if (link->out.failed) { /* no memory in the middle of a frame */
        link->dropping = true;
        snprintf(link->why, sizeof link->why, "out of memory");
    }
    loop_post(&link->host->loop, &link->send);
    return link->dropping ? DURE_ENOMEM : 0;
}

int buslink_put(struct buslink *link, const char *subject, const char *reply, struct bytes body)
{
    int err = link->headers.failed ? DURE_ETOOBIG : check(link, buf_len(&link->headers) + body.len);
    if (err) return err;
    nats_put_pub(&link->out, bytes_str(subject), bytes_str(reply), buf_bytes(&link->headers), body);
    return gathered(link);
}

int buslink_put_frame(struct buslink *link, struct bytes frame, size_t payload)
{
    int err = check(link, payload);
    if (err) return err;
    buf_append(&link->out, frame);
    return gathered(link);
}

int buslink_put_reply(struct buslink *link, const char *subject, struct bytes body)
{
    if (buslink_sends(link)) return buslink_put(link, subject, NULL, body);
    size_t payload = buf_len(&link->headers) + body.len;
    if (link->headers.failed) return DURE_ETOOBIG;
    if (payload + BUSLINK_FRAME_HEAD > link->late.max - buf_len(&link->late)) return DURE_EFULL;
    size_t before = buf_len(&link->late);
    nats_put_pub(&link->late, bytes_str(subject), BYTES(""), buf_bytes(&link->headers), body);
    if (!link->late.failed) return 0;
    link->late.end = link->late.start + before; /* no memory: half a frame must not go out */
    link->late.failed = false;
    return DURE_ENOMEM;
}

int buslink_publish(struct buslink *link, const char *subject, struct bytes body)
{
    if (!link) return DURE_EUNREACHABLE;
    buf_clear(&link->headers);
    return buslink_put(link, subject, NULL, body);
}

int buslink_wait_room(struct buslink *link, struct dure_ctx *ctx)
{
    if (!link) return DURE_EUNREACHABLE;
    if (buf_len(&link->out) < BUSLINK_BUSY) return 0;
    int err = 0;
    struct await await;
    await_begin(&await, ctx, 0);
    list_push(&link->waiters, &await.link);
    while (!err && buf_len(&link->out) >= BUSLINK_BUSY) err = await_turn(&await);
    await_end(&await);
    return err;
}

/* ---- the end ------------------------------------------------------------------------------ */

uint64_t buslink_mark(struct buslink *link)
{
    nats_put_ping(&link->out);
    loop_post(&link->host->loop, &link->send);
    return ++link->pings;
}

void buslink_drain(struct buslink *link)
{
    if (!link) return;
    link->draining = true;
    if (!buslink_sends(link)) return;
    LIST_EACH(&link->routes, struct bus_route, link, route)
        if (route->service) buslink_route_end(link, route);
    link->drain_mark = buslink_mark(link);
}

bool buslink_drained(const struct buslink *link)
{
    return !link || !buslink_sends(link) || link->pongs >= link->drain_mark;
}

void buslink_flush(struct buslink *link)
{
    if (link && buslink_sends(link)) link->flush_mark = buslink_mark(link);
}

bool buslink_flushed(const struct buslink *link)
{
    return !link || !buslink_sends(link) || link->pongs >= link->flush_mark;
}
