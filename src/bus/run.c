/* Messages in a row under one subject, as a busy publisher sends them. Their route is looked up
 * once, and what a client gets of them is written in one piece: the work for each message is a copy
 * of some bytes. Clients that get the very same bytes (their sids are the same, as those of many
 * equal programs are) share one block, which is sent from where it is; long messages are in one
 * block for all, without the prefixes. */
#include "bus/session.h"

#include <assert.h>

enum {
    BY_REFERENCE = 1024, /* as deliver.c: longer ones are not copied for each client */
    SHARED_MIN = 32 << 10,
    SHARED_CLIENTS = 8 /* so many send a block of SHARED_MIN cheaper from the kernel's own pages */
};

void run_write(char *out, struct bytes prefix, const struct run *run, const char *tail,
               size_t count)
{
    for (; count > 0; count--, tail += run->stride) {
        if (prefix.len) memcpy(out, prefix.data, prefix.len);
        out += prefix.len;
        memcpy(out, tail, run->tail_len);
        out += run->tail_len;
    }
}

static struct message *make_block(struct bytes prefix, const struct run *run)
{
    char *data;
    struct message *block = message_block((prefix.len + run->tail_len) * run->count, &data);
    if (block) run_write(data, prefix, run, run->first_tail, run->count);
    return block;
}

/* "MSG subject sid"; empty: of this program. */
static struct bytes prefix_of(const struct route_target *target)
{
    if (!target->prefix_len) return (struct bytes){0};
    return bytes_make(target->prefix + 1, target->prefix_len - 1);
}

/* One run on its way. */
struct running {
    const struct run *run;
    struct session *from;
    struct bytes prefix;   /* of the block */
    struct message *block; /* NULL: none is made */
    struct message *tails; /* the messages without a prefix; NULL: not made */
    uint64_t deliveries;
};

/* How many clients from this one on get the same bytes; no more are counted than matter. */
static uint32_t count_alike(const struct route *route, uint32_t i)
{
    uint32_t n = 1;
    while (n < SHARED_CLIENTS && i + n < route->target_count &&
           bytes_eq(prefix_of(&route->targets[i]), prefix_of(&route->targets[i + n])))
        n++;
    return n;
}

/* The block for so many clients: for many in memory that they send from without a copy. */
static struct message *make_shared_block(const struct running *r, struct bytes prefix,
                                         uint32_t alike)
{
    struct message *block = make_block(prefix, r->run), *shared;
    if (!block || alike < SHARED_CLIENTS || block->payload.len < SHARED_MIN) return block;
    shared = message_shared_block(r->from->server->io, block->payload);
    if (!shared) return block;
    message_unref(block);
    return shared;
}

static bool put(struct running *r, struct session *session, struct bytes prefix, uint32_t alike)
{
    bool shared = alike > 1;
    if (r->block && bytes_eq(prefix, r->prefix))
        return session_put_block(session, r->block, r->run);
    if (!shared && r->run->payload_len < BY_REFERENCE)
        return session_put_run(session, prefix, r->run);
    if (!shared && r->from->server->lender.bytes.len && session_borrows(session))
        return session_put_tails(session, prefix, NULL, r->run);
    if (!shared) {
        if (!r->tails) r->tails = make_block((struct bytes){0}, r->run);
        return r->tails && session_put_tails(session, prefix, r->tails, r->run);
    }
    message_unref(r->block);
    r->block = make_shared_block(r, prefix, alike);
    r->prefix = prefix;
    return r->block && session_put_block(session, r->block, r->run);
}

static void to_client(struct running *r, const struct route *route, uint32_t i)
{
    struct subscription *s = route->targets[i].subscription;
    if (s->gone || !session_takes(s->session, r->from)) return;
    if (!put(r, s->session, prefix_of(&route->targets[i]), count_alike(route, i))) {
        s->session->bus->metrics.dropped += r->run->count;
        return;
    }
    s->delivered += r->run->count;
    r->deliveries += r->run->count;
}

/* Whether everybody who gets them is a client who wants them all. */
static bool is_plain(const struct bus *bus, const struct route *route)
{
    if (bus->observer || route->group_count || (route->captured && bus->capture)) return false;
    for (uint32_t i = 0; i < route->target_count; i++) {
        const struct subscription *s = route->targets[i].subscription;
        if (!s->session || s->max) return false;
    }
    return true;
}

static void one_by_one(struct bus *bus, const struct run *run, struct session *from)
{
    const char *tail = run->first_tail;
    for (size_t i = 0; i < run->count; i++, tail += run->stride) {
        const char *payload = tail + run->tail_len - 2 - run->payload_len;
        struct message message = message_borrow(run->subject, (struct bytes){0}, (struct bytes){0},
                                                bytes_make(payload, run->payload_len));
        deliver(bus, &message, bytes_make(tail, run->tail_len), from);
        message_done(&message);
    }
}

void deliver_run(struct bus *bus, const struct run *run, struct session *from)
{
    bool service = bytes_starts(run->subject, BYTES("$"));
    struct route *route = service ? NULL : router_find(&bus->router, run->subject);
    if (!route || !is_plain(bus, route)) {
        one_by_one(bus, run, from);
        return;
    }
    struct running r = {.run = run, .from = from};
    assert(!bus->delivering);
    bus->delivering = true;
    for (uint32_t i = 0; i < route->target_count; i++) to_client(&r, route, i);
    bus->delivering = false;
    message_unref(r.block);
    message_unref(r.tails);
    bus->metrics.messages_in += run->count;
    bus->metrics.bytes_in += run->count * run->payload_len;
    bus->metrics.messages_out += r.deliveries;
    bus->metrics.bytes_out += r.deliveries * run->payload_len;
}
