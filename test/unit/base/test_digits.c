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

static void check_last(struct digits_last *last, uint64_t number)
{
    char got[DIGITS_ROOM + 1], expected[DIGITS_MAX + 1];
    got[DIGITS_ROOM] = '#';
    char *end = digits_put_last(last, got, number);
    assert_int_equal(got[DIGITS_ROOM], '#');
    *end = '\0';
    snprintf(expected, sizeof expected, "%" PRIu64, number);
    assert_string_equal(got, expected);
}

/* Every last digit behind every other, the same number again, and steps that change more. */
static void test_near_the_last(void **state)
{
    static const uint64_t tens[] = {0, 10, 90, 100, 990, 1000, 99999990, UINT64_MAX / 10 * 10};
    for (size_t i = 0; i < sizeof tens / sizeof tens[0]; i++) {
        struct digits_last last = {0};
        uint64_t most = UINT64_MAX - tens[i] < 9 ? UINT64_MAX - tens[i] : 9;
        for (uint64_t from = 0; from <= most; from++) {
            for (uint64_t to = 0; to <= most; to++) {
                check_last(&last, tens[i] + from);
                check_last(&last, tens[i] + to);
            }
        }
    }
    struct digits_last last = {0};
    for (uint64_t number = 0; number < 3000; number++) check_last(&last, number);
    for (uint64_t number = 3000; number > 0; number--) check_last(&last, number);
    for (size_t i = 0; i < 64; i++) {
        check_last(&last, UINT64_MAX >> i);
        check_last(&last, (uint64_t)1 << i);
        check_last(&last, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_near_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
