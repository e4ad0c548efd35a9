/* dure bus: the message bus alone. */
#include "app/bus_setup.h"
#include "app/cli.h"
#include "app/commands.h"
#include "run/load.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_MAX = 64 * 1024 * 1024 };

struct bus_part {
    struct io *io;
    struct log log;
    struct io_signal interrupt, terminate, lame_duck, hangup;
    char base[PATH_MAX]; /* what file names in the configuration are relative to */
    struct arena arena;
    struct manifest_bus *config;
    struct bus *bus;
    struct streams *streams;
    struct jetstream *jetstream;
    struct bus_setup setup;
    struct http http;
    struct monitor *monitor;
    bool stopping;
};

static struct bus_part part;

static bool log_line(void *context, enum log_level level, struct bytes line)
{
    return fwrite(line.data, 1, line.len, stderr) == line.len;
}

static uint64_t log_time(void *context)
{
    return io_wall_ns(part.io);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void closed(void *context)
{
    io_stop(part.io);
}

static void setup_closed(void *context)
{
    http_release(&part.http);
    bus_close(part.bus, closed, NULL);
}

static void streams_closed(void *context)
{
    bus_setup_close(&part.setup, setup_closed, NULL);
}

static void jetstream_closed(void *context)
{
    streams_close(part.streams, streams_closed, NULL);
}

static void monitor_closed(void *context)
{
    jetstream_close(part.jetstream, jetstream_closed, NULL);
}

static void stop(void *context)
{
    if (part.stopping) return;
    part.stopping = true;
    io_signal_release(part.io, &part.interrupt);
    io_signal_release(part.io, &part.terminate);
    io_signal_release(part.io, &part.lame_duck);
    io_signal_release(part.io, &part.hangup);
    monitor_close(part.monitor, monitor_closed, NULL);
}

static void end_signal(struct io_signal *watch)
{
    stop(NULL);
}

/* Sends the clients away, and ends when they have gone. */
static void lame_duck_signal(struct io_signal *watch)
{
    bus_server_lame_duck(part.setup.server, part.config->lame_duck.grace_ms,
                         part.config->lame_duck.duration_ms, stop, NULL);
}

/* Certificates are renewed while the bus runs. */
static void hangup_signal(struct io_signal *watch)
{
    struct error error = {0};
    struct bus_setup_options setup = {.config = part.config, .base = part.base};
    if (!part.config->tls.given) return;
    if (bus_setup_use_tls(&part.setup, &setup, &error))
        LOG(&part.log, LOG_WARN, "bus_tls_not_renewed", LOG_S("file", error.file),
            LOG_S("error", error.message));
    else
        LOG(&part.log, LOG_INFO, "bus_tls_renewed");
}

/* ---- the beginning -------------------------------------------------------------------------- */

struct bus_arguments {
    const char *listen, *data, *max_payload, *config, *http, *websocket;
};

/* The configuration of a file, or the one that says nothing. */
static int read_config(const struct bus_arguments *arguments, struct errors *errors)
{
    char *text = NULL;
    size_t len = 0;
    if (!arguments->config)
        return manifest_bus_parse(BYTES("{}"), "", &part.arena, errors, &part.config);
    int r = load_read_file(part.io, arguments->config, &text, &len);
    if (r) {
        struct error *error = errors_add(errors);
        error_set(error, r, "cannot be read: %s", err_text(r));
        error_at(error, arguments->config, 0, 0);
    } else {
        r = manifest_bus_parse(bytes_make(text, len), arguments->config, &part.arena, errors,
                               &part.config);
    }
    free(text);
    return r;
}

/* What the command line says is stronger than the file. NULL, or what is wrong. */
static const char *apply_arguments(const struct bus_arguments *arguments)
{
    struct manifest_bus *config = part.config;
    struct io_addr addr;
    if (arguments->listen) config->listen = bytes_str(arguments->listen);
    if (arguments->max_payload &&
        (yaml_bytes_parse(bytes_str(arguments->max_payload), &config->max_payload) ||
         !config->max_payload))
        return "--max-payload needs a size such as 1MiB";
    if (io_addr_parse(config->listen, &addr))
        return "--listen needs an address such as 127.0.0.1:4222";
    if (arguments->http) config->http = bytes_str(arguments->http);
    if (config->http.len && io_addr_parse(config->http, &addr))
        return "--http needs an address such as 127.0.0.1:8222";
    if (arguments->websocket) config->websocket.given = true;
    if (arguments->websocket) config->websocket.listen = bytes_str(arguments->websocket);
    if (config->websocket.given && io_addr_parse(config->websocket.listen, &addr))
        return "--websocket needs an address such as 127.0.0.1:9222";
    return NULL;
}

static int watch_signals(void)
{
    int r = io_signal_watch(part.io, &part.interrupt, SIGINT, end_signal);
    if (!r) r = io_signal_watch(part.io, &part.terminate, SIGTERM, end_signal);
    if (!r) r = io_signal_watch(part.io, &part.hangup, SIGHUP, hangup_signal);
    return r ? r : io_signal_watch(part.io, &part.lame_duck, SIGUSR2, lame_duck_signal);
}

static int open_streams(const char *data, struct error *error)
{
    struct streams_options streams = {
        .dir = data, .log = &part.log, .scrub_bytes_per_second = 4 << 20};
    struct jetstream_options jetstream = {.log = &part.log};
    if (!data) return 0;
    int r = streams_open(part.io, part.bus, &streams, &part.streams, error);
    return r ? r
             : jetstream_open(part.io, part.bus, part.streams, &jetstream, &part.jetstream, error);
}

static int listen_on(const struct bus_setup_options *setup, struct io_addr *addr,
                     struct error *error)
{
    io_addr_parse(part.config->listen, addr);
    int r = bus_server_listen(part.setup.server, addr, addr);
    if (r)
        return error_set(error, r, "cannot listen on %s: %s", part.config->listen.data,
                         err_text(r));
    r = bus_setup_listen(&part.setup, setup, error);
    struct monitor_account own = {part.bus, part.streams, part.jetstream};
    return r ? r : bus_setup_monitor(&part.setup, setup, &part.http, &own, &part.monitor, error);
}

static int open_all(const struct bus_arguments *arguments, struct io_addr *ret_addr,
                    struct error *error)
{
    const struct manifest_bus *config = part.config;
    if (arguments->config) snprintf(part.base, sizeof part.base, "%s", arguments->config);
    char *slash = strrchr(part.base, '/');
    *(slash ? slash : part.base) = '\0';
    char path[PATH_MAX];
    const char *data = arguments->data;
    if (!data) data = bus_setup_path(part.base, config->data, path);
    struct bus_options bus = {.max_payload = (size_t)config->max_payload};
    struct bus_setup_options setup = {.config = config, .base = part.base, .data = data};
    int r = watch_signals();
    if (!r) r = bus_new(part.io, &bus, &part.log, &part.bus);
    if (r) return error_set(error, r, "cannot open the bus: %s", err_text(r));
    setup.bus = part.bus;
    r = open_streams(data, error);
    if (!r) r = bus_setup_open(&part.setup, part.io, &part.log, &setup, error);
    return r ? r : listen_on(&setup, ret_addr, error);
}

/* As a URL that clients take. */
static void say_where(const char *what, const char *scheme, const struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    io_addr_format(addr, text, sizeof text);
    printf("%s %s%s\n", what, addr->family == IO_UNIX ? "" : scheme, text);
}

int cmd_bus(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "move") == 0) return cmd_bus_move(argc - 1, argv + 1);
    struct bus_arguments arguments = {0};
    const struct cli_option options[] = {{"listen", 'l', NULL, &arguments.listen},
                                         {"data", 'd', NULL, &arguments.data},
                                         {"config", 'c', NULL, &arguments.config},
                                         {"http", 0, NULL, &arguments.http},
                                         {"websocket", 0, NULL, &arguments.websocket},
                                         {"max-payload", 0, NULL, &arguments.max_payload}};
    struct errors errors;
    struct error error = {0};
    struct io_addr addr = {0};
    int left = cli_parse(argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (left > 0) return cli_usage("bus", "takes no arguments");
    part.io = cli_io();
    http_init(&part.http, part.io, &part.log);
    part.log = (struct log){LOG_INFO, log_line, log_time, NULL, 0};
    arena_init(&part.arena, ARENA_MAX);
    errors_init(&errors, &part.arena);
    if (read_config(&arguments, &errors)) return cli_fail_manifest(&errors);
    const char *wrong = apply_arguments(&arguments);
    if (wrong) return cli_usage("bus", wrong);
    if (open_all(&arguments, &addr, &error)) return cli_fail(EXIT_FAILED, &error);
    say_where("bus", "nats://", &addr);
    if (part.setup.websocket_addr.port) say_where("websocket", "ws://", &part.setup.websocket_addr);
    if (part.monitor) say_where("monitoring", "http://", monitor_addr(part.monitor));
    fflush(stdout);
    return io_run(part.io) ? EXIT_FAILED : EXIT_OK;
}
