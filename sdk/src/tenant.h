/* tenant: a module that lives in this process: its name, environment, listener, routes,
 * subscriptions, and the handlers of it that are running. The host owns it. */
#ifndef DURE_SDK_TENANT_H
#define DURE_SDK_TENANT_H

#include "sdk/src/bus_route.h"
#include "sdk/src/host.h"
#include "sdk/src/route.h"

#include "dure/bus.h"

struct dure_ctx;
struct tenant;

/* A subject that a module answers. */
struct subscription {
    struct list link;
    struct tenant *tenant;
    dure_handler *handler;
    struct bus_route route;
    char *subject, *group; /* group NULL: none */
};

/* A handler that runs every so often. */
struct interval {
    struct list link;
    struct tenant *tenant;
    dure_handler *handler;
    uint64_t interval_ms;
    struct loop_timer timer;
};

enum tenant_state { TENANT_STARTING, TENANT_UP, TENANT_STOPPING, TENANT_FAILED };

struct tenant {
    struct host *host;
    struct list link; /* in host->tenants */
    const struct dure_module *module;
    void *object; /* of dlopen(), or NULL */
    enum tenant_state state;
    char *name;
    char **env;    /* "KEY=value", NULL-ended; looked up before the process's own */
    bool env_only; /* identity (PORT, DATABASE_URL ...) is never taken from the process */
    void *user;    /* dure_set_state() */
    dure_bus_happened *bus_event;
    void *bus_event_argument;
    struct router router;
    struct list subscriptions, intervals, workers;
    struct list runs; /* every ctx of it */
    size_t run_count;
    struct list conns; /* HTTP clients, serve.c */
    int port;
    struct loop_watch listener;
    struct loop_timer accept_again; /* after the process ran out of descriptors */
};

/* Adds a module to the host. `name` NULL: $DURE_SERVICE of its environment, else the module's own.
 * Takes over `env` and `object` also when it fails. 0 or a negative enum err. */
int tenant_add(struct host *host, const struct dure_module *module, void *object, const char *name,
               char **env, bool env_only, struct tenant **ret_tenant);
void tenant_free(struct tenant *tenant);

/* NULL when it is not set. */
const char *tenant_env(const struct tenant *tenant, const char *name);

/* Runs its init hook, then serves. host_progress() is called when that is decided. */
void tenant_start(struct tenant *tenant);

/* Takes nothing new any more. */
void tenant_stop(struct tenant *tenant);

/* Runs its exit hook; host->exits_left goes down when it has returned. */
void tenant_leave(struct tenant *tenant);

/* Fills in what a handler may ask about a message: subject, what the wildcards of `pattern` stood
 * for, the span. `subject` lives as long as ctx. */
void tenant_route_message(struct dure_ctx *ctx, const char *pattern, const char *subject);

/* By service name: one that can answer (UP, or STOPPING: what is in flight may still ask), or NULL.
 */
struct tenant *tenant_find(struct host *host, const char *name);

/* Whether the NATS subject `subject` is among those that `pattern` ("a.*", "a.>") names. */
bool busname_matches(const char *pattern, const char *subject);

/* Whether it is a subject; `wildcards`: may be a pattern. */
bool busname_valid(const char *subject, bool wildcards);

#endif
