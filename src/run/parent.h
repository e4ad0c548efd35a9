/* parent: the process that must not die. It owns the listening sockets, the children (services) and
 * their output, and keeps one worker alive, which does everything else. It never parses a byte from
 * the network: it talks to the worker over the control channel and to nobody else.
 *
 * When the worker dies, the children live on and connections wait in the listening sockets' queues;
 * a new worker gets the same sockets and the list of the living children. A worker that dies again
 * and again is started with growing waits (10 ms, doubled up to 1 s). */
#ifndef DURE_RUN_PARENT_H
#define DURE_RUN_PARENT_H

#include "base/log.h"
#include "io/io.h"

/* What the worker finds where (file descriptor numbers in its process). */
enum handover_fd {
    HANDOVER_CONTROL = 3,
    HANDOVER_GATEWAY,
    HANDOVER_BUS,
    HANDOVER_INTERNAL,
    HANDOVER_ADMIN,
    HANDOVER_END,
};

struct parent;

struct parent_options {
    const char *const *worker_argv; /* how to start a worker */
    const char *const *worker_envp;
    const char *logs;                    /* folder of the services' log files; exists */
    struct io_addr listen[HANDOVER_END]; /* from HANDOVER_GATEWAY on; port 0: any free one */
    unsigned without;                    /* bits 1 << which: nobody listens there */
    int columns;                         /* of the terminal that shows the table; 0: none */
    uint32_t grace_ms; /* for children when the worker cannot stop them; 0: 10 s */
    struct log *log;

    /* What a person should see: whole lines, or the live table that replaces the last one. */
    void (*say)(void *context, const char *text);
    void (*table)(void *context, const char *text);
    void (*ready)(void *context); /* a worker serves (again) */
    /* Everything has ended; status: 0, or what the process should exit with. */
    void (*ended)(void *context, int status);
    void *context;
};

/* Opens the sockets and starts the first worker. Everything in options must outlive the parent.
 * On an error nothing is left open. */
int parent_new(struct io *io, const struct parent_options *options, struct parent **ret_parent,
               struct error *error);

/* The address that a socket really has (a port that was 0 is known now); not of one without. */
const struct io_addr *parent_address(const struct parent *parent, enum handover_fd which);

/* Asks the worker to end everything gracefully; called again: kills at once. `ended` follows. */
void parent_stop(struct parent *parent);

/* After `ended`. NULL is allowed. */
void parent_free(struct parent *parent);

/* The terminal has another width now. */
void parent_set_columns(struct parent *parent, int columns);

/* For status: the worker's process id, and how often it was replaced. */
int parent_worker_pid(const struct parent *parent);
unsigned parent_worker_restarts(const struct parent *parent);

#endif
