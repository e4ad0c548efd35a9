#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/digits.h"

#include <inttypes.h>
#include <stdio.h>

static void check(uint64_t number)
{
    char got[DIGITS_ROOM + 1], expected[DIGITS_MAX + 1];
    got[DIGITS_ROOM] = '#';
    char *end = digits_put(got, number);
    assert_int_equal(got[DIGITS_ROOM], '#');
    *end = '\0';
    snprintf(expected, sizeof expected, "%" PRIu64, number);
    assert_string_equal(got, expected);
}

static void test_every_length(void **state)
{
    check(0);
    check(UINT64_MAX);
    uint64_t power = 1;
    for (int length = 1; length <= DIGITS_MAX; length++, power *= 10) {
        check(power - 1);
        check(power);
        check(power + 1);
    }
}

/* All quarters in both halves of a word, and numbers of all widths. */
static void test_many(void **state)
{
    uint64_t random = 88172645463325252;
    for (uint32_t i = 0; i < 10000; i++) {
        check(i);
        check((uint64_t)i * 10000 + 9999 - i);
    }
    for (int i = 0; i < 200000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        check(random >> (i % 64));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
