/* One message to all who want it. What a client gets is the route's prefix for it ("MSG subject
 * sid") and then the same bytes for all: the tail. When the publisher was a client whose PUB was
 * written canonically, that tail is the very end of its PUB. Bodies from BY_REFERENCE bytes on are
 * sent from where they were received, or copied once, into a counted message, and sent from there;
 * smaller ones are cheaper copied. */
#include "bus/session.h"
#include "wire/nats.h"

#include <assert.h>

enum { BY_REFERENCE = 1024, NS_PER_MS = 1000000 };

/* Acknowledgements are short, and who gets them has been waiting. Deliveries are long, and who gets
 * them has more to do with each than it costs to be woken for them. */
static const struct early of_published = {.messages = 128, .bytes = 64 << 10},
                          of_delivered = {.messages = UINT64_MAX, .bytes = 32000};

/* The forms a message has for clients with and without headers; made when first needed. */
struct publication {
    struct bus *bus;
    struct message *message;
    struct session *from;      /* NULL: this program, */
    const struct early *early; /* which sends so much at once */
    struct bytes tail;         /* the publisher's, or empty */
    struct wire_form forms[2];
    bool made[2];
    unsigned deliveries;
};

static size_t message_size(const struct message *message)
{
    return message->headers.len + message->payload.len;
}

static char *put(char *at, struct bytes bytes)
{
    if (bytes.len) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

static char *put_size(char *at, size_t size)
{
    char digits[20];
    size_t start = sizeof digits;
    *at++ = ' ';
    do digits[--start] = (char)('0' + size % 10);
    while (size /= 10);
    return put(at, bytes_make(digits + start, sizeof digits - start));
}

/* Writes " reply 12 17\r\n" into `out`, and the body behind it when that is copied. */
static struct bytes write_tail(struct buf *out, const struct message *message, struct bytes headers,
                               bool with_body)
{
    enum { SIZES = 64 }; /* two numbers, blanks and line ends */
    size_t body = headers.len + message->payload.len;
    buf_clear(out);
    char *start = buf_reserve(out, message->reply.len + SIZES + (with_body ? body : 0)),
         *at = start;
    if (!start) return (struct bytes){0};
    if (message->reply.len) {
        *at++ = ' ';
        at = put(at, message->reply);
    }
    if (headers.len) at = put_size(at, headers.len);
    at = put(put_size(at, body), BYTES("\r\n"));
    if (with_body) at = put(put(put(at, headers), message->payload), BYTES("\r\n"));
    buf_commit(out, (size_t)(at - start));
    return bytes_make(start, (size_t)(at - start));
}

/* Where the body is in the publisher's bytes, if those are lent: headers, payload and CRLF stand in
 * one piece there. */
static struct bytes lent_body(const struct publication *p, struct bytes headers)
{
    struct bytes payload = p->message->payload;
    if (!p->from || !p->from->server->lender.bytes.len) return (struct bytes){0};
    const char *start = headers.len ? headers.data : payload.data;
    return bytes_make(start, (size_t)(payload.data + payload.len + 2 - start));
}

/* Makes the counted message for those that need one. */
static bool hold(struct publication *p, struct wire_form *form, size_t headers_len)
{
    form->held = message_ref(p->message);
    if (!form->held) return false;
    form->body = bytes_skip(message_body(form->held), form->held->headers.len - headers_len);
    return true;
}

static bool make_form(struct publication *p, bool with_headers)
{
    struct wire_form *form = &p->forms[with_headers];
    struct message *message = p->message;
    struct bytes headers = with_headers ? message->headers : (struct bytes){0};
    size_t body = headers.len + message->payload.len;
    bool by_reference = body >= BY_REFERENCE;
    form->with_headers = with_headers;
    form->size = body;
    form->by_reference = by_reference;
    form->lent = by_reference ? lent_body(p, headers) : (struct bytes){0};
    if (p->tail.len && headers.len == message->headers.len)
        form->tail = by_reference ? bytes_head(p->tail, p->tail.len - body - 2) : p->tail;
    else
        form->tail = write_tail(&p->bus->tails[with_headers], message, headers, !by_reference);
    p->made[with_headers] = form->tail.len > 0;
    return p->made[with_headers];
}

static bool to_session(struct publication *p, const struct route_target *target)
{
    struct session *session = target->subscription->session;
    if (!session_takes(session, p->from)) return false;
    bool with_headers = p->message->headers.len && session_wants_headers(session);
    struct wire_form *form = &p->forms[with_headers];
    bool ready = p->made[with_headers] || make_form(p, with_headers);
    bool by_count = ready && form->by_reference && !(form->lent.len && session_borrows(session));
    if (by_count && !form->held) ready = hold(p, form, with_headers ? p->message->headers.len : 0);
    if (!ready || !session_put(session, target, form)) {
        p->bus->metrics.dropped++;
        return false;
    }
    if (session->responses && p->message->reply.len)
        responses_expect(session->responses, p->message->reply, io_now_ns(p->bus->io) / NS_PER_MS);
    if (!p->from) session_send_early(session, p->early);
    return true;
}

static bool to_target(struct publication *p, const struct route_target *target)
{
    struct subscription *s = target->subscription;
    if (s->gone) return false;
    if (s->session ? !to_session(p, target) : !local_put(s, p->message)) return false;
    s->delivered++;
    p->deliveries++;
    if (s->max && s->delivered >= s->max) session_finish_subscription(s);
    return true;
}

/* The next member in turn; when it cannot take the message, the one behind it. */
static void to_group(struct publication *p, struct route_group *group)
{
    uint32_t turn = group->turn++;
    for (uint32_t i = 0; i < group->count; i++)
        if (to_target(p, &group->members[(turn + i) % group->count])) return;
}

static void observe(const struct publication *p)
{
    const struct message *m = p->message;
    struct bus_event event = {.subject = m->subject,
                              .reply = m->reply,
                              .trace = message_trace(m),
                              .bytes = message_size(m),
                              .deliveries = p->deliveries,
                              .connection = p->from ? session_id(p->from) : 0};
    event.kind = bytes_starts(m->subject, BYTES("_INBOX.")) ? BUS_EVENT_REPLY
                 : m->reply.len                             ? BUS_EVENT_REQUEST
                                                            : BUS_EVENT_PUBLISH;
    p->bus->observer->published(p->bus->observer, &event);
}

/* The forms are left as they are until they are made: most publications need one, and this is the
 * hottest path there is. */
static void begin(struct publication *p, struct bus *bus, struct message *message,
                  struct bytes tail, struct session *from)
{
    p->bus = bus;
    p->message = message;
    p->from = from;
    p->early = &of_published;
    p->tail = tail;
    p->forms[0].held = p->forms[1].held = NULL;
    p->made[0] = p->made[1] = false;
    p->deliveries = 0;
}

/* Whether somebody who is subscribed might get what is published behind the service's prefix. */
static bool is_tapped(struct bus *bus, struct bus_service *service)
{
    if (service->generation != bus->router.generation) {
        struct bytes tokens = bytes_make(service->prefix, service->prefix_len - 1);
        service->tapped = trie_reaches(&bus->router.trie, tokens);
        service->generation = bus->router.generation;
    }
    return service->tapped;
}

/* Hands the message to the service that its subject belongs to. Returns whether that was all. */
static bool to_service(struct publication *p)
{
    struct bus *bus = p->bus;
    LIST_EACH(&bus->services, struct bus_service, link, service) {
        if (!bytes_starts(p->message->subject, bytes_make(service->prefix, service->prefix_len)))
            continue;
        bus->delivering = true;
        bool taken = service->take(service, p->message);
        bus->delivering = false;
        p->deliveries += taken;
        if (taken && bus->observer) observe(p);
        return taken && !is_tapped(bus, service);
    }
    return false;
}

unsigned deliver(struct bus *bus, struct message *message, struct bytes tail, struct session *from)
{
    struct publication p;
    size_t size = message_size(message);
    begin(&p, bus, message, tail, from);
    bus->metrics.messages_in++;
    bus->metrics.bytes_in += size;
    if (message->subject.len && *message->subject.data == '$' && to_service(&p))
        return p.deliveries;
    bool observed = p.deliveries > 0;
    struct route *route = router_find(&bus->router, message->subject);
    if (!route) {
        bus->metrics.dropped++;
        return 0;
    }
    assert(!bus->delivering);
    bus->delivering = true;
    bool captured = route->captured && bus->capture && !message->stored, seen = true;
    if (captured) {
        seen = bus->capture->append(bus->capture, route->captured, message);
        bus->metrics.captured++;
        if (bus->capture->busy && from) from->stall = true;
    }
    for (uint32_t i = 0; seen && i < route->target_count; i++) to_target(&p, &route->targets[i]);
    for (uint32_t i = 0; seen && i < route->group_count; i++) to_group(&p, &route->groups[i]);
    bus->metrics.messages_out += p.deliveries;
    bus->metrics.bytes_out += p.deliveries * size;
    p.deliveries += captured;
    if (bus->observer && !observed) observe(&p);
    message_unref(p.forms[0].held);
    message_unref(p.forms[1].held);
    bus->delivering = false;
    return p.deliveries;
}

/* ---- deliveries to an inbox ---- */

bool bus_inbox_find(struct bus *bus, struct bytes subject, struct bus_inbox *ret_inbox)
{
    *ret_inbox = (struct bus_inbox){bus, router_find(&bus->router, subject)};
    const struct route *route = ret_inbox->route;
    for (uint32_t i = 0; route && i < route->target_count; i++)
        if (!route->targets[i].subscription->gone) return true;
    for (uint32_t i = 0; route && i < route->group_count; i++)
        for (uint32_t j = 0; j < route->groups[i].count; j++)
            if (!route->groups[i].members[j].subscription->gone) return true;
    return false;
}

static bool is_bound(const struct route_target *targets, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct subscription *s = targets[i].subscription;
        if (!s->gone && trie_is_literal(&s->entry)) return true;
    }
    return false;
}

bool bus_inbox_is_bound(struct bus *bus, struct bytes subject, struct bytes queue)
{
    const struct route *route = router_find(&bus->router, subject);
    if (!route) return false;
    if (queue.len == 0 && is_bound(route->targets, route->target_count)) return true;
    for (uint32_t i = 0; i < route->group_count; i++) {
        const struct route_group *group = &route->groups[i];
        if (queue.len > 0 && !bytes_eq(group->members[0].subscription->queue, queue)) continue;
        if (is_bound(group->members, group->count)) return true;
    }
    return false;
}

/* The prefix for one who listens, with the message's own subject instead of the inbox. */
static bool retarget(struct publication *p, struct route_target *target)
{
    if (!target->prefix_len) return true;
    struct buf *out = &p->bus->prefix;
    struct bytes subject = p->message->subject, sid = target->subscription->sid;
    buf_clear(out);
    char *start = buf_reserve(out, subject.len + sid.len + 6);
    if (!start) return false;
    char *at = put(put(start, BYTES("HMSG ")), subject);
    *at++ = ' ';
    at = put(at, sid);
    target->prefix = start;
    target->prefix_len = (uint32_t)(at - start);
    return true;
}

static bool to_listener(struct publication *p, struct route_target target)
{
    return retarget(p, &target) && to_target(p, &target);
}

unsigned bus_inbox_put(struct bus_inbox *inbox, struct message *message)
{
    struct publication p;
    struct bus *bus = inbox->bus;
    begin(&p, bus, message, (struct bytes){0}, NULL);
    p.early = &of_delivered;
    for (uint32_t i = 0; i < inbox->route->target_count; i++) {
        to_listener(&p, inbox->route->targets[i]);
    }
    for (uint32_t i = 0; i < inbox->route->group_count; i++) {
        struct route_group *group = &inbox->route->groups[i];
        uint32_t turn = group->turn++;
        for (uint32_t j = 0; j < group->count; j++)
            if (to_listener(&p, group->members[(turn + j) % group->count])) break;
    }
    bus->metrics.messages_out += p.deliveries;
    bus->metrics.bytes_out += p.deliveries * message_size(message);
    message_unref(p.forms[0].held);
    message_unref(p.forms[1].held);
    return p.deliveries;
}
