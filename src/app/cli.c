#include "app/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* How long the option's name is in "--name=value" or "--name". */
static size_t name_length(const char *argument)
{
    const char *end = strchr(argument, '=');
    return end ? (size_t)(end - argument) : strlen(argument);
}

static const struct cli_option *find(const char *argument, const struct cli_option *options,
                                     size_t count)
{
    struct bytes name =
        bytes_make(argument + 2, argument[1] == '-' ? name_length(argument + 2) : 0);
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *option = &options[i];
        bool by_name = argument[1] == '-' && bytes_eq(name, bytes_str(option->name));
        bool by_letter = option->letter && argument[1] == option->letter && !argument[2];
        if (by_name || by_letter) return option;
    }
    return NULL;
}

static void unknown(const char *command, const char *argument, const struct cli_option *options,
                    size_t count)
{
    fprintf(stderr, "dure %s: unknown option %s", command, argument);
    const char *names[64];
    size_t name_count = 0;
    for (size_t i = 0; i < count && name_count < 64; i++) names[name_count++] = options[i].name;
    const char *name = argument + (argument[1] == '-' ? 2 : 1);
    const char *near = bytes_nearest(bytes_make(name, name_length(name)), names, name_count);
    if (near) fprintf(stderr, " (did you mean --%s?)", near);
    fprintf(stderr, "\n  See: dure help %s\n", command);
}

/* The option's value: behind "=", or the next argument. NULL: there is none. */
static const char *value_of(int argc, char **argv, int *at)
{
    const char *equals = argv[*at][1] == '-' ? strchr(argv[*at], '=') : NULL;
    if (equals) return equals + 1;
    return *at + 1 < argc ? argv[++*at] : NULL;
}

/* Puts one option where it belongs. False, and stderr says why: it cannot be. */
static bool take(const struct cli_option *option, int argc, char **argv, int *at)
{
    const char *written = argv[*at];
    if (option->flag) {
        *option->flag = true;
        if (written[1] != '-' || !strchr(written, '=')) return true;
        fprintf(stderr, "dure %s: --%s takes no value\n", argv[0], option->name);
        return false;
    }
    const char *value = value_of(argc, argv, at);
    if (!value) {
        fprintf(stderr, "dure %s: --%s needs a value\n  See: dure help %s\n", argv[0], option->name,
                argv[0]);
        return false;
    }
    if (option->text) {
        *option->text = value;
    } else if (option->list->count < CLI_LIST_MAX) {
        option->list->values[option->list->count++] = value;
    } else {
        fprintf(stderr, "dure %s: too many --%s\n", argv[0], option->name);
        return false;
    }
    return true;
}

int cli_parse(int argc, char **argv, const struct cli_option *options, size_t option_count)
{
    int left = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (ended || argument[0] != '-' || !argument[1]) {
            argv[++left] = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            ended = true;
            continue;
        }
        const struct cli_option *option = find(argument, options, option_count);
        if (!option) unknown(argv[0], argument, options, option_count);
        if (!option || !take(option, argc, argv, &i)) return -1;
    }
    return left;
}

int cli_usage(const char *command, const char *what)
{
    fprintf(stderr, "dure %s: %s\n", command, what);
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, command) == 0)
            fprintf(stderr, "  Usage: dure %s %s\n", command, commands[i].arguments);
    return EXIT_USAGE;
}

int cli_sub_usage(const char *command, const struct cli_sub *sub, const char *what)
{
    fprintf(stderr, "dure %s: %s\n  Usage: dure %s %s\n", command, what, command, sub->arguments);
    return EXIT_USAGE;
}

int cli_sub_count(const char *command, const struct cli_sub *sub, int given)
{
    char what[80];
    const char *or_so = sub->most > sub->least ? given < sub->least ? "at least " : "at most " : "";
    int wanted = given < sub->least ? sub->least : sub->most;
    if (given >= sub->least && given <= sub->most) return EXIT_OK;
    snprintf(what, sizeof what, "takes %s%d argument%s, %d given", or_so, wanted,
             wanted == 1 ? "" : "s", given);
    return cli_sub_usage(command, sub, what);
}

int cli_run_sub(int argc, char **argv, const struct cli_sub *subs, size_t count,
                int (*run)(int argc, char **argv, const struct cli_sub *sub))
{
    static char name[64];
    const char *names[32];
    size_t named = 0;
    for (size_t i = 0; i < count && named < 32; i++) {
        names[named++] = subs[i].name;
        if (argc < 2 || strcmp(argv[1], subs[i].name) != 0) continue;
        snprintf(name, sizeof name, "%s %s", argv[0], subs[i].name);
        argv[1] = name;
        return run(argc - 1, argv + 1, &subs[i]);
    }
    const char *near = argc > 1 ? bytes_nearest(bytes_str(argv[1]), names, named) : NULL;
    if (argc > 1)
        fprintf(stderr, "dure %s: there is no '%s'", argv[0], argv[1]);
    else
        fprintf(stderr, "dure %s: what?", argv[0]);
    if (near) fprintf(stderr, ": did you mean `dure %s %s`?", argv[0], near);
    fprintf(stderr, "\n");
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "  dure %s %s %s\n", argv[0], subs[i].name, subs[i].arguments);
    return EXIT_USAGE;
}

int cli_fail(enum exit_code code, const struct error *error)
{
    char text[1024];
    error_format(error, text, sizeof text);
    fprintf(stderr, "dure: %s\n", text);
    return code;
}

int cli_fail_manifest(const struct errors *errors)
{
    struct buf text;
    buf_init(&text, 256 * 1024);
    errors_format(errors, &text);
    fwrite(text.data, 1, buf_len(&text), stderr);
    buf_release(&text);
    size_t total = errors_total(errors);
    fprintf(stderr, "dure: %zu mistake%s in the manifests\n", total, total == 1 ? "" : "s");
    return EXIT_MANIFEST;
}

struct io *cli_io(void)
{
    struct io *io = NULL;
    int err = io_new(NULL, &io);
    if (!err) return io;
    fprintf(stderr, "dure: cannot make an event loop: %s\n", err_text(err));
    exit(EXIT_FAILED);
}

int cli_system_dir(const char *dir, char *ret_path)
{
    return realpath(dir ? dir : ".", ret_path) ? 0 : err_from_errno(errno);
}
