#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard.h"
#include "monitor/query.h"

static struct guard guard;

static void expect_text(const char *query, const char *expected)
{
    char text[QUERY_TEXT_MAX + 1];
    int r = query_text(guard_bytes(&guard, bytes_str(query)), "a", text);
    assert_int_equal(r, 0);
    assert_string_equal(text, expected);
}

static void test_text(void **state)
{
    char text[QUERY_TEXT_MAX + 1];
    expect_text("a=1", "1");
    expect_text("b=2&a=1&a=3", "1");
    expect_text("a", "");
    expect_text("a=", "");
    expect_text("a=x%2e%3E+%41", "x.> A");
    expect_text("aa=1&a=b=c&", "b=c");
    assert_int_equal(query_text(BYTES("aa=1"), "a", text), ERR_NOT_FOUND);
    assert_int_equal(query_text((struct bytes){0}, "a", text), ERR_NOT_FOUND);
    assert_int_equal(query_text(BYTES("a=%"), "a", text), ERR_SYNTAX);
    assert_int_equal(query_text(BYTES("a=%4"), "a", text), ERR_SYNTAX);
    assert_int_equal(query_text(BYTES("a=%4x"), "a", text), ERR_SYNTAX);
    assert_int_equal(query_text(BYTES("a=%00"), "a", text), ERR_SYNTAX);
    char longer[QUERY_TEXT_MAX + 4];
    memset(longer, 'x', sizeof longer);
    memcpy(longer, "a=", 2);
    assert_int_equal(query_text(bytes_make(longer, QUERY_TEXT_MAX + 2), "a", text), 0);
    assert_int_equal(query_text(bytes_make(longer, QUERY_TEXT_MAX + 3), "a", text), ERR_TOO_BIG);
}

static void test_numbers_and_truth(void **state)
{
    uint64_t number;
    bool truth;
    assert_int_equal(query_u64(BYTES("n=17"), "n", 5, &number), 0);
    assert_int_equal(number, 17);
    assert_int_equal(query_u64(BYTES("n="), "n", 5, &number), 0);
    assert_int_equal(number, 5);
    assert_int_equal(query_u64(BYTES(""), "n", 5, &number), 0);
    assert_int_equal(query_u64(BYTES("n=-1"), "n", 5, &number), ERR_SYNTAX);
    assert_int_equal(query_u64(BYTES("n=1x"), "n", 5, &number), ERR_SYNTAX);
    assert_int_equal(query_bool(BYTES("b=1"), "b", &truth), 0);
    assert_true(truth);
    assert_int_equal(query_bool(BYTES("b=False"), "b", &truth), 0);
    assert_false(truth);
    assert_int_equal(query_bool(BYTES("x=1"), "b", &truth), 0);
    assert_false(truth);
    assert_int_equal(query_bool(BYTES("b=yes"), "b", &truth), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text),
                                       cmocka_unit_test(test_numbers_and_truth)};
    guard_init(&guard, 1 << 12);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    guard_release(&guard);
    return failed;
}
