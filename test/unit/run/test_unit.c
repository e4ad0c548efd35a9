#include "run/unit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum { GRACE = 10000, BACKOFF_MIN = 100, BACKOFF_MAX = 10000, STABLE = 30000 };

static struct unit make(void)
{
    struct unit unit;
    unit_init(&unit, GRACE, BACKOFF_MIN, BACKOFF_MAX, STABLE);
    return unit;
}

static void starts_and_stops(void **state)
{
    struct unit u = make();
    assert_true(unit_step(&u, UNIT_WANT_UP).spawn);
    assert_int_equal(u.state, UNIT_UP);
    assert_false(unit_step(&u, UNIT_WANT_UP).spawn);
    struct unit_update update = unit_step(&u, UNIT_WANT_DOWN);
    assert_int_equal(update.signal, SIGTERM);
    assert_int_equal(update.timer_ms, GRACE);
    assert_int_equal(unit_step(&u, UNIT_TIMER).signal, SIGKILL);
    assert_false(unit_step(&u, UNIT_EXIT).spawn);
    assert_int_equal(u.state, UNIT_DOWN);
}

static void wanted_again_while_stopping_spawns_once(void **state)
{
    struct unit u = make();
    unit_step(&u, UNIT_WANT_UP);
    assert_int_equal(unit_step(&u, UNIT_WANT_DOWN).signal, SIGTERM);
    assert_false(unit_step(&u, UNIT_WANT_UP).spawn); /* still dying: remember, do not spawn twice */
    assert_true(unit_step(&u, UNIT_EXIT).spawn);
    assert_int_equal(u.state, UNIT_UP);
}

static void backs_off_longer_each_time_and_forgets(void **state)
{
    struct unit u = make();
    unit_step(&u, UNIT_WANT_UP);
    uint32_t expected = BACKOFF_MIN;
    for (int i = 0; i < 12; i++) {
        struct unit_update update = unit_step(&u, UNIT_EXIT);
        assert_int_equal(update.timer_ms, expected);
        assert_false(update.spawn);
        assert_true(unit_step(&u, UNIT_TIMER).spawn);
        expected = expected * 2 > BACKOFF_MAX ? BACKOFF_MAX : expected * 2;
    }
    assert_int_equal(u.restarts, 12);
    unit_step(&u, UNIT_TIMER); /* was up long enough */
    assert_int_equal(unit_step(&u, UNIT_EXIT).timer_ms, BACKOFF_MIN);
}

static void stopping_in_backoff_spawns_no_more(void **state)
{
    struct unit u = make();
    unit_step(&u, UNIT_WANT_UP);
    unit_step(&u, UNIT_EXIT);
    struct unit_update update = unit_step(&u, UNIT_WANT_DOWN);
    assert_int_equal(update.signal, 0);
    assert_int_equal(u.state, UNIT_DOWN);
    assert_false(unit_step(&u, UNIT_TIMER).spawn); /* the back-off timer was still running */
}

static void adopted_process_is_restarted_when_it_dies(void **state)
{
    struct unit u = make();
    struct unit_update update = unit_adopt(&u);
    assert_false(update.spawn);
    assert_int_equal(unit_step(&u, UNIT_EXIT).timer_ms, BACKOFF_MIN);
    assert_true(unit_step(&u, UNIT_TIMER).spawn);
}

/* Over random events: never a spawn while a process may live, never a signal while none does. */
static void invariants_hold_over_random_events(void **state)
{
    srand(1);
    for (int run = 0; run < 200; run++) {
        struct unit u = make();
        bool alive = false;
        for (int i = 0; i < 500; i++) {
            enum unit_event event = (enum unit_event)(rand() % UNIT_EVENT_COUNT);
            if (event == UNIT_EXIT && !alive) continue;
            if (event == UNIT_EXIT) alive = false;
            struct unit_update update = unit_step(&u, event);
            if (update.spawn) assert_false(alive);
            if (update.signal) assert_true(alive);
            if (update.spawn) alive = true;
            assert_int_equal(alive, u.state == UNIT_UP || u.state == UNIT_STOPPING);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_and_stops),
        cmocka_unit_test(wanted_again_while_stopping_spawns_once),
        cmocka_unit_test(backs_off_longer_each_time_and_forgets),
        cmocka_unit_test(stopping_in_backoff_spawns_no_more),
        cmocka_unit_test(adopted_process_is_restarted_when_it_dies),
        cmocka_unit_test(invariants_hold_over_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
