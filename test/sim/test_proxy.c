/* The proxy between clients and upstreams that crash, hang up, stall and are cut off, while its
 * configuration is swapped. Whatever happens, each request ends, with exactly one response or a
 * closed connection, and the response is its own; what is not idempotent reaches an upstream at
 * most once, anything else at most three times. Without faults every request is answered. */
#include "proxy/proxy.h"
#include "runner.h"

#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PORT = 8000,
    UPSTREAMS = 3,
    CLIENTS = 6,
    REQUESTS = 12, /* of each client */
    IDS = CLIENTS * REQUESTS,
    BODY_MAX = 40000,
    END_MS = 60000 /* by then every request has ended, if it ever does */
};

struct upstream_host {
    struct world *world;
    struct sim_host *host;
    struct io *io;
    struct io_listener listener;
    struct list conns;
    bool up, cut;
};

/* One connection of an upstream: reads a whole request, waits, answers. */
struct conn {
    struct upstream_host *owner;
    struct list link;
    struct io_stream stream;
    struct io_timer timer;
    struct buf in, out;
    struct iovec iov;
    unsigned id;
    bool busy, closing, last;
};

struct client {
    struct world *world;
    struct io_stream stream;
    struct io_timer timer;
    struct buf in;
    char text[512 + BODY_MAX];
    struct iovec iov;
    unsigned next, end; /* ids */
    bool open, waiting, sending, post, closing;
};

struct world {
    struct sim *sim;
    struct sim_host *proxy_host, *client_host;
    struct proxy *proxy;
    struct io_addr edge;
    struct upstream_host upstreams[UPSTREAMS];
    struct client clients[CLIENTS];
    bool faults, closed;
    unsigned seen[IDS]; /* how often an upstream had the whole request */
    unsigned events, answered;
};

/* What all seeds together have shown: a fault that never strikes tests nothing. */
static struct {
    unsigned long ok, unavailable, broken, retried, failed, waited, crashes, cuts;
} total;

/* ---- upstreams --------------------------------------------------------------------------- */

static void conn_receive(struct io_stream *stream, int result);

static void conn_free(struct conn *conn)
{
    list_remove(&conn->link);
    buf_release(&conn->in);
    buf_release(&conn->out);
    free(conn);
}

static void conn_closed(struct io_stream *stream)
{
    conn_free(CONTAINER_OF(stream, struct conn, stream));
}

static void conn_close(struct conn *conn)
{
    if (conn->closing) return;
    conn->closing = true;
    io_timer_cancel(conn->owner->io, &conn->timer);
    io_close(&conn->stream, conn_closed);
}

static void conn_sent(struct io_stream *stream, int result)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    if (conn->closing) return;
    conn->busy = false;
    if (result < 0 || conn->last) conn_close(conn);
}

/* "ID xxxx": so that an answer can be told from every other one. */
static void put_body(struct buf *out, unsigned id, size_t size)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%u ", id);
    buf_append(out, bytes_make(text, (size_t)len));
    char *room = buf_reserve(out, size);
    memset(room, 'a' + (int)(id % 26), size);
    buf_commit(out, size);
}

static void conn_answer(struct io_timer *timer)
{
    struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
    struct world *world = conn->owner->world;
    uint64_t fate = world->faults ? io_random_u64(conn->owner->io) % 20 : 10;
    if (fate == 0) { /* hangs up without a word */
        conn_close(conn);
        return;
    }
    size_t size = io_random_u64(conn->owner->io) % (fate % 2 ? 100 : BODY_MAX);
    struct buf body;
    buf_init(&body, BODY_MAX + 64);
    put_body(&body, conn->id, size);
    buf_clear(&conn->out);
    buf_append_format(&conn->out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
                      fate == 1 ? "503 Busy" : "200 OK", buf_len(&body));
    buf_append(&conn->out, buf_bytes(&body));
    buf_release(&body);
    size_t len = buf_len(&conn->out);
    conn->last = fate == 2; /* breaks off somewhere */
    if (conn->last) len = 1 + io_random_u64(conn->owner->io) % len;
    conn->iov = (struct iovec){conn->out.data + conn->out.start, len};
    io_send(&conn->stream, &conn->iov, 1, conn_sent);
}

static void conn_request(struct conn *conn)
{
    struct bytes text = buf_bytes(&conn->in);
    const char *end = text.len ? memmem(text.data, text.len, "\r\n\r\n", 4) : NULL;
    if (!end || conn->busy) return;
    size_t head = (size_t)(end - text.data) + 4;
    uint64_t length = 0, id;
    const char *field = memmem(text.data, head, "Content-Length: ", 16);
    if (field) {
        struct bytes value = bytes_make(field + 16, (size_t)(end - field) - 16);
        CHECK(bytes_to_u64(bytes_head(value, bytes_find(value, '\r')), BODY_MAX, &length) == 0);
    }
    if (text.len < head + length) return;
    struct bytes rest = text;
    struct bytes method = bytes_cut(&rest, ' '), path = bytes_cut(&rest, ' ');
    CHECK(bytes_to_u64(bytes_skip(path, 1), IDS - 1, &id) == 0);
    unsigned seen = ++conn->owner->world->seen[id];
    CHECK(seen <= (bytes_eq(method, BYTES("POST")) ? 1 : 3), "%.*s %lu came %u times",
          BYTES_ARG(method), (unsigned long)id, seen);
    for (uint64_t i = 0; i < length; i++) CHECK(text.data[head + i] == (char)('A' + id % 26));
    buf_consume(&conn->in, head + (size_t)length);
    conn->busy = true;
    conn->id = (unsigned)id;
    io_timer_set(conn->owner->io, &conn->timer, io_random_u64(conn->owner->io) % 60);
}

static void conn_receive(struct io_stream *stream, int result)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    if (conn->closing) return;
    if (result <= 0) {
        conn_close(conn);
        return;
    }
    buf_append(&conn->in, bytes_make(io_recv_data(stream), (size_t)result));
    conn_request(conn);
    io_recv(stream, NULL, 0, conn_receive);
}

static void conn_accepted(struct io_listener *listener)
{
    struct upstream_host *owner = CONTAINER_OF(listener, struct upstream_host, listener);
    struct conn *conn = calloc(1, sizeof *conn);
    CHECK(conn);
    conn->owner = owner;
    buf_init(&conn->in, 4 * BODY_MAX);
    buf_init(&conn->out, 2 * BODY_MAX);
    io_timer_init(&conn->timer, conn_answer);
    list_push(&owner->conns, &conn->link);
    io_accept(listener, &conn->stream);
    io_recv(&conn->stream, NULL, 0, conn_receive);
}

static void upstream_start(struct upstream_host *upstream, struct io *io)
{
    struct io_addr addr = sim_host_addr(upstream->host, PORT);
    upstream->io = io;
    upstream->up = true;
    list_init(&upstream->conns);
    CHECK(io_listen(io, &upstream->listener, &addr, NULL, conn_accepted) == 0);
}

/* ---- clients ------------------------------------------------------------------------------ */

static void client_connect(struct client *client);
static void client_send(struct client *client);

static struct io *client_io(const struct client *client)
{
    return sim_host_io(client->world->client_host);
}

static void client_end(struct client *client);

/* After a pause: the next request, on a new connection when there is none. */
static void client_tick(struct io_timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);
    if (client->next == client->end) {
        if (client->open) client_end(client);
    } else if (!client->open) {
        client_connect(client);
    } else if (client->sending) { /* was answered before it had said all */
        io_timer_set(client_io(client), &client->timer, 10);
    } else if (client->world->faults && io_random_u64(client_io(client)) % 20 == 0) {
        client_end(client); /* leaves */
    } else {
        client_send(client);
    }
}

static void client_closed(struct io_stream *stream)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    client->open = client->sending = client->closing = false;
    buf_clear(&client->in);
    if (client->next < client->end) io_timer_set(client_io(client), &client->timer, 1);
}

/* The connection has ended, or must: a request under way has ended with it. */
static void client_end(struct client *client)
{
    if (client->waiting) {
        client->waiting = false;
        client->next++;
        total.broken++;
    }
    if (client->closing) return;
    client->closing = true;
    io_timer_cancel(client_io(client), &client->timer);
    io_close(&client->stream, client_closed);
}

/* The response is whole: is it the right one? */
static void client_check(struct client *client, int status, struct bytes body)
{
    struct world *world = client->world;
    uint64_t id;
    world->answered++;
    if (status == 200 || (status == 503 && bytes_head(body, 1).data[0] != '{')) {
        struct bytes rest = body;
        CHECK(bytes_to_u64(bytes_cut(&rest, ' '), IDS, &id) == 0);
        CHECK(id == client->next, "%lu for %u", (unsigned long)id, client->next);
        for (size_t i = 0; i < rest.len; i++) CHECK(rest.data[i] == (char)('a' + id % 26));
        CHECK(world->seen[id] >= 1);
        total.ok++;
    } else {
        CHECK(world->faults, "%d: %.*s", status, BYTES_ARG(body));
        CHECK(status == 502 || status == 503 || status == 504, "%d", status);
        CHECK(bytes_starts(body, BYTES("{\"type\"")));
        total.unavailable++;
    }
}

static void client_parse(struct client *client)
{
    struct bytes text = buf_bytes(&client->in);
    CHECK(client->waiting || !text.len, "bytes that nobody asked for: %.*s", BYTES_ARG(text));
    const char *end = text.len ? memmem(text.data, text.len, "\r\n\r\n", 4) : NULL;
    if (!end) return;
    size_t head = (size_t)(end - text.data) + 4;
    uint64_t status, length;
    CHECK(bytes_starts(text, BYTES("HTTP/1.1 ")));
    CHECK(bytes_to_u64(bytes_head(bytes_skip(text, 9), 3), 599, &status) == 0);
    const char *field = memmem(text.data, head, "Content-Length: ", 16);
    CHECK(field);
    struct bytes value = bytes_make(field + 16, (size_t)(end - field) - 16);
    CHECK(bytes_to_u64(bytes_head(value, bytes_find(value, '\r')), 2 * BODY_MAX, &length) == 0);
    if (text.len < head + length) return;
    client_check(client, (int)status, bytes_head(bytes_skip(text, head), (size_t)length));
    buf_consume(&client->in, head + (size_t)length);
    CHECK(!buf_len(&client->in), "more than one response");
    client->waiting = false;
    client->next++;
    if (memmem(text.data, head, "Connection: close", 17)) return; /* its end will come */
    io_timer_set(client_io(client), &client->timer, io_random_u64(client_io(client)) % 50);
}

static void client_received(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (client->closing) return;
    if (result <= 0) {
        client_end(client);
        return;
    }
    buf_append(&client->in, bytes_make(io_recv_data(stream), (size_t)result));
    client_parse(client);
    io_recv(stream, NULL, 0, client_received);
}

static void client_sent(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    client->sending = false;
    if (result < 0 && !client->closing) client_end(client);
}

static void client_send(struct client *client)
{
    struct io *io = client_io(client);
    unsigned id = client->next;
    client->post = io_random_u64(io) % 2;
    size_t length = client->post ? io_random_u64(io) % (io_random_u64(io) % 4 ? 50 : BODY_MAX) : 0;
    int len =
        snprintf(client->text, 512, "%s /%u HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                 client->post ? "POST" : "GET", id, length);
    memset(client->text + len, 'A' + (int)(id % 26), length);
    client->iov = (struct iovec){client->text, (size_t)len + length};
    client->waiting = client->sending = true;
    io_send(&client->stream, &client->iov, 1, client_sent);
}

static void client_connected(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (client->closing) return;
    if (result < 0) {
        client_end(client);
        return;
    }
    io_recv(stream, NULL, 0, client_received);
    client_send(client);
}

static void client_connect(struct client *client)
{
    client->open = true;
    io_connect(client_io(client), &client->stream, &client->world->edge, client_connected);
}

static bool clients_done(void *context)
{
    struct world *world = context;
    for (int i = 0; i < CLIENTS; i++)
        if (world->clients[i].next < world->clients[i].end) return false;
    return true;
}

/* ---- the proxy, and what happens to it ------------------------------------------------------ */

static void count_event(void *context, const struct access_event *event)
{
    struct world *world = context;
    world->events++;
    CHECK(event->attempts <= 3);
    if (event->attempts > 1) total.retried++;
    if (event->error) total.failed++;
    if (event->wait_ns) total.waited++;
}

/* With at least one endpoint that is up, unless there are faults. */
static void configure(struct world *world, unsigned up)
{
    struct snapshot_builder *builder;
    struct snapshot *snapshot;
    CHECK(snapshot_builder_new(&builder) == 0);
    struct cluster_spec cluster = {.name = BYTES("shop"),
                                   .policy = {.connect_timeout_ms = 500,
                                              .request_timeout_ms = 3000,
                                              .idle_timeout_ms = 2000,
                                              .connections_max = 4,
                                              .wait_ms = 1000}};
    CHECK(snapshot_add_cluster(builder, &cluster, NULL) == 0);
    for (unsigned i = 0; i < UPSTREAMS; i++) {
        struct endpoint_spec spec = {.cluster = BYTES("shop"),
                                     .addr = sim_host_addr(world->upstreams[i].host, PORT),
                                     .health = up >> i & 1 ? ENDPOINT_UP : ENDPOINT_DOWN};
        CHECK(snapshot_add_endpoint(builder, &spec, NULL) == 0);
    }
    struct route_spec route = {.path = BYTES("/"), .cluster = BYTES("shop")};
    CHECK(snapshot_add_route(builder, &route, NULL) == 0);
    CHECK(snapshot_build(builder, &snapshot, NULL) == 0);
    snapshot_builder_free(builder);
    CHECK(proxy_apply(world->proxy, snapshot) == 0);
    snapshot_unref(snapshot);
}

static void upstream_lose(struct upstream_host *upstream)
{
    LIST_EACH(&upstream->conns, struct conn, link, conn) conn_free(conn);
    upstream->up = false;
}

/* One of the bad things, or the end of one. */
static void strike(struct world *world)
{
    struct upstream_host *upstream = &world->upstreams[sim_random_below(world->sim, UPSTREAMS)];
    switch (sim_random_below(world->sim, 5)) {
    case 0:
        if (!upstream->up) break;
        total.crashes++;
        if (sim_random_below(world->sim, 2))
            sim_host_crash(upstream->host);
        else
            sim_host_kill(upstream->host);
        upstream_lose(upstream);
        break;
    case 1:
        if (!upstream->up) upstream_start(upstream, sim_host_restart(upstream->host));
        break;
    case 2:
        total.cuts++;
        upstream->cut = !upstream->cut;
        sim_partition(world->proxy_host, upstream->host, upstream->cut);
        break;
    case 3: sim_reset(world->proxy_host, upstream->host); break;
    default: configure(world, (unsigned)sim_random_below(world->sim, 1 << UPSTREAMS));
    }
}

static void proxy_gone(void *context)
{
    ((struct world *)context)->closed = true;
}

static bool is_closed(void *context)
{
    return ((struct world *)context)->closed;
}

static void world_start(struct world *world)
{
    world->proxy_host = sim_host_new(world->sim, "proxy");
    world->client_host = sim_host_new(world->sim, "clients");
    for (int i = 0; i < UPSTREAMS; i++) {
        struct upstream_host *upstream = &world->upstreams[i];
        upstream->world = world;
        upstream->host = sim_host_new(world->sim, "upstream");
        upstream_start(upstream, sim_host_io(upstream->host));
    }
    struct proxy_options options = {
        .access = count_event, .context = world, .pool_idle_ms = 500, .waiting_max = 4};
    CHECK(proxy_new(sim_host_io(world->proxy_host), &options, NULL, &world->proxy) == 0);
    world->edge = sim_host_addr(world->proxy_host, 80);
    CHECK(proxy_listen(world->proxy, PROXY_EDGE, &world->edge, NULL) == 0);
    configure(world, (1 << UPSTREAMS) - 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &world->clients[i];
        *client = (struct client){.world = world, .next = i * REQUESTS, .end = (i + 1) * REQUESTS};
        buf_init(&client->in, 4 * BODY_MAX);
        io_timer_init(&client->timer, client_tick);
        client_connect(client);
    }
}

static void world_end(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++) {
        io_timer_cancel(client_io(&world->clients[i]), &world->clients[i].timer);
        if (world->clients[i].open) client_end(&world->clients[i]);
    }
    proxy_close(world->proxy, 1000, proxy_gone, world);
    CHECK(sim_run_until(world->sim, END_MS, is_closed, world), "the proxy does not end");
    for (int i = 0; i < UPSTREAMS; i++) {
        if (!world->upstreams[i].up) continue;
        sim_host_kill(world->upstreams[i].host);
        upstream_lose(&world->upstreams[i]);
    }
    sim_run_ms(world->sim, 100);
    for (int i = 0; i < CLIENTS; i++) buf_release(&world->clients[i].in);
}

static void answers_everything(struct sim *sim, uint64_t seed)
{
    static struct world world;
    world = (struct world){.sim = sim};
    world_start(&world);
    for (int i = 0; i < 20 && !clients_done(&world); i++) {
        sim_run_ms(sim, 50);
        /* One is always up, so nothing may fail however often this is done. */
        configure(&world, 1u << sim_random_below(sim, UPSTREAMS) | (unsigned)(seed & 7));
    }
    CHECK(sim_run_until(sim, END_MS, clients_done, &world), "requests that do not end");
    CHECK(world.answered == IDS, "%u of %d", world.answered, IDS);
    world_end(&world);
    for (int id = 0; id < IDS; id++) CHECK(world.seen[id] == 1);
    CHECK(world.events == IDS);
}

static void every_request_ends_once(struct sim *sim, uint64_t seed)
{
    static struct world world;
    (void)seed;
    world = (struct world){.sim = sim, .faults = true};
    world_start(&world);
    uint64_t until_ns = sim_now_ns(sim) + UINT64_C(20) * 1000000000;
    while (!clients_done(&world) && sim_now_ns(sim) < until_ns) {
        sim_run_ms(sim, 1 + sim_random_below(sim, 100));
        if (sim_random_below(sim, 3) == 0) strike(&world);
    }
    sim_heal(sim);
    for (int i = 0; i < UPSTREAMS; i++)
        if (!world.upstreams[i].up)
            upstream_start(&world.upstreams[i], sim_host_restart(world.upstreams[i].host));
    configure(&world, (1 << UPSTREAMS) - 1);
    CHECK(sim_run_until(sim, END_MS, clients_done, &world), "requests that do not end");
    world_end(&world);
}

static void faulty(struct sim_options *options, uint64_t seed)
{
    options->reset_chance = seed % 3 ? 500 : 0;
    options->send_timeout_ms = 4000;
    options->connect_timeout_ms = 2000;
    if (seed % 5 == 0) options->stall_chance = 1000;
}

static void have_struck(void)
{
    CHECK(total.ok && total.unavailable && total.broken && total.retried && total.failed &&
          total.waited && total.crashes && total.cuts);
    runner_say("%lu ok, %lu 50x, %lu broken off, %lu retried, %lu waited\n", total.ok,
               total.unavailable, total.broken, total.retried, total.waited);
}

RUNNER_MAIN({"answers_everything", answers_everything, .seeds = 100},
            {"every_request_ends_once", every_request_ends_once, .options = faulty,
             .finish = have_struck, .seeds = 400})
