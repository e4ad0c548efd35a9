/* The client on a simulated network, with our own bus and its streams as the servers: connections
 * are reset and stalled, the network is cut, the server's power fails. No publish that was
 * acknowledged is lost and none is stored twice; subscriptions come back by themselves; a request
 * has one end. */
#include "bus/bus_server.h"
#include "client/client.h"
#include "runner.h"
#include "stream/streams.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum { PORT = 4222, MESSAGES = 300, REQUESTS = 60, LIMIT_MS = 110 * 1000 };

struct world;

struct publish {
    struct client_durable durable;
    struct world *world;
    uint64_t seq; /* 0: not acknowledged */
    bool begun, ended;
};

struct ask {
    struct client_request request;
    struct world *world;
    int result;
    bool busy;
};

struct world {
    struct sim *sim;
    struct sim_host *host, *away;
    struct bus *bus;
    struct bus_server *server;
    struct streams *streams;
    struct bus_subscription *answers;
    struct client *client;
    struct client_watch watch;
    struct client_subscription *subscription;
    struct publish publishes[MESSAGES];
    struct ask asks[REQUESTS];
    uint32_t begun, ended, asked;
    uint32_t stored[MESSAGES]; /* how often */
    uint64_t stored_count, heard, last_heard;
    bool up, closed;
};

static uint64_t seen_replays, seen_duplicates, seen_reconnects, seen_resets, seen_answers;

/* ---- the server ---- */

static void answer(void *context, struct message *message)
{
    struct world *world = context;
    struct message reply = message_borrow(message->reply, BYTES(""), BYTES(""), message->payload);
    bus_publish(world->bus, &reply);
    message_done(&reply);
}

static void server_open(struct world *world, struct io *io)
{
    static const char *const subjects[] = {"s.>"};
    const struct stream_config config = {
        .name = "S", .subjects = subjects, .subject_count = 1, .duplicate_window_ns = 600000000000};
    const struct streams_options options = {.dir = "/store",
                                            .segment_bytes = 64 << 10,
                                            .log_file_min = 32 << 10,
                                            .log_file_max = 64 << 10};
    struct error error = {0};
    struct stream *stream;
    struct io_addr addr = sim_host_addr(world->host, PORT);
    int err = bus_new(io, NULL, NULL, &world->bus);
    if (!err) err = bus_server_new(io, NULL, world->bus, NULL, &world->server);
    if (!err) err = streams_open(io, world->bus, &options, &world->streams, &error);
    if (!err) err = streams_add(world->streams, &config, &stream, NULL);
    if (!err)
        err = bus_subscribe(world->bus, BYTES("ask"), BYTES(""), answer, world, &world->answers);
    if (!err) err = bus_server_listen(world->server, &addr, NULL);
    CHECK(!err, "%s %s", err_name(err), error.message);
}

static void server_free(struct world *world)
{
    bus_server_free(world->server);
    streams_free(world->streams);
    bus_free(world->bus);
    world->streams = NULL;
    world->bus = NULL;
    world->server = NULL;
}

static void power_fails(struct world *world)
{
    sim_host_crash(world->host);
    server_free(world);
    server_open(world, sim_host_restart(world->host));
}

/* ---- the client ---- */

static void published(struct client_durable *durable, int result)
{
    struct publish *publish = CONTAINER_OF(durable, struct publish, durable);
    struct world *world = publish->world;
    CHECK(!publish->ended, "told twice");
    CHECK(result == 0, "%s %s", err_name(result), durable->ack.description);
    CHECK(strcmp(durable->ack.stream, "S") == 0);
    publish->ended = true;
    publish->seq = durable->ack.seq;
    seen_duplicates += durable->ack.duplicate;
    world->ended++;
}

static void publish_one(struct world *world)
{
    struct publish *publish = &world->publishes[world->begun];
    char subject[32], body[3000];
    int len = snprintf(subject, sizeof subject, "s.%u", world->begun % 7);
    size_t size = (size_t)snprintf(body, sizeof body, "%u ", world->begun);
    size_t more = sim_random_below(world->sim, 8) ? 20 : 2500;
    memset(body + size, 'x', more);
    struct message message = message_borrow(bytes_make(subject, (size_t)len), BYTES(""), BYTES(""),
                                            bytes_make(body, size + more));
    publish->world = world;
    publish->begun = true;
    int err = client_durable(world->client, &publish->durable, &message, LIMIT_MS, published);
    message_done(&message);
    CHECK(!err, "%s", err_name(err));
    world->begun++;
}

static void replied(struct client_request *request, int result, struct message *reply)
{
    struct ask *ask = CONTAINER_OF(request, struct ask, request);
    CHECK(ask->busy, "told twice");
    ask->busy = false;
    ask->result = result;
    if (!result) {
        uint64_t number;
        CHECK(bytes_to_u64(reply->payload, REQUESTS, &number) == 0);
        CHECK(ask == &ask->world->asks[number], "another's answer");
        seen_answers++;
    } else {
        CHECK(result == ERR_RESET || result == ERR_TIMEOUT || result == ERR_UNAVAILABLE, "%s",
              err_name(result));
    }
}

static void ask_one(struct world *world)
{
    struct ask *ask = &world->asks[world->asked];
    char body[16];
    int len = snprintf(body, sizeof body, "%u", world->asked);
    struct message message =
        message_borrow(BYTES("ask"), BYTES(""), BYTES(""), bytes_make(body, (size_t)len));
    ask->world = world;
    int err = client_request(world->client, &ask->request, &message, 2000, replied);
    message_done(&message);
    CHECK(err == 0 || err == ERR_UNREACHABLE, "%s", err_name(err));
    CHECK(err == 0 || !world->up, "it is up");
    ask->busy = !err;
    world->asked++;
}

/* What is heard is whole; that it is heard again after everything that happened is checked at the
 * end. */
static void heard(void *context, struct message *message)
{
    struct world *world = context;
    CHECK(bytes_starts(message->subject, BYTES("s.")));
    struct bytes rest = message->payload;
    CHECK(bytes_to_u64(bytes_cut(&rest, ' '), MESSAGES, &world->last_heard) == 0);
    world->heard++;
}

static void changed(struct client_watch *watch, bool up)
{
    struct world *world = CONTAINER_OF(watch, struct world, watch);
    CHECK(world->up != up, "told twice");
    world->up = up;
    seen_reconnects += up;
}

static void client_open(struct world *world)
{
    char urls[128];
    snprintf(urls, sizeof urls, "nats://10.0.0.1:%d,10.0.0.9:%d", PORT, PORT);
    const struct client_options options = {.urls = urls, .ping_interval_ms = 1000};
    int err = client_new(sim_host_io(world->away), &options, NULL, &world->client, NULL);
    if (!err)
        err = client_subscribe(world->client, BYTES("s.>"), BYTES(""), heard, world,
                               &world->subscription);
    CHECK(!err, "%s", err_name(err));
    client_watch(world->client, &world->watch, changed);
}

/* ---- what happens ---- */

static void trouble(struct world *world)
{
    switch (sim_random_below(world->sim, 8)) {
    case 0:
    case 1:
    case 2: seen_resets += (uint64_t)sim_reset(world->host, world->away); break;
    case 3: sim_partition(world->host, world->away, true); break;
    case 4: sim_cut(world->host, world->away, true); break;
    case 5: sim_heal(world->sim); break;
    case 6: power_fails(world); break;
    default: break;
    }
}

static bool all_ended(void *context)
{
    struct world *world = context;
    if (world->ended < MESSAGES) return false;
    for (uint32_t i = 0; i < world->asked; i++)
        if (world->asks[i].busy) return false;
    return world->up;
}

static int count_stored(void *context, const struct stream_message *message)
{
    struct world *world = context;
    struct bytes rest = message->message.payload;
    uint64_t number;
    CHECK(bytes_to_u64(bytes_cut(&rest, ' '), MESSAGES - 1, &number) == 0);
    CHECK(world->publishes[number].seq == message->seq, "%llu is not where its publisher was told",
          (unsigned long long)number);
    world->stored[number]++;
    world->stored_count++;
    return 0;
}

static void check_stored(struct world *world)
{
    struct stream *stream = streams_find(world->streams, BYTES("S"));
    CHECK(stream_each(stream, count_stored, world) == 0);
    for (int i = 0; i < MESSAGES; i++)
        CHECK(world->stored[i] == 1, "message %d is stored %u times", i, world->stored[i]);
}

static void closed(void *context)
{
    struct world *world = context;
    world->closed = true;
}

static bool is_closed(void *context)
{
    return ((struct world *)context)->closed;
}

static bool has_heard(void *context)
{
    return ((struct world *)context)->heard > 0;
}

static void check_subscription(struct world *world)
{
    struct message message =
        message_borrow(BYTES("s.last"), BYTES(""), BYTES(""), BYTES("299 last"));
    world->heard = 0;
    bus_publish(world->bus, &message);
    message_done(&message);
    CHECK(sim_run_until(world->sim, 1000, has_heard, world), "nothing is heard any more");
}

static void cut_anywhere(struct sim *sim, uint64_t seed)
{
    static struct world world;
    world = (struct world){.sim = sim};
    world.host = sim_host_new(sim, "server");
    world.away = sim_host_new(sim, "client");
    server_open(&world, sim_host_io(world.host));
    client_open(&world);
    while (world.begun < MESSAGES) {
        uint64_t burst = sim_random_below(sim, 30);
        while (burst-- && world.begun < MESSAGES) publish_one(&world);
        if (world.asked < REQUESTS) ask_one(&world);
        trouble(&world);
        sim_run_ms(sim, sim_random_below(sim, 400));
    }
    sim_heal(sim);
    CHECK(sim_run_until(sim, LIMIT_MS, all_ended, &world), "%u of %u", world.ended, world.begun);
    check_stored(&world);
    check_subscription(&world);
    seen_replays += client_metrics(world.client)->replayed;
    client_close(world.client, closed, &world);
    CHECK(sim_run_until(sim, 5000, is_closed, &world), "does not close");
    sim_host_crash(world.host);
    server_free(&world);
}

static void all_have_happened(void)
{
    CHECK(seen_replays && seen_duplicates && seen_resets && seen_answers && seen_reconnects,
          "replays %llu duplicates %llu resets %llu answers %llu reconnects %llu",
          (unsigned long long)seen_replays, (unsigned long long)seen_duplicates,
          (unsigned long long)seen_resets, (unsigned long long)seen_answers,
          (unsigned long long)seen_reconnects);
}

static void drained(void *context, int result)
{
    CHECK(result == 0, "%s", err_name(result));
    struct world *world = context;
    client_close(world->client, closed, world);
}

/* A drain ends when everything is acknowledged; a close at any moment tells every publish. */
static void told(struct client_durable *durable, int result)
{
    struct publish *publish = CONTAINER_OF(durable, struct publish, durable);
    CHECK(!publish->ended && (result == 0 || result == ERR_CLOSED), "%s", err_name(result));
    publish->ended = true;
    publish->world->ended++;
}

static void end_anywhere(struct sim *sim, uint64_t seed)
{
    static struct world world;
    world = (struct world){.sim = sim};
    world.host = sim_host_new(sim, "server");
    world.away = sim_host_new(sim, "client");
    server_open(&world, sim_host_io(world.host));
    client_open(&world);
    sim_run_ms(sim, sim_random_below(sim, 20));
    for (int i = 0; i < 40; i++) {
        publish_one(&world);
        world.publishes[i].durable.done = told;
        if (sim_random_below(sim, 3) == 0) sim_run_ms(sim, sim_random_below(sim, 3));
    }
    bool drains = sim_random_below(sim, 2);
    if (drains)
        client_drain(world.client, 60000, drained, &world);
    else
        client_close(world.client, closed, &world);
    CHECK(sim_run_until(sim, 60000, is_closed, &world), "does not close");
    CHECK(world.ended == 40, "%u are told", world.ended);
    sim_host_crash(world.host);
    server_free(&world);
}

RUNNER_MAIN({"cut_anywhere", cut_anywhere, .finish = all_have_happened, .seeds = 300},
            {"end_anywhere", end_anywhere, .seeds = 300})
