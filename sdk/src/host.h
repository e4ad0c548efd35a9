/* host: this process: one loop, its fibers, the modules that live in it (tenants), the road to the
 * others (bus link, HTTP calls), and how all of it starts and stops.
 *
 *   STARTING  sockets are bound, init hooks run
 *   UP        every tenant whose init returned 0 is served
 *   DRAINING  SIGTERM: nothing new is taken, handlers finish, at most the grace
 *   LEAVING   exit hooks run, then what is still to be sent is flushed, then the loop stops
 *
 * Everything here lives until the process ends and belongs to the loop's thread. */
#ifndef DURE_SDK_HOST_H
#define DURE_SDK_HOST_H

#include "sdk/src/bus_address.h"
#include "sdk/src/fiber.h"
#include "sdk/src/loop.h"

#include "dure/dure.h"

struct buslink;
struct call_pool;
struct blocking_pool;
struct span_batch;
struct logger;

/* What the environment said, or dure.h's defaults. */
struct limits {
    size_t body, answer, fibers, connections, memory;
    uint64_t timeout_ms, grace_ms;
};

enum host_state { HOST_STARTING, HOST_UP, HOST_DRAINING, HOST_LEAVING };

struct host {
    struct loop loop;
    struct fiber_pool fibers;
    struct limits limits;
    enum host_state state;
    int exit_code;
    struct list tenants;
    size_t ctx_count;        /* hooks and handlers that have not returned */
    size_t pending_count;    /* asks, tells and calls that are not over */
    size_t connection_count; /* HTTP clients of all tenants */
    size_t subscription_count;
    struct buslink *bus; /* NULL: no NATS_URL */
    struct call_pool *calls;
    struct blocking_pool *blocking;
    struct span_batch *spans;
    struct logger *logger;
    const char *instance;
    char **args;    /* of a standalone program, else {NULL} */
    bool client;    /* dure_run(): a signal ends the waits of its work, nothing else */
    void *argument; /* of that work */
    /* private: */
    struct loop_watch signals;
    struct loop_timer grace;
    struct loop_task progress; /* looks whether the state can move on */
    size_t exits_left;
    bool exits_started, flush_started, grace_over;
    uint8_t random[256];
    size_t random_left;
};

/* Reads the limits and makes the loop; `settings`, whose texts must live on, say where the bus is.
 * 0, or a negative enum err. */
int host_init(struct host *host, const struct bus_settings *settings);

/* Runs the tenants that were added until they have been stopped. Returns the exit code. */
int host_run(struct host *host);

/* The one piece of work of a client has returned: flushes, then host_run() returns. */
void host_finish(struct host *host);

/* Everything must be over (host_run has returned) or never begun. */
void host_release(struct host *host);

/* Something that a state waits for may have happened. */
void host_progress(struct host *host);

/* Unpredictable bytes. */
void host_random(struct host *host, void *ret_bytes, size_t len);

/* An unsigned decimal from the process's environment, `fallback` when it is missing or not one of
 * [1, max]. */
uint64_t host_env_u64(const char *name, uint64_t fallback, uint64_t max);

#endif
