/* bus_client: what the commands that talk to a bus share: how they find it, who they are there, and
 * how they say what went wrong. The work of a command runs on a fiber of the SDK. */
#ifndef DURE_APP_BUS_CLIENT_H
#define DURE_APP_BUS_CLIENT_H

#include "app/cli.h"
#include "app/grid.h"
#include "base/jsonw.h"
#include "dure/dure.h"

/* What a command does on a fiber: an exit code, or a negative error. */
typedef int bus_work(struct dure_ctx *ctx, void *argument);

struct bus_client {
    const char *server, *dir, *user, *password, *token, *creds, *nkey, *ca, *cert, *key, *timeout;
    bool tls_first, json;
    uint32_t timeout_ms; /* of one request */
    bus_work *check;     /* looks at the command's values before it connects; or NULL */
};

/* Takes the command's own options and those of every bus command. As cli_parse(), and the values
 * are checked: -1 when stderr was told what is wrong. */
int bus_client_parse(struct bus_client *client, int argc, char **argv, const struct cli_option *own,
                     size_t own_count);

/* Finds the bus (--server, $NATS_URL, the system of this folder, 127.0.0.1:4222), connects, runs
 * `work`, and tells what it returned when that is an error. Returns the exit code. */
int bus_client_run(const struct bus_client *client, bus_work *work, void *argument);

/* Tells that `what` did not work, why, and what to do. Returns the exit code. An interrupted
 * command says nothing. */
int bus_fail(struct dure_ctx *ctx, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- values of options; -1, and stderr was told ---- */

int bus_number(const char *command, const char *option, const char *text, uint64_t *ret);
int bus_duration(const char *command, const char *option, const char *text, uint64_t *ret_ns);
int bus_bytes(const char *command, const char *option, const char *text, uint64_t *ret_bytes);
int bus_storage(const char *command, const char *text, bool *ret_memory);

/* "K:V" of each --header into `headers` (NULL-ended, 2 * CLI_LIST_MAX + 1); cuts the arguments. */
int bus_headers(const char *command, const struct cli_list *list, const char **headers);

/* TEXT, or with "-" all of standard input, into `body` (initialised here). An exit code. */
int bus_body(struct dure_ctx *ctx, const char *text, struct buf *body);

/* ---- printing ---- */

/* A message for people, or with `json` as an object on a line. */
void bus_print_message(const struct dure_message *message, uint64_t number, bool json);

/* Prints what a jsonw wrote, as one line. */
void bus_print_line(struct buf *line);

/* A JSON value as it came, on one line. */
void bus_print_json(struct dure_ctx *ctx, const struct dure_json *json);

/* "data": text, or "data_base64" when it is not UTF-8; "headers": {"name": ["value"]}. */
void bus_put_data(struct jsonw *json, struct bytes data);
void bus_put_headers(struct jsonw *json, const struct dure_headers *headers);

/* How far a long piece of work is, on stderr when that is a terminal; `total` 0: unknown. */
void bus_progress(const char *what, uint64_t done, uint64_t total);
void bus_progress_end(void);

#endif
