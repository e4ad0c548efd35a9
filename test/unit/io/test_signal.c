#include "harness.h"

#include <pthread.h>
#include <signal.h>

struct counted {
    struct io_signal watch;
    int count;
    struct counted *release;
};

static struct counted a, b, c;

static void arrived(struct io_signal *watch)
{
    struct counted *counted = CONTAINER_OF(watch, struct counted, watch);
    counted->count++;
    if (counted->release) io_signal_release(io, &counted->release->watch);
}

static void watch(struct counted *counted, int signal)
{
    *counted = (struct counted){0};
    assert_int_equal(io_signal_watch(io, &counted->watch, signal, arrived), 0);
}

static bool is_blocked(int signal)
{
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, signal);
}

static void test_arrives_from_the_loop(void **state)
{
    watch(&a, SIGUSR1);
    watch(&b, SIGUSR1);
    watch(&c, SIGUSR2);
    for (int round = 1; round <= 3; round++) {
        kill(getpid(), SIGUSR1);
        assert_int_equal(a.count, round - 1);
        TURN_UNTIL(a.count == round);
        assert_int_equal(b.count, round);
        assert_int_equal(c.count, 0);
    }
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    TURN_UNTIL(a.count == 4 && c.count == 1);
    io_signal_release(io, &a.watch);
    io_signal_release(io, &a.watch);
    assert_true(is_blocked(SIGUSR1)); /* b still wants it */
    io_signal_release(io, &b.watch);
    assert_false(is_blocked(SIGUSR1));
    assert_true(is_blocked(SIGUSR2));
    io_signal_release(io, &c.watch);
    assert_false(is_blocked(SIGUSR2));
}

static void test_release_while_they_are_delivered(void **state)
{
    watch(&a, SIGUSR1);
    watch(&b, SIGUSR1);
    watch(&c, SIGUSR1);
    a.release = &b; /* the next one */
    c.release = &c; /* itself */
    kill(getpid(), SIGUSR1);
    TURN_UNTIL(c.count);
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 0);
    a.release = NULL;
    kill(getpid(), SIGUSR1);
    TURN_UNTIL(a.count == 2);
    assert_int_equal(c.count, 1);
    io_signal_release(io, &a.watch);
}

static void test_watch_again_after_all_were_released(void **state)
{
    for (int round = 0; round < 3; round++) {
        watch(&a, SIGHUP);
        kill(getpid(), SIGHUP);
        TURN_UNTIL(a.count == 1);
        io_signal_release(io, &a.watch);
    }
}

static void test_what_cannot_be_watched(void **state)
{
    static const int signals[] = {0, -1, SIGKILL, SIGSTOP, 1000};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        assert_int_equal(io_signal_watch(io, &a.watch, signals[i], arrived), ERR_INVALID);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_arrives_from_the_loop),
        WITH_LOOP(test_release_while_they_are_delivered),
        WITH_LOOP(test_watch_again_after_all_were_released),
        WITH_LOOP(test_what_cannot_be_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
