/* supervisor: makes the processes of a system what its manifests say.
 *
 * A *set* is all processes of one host service under one fingerprint. Applying a deployment keeps
 * the sets whose fingerprint is unchanged, starts new sets beside the old ones, waits until all of
 * the new are healthy, then calls `accepted` (the data plane switches over) and retires the old,
 * each process behind its last request. If the new do not become healthy in time, or end
 * SUPERVISOR_EXITS_MAX times in a row, they are retired instead and everything stays as it was.
 *
 * A new worker takes over the processes of the last one (supervisor_adopt) before it applies. */
#ifndef DURE_RUN_SUPERVISOR_H
#define DURE_RUN_SUPERVISOR_H

#include "run/process.h"

struct supervisor;

enum { SUPERVISOR_SETS_MAX = 1024, SUPERVISOR_DRAIN_MS = 15000, SUPERVISOR_EXITS_MAX = 5 };

struct supervisor_options {
    struct process_world world; /* its changed, gone and owner are the supervisor's to set */

    /* From now on this deployment counts: compile it for the data plane. Comes before supervisor_
     * apply's done; on the first deployment at once. */
    void (*accepted)(void *context, struct deployment *deployment);
    /* Something in the status is different. */
    void (*changed)(void *context);
    /* All processes have ended after supervisor_stop. */
    void (*stopped)(void *context);
    void *context;
};

/* Options are copied. NULL: no memory. */
struct supervisor *supervisor_new(const struct supervisor_options *options);

/* Forgets all without touching the processes. NULL is allowed. */
void supervisor_free(struct supervisor *supervisor);

/* The processes of the last worker: {children: [{id, pid, tag}]}, as in the parent's hello. Those
 * that fit `deployment` are taken over, the others are killed. Registry entries of instances that
 * live no more are removed. Before the first apply. */
void supervisor_adopt(struct supervisor *supervisor, struct deployment *deployment, json_t *hello);

/* Whether a deployment is under way: then supervisor_apply is ERR_FULL. */
bool supervisor_busy(const struct supervisor *supervisor);

/* Applies; `done` runs once, later or at once: 0, or why not, for a person in `error`. On the first
 * deployment a failure leaves the processes as they are: they go on trying. */
int supervisor_apply(struct supervisor *supervisor, struct deployment *deployment,
                     void (*done)(void *context, int result, const struct error *error),
                     void *context);

/* "spawned" and "exit" from the parent. */
void supervisor_message(struct supervisor *supervisor, const char *op, json_t *object);

/* Retires everything; `stopped` follows. */
void supervisor_stop(struct supervisor *supervisor);

/* The deployment that counts; NULL before the first was accepted. Borrowed. */
struct deployment *supervisor_deployment(const struct supervisor *supervisor);

/* How one service is doing. */
struct service_status {
    struct bytes name, version, placement; /* placement: "alone", or the host's name */
    unsigned wanted, up;                   /* instances */
    unsigned restarts;
    const char *health; /* "up", "starting", "down", "stopped", ... */
    const char *reason; /* the last trouble of one that is not up; "" */
};

/* Of services[index] of the deployment that counts. Valid until the loop turns. */
void supervisor_service_status(const struct supervisor *supervisor, size_t index,
                               struct service_status *ret_status);

#endif
