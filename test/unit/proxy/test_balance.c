#include "proxy/balance.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

enum { MS = 1000000 };

static const uint64_t half_life_ns = (uint64_t)LATENCY_HALF_LIFE_MS * MS;

static void test_unknown_latency(void **state)
{
    struct latency latency = {0};
    assert_int_equal(latency_ns(&latency, 5), 0);
    assert_int_equal(balance_cost(&latency, 5, 0), 0);
    assert_int_equal(balance_cost(&latency, 5, 1), 2 * (uint64_t)LATENCY_UNKNOWN_MS * MS);
}

static void test_peak_counts_at_once(void **state)
{
    struct latency latency = {0};
    latency_observe(&latency, 1, 3 * MS);
    assert_int_equal(latency_ns(&latency, 1), 3 * MS);
    latency_observe(&latency, 2, 90 * MS);
    assert_int_equal(latency_ns(&latency, 2), 90 * MS);
    assert_int_equal(balance_cost(&latency, 2, 2), 270 * MS);
}

static void test_better_is_believed_slowly(void **state)
{
    struct latency latency = {0};
    latency_observe(&latency, 0, 100 * MS);
    latency_observe(&latency, 0, 10 * MS);
    assert_int_equal(latency_ns(&latency, 0), 100 * MS);
    latency_observe(&latency, half_life_ns, 10 * MS);
    assert_int_equal(latency_ns(&latency, half_life_ns), 55 * MS);
}

static void test_decay_is_monotonic(void **state)
{
    struct latency latency = {.ewma_ns = 1000 * (uint64_t)MS};
    uint64_t before = latency_ns(&latency, 0);
    assert_int_equal(before, 1000 * MS);
    for (uint64_t at = 0; at < 80 * half_life_ns; at += half_life_ns / 50) {
        uint64_t value = latency_ns(&latency, at);
        assert_true(value <= before && value >= 1);
        before = value;
    }
    assert_int_equal(latency_ns(&latency, half_life_ns), 500 * MS);
    assert_int_equal(latency_ns(&latency, 4 * half_life_ns), 1000 * (uint64_t)MS / 16);
    assert_int_equal(latency_ns(&latency, UINT64_MAX), 1);
}

static void test_extremes_do_not_overflow(void **state)
{
    struct latency latency = {0};
    latency_observe(&latency, 10, UINT64_MAX);
    assert_int_equal(latency_ns(&latency, 10), UINT64_MAX);
    assert_int_equal(balance_cost(&latency, 10, 5), UINT64_MAX);
    assert_true(latency_ns(&latency, 10 + half_life_ns / 2) < UINT64_MAX);
    latency_observe(&latency, 5, 0); /* a clock that stands still, an answer at once */
    assert_int_equal(latency_ns(&latency, 5), UINT64_MAX);
}

struct fleet {
    uint32_t count;
    struct balance_candidate candidates[16];
    uint32_t looks;
};

static struct balance_candidate look(const void *context, uint32_t index)
{
    struct fleet *fleet = (struct fleet *)context;
    assert_true(index < fleet->count);
    fleet->looks++;
    return fleet->candidates[index];
}

/* xorshift: repeatable draws */
static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_none_and_one(void **state)
{
    struct fleet fleet = {.count = 0};
    assert_int_equal(balance_pick(0, 7, look, &fleet), BALANCE_NONE);
    fleet.count = 1;
    assert_int_equal(balance_pick(1, UINT64_MAX, look, &fleet), BALANCE_NONE);
    fleet.candidates[0].usable = true;
    assert_int_equal(balance_pick(1, UINT64_MAX, look, &fleet), 0);
}

static void test_two_take_the_cheaper(void **state)
{
    struct fleet fleet = {.count = 2, .candidates = {{true, 9}, {true, 8}}};
    uint64_t seed = 1;
    for (int i = 0; i < 1000; i++) {
        fleet.looks = 0;
        assert_int_equal(balance_pick(2, draw(&seed), look, &fleet), 1);
        assert_int_equal(fleet.looks, 2);
    }
}

static void test_equals_share(void **state)
{
    enum { COUNT = 10, ROUNDS = 100000 };
    struct fleet fleet = {.count = COUNT};
    uint32_t hits[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) fleet.candidates[i] = (struct balance_candidate){true, 5};
    uint64_t seed = 2;
    for (int i = 0; i < ROUNDS; i++) hits[balance_pick(COUNT, draw(&seed), look, &fleet)]++;
    for (int i = 0; i < COUNT; i++)
        assert_in_range(hits[i], ROUNDS / COUNT * 9 / 10, ROUNDS / COUNT * 11 / 10);
}

/* With two choices the dearest of n is taken never, the cheapest in 2/n of the cases. */
static void test_cheap_gets_two_chances(void **state)
{
    enum { COUNT = 8, ROUNDS = 80000 };
    struct fleet fleet = {.count = COUNT};
    uint32_t hits[COUNT] = {0};
    for (uint32_t i = 0; i < COUNT; i++) fleet.candidates[i] = (struct balance_candidate){true, i};
    uint64_t seed = 3;
    for (int i = 0; i < ROUNDS; i++) hits[balance_pick(COUNT, draw(&seed), look, &fleet)]++;
    assert_in_range(hits[0], ROUNDS / 4 * 9 / 10, ROUNDS / 4 * 11 / 10);
    assert_int_equal(hits[COUNT - 1], 0);
}

static void test_finds_the_only_usable(void **state)
{
    for (uint32_t usable = 0; usable < 7; usable++) {
        struct fleet fleet = {.count = 7};
        fleet.candidates[usable].usable = true;
        uint64_t seed = 4;
        for (int i = 0; i < 200; i++)
            assert_int_equal(balance_pick(7, draw(&seed), look, &fleet), usable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_latency),
        cmocka_unit_test(test_peak_counts_at_once),
        cmocka_unit_test(test_better_is_believed_slowly),
        cmocka_unit_test(test_decay_is_monotonic),
        cmocka_unit_test(test_extremes_do_not_overflow),
        cmocka_unit_test(test_none_and_one),
        cmocka_unit_test(test_two_take_the_cheaper),
        cmocka_unit_test(test_equals_share),
        cmocka_unit_test(test_cheap_gets_two_chances),
        cmocka_unit_test(test_finds_the_only_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
