#include "proxy/outlier.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

static const uint64_t base_ns = (uint64_t)OUTLIER_BASE_MS * 1000000;

/* As many failures as it takes, in a cluster of 10 of which `out` are out. */
static bool fail_in_a_row(struct outlier *outlier, uint64_t now_ns, uint32_t usable, uint32_t out)
{
    for (int i = 1; i < OUTLIER_FAILURES; i++)
        assert_false(outlier_failure(outlier, now_ns, usable, out));
    return outlier_failure(outlier, now_ns, usable, out);
}

static void test_five_in_a_row(void **state)
{
    struct outlier outlier = {0};
    assert_true(fail_in_a_row(&outlier, 7, 10, 0));
    assert_true(outlier_ejected(&outlier, 7));
    assert_true(outlier_ejected(&outlier, 7 + base_ns - 1));
    assert_false(outlier_ejected(&outlier, 7 + base_ns));
}

static void test_success_starts_over(void **state)
{
    struct outlier outlier = {0};
    for (int round = 0; round < 3; round++) {
        for (int i = 1; i < OUTLIER_FAILURES; i++)
            assert_false(outlier_failure(&outlier, 0, 10, 0));
        outlier_success(&outlier);
    }
    assert_false(outlier_ejected(&outlier, 0));
}

static void test_longer_each_time(void **state)
{
    struct outlier outlier = {0};
    uint64_t now = 0;
    for (uint64_t n = 1; n <= 12; n++) {
        assert_true(fail_in_a_row(&outlier, now, 10, 0));
        uint64_t times = n < 10 ? n : 10;
        assert_int_equal(outlier.until_ns - now, times * base_ns);
        now = outlier.until_ns;
    }
}

static void test_forgives(void **state)
{
    struct outlier outlier = {0};
    assert_true(fail_in_a_row(&outlier, 0, 10, 0));
    assert_true(fail_in_a_row(&outlier, outlier.until_ns, 10, 0));
    uint64_t now = outlier.until_ns + base_ns; /* one time forgiven */
    assert_true(fail_in_a_row(&outlier, now, 10, 0));
    assert_int_equal(outlier.until_ns - now, 2 * base_ns);
    now = outlier.until_ns + 50 * base_ns; /* all forgiven */
    assert_true(fail_in_a_row(&outlier, now, 10, 0));
    assert_int_equal(outlier.until_ns - now, base_ns);
}

static void test_never_the_last(void **state)
{
    struct outlier outlier = {0};
    assert_false(fail_in_a_row(&outlier, 0, 1, 0));
    assert_false(outlier_failure(&outlier, 0, 1, 5));
    /* As soon as there is another one, it may go at its next failure. */
    assert_true(outlier_failure(&outlier, 0, 2, 0));
}

static void test_a_tenth_at_most(void **state)
{
    struct outlier a = {0};
    assert_false(fail_in_a_row(&a, 0, 2, 1)); /* of 3, one may be out */
    struct outlier b = {0};
    assert_false(fail_in_a_row(&b, 0, 18, 2)); /* of 20, two */
    struct outlier c = {0};
    assert_true(fail_in_a_row(&c, 0, 19, 1));
}

static void test_late_failures_change_nothing(void **state)
{
    struct outlier outlier = {0};
    assert_true(fail_in_a_row(&outlier, 0, 10, 0));
    for (int i = 0; i < 20; i++) assert_false(outlier_failure(&outlier, 1, 9, 1));
    assert_int_equal(outlier.until_ns, base_ns);
    assert_int_equal(outlier.failures, 0);
}

static void test_status(void **state)
{
    assert_true(outlier_status(500) && outlier_status(502) && outlier_status(503) &&
                outlier_status(504));
    assert_false(outlier_status(200) || outlier_status(404) || outlier_status(429) ||
                 outlier_status(501));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_five_in_a_row),
        cmocka_unit_test(test_success_starts_over),
        cmocka_unit_test(test_longer_each_time),
        cmocka_unit_test(test_forgives),
        cmocka_unit_test(test_never_the_last),
        cmocka_unit_test(test_a_tenth_at_most),
        cmocka_unit_test(test_late_failures_change_nothing),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
