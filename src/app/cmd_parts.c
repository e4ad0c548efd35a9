/* The parts of dure that also run alone: gateway, host. */
#include "app/cli.h"
#include "app/commands.h"
#include "dure/dure.h"
#include "gateway/gateway_config.h"
#include "proxy/proxy.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONFIG_MAX = 1024 * 1024, ARENA_MAX = 16 * 1024 * 1024, GRACE_MS = 10000 };

/* A part and what ends it. */
struct part {
    struct io *io;
    struct log log;
    struct io_signal interrupt, terminate;
    struct proxy *proxy;
};

static bool log_line(void *context, enum log_level level, struct bytes line)
{
    return fwrite(line.data, 1, line.len, stderr) == line.len;
}

static uint64_t log_time(void *context)
{
    const struct part *part = context;
    return io_wall_ns(part->io);
}

static void closed(void *context)
{
    struct part *part = context;
    io_stop(part->io);
}

static void stop(struct part *part)
{
    io_signal_release(part->io, &part->interrupt);
    io_signal_release(part->io, &part->terminate);
    proxy_close(part->proxy, GRACE_MS, closed, part);
}

static void interrupted(struct io_signal *watch)
{
    stop(CONTAINER_OF(watch, struct part, interrupt));
}

static void terminated(struct io_signal *watch)
{
    stop(CONTAINER_OF(watch, struct part, terminate));
}

static int part_init(struct part *part)
{
    part->io = cli_io();
    part->log = (struct log){LOG_INFO, log_line, log_time, part, 0};
    int err = io_signal_watch(part->io, &part->interrupt, SIGINT, interrupted);
    return err ? err : io_signal_watch(part->io, &part->terminate, SIGTERM, terminated);
}

static int part_run(struct part *part, const char *what, const struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    io_addr_format(addr, text, sizeof text);
    printf("%s%s\n", what, text);
    fflush(stdout);
    return io_run(part->io) ? EXIT_FAILED : EXIT_OK;
}

/* ---- gateway ---- */

static int read_config(struct io *io, const char *path, struct buf *text, struct error *error)
{
    struct io_file file;
    int err = io_file_open(io, &file, path, IO_READ);
    int64_t len = 0;
    if (!err) {
        char *room = buf_reserve(text, CONFIG_MAX);
        len = room ? io_file_read(&file, room, CONFIG_MAX, 0) : ERR_NOMEM;
        if (len > 0) buf_commit(text, (size_t)len);
        io_file_close(&file);
    }
    if (!err && len < 0) err = (int)len;
    return err ? error_set(error, err, "cannot read %s: %s", path, err_text(err)) : 0;
}

static int serve(struct part *part, const struct gateway_config *config, struct snapshot *snapshot)
{
    struct error error = {0};
    struct io_addr addr = config->listen_addr;
    int err = part_init(part);
    if (!err) err = proxy_new(part->io, NULL, &part->log, &part->proxy);
    if (!err) err = proxy_listen(part->proxy, PROXY_EDGE, &addr, &addr);
    if (!err) err = proxy_apply(part->proxy, snapshot);
    if (!err) return part_run(part, "gateway http://", &addr);
    error_set(&error, err, "cannot listen on %s: %s", config->listen.data, err_text(err));
    return cli_fail(EXIT_FAILED, &error);
}

static int compile_and_serve(struct part *part, struct bytes text, const char *path)
{
    struct arena arena;
    struct errors errors;
    struct gateway_config *config = NULL;
    struct snapshot *snapshot = NULL;
    arena_init(&arena, ARENA_MAX);
    errors_init(&errors, &arena);
    int err = gateway_config_parse(text, path, &arena, &errors, &config);
    if (!err) err = gateway_config_compile(config, &errors, &snapshot);
    int code = err ? cli_fail_manifest(&errors) : serve(part, config, snapshot);
    snapshot_unref(snapshot);
    arena_release(&arena);
    return code;
}

int cmd_gateway(int argc, char **argv)
{
    static struct part part;
    const char *path = NULL;
    const struct cli_option options[] = {{"config", 'c', NULL, &path}};
    int left = cli_parse(argc, argv, options, 1);
    if (left < 0) return EXIT_USAGE;
    if (left > 0 || !path) return cli_usage("gateway", "needs --config FILE and nothing else");
    struct buf text;
    struct error error = {0};
    struct io *io = cli_io();
    buf_init(&text, CONFIG_MAX);
    int err = read_config(io, path, &text, &error);
    io_free(io);
    int code =
        err ? cli_fail(EXIT_FAILED, &error) : compile_and_serve(&part, buf_bytes(&text), path);
    buf_release(&text);
    return code;
}

/* ---- host ---- */

int cmd_host(int argc, char **argv)
{
    /* A running system names the modules in the environment, each with its own. */
    if (argc < 2 && !getenv("DURE_HOST_MODULES"))
        return cli_usage("host", "needs at least one module");
    return dure_host_main(argc, argv);
}
