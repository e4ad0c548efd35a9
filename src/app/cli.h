/* cli: what all commands share: how they are described, how arguments are taken apart, exit codes.
 */
#ifndef DURE_APP_CLI_H
#define DURE_APP_CLI_H

#include "base/errors.h"
#include "io/io.h"

/* The process's exit status; documented in dure(1). */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,      /* it was tried and did not work; stderr says why */
    EXIT_USAGE = 2,       /* the command line itself is wrong */
    EXIT_MANIFEST = 3,    /* dure.yaml or a service.yaml has mistakes */
    EXIT_NOT_RUNNING = 4, /* no system is up in that folder */
    EXIT_REMOTE = 5,      /* a service answered with an error (call, ask) */
};

struct command {
    const char *name, *arguments, *summary, *help;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    bool of_bus;                       /* takes the options of bus_client.h */
};

extern const struct command commands[];
extern const size_t command_count;

/* The values of an option that may come several times. */
enum { CLI_LIST_MAX = 64 };
struct cli_list {
    const char *values[CLI_LIST_MAX];
    size_t count;
};

/* One option of a command: "--name", and for some a letter. Exactly one target is set. */
struct cli_option {
    const char *name;
    char letter;           /* 0: none */
    bool *flag;            /* set to true */
    const char **text;     /* takes what is behind "=", or the next argument */
    struct cli_list *list; /* the same, each time it comes */
};

/* Takes options out of argv, wherever they stand; "--" ends them. What is left moves to the front:
 * returns how many there are (argv[0] not counted), or -1 after it has told stderr what is wrong.
 */
int cli_parse(int argc, char **argv, const struct cli_option *options, size_t option_count);

/* Says on stderr that the arguments are wrong and how they should be; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *what);

/* A command of a command: "dure stream info". */
struct dure_ctx;
struct cli_sub {
    const char *name, *arguments;
    int least, most;                                   /* arguments that are no options */
    int (*work)(struct dure_ctx *ctx, void *argument); /* see bus_client.h */
};

/* Hands the one that argv[1] names to `run`, whose argv[0] is "stream info"; tells stderr when
 * there is none. */
int cli_run_sub(int argc, char **argv, const struct cli_sub *subs, size_t count,
                int (*run)(int argc, char **argv, const struct cli_sub *sub));

/* The same as cli_usage() for one of them; `command` is "stream info". */
int cli_sub_usage(const char *command, const struct cli_sub *sub, const char *what);

/* EXIT_OK when it may have so many arguments; else stderr is told how many it takes. */
int cli_sub_count(const char *command, const struct cli_sub *sub, int given);

/* Says one thing that went wrong, with its remedy if it has one; returns `code`. */
int cli_fail(enum exit_code code, const struct error *error);

/* Says all mistakes of manifests; returns EXIT_MANIFEST. */
int cli_fail_manifest(const struct errors *errors);

/* The loop of a command line tool. Ends the process when there is none to be had. */
struct io *cli_io(void);

/* The absolute path of the system's folder (`dir` NULL: the current one), in a buffer of PATH_MAX
 * bytes. ERR_NOT_FOUND. */
int cli_system_dir(const char *dir, char *ret_path);

#endif
