/* The port to a cluster on a simulated network, with our own bus and its JetStream as the server:
 * connections are reset, the network is cut, the server's power fails, the program dies. Every
 * event that was stored is settled, at least once, and not again while nobody has crashed; one that
 * fails for good is in the dead-letter stream once; a bucket's projection is what is stored, and no
 * change is told before it shows. */
#include "bus/bus_server.h"
#include "jetstream/jetstream.h"
#include "messaging/bucket.h"
#include "messaging/queue.h"
#include "runner.h"
#include "stream/streams.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PORT = 4222,
    EVENTS = 32,
    KEYS = 5,
    CHANGES = 40,
    WANT = 6,
    MAX_DELIVER = 3,
    END_MS = 600000
};

struct world;

struct event {
    struct messaging_store store;
    struct world *world;
    bool busy, stored;
    bool doomed;       /* fails each time */
    unsigned acked_in; /* the calm in which it was acknowledged; 0: not */
};

struct change {
    struct bucket_op op;
    struct world *world;
    int key;
    uint64_t number;
    bool busy, purges;
};

struct world {
    struct sim *sim;
    struct sim_host *host, *away;
    struct bus *bus;
    struct bus_server *server;
    struct streams *streams;
    struct jetstream *jetstream;

    struct messaging *messaging;
    struct messaging_setup setup;
    struct queue *queue;
    struct bucket *bucket;
    bool kept, opened, closed;
    unsigned calm; /* grows when somebody crashes */

    struct event events[EVENTS];
    struct io_timer retry;
    uint64_t held[EVENTS * 8]; /* sequences that were delivered and are not settled yet */
    size_t held_count;

    struct change changes[CHANGES];
    uint64_t begun;
    uint64_t shown[KEYS], revision[KEYS]; /* by the watch: the number, and where */
    uint64_t last_done[KEYS];
};

static uint64_t seen_again, seen_dead, seen_restarts, seen_failures, seen_changes;

/* ---- the server ---- */

static void server_open(struct world *world, struct io *io)
{
    const struct streams_options options = {.dir = "/store",
                                            .segment_bytes = 64 << 10,
                                            .log_file_min = 32 << 10,
                                            .log_file_max = 64 << 10};
    const struct bus_server_options server = {.jetstream = true};
    struct error error = {0};
    struct io_addr addr = sim_host_addr(world->host, PORT);
    int err = bus_new(io, NULL, NULL, &world->bus);
    if (!err) err = bus_server_new(io, &server, world->bus, NULL, &world->server);
    if (!err) err = streams_open(io, world->bus, &options, &world->streams, &error);
    if (!err) err = jetstream_open(io, world->bus, world->streams, NULL, &world->jetstream, &error);
    if (!err) err = bus_server_listen(world->server, &addr, NULL);
    CHECK(!err, "%s %s", err_name(err), error.message);
}

static void server_free(struct world *world)
{
    bus_server_free(world->server);
    jetstream_free(world->jetstream);
    streams_free(world->streams);
    bus_free(world->bus);
}

static void power_fails(struct world *world)
{
    sim_host_crash(world->host);
    server_free(world);
    server_open(world, sim_host_restart(world->host));
    world->calm++;
}

/* ---- events ---- */

static uint64_t number_of(struct bytes payload)
{
    uint64_t number = 0;
    CHECK(bytes_to_u64(payload, 1 << 20, &number) == 0);
    return number;
}

static void stored(struct messaging_store *store, int result)
{
    struct event *event = CONTAINER_OF(store, struct event, store);
    CHECK(event->busy, "told twice");
    event->busy = false;
    event->stored = !result;
    seen_failures += result != 0;
    CHECK(result == 0 || result == ERR_TIMEOUT || result == ERR_UNREACHABLE ||
              result == ERR_UNAVAILABLE || result == ERR_RESET,
          "%s %s", err_name(result), store->ack.description);
}

static void store_one(struct world *world, int number)
{
    struct event *event = &world->events[number];
    char body[16], headers[64];
    if (event->busy || event->stored) return;
    snprintf(body, sizeof body, "%d", number);
    snprintf(headers, sizeof headers, "NATS/1.0\r\nNats-Msg-Id: event%d\r\n\r\n", number);
    struct message message =
        message_borrow(BYTES("e.x"), BYTES(""), bytes_str(headers), bytes_str(body));
    event->world = world;
    event->doomed = number % 9 == 4;
    int err = messaging_store(world->messaging, &event->store, &message, 1500, stored);
    message_done(&message);
    CHECK(!err || err == ERR_UNREACHABLE, "%s", err_name(err));
    event->busy = !err;
}

static void settle(struct world *world, uint64_t seq, struct event *event)
{
    int err;
    if (event->doomed)
        err = sim_random_below(world->sim, 2) ? queue_term(world->queue, seq, BYTES("doomed"))
                                              : queue_nak(world->queue, seq, 10);
    else if (sim_random_below(world->sim, 4) == 0)
        err = queue_nak(world->queue, seq, (uint32_t)sim_random_below(world->sim, 200));
    else {
        err = queue_ack(world->queue, seq);
        if (!err) event->acked_in = world->calm;
    }
    CHECK(err == 0 || err == ERR_NOT_FOUND, "%s", err_name(err));
    queue_want(world->queue, 1);
}

static void deliver(void *context, const struct queue_delivery *delivery)
{
    struct world *world = context;
    uint64_t number = number_of(delivery->message.payload);
    struct event *event = &world->events[number];
    CHECK(number < EVENTS);
    CHECK(delivery->attempt <= MAX_DELIVER * 40, "attempt %u", delivery->attempt);
    if (event->acked_in) {
        seen_again++;
        CHECK(event->acked_in != world->calm, "%llu comes again although nobody has crashed",
              (unsigned long long)number);
    }
    if (sim_random_below(world->sim, 3) && world->held_count < EVENTS * 8)
        world->held[world->held_count++] = delivery->seq << 16 | number;
    else
        settle(world, delivery->seq, event);
}

static void settle_held(struct world *world, bool all)
{
    while (world->held_count && (all || sim_random_below(world->sim, 4))) {
        uint64_t held = world->held[--world->held_count];
        settle(world, held >> 16, &world->events[held & 0xffff]);
    }
}

/* ---- the bucket ---- */

static void watched(void *context, const struct kv_entry *entry)
{
    struct world *world = context;
    int key = entry->key.data[0] - 'a';
    CHECK(entry->revision >= world->revision[key] || entry->operation != KV_PUT,
          "the watch goes back");
    world->revision[key] = entry->revision;
    world->shown[key] = entry->operation == KV_PUT ? number_of(entry->value) : 0;
}

static void take_present(void *context, const struct kv_entry *entry)
{
    watched(context, entry);
}

/* By this change or a later one, which the watch may not have come to yet: it passes over what a
 * purge has taken from the stream. */
static bool may_be_purged(const struct world *world, const struct change *change)
{
    for (uint64_t i = change->number; i <= world->begun; i++) {
        const struct change *later = &world->changes[i - 1];
        if (later->key == change->key && later->purges) return true;
    }
    return false;
}

static void changed(struct bucket_op *op, int result)
{
    struct change *change = CONTAINER_OF(op, struct change, op);
    struct world *world = change->world;
    CHECK(change->busy, "told twice");
    change->busy = false;
    CHECK(result == 0 || result == ERR_TIMEOUT || result == ERR_UNREACHABLE ||
              result == ERR_UNAVAILABLE || result == ERR_CLOSED,
          "%s", err_name(result));
    if (result) return;
    seen_changes++;
    CHECK(change->number > world->last_done[change->key], "told out of order");
    bool shows = world->revision[change->key] >= op->revision;
    bool purged = !world->shown[change->key] && may_be_purged(world, change);
    CHECK(shows || purged, "told before it shows");
    world->last_done[change->key] = change->number;
}

static void change_something(struct world *world, int key)
{
    if (world->begun == CHANGES || !world->opened) return;
    struct change *change = &world->changes[world->begun++];
    char name[2] = {(char)('a' + key), 0}, value[24];
    *change = (struct change){.world = world, .key = key, .number = world->begun, .busy = true};
    snprintf(value, sizeof value, "%llu", (unsigned long long)change->number);
    change->purges = sim_random_below(world->sim, 5) == 0;
    if (change->purges)
        bucket_purge(world->bucket, &change->op, bytes_str(name), changed);
    else
        bucket_put(world->bucket, &change->op, bytes_str(name), bytes_str(value), changed);
}

/* ---- the program ---- */

static void opened(void *context)
{
    struct world *world = context;
    memset(world->shown, 0, sizeof world->shown);
    memset(world->revision, 0, sizeof world->revision);
    bucket_each(world->bucket, take_present, world);
    bucket_watch(world->bucket, watched, world);
    world->opened = true;
}

static void open_queue(struct world *world)
{
    const struct queue_config config = {
        .stream = "EVENTS", .name = "q", .filter = "e.*", .max_deliver = MAX_DELIVER * 40};
    int err = queue_open(world->messaging, &config, deliver, world, &world->queue, NULL);
    CHECK(!err, "%s", err_name(err));
    queue_want(world->queue, WANT);
}

static void kept(struct messaging_setup *setup, int result, const struct error *error)
{
    struct world *world = CONTAINER_OF(setup, struct world, setup);
    CHECK(!result, "%s", error->message);
    world->kept = true;
    open_queue(world);
}

static void program_open(struct world *world, struct io *io)
{
    static const char *const subjects[] = {"e.*"};
    const struct messaging_cluster_options options = {
        .client = {.urls = "nats://10.0.0.1:4222", .ping_interval_ms = 1000}};
    const struct messaging_stream stream = {.name = "EVENTS",
                                            .subjects = subjects,
                                            .subject_count = 1,
                                            .duplicate_window_ns = INT64_C(3600000000000)};
    const struct bucket_config bucket = {.bucket = "b"};
    world->queue = NULL;
    world->kept = world->opened = false;
    int err = messaging_connect(io, &options, NULL, &world->messaging, NULL);
    if (!err) err = messaging_keep_stream(world->messaging, &world->setup, &stream, kept);
    if (!err) err = bucket_open(world->messaging, &bucket, opened, world, &world->bucket, NULL);
    CHECK(!err, "%s", err_name(err));
}

/* Everything of the program is gone; what it was told stays true. */
static void program_free(struct world *world)
{
    if (!world->kept) messaging_setup_cancel(&world->setup);
    for (int i = 0; i < EVENTS; i++) {
        if (world->events[i].busy) messaging_store_cancel(&world->events[i].store);
        world->events[i].busy = false;
    }
    queue_free(world->queue);
    bucket_close(world->bucket);
    messaging_free(world->messaging);
    for (uint64_t i = 0; i < world->begun; i++) {
        struct change *change = &world->changes[i];
        if (change->busy) message_unref(change->op.message);
        change->busy = false;
    }
    world->held_count = 0;
}

static void program_dies(struct world *world)
{
    sim_host_kill(world->away);
    program_free(world);
    program_open(world, sim_host_restart(world->away));
    world->calm++;
    seen_restarts++;
}

/* ---- what happens ---- */

static void trouble(struct world *world)
{
    switch (sim_random_below(world->sim, 14)) {
    case 0:
    case 1: sim_reset(world->host, world->away); break;
    case 2: sim_partition(world->host, world->away, true); break;
    case 3: sim_cut(world->away, world->host, true); break;
    case 4:
    case 5:
    case 6: sim_heal(world->sim); break;
    case 7: power_fails(world); break;
    case 8: program_dies(world); break;
    default: break;
    }
}

static int count_dead(void *context, const struct stream_message *message)
{
    uint64_t *dead = context;
    dead[number_of(message->message.payload)]++;
    return 0;
}

static bool all_settled(void *context)
{
    struct world *world = context;
    if (!world->opened || !world->queue) return false;
    settle_held(world, true);
    uint64_t dead[EVENTS] = {0};
    struct stream *stream = streams_find(world->streams, BYTES("DEAD"));
    for (int i = 0; i < EVENTS; i++) {
        if (!world->events[i].stored) {
            store_one(world, i);
            return false;
        }
        if (!world->events[i].doomed && !world->events[i].acked_in) return false;
    }
    for (uint64_t i = 0; i < world->begun; i++)
        if (world->changes[i].busy) return false;
    if (stream) stream_each(stream, count_dead, dead);
    for (int i = 0; i < EVENTS; i++)
        if (world->events[i].doomed && !dead[i]) return false;
    return true;
}

static void check_dead(struct world *world)
{
    uint64_t dead[EVENTS] = {0};
    struct stream *stream = streams_find(world->streams, BYTES("DEAD"));
    if (stream) stream_each(stream, count_dead, dead);
    for (int i = 0; i < EVENTS; i++) {
        CHECK(dead[i] == (world->events[i].doomed ? 1 : 0), "%d is dead %llu times", i,
              (unsigned long long)dead[i]);
        seen_dead += dead[i];
    }
}

/* The projection is what the stream has. */
static void check_bucket(struct world *world)
{
    struct stream *stream = streams_find(world->streams, BYTES("KV_b"));
    CHECK(stream != NULL);
    for (int key = 0; key < KEYS; key++) {
        char name[2] = {(char)('a' + key), 0}, subject[16];
        struct kv_entry entry;
        snprintf(subject, sizeof subject, "$KV.b.%s", name);
        uint64_t last = stream_last_seq(stream, bytes_str(subject));
        int err = bucket_get(world->bucket, bytes_str(name), &entry);
        CHECK(err == 0 || world->shown[key] == 0, "the watch knows more");
        if (!err) CHECK(entry.revision == last, "the projection is behind");
        if (!err) CHECK(number_of(entry.value) == world->shown[key], "the watch is behind");
    }
}

static void is_closed(void *context)
{
    *(bool *)context = true;
}

static bool gone(void *context)
{
    return *(bool *)context;
}

static void close_program(struct world *world)
{
    bool queue_gone = false, messaging_gone = false;
    queue_close(world->queue, is_closed, &queue_gone);
    CHECK(sim_run_until(world->sim, 10000, gone, &queue_gone), "the queue does not close");
    bucket_close(world->bucket);
    messaging_close(world->messaging, is_closed, &messaging_gone);
    CHECK(sim_run_until(world->sim, 10000, gone, &messaging_gone), "it does not close");
}

static void cut_anywhere(struct sim *sim, uint64_t seed)
{
    static struct world world;
    world = (struct world){.sim = sim, .calm = 1};
    world.host = sim_host_new(sim, "server");
    world.away = sim_host_new(sim, "program");
    server_open(&world, sim_host_io(world.host));
    program_open(&world, sim_host_io(world.away));
    for (int step = 0; step < 40; step++) {
        for (int i = 0; i < 3; i++) store_one(&world, (int)sim_random_below(sim, EVENTS));
        change_something(&world, (int)sim_random_below(sim, KEYS));
        if (world.queue) settle_held(&world, false);
        trouble(&world);
        sim_run_ms(sim, sim_random_below(sim, 700));
    }
    sim_heal(sim);
    CHECK(sim_run_until(sim, END_MS, all_settled, &world), "not all is settled");
    sim_run_ms(sim, 35000); /* whatever was to come again has come */
    CHECK(all_settled(&world), "something has come again");
    check_dead(&world);
    check_bucket(&world);
    close_program(&world);
    sim_host_crash(world.host);
    server_free(&world);
}

static void all_have_happened(void)
{
    CHECK(seen_again && seen_dead && seen_restarts && seen_failures && seen_changes,
          "again %llu dead %llu restarts %llu failures %llu changes %llu",
          (unsigned long long)seen_again, (unsigned long long)seen_dead,
          (unsigned long long)seen_restarts, (unsigned long long)seen_failures,
          (unsigned long long)seen_changes);
}

RUNNER_MAIN({"port_cut_anywhere", cut_anywhere, .finish = all_have_happened, .seeds = 200})
