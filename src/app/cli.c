#include "app/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cli_option *find(const char *argument, const struct cli_option *options,
                                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *option = &options[i];
        bool by_name = argument[1] == '-' && strcmp(argument + 2, option->name) == 0;
        bool by_letter = option->letter && argument[1] == option->letter && !argument[2];
        if (by_name || by_letter) return option;
    }
    return NULL;
}

static void unknown(const char *command, const char *argument, const struct cli_option *options,
                    size_t count)
{
    fprintf(stderr, "dure %s: unknown option %s", command, argument);
    const char *names[16];
    size_t name_count = 0;
    for (size_t i = 0; i < count && name_count < 16; i++) names[name_count++] = options[i].name;
    size_t dashes = argument[1] == '-' ? 2 : 1;
    const char *near = bytes_nearest(bytes_str(argument + dashes), names, name_count);
    if (near) fprintf(stderr, " (did you mean --%s?)", near);
    fprintf(stderr, "\n  See: dure help %s\n", command);
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
        if (!option) {
            unknown(argv[0], argument, options, option_count);
            return -1;
        }
        if (option->flag) {
            *option->flag = true;
        } else if (i + 1 < argc) {
            *option->text = argv[++i];
        } else {
            fprintf(stderr, "dure %s: --%s needs a value\n  See: dure help %s\n", argv[0],
                    option->name, argv[0]);
            return -1;
        }
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
