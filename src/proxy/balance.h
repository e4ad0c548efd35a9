/* balance: which endpoint gets the next request. Power of two choices on peak EWMA: of two drawn at
 * random the one with the lower cost, where the cost is its recent latency times the requests that
 * would then be with it. A peak counts at once, what is better is believed slowly, and what was bad
 * is forgotten while nobody asks (so that a slow endpoint is tried again).
 * (Mitzenmacher 2001; the same load metric as in Finagle and Linkerd.) Pure: no clock, no
 * randomness, no allocation. */
#ifndef DURE_PROXY_BALANCE_H
#define DURE_PROXY_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LATENCY_HALF_LIFE_MS = 7000, /* an old value counts half after this */
    LATENCY_UNKNOWN_MS = 1000
};

struct latency {
    uint64_t ewma_ns; /* 0: unknown */
    uint64_t updated_ns;
};

/* Takes in one measurement. */
void latency_observe(struct latency *latency, uint64_t now_ns, uint64_t sample_ns);

/* The value now: what was observed, decayed since; 0: unknown. */
uint64_t latency_ns(const struct latency *latency, uint64_t now_ns);

/* What it would cost to send one request more to an endpoint that has `in_flight`. An unknown
 * latency counts as 1 s while a first request is out, and as nothing before that: someone must try.
 */
uint64_t balance_cost(const struct latency *latency, uint64_t now_ns, uint32_t in_flight);

struct balance_candidate {
    bool usable;
    uint64_t cost;
};

/* How the endpoint at `index` stands. */
typedef struct balance_candidate balance_look(const void *context, uint32_t index);

enum { BALANCE_NONE = -1 };

/* The chosen index below `count`, or BALANCE_NONE when none is usable. Looks at two, unless it has
 * to search for usable ones. */
int64_t balance_pick(uint32_t count, uint64_t random, balance_look *look, const void *context);

#endif
