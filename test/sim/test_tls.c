/* TLS on the simulated network: whatever the segments, windows, delays and faults are, what arrives
 * is what was sent, and an end that nobody said is no end. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "certificates.h"
#include "echo.h"
#include "runner.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <time.h>

enum { PORT = 4000, CLIENTS_MAX = 4, SIM_EPOCH_S = 1795219200 };

/* OpenSSL's random bytes come from the seed too, or no run would be like another. */
static uint64_t random_state;

static int seeded_bytes(unsigned char *to, int len)
{
    for (int i = 0; i < len; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        to[i] = (unsigned char)(random_state >> 56);
    }
    return 1;
}

static int seeded_status(void)
{
    return 1;
}

static const RAND_METHOD seeded = {
    .bytes = seeded_bytes, .pseudorand = seeded_bytes, .status = seeded_status};

/* Made once; an authority that has signed the server's certificate. */
static struct certificate authority, server;

static void make_certificates(void)
{
    if (authority.x509) return;
    long world_s = (long)(SIM_EPOCH_S - time(NULL)); /* the worlds begin then */
    struct certificate_spec authority_spec = {
        .common_name = "authority", .authority = true, .from_s = world_s};
    struct certificate_spec server_spec = {
        .common_name = "bus", .names = "DNS:bus.example", .from_s = world_s};
    authority = certificate_make(&authority_spec, NULL);
    server = certificate_make(&server_spec, &authority);
}

static void put_file(struct io *io, const char *path, X509 *certificate, EVP_PKEY *key)
{
    struct io_file file;
    char *content;
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(certificate ? PEM_write_bio_X509(bio, certificate)
                      : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    size_t len = (size_t)BIO_get_mem_data(bio, &content);
    struct iovec piece = {content, len};
    CHECK(io_file_open(io, &file, path, IO_WRITE | IO_CREATE) == 0);
    CHECK(io_file_write(&file, &piece, 1, 0) == 0);
    io_file_close(&file);
    BIO_free(bio);
}

struct world {
    struct sim *sim;
    struct sim_host *a, *b; /* clients live on a, the server on b */
    struct io_tls_context *ours, *theirs;
    struct echo_server server;
    struct echo_client clients[CLIENTS_MAX];
    int client_count;
};

static void start_server(struct world *world)
{
    struct io_addr any = {.family = IO_IPV4, .port = PORT};
    CHECK(echo_server_start(&world->server, sim_host_io(world->b), &any) == 0);
    world->server.tls = world->theirs;
}

static void world_init(struct world *world, struct sim *sim, uint64_t seed)
{
    make_certificates();
    random_state = seed;
    RAND_set_rand_method(&seeded);
    *world = (struct world){.sim = sim};
    world->a = sim_host_new(sim, "a");
    world->b = sim_host_new(sim, "b");
    struct io *ours = sim_host_io(world->a), *theirs = sim_host_io(world->b);
    put_file(ours, "/authority.pem", authority.x509, NULL);
    put_file(theirs, "/server.pem", server.x509, NULL);
    put_file(theirs, "/server.key", NULL, server.key);
    struct io_tls_certificate pair = {"/server.pem", "/server.key"};
    struct io_tls_options server_options = {
        .server = true, .certificates = &pair, .certificate_count = 1, .no_resumption = true};
    struct io_tls_options client_options = {.ca_file = "/authority.pem", .no_resumption = true};
    struct error error = {0};
    CHECK(io_tls_context_new(theirs, &server_options, &world->theirs, &error) == 0, "%s",
          error.message);
    CHECK(io_tls_context_new(ours, &client_options, &world->ours, &error) == 0, "%s",
          error.message);
    start_server(world);
}

static uint64_t seen_unsaid, seen_said;

static void add_clients(struct world *world)
{
    static const uint64_t most[] = {1, 100, 10 * 1000, 200 * 1000};
    world->client_count = 1 + (int)sim_random_below(world->sim, CLIENTS_MAX);
    for (int i = 0; i < world->client_count; i++) {
        struct io_addr addr = sim_host_addr(world->b, PORT);
        uint64_t bytes = sim_random_below(world->sim, most[sim_random_below(world->sim, 4)] + 1);
        echo_client_start(&world->clients[i], sim_host_io(world->a), &addr, bytes, false);
        world->clients[i].tls = world->ours;
    }
}

static bool all_done(void *context)
{
    struct world *world = context;
    for (int i = 0; i < world->client_count; i++) {
        struct echo_client *client = &world->clients[i];
        CHECK(!client->mismatch, "client %d got wrong bytes before %llu", i,
              (unsigned long long)client->received);
        if (!client->done) return false;
    }
    return true;
}

static bool nothing_left(void *context)
{
    struct world *world = context;
    return sim_connections(world->sim) == 0;
}

static void world_free(struct world *world)
{
    for (int i = 0; i < world->client_count; i++) io_stream_forget(&world->clients[i].stream);
    io_tls_context_unref(world->ours);
    io_tls_context_unref(world->theirs);
    RAND_set_rand_method(NULL);
}

/* The server closes behind its last bytes. When they have filled the window, its word that this was
 * the end finds no room (io/tls.h), and the end looks like a cut. */
static void check_complete(const struct echo_client *client)
{
    bool ended = client->ended && !client->error;
    if (client->error == ERR_RESET) seen_unsaid++;
    CHECK(client->done && (ended || client->error == ERR_RESET), "%s after %llu of %llu bytes",
          err_name(client->error), (unsigned long long)client->received,
          (unsigned long long)client->total);
    CHECK(client->received == client->total);
}

static void tls_is_intact(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim, seed);
    add_clients(&world);
    CHECK(sim_run_until(sim, 600 * 1000, all_done, &world), "it hangs");
    for (int i = 0; i < world.client_count; i++) check_complete(&world.clients[i]);
    for (int i = 0; i < world.client_count; i++) seen_said += world.clients[i].ended;
    CHECK(world.server.accepted == world.client_count && !world.server.errors, "%s",
          err_name(world.server.last_error));
    CHECK(sim_run_until(sim, 3600 * 1000, nothing_left, &world));
    CHECK(list_empty(&world.server.connections));
    echo_server_stop(&world.server);
    world_free(&world);
}

static void tls_is_intact_finish(void)
{
    CHECK(seen_said > 50 * seen_unsaid, "%llu ends were said, %llu not",
          (unsigned long long)seen_said, (unsigned long long)seen_unsaid);
}

/* ---- everything goes wrong --------------------------------------------------------------- */

static uint64_t seen_complete, seen_reset, seen_eof;

static void rough_options(struct sim_options *options, uint64_t seed)
{
    options->window_min = 16;
    options->window_max = seed % 2 ? 64 * 1024 : 512;
    options->reset_chance = seed % 3 ? 0 : 3000;
    options->latency_mean_us = seed % 5 ? 500 : 50 * 1000;
    options->stall_chance = seed % 4 ? 0 : 20 * 1000;
    options->send_timeout_ms = 1000;
}

static void fault(struct world *world)
{
    struct sim *sim = world->sim;
    switch (sim_random_below(sim, 8)) {
    case 0: sim_cut(world->a, world->b, true); break;
    case 1: sim_cut(world->b, world->a, true); break;
    case 2: sim_partition(world->a, world->b, true); break;
    case 3: sim_reset(world->a, world->b); break;
    case 4:
        /* Its kernel says a FIN in the middle: with TLS that is no end. */
        sim_host_kill(world->b);
        echo_server_free(&world->server);
        sim_run_ms(sim, sim_random_below(sim, 5000));
        sim_host_restart(world->b);
        start_server(world);
        break;
    default: sim_heal(sim);
    }
}

static void tls_is_intact_or_fails(struct sim *sim, uint64_t seed)
{
    struct world world;
    world_init(&world, sim, seed);
    add_clients(&world);
    for (int i = 0; i < 6 && !all_done(&world); i++) {
        sim_run_until(sim, sim_random_below(sim, i % 2 ? 5000 : 50), all_done, &world);
        fault(&world);
    }
    sim_heal(sim);
    sim_run_until(sim, 600 * 1000, all_done, &world);
    for (int i = 0; i < world.client_count; i++) {
        struct echo_client *client = &world.clients[i];
        if (client->done && !client->error) check_complete(client);
        seen_complete += client->done && !client->error;
        seen_reset += client->error == ERR_RESET;
        seen_eof += client->error == ERR_EOF;
    }
    sim_host_kill(world.a);
    sim_host_kill(world.b);
    echo_server_free(&world.server);
    world_free(&world);
}

static void tls_is_intact_or_fails_finish(void)
{
    runner_say("complete %llu, reset %llu, cut in the handshake %llu",
               (unsigned long long)seen_complete, (unsigned long long)seen_reset,
               (unsigned long long)seen_eof);
    CHECK(seen_complete && seen_reset && seen_eof);
}

RUNNER_MAIN({"tls_is_intact", tls_is_intact, .finish = tls_is_intact_finish, .seeds = 100},
            {"tls_is_intact_or_fails", tls_is_intact_or_fails, rough_options,
             tls_is_intact_or_fails_finish, .seeds = 200})
