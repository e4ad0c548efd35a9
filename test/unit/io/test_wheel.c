#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "io/wheel.h"

static uint64_t seed = 0x9e3779b97f4a7c15ull;

/* xorshift64: the same sequence every time. */
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Deadlines of every size: near ones often, and some on each level. */
static uint64_t draw_delay(void)
{
    return draw() >> (1 + draw() % 63);
}

static void test_empty(void **state)
{
    struct wheel wheel;
    wheel_init(&wheel, 5);
    assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
    wheel_advance(&wheel, UINT64_MAX - 1);
    assert_null(wheel_pop(&wheel));
}

static void test_one_timer_at_every_distance(void **state)
{
    static struct wheel wheel;
    for (int bit = 0; bit < 62; bit++) {
        for (int off = -1; off <= 1; off++) {
            struct io_timer timer;
            uint64_t start = draw() >> 2, deadline = start + (1ull << bit) + (uint64_t)off;
            io_timer_init(&timer, NULL);
            wheel_init(&wheel, start);
            wheel_set(&wheel, &timer, deadline);
            uint64_t next;
            int steps = 0;
            while ((next = wheel_next_ms(&wheel)) < deadline) {
                wheel_advance(&wheel, next);
                assert_null(wheel_pop(&wheel));
                assert_true(++steps < WHEEL_LEVELS);
            }
            assert_true(next == deadline);
            if (deadline) wheel_advance(&wheel, deadline - 1);
            if (deadline > start) assert_null(wheel_pop(&wheel));
            wheel_advance(&wheel, deadline);
            assert_ptr_equal(wheel_pop(&wheel), &timer);
            assert_false(timer.armed);
            assert_true(wheel_next_ms(&wheel) == UINT64_MAX);
        }
    }
}

static void test_past_counts_as_now(void **state)
{
    static struct wheel wheel;
    struct io_timer timer;
    io_timer_init(&timer, NULL);
    wheel_init(&wheel, 1000);
    wheel_set(&wheel, &timer, 3);
    assert_true(wheel_next_ms(&wheel) == 1000);
    assert_null(wheel_pop(&wheel));
    wheel_advance(&wheel, 1000);
    assert_ptr_equal(wheel_pop(&wheel), &timer);
}

static void test_cancel_and_move_while_due(void **state)
{
    static struct wheel wheel;
    struct io_timer timers[4];
    wheel_init(&wheel, 0);
    for (int i = 0; i < 4; i++) {
        io_timer_init(&timers[i], NULL);
        wheel_set(&wheel, &timers[i], 10);
    }
    wheel_advance(&wheel, 10);
    assert_ptr_equal(wheel_pop(&wheel), &timers[0]);
    wheel_cancel(&wheel, &timers[1]);
    wheel_cancel(&wheel, &timers[1]);
    wheel_set(&wheel, &timers[2], 20);
    assert_ptr_equal(wheel_pop(&wheel), &timers[3]);
    assert_null(wheel_pop(&wheel));
    assert_true(wheel_next_ms(&wheel) == 20);
    wheel_advance(&wheel, 20);
    assert_ptr_equal(wheel_pop(&wheel), &timers[2]);
    assert_null(wheel_pop(&wheel));
}

enum { MODEL_TIMERS = 200, MODEL_STEPS = 100000 };

/* Each step sets, cancels or advances; the model is an array that is searched. */
static void test_against_naive_model(void **state)
{
    static struct wheel wheel;
    static struct io_timer timers[MODEL_TIMERS];
    static uint64_t deadlines[MODEL_TIMERS]; /* 0: not armed */
    uint64_t now = 1, fired = 0;
    wheel_init(&wheel, now);
    for (int i = 0; i < MODEL_TIMERS; i++) io_timer_init(&timers[i], NULL);
    for (int step = 0; step < MODEL_STEPS; step++) {
        size_t i = draw() % MODEL_TIMERS;
        uint64_t first = UINT64_MAX;
        switch (draw() % 4) {
        case 0:
        case 1:
            deadlines[i] = now + (draw_delay() >> 24);
            wheel_set(&wheel, &timers[i], deadlines[i]);
            break;
        case 2:
            deadlines[i] = 0;
            wheel_cancel(&wheel, &timers[i]);
            break;
        default:
            for (int t = 0; t < MODEL_TIMERS; t++)
                if (deadlines[t] && deadlines[t] < first) first = deadlines[t];
            uint64_t next = wheel_next_ms(&wheel);
            assert_true(first == UINT64_MAX ? next == UINT64_MAX : next <= first && next >= now);
            if (draw() % 2 && first != UINT64_MAX && first - now < 1u << 20)
                now = first;
            else
                now += draw_delay() >> 40;
            wheel_advance(&wheel, now);
            uint64_t last = 0;
            for (struct io_timer *timer; (timer = wheel_pop(&wheel)); fired++) {
                size_t t = (size_t)(timer - timers);
                assert_true(deadlines[t] && deadlines[t] <= now && deadlines[t] >= last);
                last = deadlines[t];
                deadlines[t] = 0;
            }
            for (int t = 0; t < MODEL_TIMERS; t++) assert_true(!deadlines[t] || deadlines[t] > now);
        }
        assert_int_equal(timers[i].armed, deadlines[i] != 0);
    }
    assert_true(fired > MODEL_STEPS / 100);
}

enum { MANY = 1000000 };

static void test_a_million(void **state)
{
    static struct wheel wheel;
    struct io_timer *timers = malloc(MANY * sizeof *timers);
    assert_non_null(timers);
    wheel_init(&wheel, 7);
    size_t armed = 0, fired = 0;
    for (size_t i = 0; i < MANY; i++) {
        io_timer_init(&timers[i], NULL);
        wheel_set(&wheel, &timers[i], 7 + (draw() >> 40));
    }
    for (size_t i = 0; i < MANY; i++) {
        uint64_t what = draw() % 3;
        if (what == 0) wheel_cancel(&wheel, &timers[i]);
        if (what == 1) wheel_set(&wheel, &timers[i], 7 + (draw() >> 44));
        armed += what != 0;
    }
    uint64_t last = 0, turns = 0;
    for (uint64_t now; (now = wheel_next_ms(&wheel)) != UINT64_MAX; turns++) {
        wheel_advance(&wheel, now);
        for (struct io_timer *timer; (timer = wheel_pop(&wheel)); fired++) {
            assert_true(timer->deadline_ms == now && now >= last);
            last = now;
        }
    }
    assert_int_equal(fired, armed);
    for (size_t i = 0; i < MANY; i++) assert_false(timers[i].armed);
    free(timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_one_timer_at_every_distance),
        cmocka_unit_test(test_past_counts_as_now),
        cmocka_unit_test(test_cancel_and_move_while_due),
        cmocka_unit_test(test_against_naive_model),
        cmocka_unit_test(test_a_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
