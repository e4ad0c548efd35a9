/* health: decides from the results of probes whether an instance may get traffic, and when to probe
 * next. Pure: no I/O, clock or allocation.
 *
 *     STARTING --success--> UP --failures in a row--> DOWN --successes in a row--> UP
 *
 * A starting instance is probed quickly, with growing waits, so that a system is up as soon as its
 * services are; an instance that has settled is probed at its interval. An instance that never
 * became healthy within start_ms, or stays down for `failures` more probes, is to be restarted. */
#ifndef DURE_RUN_HEALTH_H
#define DURE_RUN_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

enum health_state { HEALTH_STARTING, HEALTH_UP, HEALTH_DOWN };

struct health_policy {
    uint32_t interval_ms; /* between probes of a settled instance */
    uint32_t
        deploy_interval_ms; /* for the first deploy_ms after it came up, and while it is down */
    uint32_t deploy_ms;
    uint32_t start_ms;            /* how long an instance may take to become healthy */
    uint32_t failures, successes; /* in a row: to leave, to return */
};

struct health {
    enum health_state state;
    struct health_policy policy;
    uint32_t failures, successes; /* in a row */
    uint32_t wait_ms;             /* the last wait while starting */
    uint64_t since_ms;            /* when this state began */
};

struct health_update {
    bool changed;     /* the state is another one now */
    bool restart;     /* the process should be killed: it will not become healthy by itself */
    uint32_t next_ms; /* probe again after this */
};

/* Starting, at now_ms. The first probe is due after the returned time. */
uint32_t health_init(struct health *health, const struct health_policy *policy, uint64_t now_ms);

/* The result of one probe. */
struct health_update health_step(struct health *health, bool success, uint64_t now_ms);

const char *health_state_name(enum health_state state);

#endif
