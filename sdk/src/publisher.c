/* A publisher: a ring of slots, one for each message under way, each with the frame as it is sent,
 * so that sending again is one copy. Message n is in slot n % window; its acknowledgement comes to
 * INBOX.n. The ring's head waits for its oldest message, so results may come in any order and
 * memory stays bounded.
 *
 * What has an id is sent again: on every new connection, and when nothing was heard for a while.
 * What has none is sent once, and fails with its connection. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/puback.h"
#include "sdk/src/publication.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WINDOW_DEFAULT = 256,
    WINDOW_MAX = 65536,
    TICK_MS = 250,
    AGAIN_MS = 2000, /* doubled each time */
    AGAIN_MAX_MS = 8000,
    REPLY_TEXT = BUSLINK_INBOX_TEXT + 24
};

struct slot {
    bool open;   /* under way */
    bool has_id; /* may be sent again */
    bool sent;   /* on this connection */
    unsigned sends;
    uint64_t number, tag, deadline_ns, again_ns;
    size_t payload;
    struct buf frame;
};

struct dure_publisher {
    struct ctx_resource resource;
    struct dure_ctx *ctx;
    struct buslink *bus;
    struct dure_publisher_options options;
    struct bus_route route;
    char inbox[BUSLINK_INBOX_TEXT], subject[BUSLINK_INBOX_TEXT + 2];
    char id_prefix[32]; /* of the ids that are made up */
    struct loop_timer timer;
    struct slot *slots;
    size_t window, under_way;
    uint64_t next, oldest; /* numbers: of the next message; of the oldest that may be under way */
    int first_error;       /* since the last flush */
};

static struct slot *slot_of(struct dure_publisher *publisher, uint64_t number)
{
    return &publisher->slots[number % publisher->window];
}

/* ---- the end of one ----------------------------------------------------------------------- */

static void settle(struct dure_publisher *publisher, struct slot *slot,
                   const struct dure_stored *stored)
{
    slot->open = false;
    buf_clear(&slot->frame);
    publisher->under_way--;
    while (publisher->oldest < publisher->next && !slot_of(publisher, publisher->oldest)->open)
        publisher->oldest++;
    if (stored->err && !publisher->first_error) publisher->first_error = stored->err;
    if (publisher->options.stored)
        publisher->options.stored(publisher->options.argument, slot->tag, stored);
    ctx_wake(publisher->ctx);
}

static void fail(struct dure_publisher *publisher, struct slot *slot, int err)
{
    const struct dure_stored stored = {.err = err, .stream = "", .reason = ""};
    settle(publisher, slot, &stored);
}

/* ---- sending ------------------------------------------------------------------------------ */

/* A full buffer or a lost connection is no failure: the tick or the next connection sends it. */
static void transmit(struct dure_publisher *publisher, struct slot *slot)
{
    int err = buslink_put_frame(publisher->bus, buf_bytes(&slot->frame), slot->payload);
    if (err == DURE_ETOOBIG) {
        fail(publisher, slot, err);
        return;
    }
    slot->sent = !err;
    if (err) return;
    uint64_t pause_ms = AGAIN_MS;
    for (unsigned i = 0; i < slot->sends && pause_ms < AGAIN_MAX_MS; i++) pause_ms *= 2;
    slot->again_ns = loop_monotonic_ns() + pause_ms * UINT64_C(1000000);
    slot->sends++;
}

static void tick(struct loop_timer *timer)
{
    struct dure_publisher *publisher = CONTAINER_OF(timer, struct dure_publisher, timer);
    uint64_t now = loop_monotonic_ns();
    for (uint64_t n = publisher->oldest; n < publisher->next; n++) {
        struct slot *slot = slot_of(publisher, n);
        if (!slot->open) continue;
        if (now >= slot->deadline_ns)
            fail(publisher, slot,
                 buslink_sends(publisher->bus) ? DURE_ETIMEOUT : DURE_EUNREACHABLE);
        else if (!slot->sent || (slot->has_id && now >= slot->again_ns))
            transmit(publisher, slot);
    }
    if (publisher->under_way) loop_timer_in_ms(&publisher->bus->host->loop, timer, TICK_MS);
}

static void renewed(struct bus_route *route)
{
    struct dure_publisher *publisher = CONTAINER_OF(route, struct dure_publisher, route);
    for (uint64_t n = publisher->oldest; n < publisher->next; n++) {
        struct slot *slot = slot_of(publisher, n);
        if (!slot->open) continue;
        if (slot->has_id || !slot->sends)
            transmit(publisher, slot);
        else
            fail(publisher, slot, DURE_EUNREACHABLE);
    }
}

static void acknowledged(struct bus_route *route, const struct nats_frame *frame)
{
    struct dure_publisher *publisher = CONTAINER_OF(route, struct dure_publisher, route);
    struct nats_headers headers;
    struct puback ack;
    struct dure_stored stored;
    uint64_t number;
    struct bytes token = bytes_skip(frame->subject, strlen(publisher->inbox) + 1);
    if (bytes_to_u64(token, UINT64_MAX, &number) != 0) return;
    struct slot *slot = slot_of(publisher, number);
    if (!slot->open || slot->number != number) return; /* of one that is over */
    bool nobody = frame->headers.len && !frame->payload.len &&
                  nats_headers_parse(frame->headers, &headers) == 0 && headers.status == 503;
    if (nobody && slot->has_id && buslink_settling(publisher->bus)) {
        slot->again_ns = 0; /* the streams come back too: with the next tick */
        return;
    }
    puback_take(frame->payload, &ack, &stored); /* nobody is no stream either */
    settle(publisher, slot, &stored);
}

/* ---- life --------------------------------------------------------------------------------- */

static void release(struct ctx_resource *resource)
{
    struct dure_publisher *publisher = CONTAINER_OF(resource, struct dure_publisher, resource);
    loop_timer_cancel(&publisher->bus->host->loop, &publisher->timer);
    buslink_route_remove(publisher->bus, &publisher->route);
    for (size_t i = 0; publisher->slots && i < publisher->window; i++)
        buf_release(&publisher->slots[i].frame);
    free(publisher->slots);
    free(publisher);
}

static void make_names(struct dure_publisher *publisher)
{
    uint8_t random[11];
    host_random(publisher->bus->host, random, sizeof random);
    bytes_hex(bytes_make(random, sizeof random), publisher->id_prefix);
    publisher->id_prefix[2 * sizeof random] = '\0';
    buslink_new_inbox(publisher->bus, publisher->inbox);
    snprintf(publisher->subject, sizeof publisher->subject, "%s.*", publisher->inbox);
}

int dure_publisher_open(struct dure_ctx *ctx, const struct dure_publisher_options *options,
                        struct dure_publisher **ret_publisher)
{
    static const struct dure_publisher_options defaults;
    struct buslink *bus = ctx->tenant->host->bus;
    *ret_publisher = NULL;
    if (!bus) return DURE_EUNREACHABLE;
    if (!options) options = &defaults;
    if (options->window > WINDOW_MAX || options->timeout_ms < 0) return DURE_EINVALID;
    struct dure_publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher) return DURE_ENOMEM;
    publisher->ctx = ctx;
    publisher->bus = bus;
    publisher->options = *options;
    if (!options->timeout_ms) publisher->options.timeout_ms = DURE_DEFAULT_TIMEOUT_MS;
    publisher->window = options->window ? options->window : WINDOW_DEFAULT;
    publisher->slots = calloc(publisher->window, sizeof *publisher->slots);
    publisher->timer.fire = tick;
    list_init(&publisher->route.link);
    make_names(publisher);
    publisher->route.subject = publisher->subject;
    publisher->route.deliver = acknowledged;
    publisher->route.renewed = renewed;
    int err = publisher->slots ? buslink_route_add(bus, &publisher->route) : DURE_ENOMEM;
    for (size_t i = 0; !err && i < publisher->window; i++)
        buf_init(&publisher->slots[i].frame, NATS_PAYLOAD_CAP + BUSLINK_FRAME_HEAD);
    if (err) {
        release(&publisher->resource);
        return err;
    }
    ctx_own(ctx, &publisher->resource, release);
    *ret_publisher = publisher;
    return 0;
}

void dure_publisher_close(struct dure_publisher *publisher)
{
    if (!publisher) return;
    ctx_disown(&publisher->resource);
    release(&publisher->resource);
}

/* ---- using it ----------------------------------------------------------------------------- */

static int encode(struct dure_publisher *publisher, struct slot *slot,
                  const struct dure_publication *publication)
{
    char reply[REPLY_TEXT], made_up[64];
    struct buf *headers = &publisher->bus->headers;
    const char *id = publication->id;
    if (!id && !publisher->options.no_id) {
        snprintf(made_up, sizeof made_up, "%s.%llu", publisher->id_prefix,
                 (unsigned long long)slot->number);
        id = made_up;
    }
    snprintf(reply, sizeof reply, "%s.%llu", publisher->inbox, (unsigned long long)slot->number);
    publication_put_headers(publication, id, headers);
    if (headers->failed) return DURE_ETOOBIG;
    buf_clear(&slot->frame);
    nats_put_pub(&slot->frame, bytes_str(publication->subject), bytes_str(reply),
                 buf_bytes(headers),
                 bytes_make(publication->body ? publication->body : "", publication->len));
    if (slot->frame.failed) return DURE_ENOMEM;
    slot->payload = buf_len(headers) + publication->len;
    slot->has_id = id != NULL;
    return 0;
}

/* Until the slot of the next message is free and the connection takes more. */
static int wait_slot(struct dure_publisher *publisher)
{
    struct slot *slot = slot_of(publisher, publisher->next);
    struct await await;
    int err = 0;
    if (slot->open) {
        await_begin(&await, publisher->ctx, 0);
        while (!err && slot->open) err = await_turn(&await);
        await_end(&await);
    }
    return err ? err : buslink_wait_room(publisher->bus, publisher->ctx);
}

int dure_publisher_put(struct dure_publisher *publisher, const struct dure_publication *publication,
                       uint64_t tag)
{
    if (!publication_valid(publication)) return DURE_EINVALID;
    int err = wait_slot(publisher);
    if (err) return err;
    struct slot *slot = slot_of(publisher, publisher->next);
    slot->number = publisher->next;
    err = encode(publisher, slot, publication);
    if (err) return err;
    size_t max = publisher->bus->info.max_payload;
    if (max && slot->payload > max) return DURE_ETOOBIG;
    struct loop *loop = &publisher->bus->host->loop;
    slot->tag = tag;
    slot->deadline_ns =
        loop_monotonic_ns() + (uint64_t)publisher->options.timeout_ms * UINT64_C(1000000);
    slot->sends = 0;
    slot->sent = false;
    slot->open = true;
    publisher->next++;
    publisher->under_way++;
    if (!publisher->timer.at_ns) loop_timer_in_ms(loop, &publisher->timer, TICK_MS);
    transmit(publisher, slot);
    return 0;
}

int dure_publisher_flush(struct dure_publisher *publisher)
{
    struct await await;
    int err = 0;
    await_begin(&await, publisher->ctx, 0);
    while (!err && publisher->under_way) err = await_turn(&await);
    await_end(&await);
    if (!err) err = publisher->first_error;
    publisher->first_error = 0;
    return err;
}

/* ---- one, and a known number -------------------------------------------------------------- */

struct results {
    struct dure_ctx *ctx;
    struct dure_stored *stored;
};

static void note(void *argument, uint64_t tag, const struct dure_stored *stored)
{
    struct results *results = argument;
    struct dure_stored copy = *stored;
    copy.stream = arena_copy(&results->ctx->arena, bytes_str(stored->stream));
    copy.reason = arena_copy(&results->ctx->arena, bytes_str(stored->reason));
    if (!copy.stream) copy.stream = "";
    if (!copy.reason) copy.reason = "";
    results->stored[tag] = copy;
}

/* All of them through the publisher. An error: the handler itself has to end. */
static int put_all(struct dure_publisher *publisher, const struct dure_publication *publications,
                   size_t count, struct dure_stored *results)
{
    for (size_t i = 0; i < count; i++) {
        int err = dure_publisher_put(publisher, &publications[i], i);
        if (err == DURE_EINVALID || err == DURE_ETOOBIG)
            results[i].err = err;
        else if (err)
            return err;
    }
    dure_publisher_flush(publisher); /* the results say it */
    return publisher->ctx->stop;
}

int dure_tell_all(struct dure_ctx *ctx, const struct dure_publication *publications, size_t count,
                  int64_t timeout_ms, struct dure_stored *results)
{
    if (!results) results = arena_array(&ctx->arena, count, sizeof *results);
    if (!results) return DURE_ENOMEM;
    for (size_t i = 0; i < count; i++)
        results[i] = (struct dure_stored){.err = DURE_ECANCELLED, .stream = "", .reason = ""};
    struct results all = {.ctx = ctx, .stored = results};
    const struct dure_publisher_options options = {
        .timeout_ms = timeout_ms, .stored = note, .argument = &all};
    struct dure_publisher *publisher;
    int err = dure_publisher_open(ctx, &options, &publisher);
    if (!err) err = put_all(publisher, publications, count, results);
    dure_publisher_close(publisher);
    for (size_t i = 0; i < count && !err; i++) err = results[i].err;
    return err;
}

int dure_tell_message(struct dure_ctx *ctx, const struct dure_publication *publication,
                      int64_t timeout_ms, struct dure_stored *ret_stored)
{
    struct dure_answer answer;
    struct puback ack;
    struct dure_stored stored = {.stream = "", .reason = ""};
    if (ret_stored) *ret_stored = stored;
    if (!publication_valid(publication)) return DURE_EINVALID;
    int err = dure_wait(ctx, buslink_tell(ctx, publication, timeout_ms), &answer);
    if (answer.body) {
        puback_take(bytes_make(answer.body, answer.len), &ack, &stored);
        err = stored.err;
    }
    ctx_fail(ctx, err, stored.code, stored.reason);
    if (!ret_stored) return err;
    const char *stream = arena_copy(&ctx->arena, bytes_str(stored.stream));
    *ret_stored = stored;
    ret_stored->err = err;
    ret_stored->stream = stream ? stream : "";
    ret_stored->reason = dure_reason(ctx);
    return err;
}
