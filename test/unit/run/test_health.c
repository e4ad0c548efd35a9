#include "run/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct health_policy policy = {
    .interval_ms = 10000,
    .deploy_interval_ms = 1000,
    .deploy_ms = 30000,
    .start_ms = 60000,
    .failures = 3,
    .successes = 2,
};

static struct health up_at(uint64_t now_ms)
{
    struct health health;
    health_init(&health, &policy, now_ms);
    assert_true(health_step(&health, true, now_ms).changed);
    assert_int_equal(health.state, HEALTH_UP);
    return health;
}

static void a_starting_instance_is_probed_quickly_and_comes_up_at_once(void **state)
{
    struct health health;
    uint64_t now = health_init(&health, &policy, 0);
    assert_true(now <= 10);
    int probes = 0;
    for (; now < 300; probes++) {
        struct health_update update = health_step(&health, false, now);
        assert_false(update.changed || update.restart);
        assert_true(update.next_ms <= 500);
        now += update.next_ms;
    }
    assert_in_range(probes, 4, 12);
    assert_true(health_step(&health, true, now).changed);
    assert_int_equal(health.state, HEALTH_UP);
}

static void one_that_never_comes_up_is_restarted(void **state)
{
    struct health health;
    health_init(&health, &policy, 1000);
    assert_false(health_step(&health, false, 60999).restart);
    assert_true(health_step(&health, false, 61000).restart);
    assert_int_equal(health.state, HEALTH_STARTING);
}

static void it_leaves_after_three_failures_in_a_row(void **state)
{
    struct health health = up_at(0);
    health_step(&health, false, 1);
    health_step(&health, false, 2);
    health_step(&health, true, 3); /* breaks the row */
    assert_false(health_step(&health, false, 4).changed);
    assert_false(health_step(&health, false, 5).changed);
    assert_true(health_step(&health, false, 6).changed);
    assert_int_equal(health.state, HEALTH_DOWN);
}

static void it_returns_after_two_successes_in_a_row(void **state)
{
    struct health health = up_at(0);
    for (int i = 0; i < 3; i++) health_step(&health, false, 1);
    assert_false(health_step(&health, true, 2).changed);
    assert_false(health_step(&health, false, 3).changed);
    assert_false(health_step(&health, true, 4).changed);
    assert_true(health_step(&health, true, 5).changed);
    assert_int_equal(health.state, HEALTH_UP);
}

static void one_that_stays_down_is_restarted(void **state)
{
    struct health health = up_at(0);
    for (int i = 0; i < 3; i++) assert_false(health_step(&health, false, 1).restart);
    assert_false(health_step(&health, false, 2).restart);
    assert_false(health_step(&health, false, 3).restart);
    assert_true(health_step(&health, false, 4).restart);
}

static void a_settled_instance_is_probed_at_its_interval(void **state)
{
    struct health health = up_at(0);
    assert_int_equal(health_step(&health, true, 1000).next_ms, 1000);
    assert_int_equal(health_step(&health, true, 30000).next_ms, 10000);
    assert_int_equal(health_step(&health, false, 40000).next_ms, 1000); /* look closer now */
    assert_int_equal(health_step(&health, true, 41000).next_ms, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_starting_instance_is_probed_quickly_and_comes_up_at_once),
        cmocka_unit_test(one_that_never_comes_up_is_restarted),
        cmocka_unit_test(it_leaves_after_three_failures_in_a_row),
        cmocka_unit_test(it_returns_after_two_successes_in_a_row),
        cmocka_unit_test(one_that_stays_down_is_restarted),
        cmocka_unit_test(a_settled_instance_is_probed_at_its_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
