/* program: a service in a child process, and the client's side of its sockets. Everything waits at
 * most a few seconds and fails the test otherwise. */
#ifndef DURE_TEST_SDK_PROGRAM_H
#define DURE_TEST_SDK_PROGRAM_H

#include "unit.h"

#include "dure/dure.h"

#include <stdbool.h>
#include <sys/types.h>

enum { PROGRAM_TENANTS_MAX = 4, PROGRAM_LOG_MAX = 1 << 20 };

struct program {
    pid_t pid;
    int log_fd; /* its stderr */
    char *log;  /* all of it so far, NUL-ended */
    size_t log_len;
    int ports[PROGRAM_TENANTS_MAX]; /* in the order in which they started */
    int port_count;
};

/* Runs `module` (dure_main), or with module NULL the shared objects `paths` (dure_host_main), until
 * `tenants` of them are up. `env`: "KEY=value", ..., NULL, on top of ours. PORT is 0. */
void program_start(struct program *program, const struct dure_module *module,
                   const char *const *paths, int tenants, const char *const *env);

/* The same without waiting. */
void program_spawn(struct program *program, const struct dure_module *module,
                   const char *const *paths, const char *const *env);

/* Waits until its log has this text `count` times. */
void program_wait_log(struct program *program, const char *text, int count);

/* Reads what is there of its log. */
void program_poll_log(struct program *program);

/* SIGTERM, then the exit code. */
int program_stop(struct program *program);

/* Waits for its end. The exit code, or -signal. */
int program_wait(struct program *program);

/* ---- a client ----------------------------------------------------------------------------- */

struct response {
    int status;
    char head[8192];
    char body[65536];
    size_t len;
};

int client_connect(int port);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *bytes, size_t len);

/* The next response on the connection (not to a HEAD request). False: it was closed before one. */
bool client_response(int fd, struct response *ret_response);

/* Whether the other side closes within a few seconds, without another byte. */
bool client_closed(int fd);

/* One request on a new connection; asserts that it is answered. `extra`: header lines. */
struct response *client_request(int port, const char *method, const char *target, const char *extra,
                                const char *body);

/* GET, and its status. */
int client_get(int port, const char *target);

/* A free port; something else might take it, but hardly will. */
int free_port(void);

#endif
