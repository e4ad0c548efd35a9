#include "app/commands.h"

#include "app/cli.h"
#include "app/paths.h"
#include "run/deployment.h"
#include "run/parent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

extern char **environ;

enum { MISTAKES_MAX = 1024 * 1024 };

/* The process that a person started: the parent, and what it shows. */
struct up {
    struct io *io;
    struct log log;
    struct paths paths;
    struct parent *parent;
    struct io_signal interrupt, terminate, window;
    int table_lines; /* of the table that is on the screen now */
    bool terminal, ready, stopping;
    bool cluster; /* the bus is somewhere else */
};

/* ---- what is shown ---- */

/* Lines go above the table, which comes again after them. */
static void erase_table(struct up *up)
{
    if (up->table_lines) printf("\r\033[%dA\033[J", up->table_lines);
    fflush(stdout); /* what follows may go to stderr, which does not wait */
    up->table_lines = 0;
}

static void say(void *context, const char *text)
{
    struct up *up = context;
    erase_table(up);
    printf("%s\n", text);
    fflush(stdout);
}

static void show_table(void *context, const char *text)
{
    struct up *up = context;
    if (up->stopping) return;
    erase_table(up);
    for (const char *at = text; *at; at++) up->table_lines += *at == '\n';
    fputs(text, stdout);
    fflush(stdout);
}

static void worker_ready(void *context)
{
    struct up *up = context;
    char gateway[IO_ADDR_TEXT], bus[IO_ADDR_TEXT], internal[IO_ADDR_TEXT], line[512];
    if (up->ready) {
        say(up, "the worker was replaced; services and connections in the queue were kept");
        return;
    }
    up->ready = true;
    if (up->terminal) return;
    io_addr_format(parent_address(up->parent, HANDOVER_GATEWAY), gateway, sizeof gateway);
    if (up->cluster)
        snprintf(bus, sizeof bus, "cluster");
    else
        io_addr_format(parent_address(up->parent, HANDOVER_BUS), bus, sizeof bus);
    io_addr_format(parent_address(up->parent, HANDOVER_INTERNAL), internal, sizeof internal);
    snprintf(line, sizeof line, "gateway http://%s  bus %s%s  internal http://%s", gateway,
             up->cluster ? "" : "nats://", bus, internal);
    say(up, line);
}

static void ended(void *context, int status)
{
    struct up *up = context;
    io_stop(up->io);
}

static void stop(struct up *up)
{
    if (!up->stopping) say(up, "stopping; once more to stop at once");
    up->stopping = true;
    parent_stop(up->parent);
}

static void interrupted(struct io_signal *watch)
{
    stop(CONTAINER_OF(watch, struct up, interrupt));
}

static void terminated(struct io_signal *watch)
{
    stop(CONTAINER_OF(watch, struct up, terminate));
}

static int columns(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col ? size.ws_col : 80;
}

/* What is on the screen has been wrapped anew: nobody knows how many lines it has now. */
static void resized(struct io_signal *watch)
{
    struct up *up = CONTAINER_OF(watch, struct up, window);
    up->table_lines = 0;
    parent_set_columns(up->parent, columns());
}

static bool log_line(void *context, enum log_level level, struct bytes line)
{
    struct up *up = context;
    if (level < LOG_ERROR && up->terminal) return true;
    erase_table(up);
    return fwrite(line.data, 1, line.len, stderr) == line.len;
}

static uint64_t log_time(void *context)
{
    const struct up *up = context;
    return io_wall_ns(up->io);
}

/* ---- the beginning ---- */

static int make_folders(struct up *up, struct error *error)
{
    const char *const folders[] = {up->paths.state, up->paths.logs, up->paths.data};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        int err = io_mkdir(up->io, folders[i]);
        if (!err) continue;
        error_set(error, err, "cannot make the folder %s: %s", folders[i], err_text(err));
        error_remedy(error, "dure keeps its state there: make the folder writable");
        return err;
    }
    return 0;
}

static int listen_addresses(const struct manifest_system *system, const struct paths *paths,
                            struct parent_options *options)
{
    int err = io_addr_parse(system->gateway.listen, &options->listen[HANDOVER_GATEWAY]);
    if (!err) err = io_addr_parse(system->bus.listen, &options->listen[HANDOVER_BUS]);
    if (!err) err = io_addr_parse(system->internal.listen, &options->listen[HANDOVER_INTERNAL]);
    struct io_addr *admin = &options->listen[HANDOVER_ADMIN];
    admin->family = IO_UNIX;
    snprintf(admin->path, sizeof admin->path, "%s", paths->admin);
    return err;
}

static int watch_signals(struct up *up)
{
    int err = io_signal_watch(up->io, &up->interrupt, SIGINT, interrupted);
    if (!err) err = io_signal_watch(up->io, &up->terminate, SIGTERM, terminated);
    if (!err && up->terminal) err = io_signal_watch(up->io, &up->window, SIGWINCH, resized);
    return err;
}

static int run(struct up *up, const struct manifest_system *system)
{
    struct error error = {0};
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0) return EXIT_FAILED;
    program[len] = 0;
    const char *const worker_argv[] = {program, "worker", up->paths.dir, NULL};
    struct parent_options options = {
        .worker_argv = worker_argv,
        .worker_envp = (const char *const *)environ,
        .logs = up->paths.logs,
        .columns = columns(),
        .log = &up->log,
        .say = say,
        .table = show_table,
        .ready = worker_ready,
        .ended = ended,
        .context = up,
    };
    up->terminal = options.columns > 0;
    up->cluster = system->bus.url.len > 0;
    if (up->cluster) options.without = 1U << HANDOVER_BUS;
    int err = listen_addresses(system, &up->paths, &options);
    if (err) error_set(&error, err, "an address in dure.yaml cannot be used");
    if (!err) err = make_folders(up, &error);
    if (!err) err = watch_signals(up);
    if (!err) err = parent_new(up->io, &options, &up->parent, &error);
    if (err) return cli_fail(EXIT_FAILED, &error);
    err = io_run(up->io);
    parent_free(up->parent);
    return err ? EXIT_FAILED : EXIT_OK;
}

/* `dir`: as the caller calls it, for the names of files in mistakes. */
static int load_and_run(struct up *up, const char *dir)
{
    struct arena arena;
    struct errors errors;
    struct deployment *deployment = NULL;
    arena_init(&arena, MISTAKES_MAX);
    errors_init(&errors, &arena);
    int err = deployment_load(up->io, dir, NULL, &errors, &deployment);
    int code = err ? cli_fail_manifest(&errors) : run(up, deployment->manifest.system);
    deployment_unref(deployment);
    arena_release(&arena);
    return code;
}

int cmd_up(int argc, char **argv)
{
    static struct up up;
    char dir[PATH_MAX];
    struct error error = {0};
    int left = cli_parse(argc, argv, NULL, 0);
    if (left < 0) return EXIT_USAGE;
    if (left > 1) return cli_usage("up", "takes one folder at most");
    int err = cli_system_dir(left ? argv[1] : NULL, dir);
    if (err) {
        error_set(&error, err, "there is no folder %s", argv[1]);
        return cli_fail(EXIT_FAILED, &error);
    }
    if (paths_init(&up.paths, dir) != 0) {
        error_set(&error, ERR_TOO_BIG, "the path %s is too long for a socket below it", dir);
        error_remedy(&error, "move the system to a folder with a path of less than 90 characters");
        return cli_fail(EXIT_FAILED, &error);
    }
    up.io = cli_io();
    up.log = (struct log){LOG_INFO, log_line, log_time, &up, 0};
    return load_and_run(&up, left ? argv[1] : ".");
}
