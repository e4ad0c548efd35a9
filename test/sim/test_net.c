/* The simulated network: bytes arrive in order and intact or an error is told; windows press back;
 * what is refused, cut off, reset or half open shows as it does on real networks. */
#include "echo.h"
#include "runner.h"

enum { PORT = 4000, CLIENTS_MAX = 5 };

struct world {
    struct sim *sim;
    struct sim_host *a, *b; /* clients live on a, the server on b */
    struct echo_server server;
    struct echo_client clients[CLIENTS_MAX];
    int client_count;
    bool killed; /* the server, once: its kernel may have said a FIN in the middle */
};

static void world_init(struct world *world, struct sim *sim)
{
    world->sim = sim;
    world->client_count = 0;
    world->killed = false;
    world->a = sim_host_new(sim, "a");
    world->b = sim_host_new(sim, "b");
    struct io_addr any = {.family = IO_IPV4, .port = PORT};
    CHECK(echo_server_start(&world->server, sim_host_io(world->b), &any) == 0);
}

static struct echo_client *add_client(struct world *world, uint64_t total, bool idle)
{
    struct echo_client *client = &world->clients[world->client_count++];
    struct io_addr addr = sim_host_addr(world->b, PORT);
    echo_client_start(client, sim_host_io(world->a), &addr, total, idle);
    return client;
}

static bool all_done(void *context)
{
    struct world *world = context;
    for (int i = 0; i < world->client_count; i++) {
        struct echo_client *client = &world->clients[i];
        CHECK(!client->mismatch, "client %d got wrong bytes before %llu", i,
              (unsigned long long)client->received);
        CHECK(client->received <= client->sent + ECHO_PIECE);
        if (!client->done) return false;
    }
    return true;
}

static bool nothing_left(void *context)
{
    struct world *world = context;
    return sim_connections(world->sim) == 0;
}

static void world_end(struct world *world)
{
    CHECK(sim_run_until(world->sim, 3600 * 1000, nothing_left, world), "%zu connections left",
          sim_connections(world->sim));
    CHECK(list_empty(&world->server.connections));
    echo_server_stop(&world->server);
}

/* For the end of a world in which somebody may wait for ever, half open. */
static void world_kill(struct world *world)
{
    sim_host_kill(world->a);
    sim_host_kill(world->b);
    echo_server_free(&world->server);
    CHECK(sim_run_until(world->sim, 3600 * 1000, nothing_left, world), "%zu connections left",
          sim_connections(world->sim));
}

static void check_complete(const struct echo_client *client)
{
    CHECK(client->done && client->ended && !client->error, "%s after %llu of %llu bytes",
          err_name(client->error), (unsigned long long)client->received,
          (unsigned long long)client->total);
    CHECK(client->received == client->total);
}

static uint64_t some_bytes(struct sim *sim)
{
    static const uint64_t most[] = {1, 100, 10 * 1000, 200 * 1000};
    return sim_random_below(sim, most[sim_random_below(sim, 4)] + 1);
}

static void echo_is_intact(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    int count = 1 + (int)sim_random_below(sim, CLIENTS_MAX);
    for (int i = 0; i < count; i++) add_client(&world, some_bytes(sim), false);
    CHECK(sim_run_until(sim, 600 * 1000, all_done, &world), "it hangs");
    for (int i = 0; i < count; i++) check_complete(&world.clients[i]);
    CHECK(world.server.accepted == count && !world.server.errors);
    world_end(&world);
}

/* ---- everything goes wrong --------------------------------------------------------------- */

static uint64_t seen_complete, seen_reset, seen_timeout;

static void rough_options(struct sim_options *options, uint64_t seed)
{
    options->window_min = 16;
    options->window_max = seed % 2 ? 64 * 1024 : 512;
    options->reset_chance = seed % 3 ? 0 : 3000;
    options->latency_mean_us = seed % 5 ? 500 : 50 * 1000;
    options->stall_chance = seed % 4 ? 0 : 20 * 1000;
    options->send_timeout_ms = 1000;
}

/* Cuts, heals, resets and crashes while clients are at work. */
static void fault(struct world *world)
{
    struct sim *sim = world->sim;
    switch (sim_random_below(sim, 12)) {
    case 0: sim_cut(world->a, world->b, true); break;
    case 1: sim_cut(world->b, world->a, true); break;
    case 2: sim_partition(world->a, world->b, true); break;
    case 3: sim_reset(world->a, world->b); break;
    case 4:
        world->killed |= sim_random_below(sim, 2);
        if (world->killed)
            sim_host_kill(world->b);
        else
            sim_host_crash(world->b);
        echo_server_free(&world->server);
        sim_run_ms(sim, sim_random_below(sim, 5000));
        struct io_addr any = {.family = IO_IPV4, .port = PORT};
        CHECK(echo_server_start(&world->server, sim_host_restart(world->b), &any) == 0);
        break;
    default: sim_heal(sim);
    }
}

static void echo_is_intact_or_fails(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    int count = 1 + (int)sim_random_below(sim, CLIENTS_MAX);
    for (int i = 0; i < count; i++) add_client(&world, some_bytes(sim), false);
    for (int i = 0; i < 6 && !all_done(&world); i++) {
        sim_run_until(sim, sim_random_below(sim, i % 2 ? 5000 : 50), all_done, &world);
        fault(&world);
    }
    sim_heal(sim);
    sim_run_until(sim, 600 * 1000, all_done, &world);
    for (int i = 0; i < count; i++) {
        struct echo_client *client = &world.clients[i];
        if (client->done && !client->error && !world.killed) check_complete(client);
        seen_complete += client->done && !client->error;
        seen_reset += client->error == ERR_RESET;
        seen_timeout += client->error == ERR_TIMEOUT;
    }
    world_kill(&world);
}

static void echo_is_intact_or_fails_finish(void)
{
    runner_say("complete %llu, reset %llu, timeout %llu", (unsigned long long)seen_complete,
               (unsigned long long)seen_reset, (unsigned long long)seen_timeout);
    CHECK(seen_complete && seen_reset && seen_timeout);
}

/* ---- partitions -------------------------------------------------------------------------- */

static void partition_heals(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct echo_client *client = add_client(&world, 500 * 1000, false);
    sim_run_ms(sim, 1 + sim_random_below(sim, 3));
    uint64_t way = sim_random_below(sim, 3);
    if (way != 0) sim_cut(world.a, world.b, true);
    if (way != 1) sim_cut(world.b, world.a, true);
    sim_run_ms(sim, 1000); /* what had arrived is read */
    uint64_t received = client->received;
    sim_run_ms(sim, 30 * 1000);
    CHECK(client->received == received && !client->done, "bytes pass a partition");
    sim_heal(sim);
    CHECK(sim_run_until(sim, 60 * 1000, all_done, &world), "stuck after healing");
    check_complete(client);
    world_end(&world);
}

static void partition_times_out(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    sim_options_of(sim)->send_timeout_ms = 60 * 1000;
    struct echo_client *client = add_client(&world, 500 * 1000, false);
    sim_run_ms(sim, 1 + sim_random_below(sim, 3));
    sim_partition(world.a, world.b, true);
    struct echo_client *late = add_client(&world, 1, false);
    sim_run_ms(sim, 59 * 1000);
    CHECK(!client->done && !late->done);
    sim_run_ms(sim, 130 * 1000);
    CHECK(client->error == ERR_TIMEOUT && client->done, "%s", err_name(client->error));
    CHECK(late->error == ERR_TIMEOUT && late->done, "%s", err_name(late->error));
    sim_heal(sim);
    world_kill(&world);
}

/* The server's host loses its power under an idle connection: the client learns nothing, until it
 * sends; then it hears of a reset when the host is back, or waits for its time to run out. */
static void half_open_is_silent(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct echo_client *client = add_client(&world, 1000, true);
    sim_run_ms(sim, 1000);
    CHECK(client->connected && world.server.accepted == 1);
    sim_host_crash(world.b);
    echo_server_free(&world.server);
    bool comes_back = sim_random_below(sim, 2);
    if (comes_back) sim_host_restart(world.b);
    sim_run_ms(sim, 24 * 3600 * 1000);
    CHECK(!client->done && !client->error, "it knows: %s", err_name(client->error));
    echo_client_go(client);
    sim_run_ms(sim, 900 * 1000);
    CHECK(comes_back == client->done);
    sim_run_ms(sim, 100 * 1000);
    CHECK(client->done && client->error == (comes_back ? ERR_RESET : ERR_TIMEOUT), "%s",
          err_name(client->error));
    CHECK(sim_connections(sim) == 0);
}

/* A killed process leaves a kernel that says so. */
static void killed_process_is_noticed(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct echo_client *client = add_client(&world, 1000, true);
    sim_run_ms(sim, 1000);
    sim_host_kill(world.b);
    echo_server_free(&world.server);
    sim_run_ms(sim, 1000);
    CHECK(client->done && client->ended);
    struct echo_client *late = add_client(&world, 1, false);
    sim_run_ms(sim, 1000);
    CHECK(late->done && late->error == ERR_REFUSED);
    CHECK(sim_connections(sim) == 0);
}

/* The power fails inside a completion, which goes on as if nothing had happened; then the program's
 * memory is gone. Nothing may look at it again. */
static void crash_inside_completions(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    world.server.touches_disk = true;
    for (int i = 0; i < 3; i++) add_client(&world, some_bytes(sim), false)->touches_disk = true;
    sim_host_crash_after(seed % 2 ? world.b : world.a, sim_random_below(sim, 30));
    while (!sim_host_crashed(world.a) && !sim_host_crashed(world.b) && sim_step(sim)) continue;
    if (sim_host_crashed(world.b)) echo_server_free(&world.server);
    if (sim_host_crashed(world.a)) memset(world.clients, 0xee, sizeof world.clients);
    sim_run_ms(sim, 10 * 1000);
    if (sim_host_crashed(world.b)) {
        sim_host_restart(world.b);
        sim_run_ms(sim, 1000 * 1000);
        all_done(&world);
    }
    world_kill(&world);
}

/* ---- connecting -------------------------------------------------------------------------- */

static int connect_error(struct world *world, struct sim_host *from, const struct io_addr *addr)
{
    struct echo_client *client = &world->clients[0];
    world->client_count = 1;
    echo_client_start(client, sim_host_io(from), addr, 10, false);
    CHECK(sim_run_until(world->sim, 200 * 1000, all_done, world));
    return client->error;
}

static struct io_addr address(const char *text)
{
    struct io_addr addr;
    CHECK(io_addr_parse(bytes_str(text), &addr) == 0, "%s", text);
    return addr;
}

static void addresses_mean_what_they_say(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct io_addr addr = sim_host_addr(world.b, PORT);
    CHECK(connect_error(&world, world.a, &addr) == 0);
    addr.port++;
    CHECK(connect_error(&world, world.a, &addr) == ERR_REFUSED);
    addr = address("10.0.0.77:4000");
    CHECK(connect_error(&world, world.a, &addr) == ERR_UNREACHABLE);
    addr = address("127.0.0.1:4000");
    CHECK(connect_error(&world, world.b, &addr) == 0);
    CHECK(connect_error(&world, world.a, &addr) == ERR_REFUSED);
    addr = address("unix:/run/echo.sock");
    CHECK(connect_error(&world, world.a, &addr) == ERR_NOT_FOUND);

    struct echo_server second;
    CHECK(echo_server_start(&second, sim_host_io(world.a), &addr) == 0);
    CHECK(connect_error(&world, world.a, &addr) == 0);
    CHECK(connect_error(&world, world.b, &addr) == ERR_NOT_FOUND);
    struct io_listener third;
    CHECK(io_listen(sim_host_io(world.a), &third, &addr, NULL, second.listener.accepted) ==
          ERR_IN_USE);
    echo_server_stop(&second);

    addr = address("[::1]:0");
    CHECK(echo_server_start(&second, sim_host_io(world.a), &addr) == 0);
    CHECK(second.listener.addr.port);
    CHECK(connect_error(&world, world.a, &second.listener.addr) == 0);
    echo_server_stop(&second);

    sim_host_crash(world.b);
    echo_server_free(&world.server);
    addr = sim_host_addr(world.b, PORT);
    CHECK(connect_error(&world, world.a, &addr) == ERR_TIMEOUT);
    CHECK(sim_connections(sim) == 0);
}

/* Who closes with bytes that it has not read says RST, not FIN (RFC 1122 section 4.2.2.13). */
static struct io_stream rude;

static void rude_accepted(struct io_listener *listener)
{
    io_accept(listener, &rude);
}

static void closing_on_unread_bytes_resets(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct io_listener listener;
    struct io_addr addr = {.family = IO_IPV4, .port = PORT + 1};
    CHECK(io_listen(sim_host_io(world.b), &listener, &addr, NULL, rude_accepted) == 0);
    addr = sim_host_addr(world.b, PORT + 1);
    uint64_t bytes = sim_random_below(sim, 3);
    struct echo_client *client = &world.clients[0];
    echo_client_start(client, sim_host_io(world.a), &addr, 100, !bytes);
    sim_run_ms(sim, 1000);
    bool is_cut = sim_random_below(sim, 2);
    sim_cut(world.b, world.a, is_cut);
    io_close(&rude, NULL);
    sim_run_ms(sim, 1000);
    CHECK(!is_cut || !client->done);
    sim_heal(sim);
    sim_run_ms(sim, 10 * 1000);
    if (is_cut && bytes) /* an RST is said once; a FIN is repeated */
        CHECK(!client->done, "%s", err_name(client->error));
    else
        CHECK(client->done && client->error == (bytes ? ERR_RESET : 0), "%s",
              err_name(client->error));
    io_listener_close(&listener);
    world_kill(&world);
}

/* Back pressure: who does not read stops the sender at the window. */
static void deaf_accepted(struct io_listener *listener)
{
    static struct io_stream stream;
    io_accept(listener, &stream);
}

static void window_presses_back(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim);
    struct io_listener deaf;
    struct io_addr addr = {.family = IO_IPV4, .port = PORT + 1};
    CHECK(io_listen(sim_host_io(world.b), &deaf, &addr, NULL, deaf_accepted) == 0);
    addr = sim_host_addr(world.b, PORT + 1);
    struct echo_client *client = &world.clients[0];
    echo_client_start(client, sim_host_io(world.a), &addr, 10 * 1000 * 1000, false);
    sim_run_ms(sim, 10 * 1000);
    CHECK(client->sends && client->sent <= sim_options_of(sim)->window_max, "%llu",
          (unsigned long long)client->sent);
    /* It asks from time to time whether there is room: so it learns that the other has restarted.
     */
    sim_host_crash(world.b);
    echo_server_free(&world.server);
    sim_host_restart(world.b);
    sim_run_ms(sim, 10 * 1000);
    CHECK(client->done && client->error == ERR_RESET, "%s", err_name(client->error));
    CHECK(sim_connections(sim) == 0);
}

RUNNER_MAIN({"echo_is_intact", echo_is_intact, .seeds = 2000, .twice = true},
            {"echo_is_intact_or_fails", echo_is_intact_or_fails, .options = rough_options,
             .seeds = 2000, .twice = true, .finish = echo_is_intact_or_fails_finish},
            {"partition_heals", partition_heals, .seeds = 300},
            {"partition_times_out", partition_times_out, .seeds = 300},
            {"half_open_is_silent", half_open_is_silent, .seeds = 300},
            {"crash_inside_completions", crash_inside_completions, .seeds = 1000},
            {"killed_process_is_noticed", killed_process_is_noticed, .seeds = 300},
            {"addresses_mean_what_they_say", addresses_mean_what_they_say, .seeds = 300},
            {"closing_on_unread_bytes_resets", closing_on_unread_bytes_resets, .seeds = 100},
            {"window_presses_back", window_presses_back, .seeds = 100})
