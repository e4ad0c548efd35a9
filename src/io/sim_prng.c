#include "io/sim_prng.h"

#include <string.h>

static uint64_t rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void sim_prng_init(struct sim_prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) prng->state[i] = splitmix64(&seed);
}

uint64_t sim_prng_next(struct sim_prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The high half of a product: Lemire's method without the rejection, whose bias of bound / 2^64
 * does not matter here. */
uint64_t sim_prng_below(struct sim_prng *prng, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)sim_prng_next(prng) * bound >> 64);
}

uint64_t sim_prng_between(struct sim_prng *prng, uint64_t from, uint64_t to)
{
    return to <= from ? from : from + sim_prng_below(prng, to - from + 1);
}

bool sim_prng_chance(struct sim_prng *prng, uint32_t in_a_million)
{
    return in_a_million && sim_prng_below(prng, 1000000) < in_a_million;
}

/* -log2(u) for u uniform in (0, 1): leading zeros are its whole part, and the bits behind the first
 * one, read as a straight line, are close to the rest. In 1/256; times ln 2 it is -ln(u). */
uint64_t sim_prng_exponential(struct sim_prng *prng, uint64_t mean)
{
    uint64_t bits = sim_prng_next(prng) | 1;
    int zeros = __builtin_clzll(bits);
    uint64_t fraction = (bits << zeros) >> 55 & 0xff;
    uint64_t log2_256 = (uint64_t)zeros * 256 + (255 - fraction);
    return (uint64_t)((unsigned __int128)mean * log2_256 * 177 >> 16);
}

void sim_prng_fill(struct sim_prng *prng, void *ret_bytes, size_t len)
{
    char *bytes = ret_bytes;
    while (len) {
        uint64_t value = sim_prng_next(prng);
        size_t count = len < sizeof value ? len : sizeof value;
        memcpy(bytes, &value, count);
        bytes += count;
        len -= count;
    }
}
