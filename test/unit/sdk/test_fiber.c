#include "unit.h"

#include "sdk/src/fiber.h"

#include "base/err.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK = 256 << 10, MANY = 500 };

struct worker {
    struct fiber_pool *pool;
    struct fiber *fiber;
    uint64_t sum;
    double product;
    int rounds, done;
};

static void steady(void *argument)
{
    struct worker *w = argument;
    w->fiber = w->pool->current;
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5,
             f = 6; /* more live values than registers are kept */
    double x = 1.0, y = 2.0;
    for (int i = 0; i < w->rounds; i++) {
        a += b, b += c, c += d, d += e, e += f, f += a, x *= 1.0000001, y += x;
        fiber_suspend(w->pool);
        assert_ptr_equal(w->pool->current, w->fiber);
    }
    w->sum = a ^ b ^ c ^ d ^ e ^ f;
    w->product = x + y;
    w->done++;
}

static void many_interleave_and_keep_their_values(void **state)
{
    struct fiber_pool pool;
    fiber_pool_init(&pool, MANY, STACK);
    struct worker *workers = calloc(MANY, sizeof *workers);
    for (int i = 0; i < MANY; i++) {
        workers[i] = (struct worker){.pool = &pool, .rounds = 50 + i % 3};
        assert_int_equal(fiber_start(&pool, steady, &workers[i]), 0);
    }
    assert_int_equal(pool.count, MANY);
    for (int round = 0; round < 52; round++)
        for (int i = 0; i < MANY; i++)
            if (!workers[i].done) fiber_resume(&pool, workers[i].fiber);
    assert_int_equal(pool.count, 0);
    for (int i = 3; i < MANY; i++) {
        assert_int_equal(workers[i].done, 1);
        assert_true(workers[i].sum == workers[i % 3].sum);
        assert_true(workers[i].product == workers[i % 3].product);
    }
    assert_true(workers[0].sum != workers[1].sum);
    fiber_pool_release(&pool);
    free(workers);
}

static void the_limit_is_told_and_stacks_come_back(void **state)
{
    struct fiber_pool pool;
    fiber_pool_init(&pool, 2, STACK);
    struct worker w[3] = {{&pool, .rounds = 1}, {&pool, .rounds = 1}, {&pool, .rounds = 1}};
    assert_int_equal(fiber_start(&pool, steady, &w[0]), 0);
    assert_int_equal(fiber_start(&pool, steady, &w[1]), 0);
    assert_int_equal(fiber_start(&pool, steady, &w[2]), ERR_FULL);
    assert_null(w[2].fiber);
    fiber_resume(&pool, w[1].fiber);
    assert_int_equal(fiber_start(&pool, steady, &w[2]), 0);
    assert_ptr_equal(w[2].fiber, w[1].fiber);
    fiber_resume(&pool, w[2].fiber);
    fiber_resume(&pool, w[0].fiber);
    fiber_pool_release(&pool);
}

static uint64_t sink_value;

static uint64_t __attribute__((noinline)) dive(struct worker *w, int depth)
{
    volatile char room[512];
    room[depth % 512] = (char)depth;
    if (depth == 0) {
        fiber_suspend(w->pool);
        return 1;
    }
    uint64_t below = dive(w, depth - 1);
    if (depth % 50 == 0) fiber_suspend(w->pool);
    return below + (uint64_t)(room[depth % 512] == (char)depth);
}

static void deep(void *argument)
{
    struct worker *w = argument;
    w->fiber = w->pool->current;
    for (int i = 0; i < w->rounds; i++) sink_value += dive(w, 150);
    w->done = 1;
}

static void suspends_deep_in_the_stack(void **state)
{
    struct fiber_pool pool;
    fiber_pool_init(&pool, 10, STACK * 2);
    struct worker w[10];
    sink_value = 0;
    for (int i = 0; i < 10; i++) {
        w[i] = (struct worker){.pool = &pool, .rounds = 20};
        assert_int_equal(fiber_start(&pool, deep, &w[i]), 0);
    }
    for (int left = 10; left > 0;) {
        left = 0;
        for (int i = 0; i < 10; i++)
            if (!w[i].done) left++, fiber_resume(&pool, w[i].fiber);
    }
    assert_int_equal(sink_value, 10 * 20 * 151);
    fiber_pool_release(&pool);
}

static void rounding(void *argument)
{
    struct worker *w = argument;
    w->fiber = w->pool->current;
    fesetround(FE_UPWARD);
    fiber_suspend(w->pool);
    w->done = fegetround() == FE_UPWARD;
    fesetround(FE_TONEAREST);
}

/* The floating point environment belongs to the one who set it. */
static void control_words_are_kept(void **state)
{
    struct fiber_pool pool;
    fiber_pool_init(&pool, 1, STACK);
    struct worker w = {.pool = &pool};
    assert_int_equal(fegetround(), FE_TONEAREST);
    assert_int_equal(fiber_start(&pool, rounding, &w), 0);
#ifdef __x86_64__
    assert_int_equal(fegetround(), FE_TONEAREST);
    fiber_resume(&pool, w.fiber);
    assert_true(w.done);
#else
    fesetround(FE_TONEAREST);
    fiber_resume(&pool, w.fiber);
#endif
    fiber_pool_release(&pool);
}

static uint64_t __attribute__((noinline)) bottomless(uint64_t depth)
{
    volatile char room[1024];
    room[depth % 1024] = 1;
    return depth > 1u << 30 ? 0 : bottomless(depth + 1) + (uint64_t)room[depth % 1024];
}

static void overflow(void *argument)
{
    sink_value = bottomless(0);
}

static void overflow_hits_the_guard_page(void **state)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct fiber_pool pool;
        fiber_pool_init(&pool, 1, STACK);
        if (freopen("/dev/null", "w", stderr)) fiber_start(&pool, overflow, NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void nothing(void *argument)
{
    ++*(int *)argument;
}

static void a_run_reuses_its_stack(void **state)
{
    struct fiber_pool pool;
    fiber_pool_init(&pool, 1, STACK);
    int runs = 0;
    for (int i = 0; i < 20000; i++) assert_int_equal(fiber_start(&pool, nothing, &runs), 0);
    assert_int_equal(runs, 20000);
    assert_int_equal(pool.idle_count, 1);
    fiber_pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_interleave_and_keep_their_values),
        cmocka_unit_test(the_limit_is_told_and_stacks_come_back),
        cmocka_unit_test(suspends_deep_in_the_stack),
        cmocka_unit_test(control_words_are_kept),
        cmocka_unit_test(overflow_hits_the_guard_page),
        cmocka_unit_test(a_run_reuses_its_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
