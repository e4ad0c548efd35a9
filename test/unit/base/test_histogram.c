#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/histogram.h"

static void test_empty(void **state)
{
    struct histogram histogram = {0};
    assert_int_equal(histogram_quantile_us(&histogram, 0.5), 0);
    assert_int_equal(histogram_count_to(&histogram, UINT64_MAX), 0);
}

/* The bucket of every value holds it and is no wider than an eighth of it. */
static void test_one_value_is_found_again(void **state)
{
    for (uint64_t value = 0; value < 1ull << 28; value += 1 + value / 97) {
        struct histogram histogram = {0};
        histogram_add(&histogram, value);
        uint64_t bound = histogram_quantile_us(&histogram, 0.5);
        assert_true(bound >= value && bound - value <= value / 8);
        assert_int_equal(histogram_count_to(&histogram, bound), 1);
        if (bound) assert_int_equal(histogram_count_to(&histogram, bound - 1), 0);
    }
}

static void test_too_long_counts_in_the_last(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 1ull << 28);
    histogram_add(&histogram, UINT64_MAX / 2);
    assert_int_equal(histogram.count, 2);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 2);
    assert_int_equal(histogram_quantile_us(&histogram, 1), (1ull << 28) - 1);
}

static void test_quantiles(void **state)
{
    struct histogram histogram = {0};
    for (uint64_t value = 1; value <= 1000; value++) histogram_add(&histogram, value);
    assert_int_equal(histogram.sum_us, 500500);
    static const struct {
        double quantile;
        uint64_t exact;
    } cases[] = {{0, 1}, {0.001, 1}, {0.25, 250}, {0.5, 500}, {0.99, 990}, {1, 1000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t got = histogram_quantile_us(&histogram, cases[i].quantile);
        assert_in_range(got, cases[i].exact, cases[i].exact + cases[i].exact / 8);
    }
}

static void test_two_values(void **state)
{
    struct histogram histogram = {0};
    histogram_add(&histogram, 1);
    histogram_add(&histogram, 7);
    assert_int_equal(histogram_quantile_us(&histogram, 0.5), 1);
    assert_int_equal(histogram_quantile_us(&histogram, 0.51), 7);
    assert_int_equal(histogram_count_to(&histogram, 6), 1);
}

static void test_merge(void **state)
{
    struct histogram a = {0}, b = {0}, both = {0};
    for (uint64_t value = 1; value < 100000; value = value * 3 + 1) {
        histogram_add(value % 2 ? &a : &b, value);
        histogram_add(&both, value);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one_value_is_found_again),
        cmocka_unit_test(test_too_long_counts_in_the_last),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_two_values),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
