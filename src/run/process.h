/* process: one process of the system, supervised from the worker: its unit (when it starts and
 * stops), the seats in it (one for a command, several for a host of modules), each with a port, a
 * health and an entry in the registry.
 *
 *     process_new -> process_start | process_adopt -> ... -> process_retire -> gone
 *
 * Retiring: its instances are marked as draining; when the registry shows that, so that nothing new
 * is sent to them, and nothing is in flight any more, it gets SIGTERM, after its grace SIGKILL;
 * when it is gone its instances leave the registry and `gone` runs. */
#ifndef DURE_RUN_PROCESS_H
#define DURE_RUN_PROCESS_H

#include "base/jsonw.h"
#include "base/log.h"
#include "registry/registry.h"
#include "run/control.h"
#include "run/health.h"
#include "run/probe.h"
#include "run/spec.h"
#include "run/unit.h"

struct process;

/* What processes need from the data plane; handed over by app. */
struct drain_port {
    /* Calls done(done_context) once nothing is in flight to `addr`. Returns a token for cancel. */
    void *(*drain)(void *context, const struct io_addr *addr, void (*done)(void *done_context),
                   void *done_context);
    void (*cancel)(void *context, void *token);
    void *context;
};

/* What all processes of one supervisor share. */
struct process_world {
    struct io *io;
    struct log *log;
    struct control *control;
    struct registry *registry;
    struct http *http;
    struct messaging *messaging;
    struct surroundings surroundings;
    struct drain_port drain;

    /* The health of one of its seats, or its unit, is another now. */
    void (*changed)(void *owner, struct process *process);
    void (*gone)(void *owner, struct process *process);
    void *owner;
};

/* One service in the process. */
struct process_seat {
    struct seat seat;
    struct process *process;
    struct io_addr addr;
    struct health health;
    struct probe probe;
    struct io_timer probe_timer;
    uint64_t since_wall_ns;
    void *drain_token; /* waiting for the data plane; NULL: not */
    bool drained;
    char reason[160]; /* why the last probe failed; "": it did not */
};

struct process {
    const struct process_world *world;
    struct deployment *deployment;
    size_t host; /* the service that the process is named after */
    uint32_t generation, index;
    uint64_t fingerprint;
    struct unit unit;
    struct io_timer unit_timer, drain_timer;
    struct registry_watch watch; /* while its instances are not yet known to be draining */
    struct io_task drain_task;
    int pid; /* 0: none */
    bool retiring;
    struct process_seat *seats;
    size_t seat_count;
    struct list link; /* its owner's */
    char id[128];     /* HOST-GENERATION-INDEX */
    char reason[160]; /* why it last ended or did not start; "": it did not */
};

/* Not started. Takes a reference of the deployment. NULL: no memory. */
struct process *process_new(const struct process_world *world, struct deployment *deployment,
                            size_t host, uint64_t fingerprint, uint32_t generation, uint32_t index);

void process_start(struct process *process);

/* Takes over one that runs already: `tag` is what process_tag gave for it. ERR_INVALID when the tag
 * does not fit the deployment's seats. */
int process_adopt(struct process *process, int pid, json_t *tag);

/* What the next worker must know to take it over. A new reference. */
json_t *process_tag(const struct process *process);

/* The manifest has changed in what needs no restart (health, grace): use it from now on. */
void process_redeploy(struct process *process, struct deployment *deployment);

/* See above. `drain_ms`: how long to wait for what is in flight. Twice does nothing. */
void process_retire(struct process *process, uint32_t drain_ms);

/* What the parent says of it. */
void process_spawned(struct process *process, int pid);
void process_exited(struct process *process, int status, const char *error);

/* Whether all its seats are up. */
bool process_is_up(const struct process *process);

/* Whether it was made and never told to start. */
bool process_is_held(const struct process *process);

/* Whether the two may not run at the same time: a service has a seat in both, and owns stores that
 * it does not share. */
bool process_excludes(const struct process *process, const struct process *other);

/* Forgets it without touching anything outside: for a worker that ends. NULL is allowed. */
void process_free(struct process *process);

#endif
