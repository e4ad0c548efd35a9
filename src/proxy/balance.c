#include "proxy/balance.h"

enum { NS_PER_MS = 1000000 };

/* 2^-(age / half life), halves by shifting and a straight line between: within 6 % of the curve. */
static uint64_t decay(uint64_t value, uint64_t age_ns)
{
    const uint64_t half_life_ns = (uint64_t)LATENCY_HALF_LIFE_MS * NS_PER_MS;
    uint64_t halves = age_ns / half_life_ns;
    if (halves >= 64) return 0;
    value >>= halves;
    /* Per mille, so that the product stays within 64 bits for latencies of years. */
    uint64_t rest = (age_ns % half_life_ns) * 1000 / half_life_ns;
    return value - value / 2000 * rest - value % 2000 * rest / 2000;
}

uint64_t latency_ns(const struct latency *latency, uint64_t now_ns)
{
    if (!latency->ewma_ns) return 0;
    uint64_t age_ns = now_ns > latency->updated_ns ? now_ns - latency->updated_ns : 0;
    uint64_t now = decay(latency->ewma_ns, age_ns);
    return now ? now : 1;
}

void latency_observe(struct latency *latency, uint64_t now_ns, uint64_t sample_ns)
{
    uint64_t old = latency->ewma_ns;
    uint64_t value = sample_ns ? sample_ns : 1;
    if (old > value) {
        /* old * w + sample * (1 - w), where w is how much of the old is still believed. */
        uint64_t age_ns = now_ns > latency->updated_ns ? now_ns - latency->updated_ns : 0;
        value += decay(old - value, age_ns);
    }
    latency->ewma_ns = value;
    latency->updated_ns = now_ns;
}

uint64_t balance_cost(const struct latency *latency, uint64_t now_ns, uint32_t in_flight)
{
    uint64_t value = latency_ns(latency, now_ns);
    if (!value) {
        if (!in_flight) return 0;
        value = (uint64_t)LATENCY_UNKNOWN_MS * NS_PER_MS;
    }
    uint64_t cost;
    if (__builtin_mul_overflow(value, (uint64_t)in_flight + 1, &cost)) return UINT64_MAX;
    return cost;
}

/* The first usable one from `start` on, around; BALANCE_NONE: none is. */
static int64_t search(uint32_t count, uint32_t start, uint32_t skip, balance_look *look,
                      const void *context, struct balance_candidate *ret_found)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (uint32_t)(((uint64_t)start + i) % count);
        if (index == skip) continue;
        struct balance_candidate candidate = look(context, index);
        if (!candidate.usable) continue;
        *ret_found = candidate;
        return index;
    }
    return BALANCE_NONE;
}

/* One of two that are usable; both indices are drawn without replacement. A draw that is not usable
 * gives its place to the next usable one behind it, which favours those behind a gap a little while
 * there is one. */
int64_t balance_pick(uint32_t count, uint64_t random, balance_look *look, const void *context)
{
    if (!count) return BALANCE_NONE;
    uint32_t start = (uint32_t)((random & 0xffffffff) * count >> 32);
    struct balance_candidate a, b;
    int64_t first = search(count, start, count, look, context, &a);
    if (first == BALANCE_NONE || count == 1) return first;
    uint32_t step = 1 + (uint32_t)((random >> 32) * (count - 1) >> 32);
    uint32_t other = (uint32_t)(((uint64_t)first + step) % count);
    int64_t second = search(count, other, (uint32_t)first, look, context, &b);
    if (second == BALANCE_NONE) return first;
    return b.cost < a.cost ? second : first;
}
