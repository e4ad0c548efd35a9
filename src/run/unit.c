#include "run/unit.h"

#include <signal.h>
#include <stddef.h>

typedef struct unit_update unit_action_fn(struct unit *unit);

static struct unit_update spawn(struct unit *unit)
{
    unit->state = UNIT_UP;
    return (struct unit_update){.spawn = true, .timer_ms = unit->stable_ms};
}

static struct unit_update start(struct unit *unit)
{
    unit->failures = 0;
    return spawn(unit);
}

static struct unit_update restart(struct unit *unit)
{
    unit->restarts++;
    return spawn(unit);
}

static struct unit_update stop(struct unit *unit)
{
    unit->state = UNIT_STOPPING;
    return (struct unit_update){.signal = SIGTERM, .timer_ms = unit->grace_ms};
}

static struct unit_update kill_now(struct unit *unit)
{
    return (struct unit_update){.signal = SIGKILL, .timer_ms = unit->grace_ms};
}

static struct unit_update stable(struct unit *unit)
{
    unit->failures = 0;
    return (struct unit_update){0};
}

static struct unit_update back_off(struct unit *unit)
{
    uint32_t wait_ms = unit->backoff_min_ms;
    for (uint32_t i = 0; i < unit->failures && wait_ms < unit->backoff_max_ms; i++) wait_ms *= 2;
    if (wait_ms > unit->backoff_max_ms) wait_ms = unit->backoff_max_ms;
    unit->failures++;
    unit->state = UNIT_BACKOFF;
    return (struct unit_update){.timer_ms = wait_ms};
}

static struct unit_update down(struct unit *unit)
{
    unit->state = UNIT_DOWN;
    return (struct unit_update){0};
}

static struct unit_update gone(struct unit *unit)
{
    return unit->wanted ? restart(unit) : down(unit);
}

/* The matrix is the specification; NULL ignores the event. */
static unit_action_fn *const actions[UNIT_STATE_COUNT][UNIT_EVENT_COUNT] = {
    /* clang-format off */
    /*                 WANT_UP  WANT_DOWN  EXIT      TIMER */
    [UNIT_DOWN]     = {start,   NULL,      NULL,     NULL},
    [UNIT_UP]       = {NULL,    stop,      back_off, stable},
    [UNIT_BACKOFF]  = {restart, down,      NULL,     restart},
    [UNIT_STOPPING] = {NULL,    NULL,      gone,     kill_now},
    /* clang-format on */
};

void unit_init(struct unit *unit, uint32_t grace_ms, uint32_t backoff_min_ms,
               uint32_t backoff_max_ms, uint32_t stable_ms)
{
    *unit = (struct unit){
        .grace_ms = grace_ms,
        .backoff_min_ms = backoff_min_ms,
        .backoff_max_ms = backoff_max_ms,
        .stable_ms = stable_ms,
    };
}

struct unit_update unit_adopt(struct unit *unit)
{
    unit->state = UNIT_UP;
    unit->wanted = true;
    return (struct unit_update){.timer_ms = unit->stable_ms};
}

struct unit_update unit_step(struct unit *unit, enum unit_event event)
{
    if (event == UNIT_WANT_UP) unit->wanted = true;
    if (event == UNIT_WANT_DOWN) unit->wanted = false;
    unit_action_fn *action = actions[unit->state][event];
    return action ? action(unit) : (struct unit_update){0};
}

const char *unit_state_name(enum unit_state state)
{
    static const char *const names[UNIT_STATE_COUNT] = {"down", "up", "backoff", "stopping"};
    return names[state];
}
