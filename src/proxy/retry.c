#include "proxy/retry.h"

enum retry_verdict retry_decide(const struct retry_question *q)
{
    if (q->relayed || !q->replayable || !q->retry_helps) return RETRY_NO;
    if (q->sent && !q->idempotent) return RETRY_NO;
    if (q->retries >= q->retry_max || !q->left_ms) return RETRY_NO;
    uint64_t budget = (uint64_t)q->in_flight * RETRY_BUDGET_PERCENT / 100;
    if (budget < RETRY_BUDGET_MIN) budget = RETRY_BUDGET_MIN;
    return q->retrying < budget ? RETRY_YES : RETRY_REFUSED;
}

uint32_t retry_delay_ms(uint32_t retry, uint64_t random)
{
    uint64_t most = RETRY_CAP_MS;
    if (retry < 8) {
        uint64_t grown = (uint64_t)RETRY_BASE_MS * ((1u << retry) - 1);
        if (grown < most) most = grown;
    }
    return (uint32_t)((random & 0xffffffff) * (most + 1) >> 32);
}

bool retry_status(int status)
{
    return status == 503;
}
