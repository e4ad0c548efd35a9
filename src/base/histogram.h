/* histogram: counts of durations, in buckets that grow by an eighth of an octave, so a quantile is
 * exact to 12.5 %. Fixed size, no allocation; 0 us to 2^28 us (268 s), what is longer counts in the
 * last bucket. */
#ifndef DURE_BASE_HISTOGRAM_H
#define DURE_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 3,
    HISTOGRAM_OCTAVES = 25,
    HISTOGRAM_BUCKETS = (HISTOGRAM_OCTAVES + 1) << HISTOGRAM_SUB_BITS
};

struct histogram {
    uint64_t count, sum_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t duration_us);

/* The duration below which `quantile` (0 to 1) of the counted ones lie: the upper bound of its
 * bucket; 0 when nothing was counted. */
uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile);

/* How many of the counted durations are <= bound_us, as exact as the buckets are. */
uint64_t histogram_count_to(const struct histogram *histogram, uint64_t bound_us);

/* target += source, for totals over several loops or services. */
void histogram_merge(struct histogram *target, const struct histogram *source);

#endif
