/* The bus on a simulated network: whatever is cut, stalled, reset or crashes, a subscriber sees a
 * publisher's messages whole, in order and none twice; without faults it sees all of them. */
#include "bus/bus_server.h"
#include "runner.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PORT = 4222,
    SUBSCRIBERS = 3,
    MESSAGES = 400,
    SIZE_MAX_SENT = 6000,
    RETRY_MS = 200,
    PING_MS = 1000
};

/* A client on its own host: a publisher of numbered messages, or a subscriber that checks them. */
struct peer {
    struct io *io;
    struct io_addr addr;
    struct io_stream stream;
    struct io_timer retry;
    struct buf in, out, flight; /* out waits while flight is being sent */
    struct iovec iov;
    const char *subscribe; /* NULL: a publisher */
    uint64_t next;         /* publisher: the next number; subscriber: the last one seen */
    uint64_t seen;         /* subscriber: how many */
    bool open, connected, sending, ready, finished;
};

struct world {
    struct sim *sim;
    struct sim_host *host, *away;
    struct bus *bus;
    struct bus_server *server;
    struct peer publisher, subscribers[SUBSCRIBERS];
    bool asks; /* who a client is; the hash of its password takes a thread some time */
    bool closed;
};

static void peer_connect(struct io_timer *timer);
static void peer_receive(struct peer *peer);

static void peer_closed(struct io_stream *stream)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    peer->connected = peer->sending = peer->ready = false;
    buf_clear(&peer->in);
    buf_clear(&peer->out);
    buf_clear(&peer->flight);
    if (!peer->finished) io_timer_set(peer->io, &peer->retry, RETRY_MS);
}

static void peer_lost(struct peer *peer)
{
    if (!peer->open) return;
    peer->open = false;
    io_close(&peer->stream, peer_closed);
}

static void peer_sent(struct io_stream *stream, int result);

static void peer_flush(struct peer *peer)
{
    if (peer->sending || !peer->open || !buf_len(&peer->out)) return;
    peer->sending = true;
    struct buf empty = peer->flight;
    peer->flight = peer->out;
    peer->out = empty;
    peer->iov = (struct iovec){peer->flight.data + peer->flight.start, buf_len(&peer->flight)};
    io_send(&peer->stream, &peer->iov, 1, peer_sent);
}

/* A message says its number and its size, and is filled with a letter that follows from them. */
static void publish_some(struct peer *peer)
{
    static char body[SIZE_MAX_SENT + 64];
    uint64_t count = 1 + io_random_u64(peer->io) % 20;
    for (uint64_t i = 0; i < count && peer->next < MESSAGES; i++) {
        size_t size = io_random_u64(peer->io) % (io_random_u64(peer->io) % 4 ? 200 : SIZE_MAX_SENT);
        peer->next++;
        int len = snprintf(body, sizeof body, "%llu %zu ", (unsigned long long)peer->next, size);
        memset(body + len, 'a' + (int)((peer->next + size) % 26), size);
        nats_put_pub(&peer->out, BYTES("numbers.x"), (struct bytes){0}, (struct bytes){0},
                     bytes_make(body, (size_t)len + size));
    }
    if (peer->next == MESSAGES) nats_put_ping(&peer->out);
}

static void peer_sent(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    peer->sending = false;
    if (result < 0) {
        peer_lost(peer);
        return;
    }
    buf_clear(&peer->flight);
    if (!peer->subscribe && peer->next < MESSAGES) publish_some(peer);
    peer_flush(peer);
}

static void check_message(struct peer *peer, struct bytes payload)
{
    uint64_t number, size;
    struct bytes rest = payload;
    CHECK(bytes_to_u64(bytes_cut(&rest, ' '), MESSAGES, &number) == 0);
    CHECK(bytes_to_u64(bytes_cut(&rest, ' '), SIZE_MAX_SENT, &size) == 0);
    CHECK(rest.len == size, "%zu of %llu bytes", rest.len, (unsigned long long)size);
    for (size_t i = 0; i < rest.len; i++)
        CHECK(rest.data[i] == (char)('a' + (int)((number + size) % 26)), "byte %zu", i);
    CHECK(number > peer->next, "%llu behind %llu", (unsigned long long)number,
          (unsigned long long)peer->next);
    peer->next = number;
    peer->seen++;
}

static void peer_frame(struct peer *peer, const struct nats_frame *frame)
{
    switch (frame->op) {
    case NATS_MSG: check_message(peer, frame->payload); break;
    case NATS_PONG:
        peer->ready = true;
        if (!peer->subscribe && peer->next == MESSAGES) peer->finished = true;
        break;
    case NATS_PING: nats_put_pong(&peer->out); break;
    case NATS_INFO: break;
    default: CHECK(false, "operation %d \"%.*s\"", frame->op, BYTES_ARG(frame->text));
    }
}

static void peer_received(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    if (!peer->open) return;
    if (result <= 0) {
        peer_lost(peer);
        return;
    }
    struct nats_decoder decoder;
    struct nats_frame frame;
    int64_t n;
    nats_decoder_init(&decoder, NATS_CLIENT);
    buf_append(&peer->in, bytes_make(io_recv_data(stream), (size_t)result));
    while ((n = nats_decode(&decoder, buf_bytes(&peer->in), &frame)) > 0) {
        peer_frame(peer, &frame);
        buf_consume(&peer->in, (size_t)n);
    }
    CHECK(n == 0 && !peer->in.failed);
    peer_flush(peer);
    peer_receive(peer);
}

static void peer_receive(struct peer *peer)
{
    io_recv(&peer->stream, NULL, 0, peer_received);
}

static void peer_connected(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    if (result < 0) {
        peer_lost(peer);
        return;
    }
    nats_put_connect(&peer->out, BYTES("{\"verbose\":false,\"protocol\":1,"
                                       "\"user\":\"u\",\"pass\":\"pw\"}"));
    peer->connected = true;
    if (peer->subscribe) {
        struct bytes text = bytes_str(peer->subscribe);
        struct bytes pattern = bytes_cut(&text, ' ');
        nats_put_sub(&peer->out, pattern, text, BYTES("1"));
        nats_put_ping(&peer->out);
    }
    peer_flush(peer);
    peer_receive(peer);
}

/* Connects, or when that is done, asks whether the bus is still there. */
static void peer_connect(struct io_timer *timer)
{
    struct peer *peer = CONTAINER_OF(timer, struct peer, retry);
    io_timer_set(peer->io, &peer->retry, PING_MS);
    if (peer->open) {
        /* The only way to learn that a host has lost its power. */
        if (peer->connected) nats_put_ping(&peer->out);
        if (peer->connected) peer_flush(peer);
        return;
    }
    peer->open = true;
    io_connect(peer->io, &peer->stream, &peer->addr, peer_connected);
}

static void peer_start(struct world *world, struct peer *peer, const char *subscribe)
{
    *peer = (struct peer){.io = sim_host_io(world->away),
                          .addr = sim_host_addr(world->host, PORT),
                          .subscribe = subscribe};
    buf_init(&peer->in, 1 << 20);
    buf_init(&peer->out, 1 << 20);
    buf_init(&peer->flight, 1 << 20);
    io_timer_init(&peer->retry, peer_connect);
    io_timer_set(peer->io, &peer->retry, 0);
}

static void peer_stop(struct peer *peer)
{
    peer->finished = true;
    io_timer_cancel(peer->io, &peer->retry);
    peer_lost(peer);
}

static void peer_release(struct peer *peer)
{
    buf_release(&peer->in);
    buf_release(&peer->out);
    buf_release(&peer->flight);
}

/* ---- the world ------------------------------------------------------------------------------ */

static struct bus_auth *make_auth(void)
{
    struct bus_auth *auth;
    struct error error;
    const struct bus_user user = {
        .name = BYTES("u"),
        .password = BYTES("$2b$04$MDEyMzQ1Njc4OWFiY2RlZeDAqJkitE/1BR5JqBQXGd1y6EOxFCSyO")};
    const struct bus_auth_options options = {
        .users = &user, .user_count = 1, .timeout_ms = 60 * 1000};
    CHECK(bus_auth_new(&options, &auth, &error) == 0);
    return auth;
}

static void bus_start(struct world *world)
{
    struct bus_server_options options = {.ping_interval_ms = 60 * 1000, .max_pending = 1 << 20};
    struct io_addr any = {.family = IO_IPV4, .port = PORT};
    CHECK(bus_new(sim_host_io(world->host), NULL, NULL, &world->bus) == 0);
    CHECK(bus_server_new(sim_host_io(world->host), &options, world->bus, NULL, &world->server) ==
          0);
    if (world->asks) bus_server_set_auth(world->server, make_auth());
    CHECK(bus_server_listen(world->server, &any, NULL) == 0);
}

static bool subscribers_ready(void *context)
{
    struct world *world = context;
    for (int i = 0; i < SUBSCRIBERS; i++)
        if (!world->subscribers[i].ready) return false;
    return true;
}

static bool publisher_finished(void *context)
{
    return ((struct world *)context)->publisher.finished;
}

static void world_start(struct world *world, struct sim *sim)
{
    *world = (struct world){.sim = sim, .asks = sim_random_below(sim, 2)};
    world->host = sim_host_new(sim, "bus");
    world->away = sim_host_new(sim, "away");
    bus_start(world);
    peer_start(world, &world->subscribers[0], "numbers.*");
    peer_start(world, &world->subscribers[1], "> group");
    peer_start(world, &world->subscribers[2], "numbers.x group");
    CHECK(sim_run_until(sim, 60 * 1000, subscribers_ready, world), "nobody subscribes");
    peer_start(world, &world->publisher, NULL);
}

static void bus_closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static void server_closed(void *context)
{
    struct world *world = context;
    bus_close(world->bus, bus_closed, world);
}

static bool all_gone(void *context)
{
    struct world *world = context;
    return world->closed && sim_connections(world->sim) == 0;
}

static void world_end(struct world *world)
{
    peer_stop(&world->publisher);
    for (int i = 0; i < SUBSCRIBERS; i++) peer_stop(&world->subscribers[i]);
    bus_server_close(world->server, server_closed, world);
    CHECK(sim_run_until(world->sim, 600 * 1000, all_gone, world), "%zu connections left",
          sim_connections(world->sim));
    peer_release(&world->publisher);
    for (int i = 0; i < SUBSCRIBERS; i++) peer_release(&world->subscribers[i]);
}

static bool all_seen(void *context)
{
    struct world *world = context;
    struct peer *s = world->subscribers;
    CHECK(s[0].seen <= MESSAGES && s[1].seen + s[2].seen <= MESSAGES);
    return s[0].seen == MESSAGES && s[1].seen + s[2].seen == MESSAGES;
}

static void narrow_options(struct sim_options *options, uint64_t seed)
{
    options->window_min = 16;
    options->window_max = seed % 2 ? 64 * 1024 : 700;
    options->stall_chance = seed % 4 ? 0 : 20 * 1000;
}

/* Nothing fails, but every piece may be cut and every loop may be late. */
static void bus_delivers_all(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_start(&world, sim);
    CHECK(sim_run_until(sim, 600 * 1000, all_seen, &world), "%llu and %llu + %llu of %d",
          (unsigned long long)world.subscribers[0].seen,
          (unsigned long long)world.subscribers[1].seen,
          (unsigned long long)world.subscribers[2].seen, MESSAGES);
    CHECK(bus_server_metrics(world.server)->slow_consumers == 0);
    world_end(&world);
}

/* ---- everything goes wrong ------------------------------------------------------------------ */

static uint64_t lost, complete;

static void rough_options(struct sim_options *options, uint64_t seed)
{
    narrow_options(options, seed);
    options->reset_chance = seed % 3 ? 0 : 500;
    options->send_timeout_ms = 1000;
}

static void fault(struct world *world)
{
    struct sim *sim = world->sim;
    switch (sim_random_below(sim, 10)) {
    case 0: sim_cut(world->host, world->away, true); break;
    case 1: sim_cut(world->away, world->host, true); break;
    case 2: sim_reset(world->host, world->away); break;
    case 3:
        if (sim_random_below(sim, 2))
            sim_host_crash(world->host);
        else
            sim_host_kill(world->host);
        bus_server_free(world->server);
        bus_free(world->bus);
        world->bus = NULL;
        sim_run_ms(sim, sim_random_below(sim, 3000));
        sim_host_restart(world->host);
        bus_start(world);
        break;
    default: sim_heal(sim);
    }
}

static void bus_keeps_order(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_start(&world, sim);
    for (int i = 0; i < 30 && !world.publisher.finished; i++) {
        sim_run_ms(sim, sim_random_below(sim, 300));
        fault(&world);
    }
    sim_heal(sim);
    sim_options_of(sim)->reset_chance = 0;
    CHECK(sim_run_until(sim, 600 * 1000, publisher_finished, &world), "the publisher hangs");
    CHECK(sim_run_until(sim, 600 * 1000, subscribers_ready, &world), "a subscriber hangs");
    *(world.subscribers[0].seen == MESSAGES ? &complete : &lost) += 1;
    world_end(&world);
}

static void both_were_seen(void)
{
    CHECK(lost && complete, "%llu lost messages, %llu did not", (unsigned long long)lost,
          (unsigned long long)complete);
}

RUNNER_MAIN({"bus_delivers_all", bus_delivers_all, .options = narrow_options, .seeds = 100},
            {"bus_keeps_order", bus_keeps_order, .options = rough_options, .finish = both_were_seen,
             .seeds = 300})
