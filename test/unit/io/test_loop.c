#include "harness.h"

static char order[64];
static size_t order_len;

static void mark(char c)
{
    assert_true(order_len < sizeof order - 1);
    order[order_len++] = c;
    order[order_len] = '\0';
}

static void start_order(void)
{
    order_len = 0;
    order[0] = '\0';
}

struct step {
    struct io_task task;
    struct io_timer timer;
    char name;
    struct step *post, *defer, *cancel; /* what it does when it runs */
};

static void step_run(struct step *step)
{
    mark(step->name);
    if (step->post) io_post(io, &step->post->task);
    if (step->defer) io_defer(io, &step->defer->task);
    if (step->cancel) {
        io_task_cancel(io, &step->cancel->task);
        io_timer_cancel(io, &step->cancel->timer);
    }
}

static void task_run(struct io_task *task)
{
    step_run(CONTAINER_OF(task, struct step, task));
}

static void timer_done(struct io_timer *timer)
{
    assert_false(timer->armed);
    step_run(CONTAINER_OF(timer, struct step, timer));
}

static void step_init(struct step *step, char name)
{
    *step = (struct step){.name = name};
    io_task_init(&step->task, task_run);
    io_timer_init(&step->timer, timer_done);
}

static void test_tasks_run_in_order_and_later(void **state)
{
    struct step a, b, c, d;
    step_init(&a, 'a');
    step_init(&b, 'b');
    step_init(&c, 'c');
    step_init(&d, 'd');
    a.post = &d;
    start_order();
    io_post(io, &a.task);
    io_post(io, &b.task);
    io_post(io, &a.task); /* is posted already */
    io_post(io, &c.task);
    io_task_cancel(io, &c.task);
    assert_string_equal(order, "");
    assert_int_equal(io_turn(io, 0), 3);
    assert_string_equal(order, "abd");
    assert_int_equal(io_turn(io, 0), 0);
}

static void test_deferred_runs_when_all_else_is_quiet(void **state)
{
    struct step a, b, last, after;
    step_init(&a, 'a');
    step_init(&b, 'b');
    step_init(&last, 'Z');
    step_init(&after, 'p');
    a.defer = &last;
    a.post = &b;
    b.defer = &last;
    last.post = &after; /* what a deferred task posts still runs before the loop waits */
    start_order();
    io_post(io, &a.task);
    io_turn(io, 0);
    assert_string_equal(order, "abZp");
}

static void test_task_may_cancel_the_next(void **state)
{
    struct step a, b;
    step_init(&a, 'a');
    step_init(&b, 'b');
    a.cancel = &b;
    start_order();
    io_post(io, &a.task);
    io_post(io, &b.task);
    io_turn(io, 0);
    assert_string_equal(order, "a");
}

/* A task that posts itself keeps neither the kernel's news nor the deferred tasks out. */
static void test_endless_task_lets_others_in(void **state)
{
    struct step endless, deferred;
    struct io_timer timer;
    step_init(&endless, '.');
    step_init(&deferred, 'Z');
    io_timer_init(&timer, timer_done);
    endless.post = &endless;
    start_order();
    io_post(io, &endless.task);
    io_defer(io, &deferred.task);
    io_turn(io, 0);
    assert_int_equal(order[order_len - 1], 'Z');
    io_task_cancel(io, &endless.task);
    assert_int_equal(io_turn(io, 0), 0);
}

struct timed {
    struct io_timer timer;
    char name;
    uint64_t at_ns;
};

static void timed_done(struct io_timer *timer)
{
    struct timed *timed = CONTAINER_OF(timer, struct timed, timer);
    mark(timed->name);
    timed->at_ns = io_now_ns(io);
}

static void timed_set(struct timed *timed, char name, uint64_t delay_ms)
{
    *timed = (struct timed){.name = name};
    io_timer_init(&timed->timer, timed_done);
    io_timer_set(io, &timed->timer, delay_ms);
}

/* The loop may be late for each of them, and have all of them to do at once. */
static void test_timers_fire_in_order_and_never_early(void **state)
{
    struct timed a, b, c, gone;
    start_order();
    io_turn(io, 0);
    uint64_t start_ns = io_now_ns(io);
    timed_set(&c, 'c', 30);
    timed_set(&a, 'a', 1000000);
    timed_set(&b, 'b', 5);
    io_timer_set(io, &a.timer, 5); /* moved, and now behind b */
    timed_set(&gone, 'x', 10);
    io_timer_cancel(io, &gone.timer);
    while (order_len < 3) io_turn(io, -1);
    assert_string_equal(order, "bac");
    assert_true(b.at_ns - start_ns >= 5000000 && a.at_ns >= b.at_ns);
    assert_true(c.at_ns - start_ns >= 30000000);
    assert_int_equal(io_turn(io, 20), 0);
}

/* Whatever part of a tick has passed when it is set. */
static void test_shortest_delay_is_never_early(void **state)
{
    struct step a;
    step_init(&a, 'a');
    for (int i = 0; i < 50; i++) {
        start_order();
        io_turn(io, 0);
        uint64_t start_ns = io_now_ns(io);
        io_timer_set(io, &a.timer, 1);
        while (!order_len) io_turn(io, 0);
        assert_true(io_now_ns(io) - start_ns >= 1000000);
    }
}

static void test_timer_of_no_delay_runs_in_the_next_turn(void **state)
{
    struct step a;
    step_init(&a, 'a');
    start_order();
    io_timer_set(io, &a.timer, 0);
    assert_string_equal(order, "");
    assert_int_equal(io_turn(io, 0), 1);
    assert_string_equal(order, "a");
}

static void rearm(struct io_timer *timer)
{
    mark('r');
    io_timer_set(io, timer, 0);
}

static void test_timer_that_rearms_itself_runs_once_per_turn(void **state)
{
    struct io_timer timer;
    io_timer_init(&timer, rearm);
    start_order();
    io_timer_set(io, &timer, 0);
    for (int i = 0; i < 3; i++) assert_int_equal(io_turn(io, 0), 1);
    io_timer_cancel(io, &timer);
    assert_int_equal(io_turn(io, 0), 0);
}

static void test_longest_delay_is_held(void **state)
{
    struct step a;
    step_init(&a, 'a');
    io_timer_set(io, &a.timer, UINT64_MAX);
    assert_int_equal(io_turn(io, 5), 0);
    io_timer_cancel(io, &a.timer);
}

static void test_turn_waits_no_longer_than_told(void **state)
{
    uint64_t start_ms = real_ms();
    io_turn(io, 30);
    uint64_t took_ms = real_ms() - start_ms;
    assert_true(took_ms >= 29 && took_ms < 5000);
}

static void stop(struct io_timer *timer)
{
    io_stop(io);
}

static void test_run_ends_after_stop(void **state)
{
    struct io_timer timer;
    for (int i = 0; i < 2; i++) { /* and can run again */
        io_timer_init(&timer, stop);
        io_timer_set(io, &timer, 1);
        assert_int_equal(io_run(io), 0);
    }
}

static void test_clocks(void **state)
{
    uint64_t wall_s = io_wall_ns(io) / 1000000000u;
    assert_in_range(wall_s, (uint64_t)time(NULL) - 60, (uint64_t)time(NULL) + 60);
    io_turn(io, 0);
    uint64_t before = io_now_ns(io);
    while (real_ms() < before / 1000000 + 3) continue;
    assert_true(io_now_ns(io) == before); /* stands still within a turn */
    io_turn(io, 0);
    assert_true(io_now_ns(io) > before);
}

static void test_random_differs(void **state)
{
    enum { DRAWS = 1000 };
    static uint64_t drawn[DRAWS];
    char big[1000] = {0};
    uint64_t ones = 0;
    for (int i = 0; i < DRAWS; i++) {
        drawn[i] = io_random_u64(io);
        ones |= drawn[i];
        for (int j = 0; j < i; j++) assert_true(drawn[i] != drawn[j]);
    }
    assert_true(ones == UINT64_MAX);
    io_random(io, big, sizeof big);
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof big; i++) zeros += big[i] == 0;
    assert_true(zeros < 50);
    io_random(io, big, 0);
}

static void test_free_of_nothing(void **state)
{
    io_free(NULL);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_tasks_run_in_order_and_later),
        WITH_LOOP(test_deferred_runs_when_all_else_is_quiet),
        WITH_LOOP(test_task_may_cancel_the_next),
        WITH_LOOP(test_endless_task_lets_others_in),
        WITH_LOOP(test_timers_fire_in_order_and_never_early),
        WITH_LOOP(test_shortest_delay_is_never_early),
        WITH_LOOP(test_timer_of_no_delay_runs_in_the_next_turn),
        WITH_LOOP(test_timer_that_rearms_itself_runs_once_per_turn),
        WITH_LOOP(test_longest_delay_is_held),
        WITH_LOOP(test_turn_waits_no_longer_than_told),
        WITH_LOOP(test_run_ends_after_stop),
        WITH_LOOP(test_clocks),
        WITH_LOOP(test_random_differs),
        cmocka_unit_test(test_free_of_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
