#include "proxy/retry.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

/* A failed GET that nothing speaks against repeating. */
static struct retry_question get(void)
{
    return (struct retry_question){.idempotent = true,
                                   .sent = true,
                                   .replayable = true,
                                   .retry_helps = true,
                                   .retry_max = 2,
                                   .in_flight = 1,
                                   .left_ms = 1000};
}

static void test_each_condition(void **state)
{
    struct retry_question q = get();
    assert_int_equal(retry_decide(&q), RETRY_YES);
    q.relayed = true;
    assert_int_equal(retry_decide(&q), RETRY_NO);
    q = get();
    q.replayable = false;
    assert_int_equal(retry_decide(&q), RETRY_NO);
    q = get();
    q.retry_helps = false;
    assert_int_equal(retry_decide(&q), RETRY_NO);
    q = get();
    q.left_ms = 0;
    assert_int_equal(retry_decide(&q), RETRY_NO);
}

static void test_not_idempotent(void **state)
{
    struct retry_question q = get();
    q.idempotent = false;
    assert_int_equal(retry_decide(&q), RETRY_NO);
    q.sent = false; /* refused at the door: it has had no effect */
    assert_int_equal(retry_decide(&q), RETRY_YES);
}

static void test_count(void **state)
{
    struct retry_question q = get();
    q.retries = 1;
    assert_int_equal(retry_decide(&q), RETRY_YES);
    q.retries = 2;
    assert_int_equal(retry_decide(&q), RETRY_NO);
    q.retries = 0;
    q.retry_max = 0;
    assert_int_equal(retry_decide(&q), RETRY_NO);
}

static void test_budget(void **state)
{
    struct retry_question q = get();
    q.in_flight = 1;
    q.retrying = 2;
    assert_int_equal(retry_decide(&q), RETRY_YES);
    q.retrying = 3;
    assert_int_equal(retry_decide(&q), RETRY_REFUSED);
    q.in_flight = 100;
    q.retrying = 19;
    assert_int_equal(retry_decide(&q), RETRY_YES);
    q.retrying = 20;
    assert_int_equal(retry_decide(&q), RETRY_REFUSED);
    q.in_flight = UINT32_MAX;
    assert_int_equal(retry_decide(&q), RETRY_YES);
}

static void test_delay(void **state)
{
    static const uint32_t most[] = {[1] = 25, [2] = 75, [3] = 175, [4] = 250, [5] = 250};
    for (uint32_t retry = 1; retry <= 5; retry++) {
        assert_int_equal(retry_delay_ms(retry, 0), 0);
        assert_int_equal(retry_delay_ms(retry, UINT64_MAX), most[retry]);
        assert_in_range(retry_delay_ms(retry, 0x80000000), most[retry] / 2, most[retry] / 2 + 1);
    }
    assert_int_equal(retry_delay_ms(UINT32_MAX, UINT64_MAX), RETRY_CAP_MS);
}

static void test_status(void **state)
{
    assert_true(retry_status(503));
    assert_false(retry_status(500));
    assert_false(retry_status(502));
    assert_false(retry_status(200));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_condition), cmocka_unit_test(test_not_idempotent),
        cmocka_unit_test(test_count),          cmocka_unit_test(test_budget),
        cmocka_unit_test(test_delay),          cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
