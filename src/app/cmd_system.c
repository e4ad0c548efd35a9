/* The commands that ask a running system for one thing: status, apply, down, check, version. */
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/status.h"
#include "bus/bus_server.h"
#include "run/deployment.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 * 1024 * 1024, MISTAKES_MAX = 1024 * 1024 };

static unsigned columns(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

int cmd_status(int argc, char **argv)
{
    bool json = false;
    const char *dir = NULL;
    const struct cli_option options[] = {{"json", 0, &json, NULL}, {"dir", 0, NULL, &dir}};
    struct paths paths;
    int left = cli_parse(argc, argv, options, 2);
    if (left < 0) return EXIT_USAGE;
    if (left > 0) return cli_usage("status", "takes no arguments");
    int code = paths_find(dir, &paths);
    if (code) return code;
    struct buf answer, table;
    buf_init(&answer, ANSWER_MAX);
    buf_init(&table, ANSWER_MAX);
    code = admin_ask(&paths, "GET", "/status", BYTES(""), &answer);
    if (!code && json) printf("%.*s\n", BYTES_ARG(buf_bytes(&answer)));
    if (!code && !json) {
        unsigned width = columns();
        if (status_table(buf_bytes(&answer), width, width > 0, &table) == 0)
            printf("%.*s", BYTES_ARG(buf_bytes(&table)));
        else
            code = EXIT_FAILED;
    }
    buf_release(&answer);
    buf_release(&table);
    return code;
}

/* POSTs to the running system and says what that meant. */
static int post(const struct paths *paths, const char *target, const char *done)
{
    struct buf answer;
    buf_init(&answer, ANSWER_MAX);
    int code = admin_ask(paths, "POST", target, BYTES(""), &answer);
    buf_release(&answer);
    if (!code) printf("%s\n", done);
    return code;
}

/* The command line of a command that takes no more than --dir. */
static int parse_dir(int argc, char **argv, const char **ret_dir, struct paths *ret_paths)
{
    *ret_dir = NULL;
    const struct cli_option options[] = {{"dir", 0, NULL, ret_dir}};
    int left = cli_parse(argc, argv, options, 1);
    if (left < 0) return EXIT_USAGE;
    if (left > 0) return cli_usage(argv[0], "takes no arguments");
    return paths_find(*ret_dir, ret_paths);
}

int cmd_down(int argc, char **argv)
{
    const char *dir;
    struct paths paths;
    int code = parse_dir(argc, argv, &dir, &paths);
    return code ? code : post(&paths, "/stop", "stopping");
}

/* Says all mistakes of the manifests in `dir`. `praise`: say that there are none, too. */
static int check(const char *dir, bool praise)
{
    struct io *io = cli_io();
    struct arena arena;
    struct errors errors;
    struct deployment *deployment = NULL;
    arena_init(&arena, MISTAKES_MAX);
    errors_init(&errors, &arena);
    int code = EXIT_OK;
    if (deployment_load(io, dir, NULL, &errors, &deployment) != 0)
        code = cli_fail_manifest(&errors);
    else if (praise)
        printf("%s: %zu services, no mistakes\n", deployment->manifest.system->name.data,
               deployment->manifest.service_count);
    deployment_unref(deployment);
    arena_release(&arena);
    io_free(io);
    return code;
}

/* The mistakes are looked for here first, where the files have the names that the caller uses. */
int cmd_apply(int argc, char **argv)
{
    const char *dir;
    struct paths paths;
    int code = parse_dir(argc, argv, &dir, &paths);
    if (!code) code = check(dir ? dir : ".", false);
    if (!code)
        code = post(&paths, "/apply", "deployed: everything new is healthy and has the traffic");
    return code;
}

int cmd_check(int argc, char **argv)
{
    int left = cli_parse(argc, argv, NULL, 0);
    if (left < 0) return EXIT_USAGE;
    if (left > 1) return cli_usage("check", "takes one folder at most");
    return check(left ? argv[1] : ".", true);
}

int cmd_version(int argc, char **argv)
{
    bool json = false;
    const struct cli_option options[] = {{"json", 0, &json, NULL}};
    int left = cli_parse(argc, argv, options, 1);
    if (left < 0) return EXIT_USAGE;
    if (left > 0) return cli_usage("version", "takes no arguments");
    printf(json ? "{\"version\":\"%s\",\"nats\":\"%s\"}\n" : "dure %s (NATS protocol as of %s)\n",
           DURE_VERSION, BUS_NATS_VERSION);
    return EXIT_OK;
}
