/* unit: decides when one supervised process starts, restarts and stops.
 * Pure: no I/O, clock or allocation. The caller feeds events and performs the update.
 *
 *                 WANT_UP    WANT_DOWN  EXIT               TIMER
 *     DOWN        spawn      -          -                  -
 *     UP          remember   SIGTERM    back off           forget failures
 *     BACKOFF     spawn      down       -                  spawn
 *     STOPPING    remember   -          down, or spawn     SIGKILL
 *                                       when wanted again
 *
 * The wait before restart n in a row is backoff_min * 2^(n-1), at most backoff_max. A process that
 * stayed up for stable_ms starts counting from one again. */
#ifndef DURE_RUN_UNIT_H
#define DURE_RUN_UNIT_H

#include <stdbool.h>
#include <stdint.h>

enum unit_state { UNIT_DOWN, UNIT_UP, UNIT_BACKOFF, UNIT_STOPPING, UNIT_STATE_COUNT };
enum unit_event { UNIT_WANT_UP, UNIT_WANT_DOWN, UNIT_EXIT, UNIT_TIMER, UNIT_EVENT_COUNT };

struct unit {
    enum unit_state state;
    bool wanted;
    uint32_t failures; /* exits in a row that nobody asked for */
    uint32_t restarts; /* spawns after the first, ever */
    uint32_t grace_ms, backoff_min_ms, backoff_max_ms, stable_ms;
};

struct unit_update {
    bool spawn;
    int signal;        /* 0: none */
    uint32_t timer_ms; /* 0: leave the unit's one timer as it is */
};

/* Down and not wanted, with the given times (each at least 1 ms). */
void unit_init(struct unit *unit, uint32_t grace_ms, uint32_t backoff_min_ms,
               uint32_t backoff_max_ms, uint32_t stable_ms);

/* A process that runs already is taken over: up and wanted. */
struct unit_update unit_adopt(struct unit *unit);

/* Total: every event is legal in every state. A failed spawn is an EXIT. */
struct unit_update unit_step(struct unit *unit, enum unit_event event);

const char *unit_state_name(enum unit_state state);

#endif
