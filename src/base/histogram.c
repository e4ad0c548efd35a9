#include "base/histogram.h"

enum { SUB = 1 << HISTOGRAM_SUB_BITS };

/* Values below SUB have a bucket each; above, the top bit picks the octave and the next
 * HISTOGRAM_SUB_BITS bits the place in it. */
static size_t bucket_of(uint64_t value)
{
    if (value < SUB) return (size_t)value;
    unsigned octave = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    size_t bucket = ((size_t)octave << HISTOGRAM_SUB_BITS) + (size_t)(value >> octave);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The largest value that the bucket counts. */
static uint64_t bucket_last(size_t bucket)
{
    if (bucket < 2 * SUB) return bucket;
    unsigned octave = (unsigned)(bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t first = (uint64_t)(SUB + (bucket & (SUB - 1))) << octave;
    return first + ((uint64_t)1 << octave) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t duration_us)
{
    histogram->count++;
    histogram->sum_us += duration_us;
    histogram->buckets[bucket_of(duration_us)]++;
}

uint64_t histogram_quantile_us(const struct histogram *histogram, double quantile)
{
    if (!histogram->count) return 0;
    uint64_t rank = (uint64_t)(quantile * (double)histogram->count + 0.999999);
    if (rank < 1) rank = 1;
    if (rank > histogram->count) rank = histogram->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank) return bucket_last(i);
    }
    return bucket_last(HISTOGRAM_BUCKETS - 1);
}

uint64_t histogram_count_to(const struct histogram *histogram, uint64_t bound_us)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && bucket_last(i) <= bound_us; i++)
        count += histogram->buckets[i];
    return count;
}

void histogram_merge(struct histogram *target, const struct histogram *source)
{
    target->count += source->count;
    target->sum_us += source->sum_us;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) target->buckets[i] += source->buckets[i];
}
