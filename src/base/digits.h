/* digits: a number as decimal digits, for texts that are written millions of times a second: eight
 * digits at once in one word, without a table and without a branch for each. */
#ifndef DURE_BASE_DIGITS_H
#define DURE_BASE_DIGITS_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    DIGITS_MAX = 20,              /* of a uint64_t */
    DIGITS_ROOM = DIGITS_MAX + 8, /* what writing one may touch */
    DIGITS_WORD = 8
};

/* The eight digits of a number below 10^8, each in a byte, the first in the lowest: halves, then
 * quarters, then single digits, side by side. */
static inline uint64_t digits_word(uint32_t number)
{
    uint64_t x = number / 10000 | (uint64_t)(number % 10000) << 32;
    uint64_t high = (x * 10486 >> 20) & 0x0000007f0000007f; /* x / 100 */
    x = high | (x - high * 100) << 16;
    high = (x * 103 >> 10) & 0x000f000f000f000f; /* x / 10 */
    return high | (x - high * 10) << 8;
}

/* Writes a word's digits from the `skip`-th on. Touches eight bytes. */
static inline char *digits_put_word(char *at, uint64_t word, unsigned skip)
{
    uint64_t text = htole64((word | 0x3030303030303030) >> 8 * skip);
    memcpy(at, &text, sizeof text);
    return at + (DIGITS_WORD - skip);
}

/* Returns where the number ends; bytes behind it are touched, DIGITS_ROOM from `at` on at most. */
static inline char *digits_put(char *at, uint64_t number)
{
    const uint64_t limit = 100000000;
    uint32_t behind[2];
    size_t count = 0;
    for (; number >= limit; number /= limit) behind[count++] = (uint32_t)(number % limit);
    uint64_t first = digits_word((uint32_t)number);
    at =
        digits_put_word(at, first, number ? (unsigned)__builtin_ctzll(first) / 8 : DIGITS_WORD - 1);
    while (count > 0) at = digits_put_word(at, digits_word(behind[--count]), 0);
    return at;
}

/* The text of a number that is written again and again and often changes in its last digit alone,
 * if at all: one that counts, or a time. Begins as zeros. */
struct digits_last {
    uint64_t number;
    size_t len; /* 0: none was written yet */
    char text[DIGITS_ROOM];
};

/* As digits_put. */
static inline char *digits_put_last(struct digits_last *last, char *at, uint64_t number)
{
    uint64_t tens = last->number / 10 * 10;
    if (last->len > 0 && number >= tens && number - tens <= 9) {
        last->text[last->len - 1] = (char)('0' + (number - tens));
    } else {
        last->len = (size_t)(digits_put(last->text, number) - last->text);
    }
    last->number = number;
    memcpy(at, last->text, DIGITS_MAX);
    return at + last->len;
}

#endif
