/* sim_prng: the one source of choice in a simulated world. xoshiro256** (Blackman and Vigna, 2018),
 * seeded through splitmix64. Integers only, so that a seed means the same on every machine. */
#ifndef DURE_IO_SIM_PRNG_H
#define DURE_IO_SIM_PRNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_prng {
    uint64_t state[4];
};

void sim_prng_init(struct sim_prng *prng, uint64_t seed);
uint64_t sim_prng_next(struct sim_prng *prng);

/* 0 .. bound - 1; 0 for a bound of 0. */
uint64_t sim_prng_below(struct sim_prng *prng, uint64_t bound);

/* from .. to, both included. */
uint64_t sim_prng_between(struct sim_prng *prng, uint64_t from, uint64_t to);

bool sim_prng_chance(struct sim_prng *prng, uint32_t in_a_million);

/* Exponentially distributed with this mean, to within a tenth; at most 64 times the mean. */
uint64_t sim_prng_exponential(struct sim_prng *prng, uint64_t mean);

void sim_prng_fill(struct sim_prng *prng, void *ret_bytes, size_t len);

#endif
