/* A bus and nothing else, for tests that come from outside:
 *
 *     bus_server ADDR [NAME=NUMBER ...]     (max_payload, max_pending, max_connections,
 *                                            max_subscriptions, ping_interval_ms, max_pings)
 *
 * Says "listening on ADDR" when it does. SIGTERM ends it, SIGUSR1 makes it a lame duck. */
#include "bus/bus_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct server {
    struct io *io;
    struct bus *bus;
    struct bus_server *bus_server;
    struct io_signal term, usr1;
};

static struct server server;

static void closed(void *context)
{
    io_stop(server.io);
}

static void server_closed(void *context)
{
    bus_close(server.bus, closed, NULL);
}

static void on_term(struct io_signal *watch)
{
    bus_server_close(server.bus_server, server_closed, NULL);
}

static void on_usr1(struct io_signal *watch)
{
    bus_server_lame_duck(server.bus_server, 1000, 1000, NULL, NULL);
}

static int set_option(struct bus_server_options *options, struct bytes text)
{
    struct bytes name = bytes_cut(&text, '=');
    uint64_t value;
    if (bytes_to_u64(text, UINT32_MAX, &value)) return ERR_INVALID;
    if (bytes_eq(name, BYTES("max_payload")))
        options->max_payload = value;
    else if (bytes_eq(name, BYTES("max_pending")))
        options->max_pending = value;
    else if (bytes_eq(name, BYTES("max_connections")))
        options->max_connections = (unsigned)value;
    else if (bytes_eq(name, BYTES("max_subscriptions")))
        options->max_subscriptions = (unsigned)value;
    else if (bytes_eq(name, BYTES("ping_interval_ms")))
        options->ping_interval_ms = (uint32_t)value;
    else if (bytes_eq(name, BYTES("max_pings")))
        options->max_pings = (unsigned)value;
    else
        return ERR_INVALID;
    return 0;
}

static int fail(const char *what, int err)
{
    fprintf(stderr, "bus_server: %s: %s\n", what, err_text(err));
    return 1;
}

int main(int argc, char **argv)
{
    struct bus_server_options options = {0};
    struct io_addr addr;
    char text[IO_ADDR_TEXT];
    if (argc < 2) return fail("usage: bus_server ADDR [NAME=NUMBER ...]", ERR_INVALID);
    int r = io_addr_parse(bytes_str(argv[1]), &addr);
    for (int i = 2; i < argc && !r; i++) r = set_option(&options, bytes_str(argv[i]));
    if (r) return fail("arguments", r);

    r = io_new(NULL, &server.io);
    struct bus_options bus = {.max_payload = options.max_payload};
    if (!r) r = bus_new(server.io, &bus, NULL, &server.bus);
    if (!r) r = bus_server_new(server.io, &options, server.bus, NULL, &server.bus_server);
    if (!r) r = bus_server_listen(server.bus_server, &addr, &addr);
    if (!r) r = io_signal_watch(server.io, &server.term, SIGTERM, on_term);
    if (!r) r = io_signal_watch(server.io, &server.usr1, SIGUSR1, on_usr1);
    if (r) return fail(argv[1], r);
    printf("listening on %.*s\n", (int)io_addr_format(&addr, text, sizeof text), text);
    fflush(stdout);
    r = io_run(server.io);
    io_signal_release(server.io, &server.term);
    io_signal_release(server.io, &server.usr1);
    io_free(server.io);
    return r ? fail("loop", r) : 0;
}
