#include "run/health.h"

enum { START_WAIT_FIRST_MS = 10, START_WAIT_MAX_MS = 500 };

uint32_t health_init(struct health *health, const struct health_policy *policy, uint64_t now_ms)
{
    *health = (struct health){
        .state = HEALTH_STARTING,
        .policy = *policy,
        .wait_ms = START_WAIT_FIRST_MS,
        .since_ms = now_ms,
    };
    return START_WAIT_FIRST_MS;
}

static void enter(struct health *health, enum health_state state, uint64_t now_ms,
                  struct health_update *update)
{
    health->state = state;
    health->since_ms = now_ms;
    health->failures = health->successes = 0;
    update->changed = true;
}

static uint32_t next_wait(struct health *health, uint64_t now_ms)
{
    const struct health_policy *policy = &health->policy;
    if (health->state == HEALTH_STARTING) {
        health->wait_ms += health->wait_ms / 2;
        if (health->wait_ms > START_WAIT_MAX_MS) health->wait_ms = START_WAIT_MAX_MS;
        return health->wait_ms;
    }
    bool settled = health->state == HEALTH_UP && health->failures == 0 &&
                   now_ms - health->since_ms >= policy->deploy_ms;
    return settled ? policy->interval_ms : policy->deploy_interval_ms;
}

struct health_update health_step(struct health *health, bool success, uint64_t now_ms)
{
    const struct health_policy *policy = &health->policy;
    struct health_update update = {0};
    health->successes = success ? health->successes + 1 : 0;
    health->failures = success ? 0 : health->failures + 1;
    switch (health->state) {
    case HEALTH_STARTING:
        if (success)
            enter(health, HEALTH_UP, now_ms, &update);
        else
            update.restart = now_ms - health->since_ms >= policy->start_ms;
        break;
    case HEALTH_UP:
        if (health->failures >= policy->failures) enter(health, HEALTH_DOWN, now_ms, &update);
        break;
    case HEALTH_DOWN:
        if (health->successes >= policy->successes)
            enter(health, HEALTH_UP, now_ms, &update);
        else
            update.restart = health->failures >= policy->failures;
        break;
    }
    update.next_ms = next_wait(health, now_ms);
    return update;
}

const char *health_state_name(enum health_state state)
{
    static const char *const names[] = {"starting", "up", "down"};
    return names[state];
}
