#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/bytes.h"
#include "base/err.h"

static const struct bytes none = {NULL, 0};

static void expect(struct bytes got, const char *expected)
{
    assert_int_equal(got.len, strlen(expected));
    if (got.len) assert_memory_equal(got.data, expected, got.len);
}

static void test_equality_and_order(void **state)
{
    assert_true(bytes_eq(none, BYTES("")));
    assert_false(bytes_eq(BYTES("a"), BYTES("A")));
    assert_false(bytes_eq(BYTES("a"), BYTES("ab")));
    assert_true(bytes_eq(BYTES("a\0b"), BYTES("a\0b")));
    assert_true(bytes_eq_nocase(BYTES("Content-TYPE"), BYTES("cOnTent-type")));
    assert_false(bytes_eq_nocase(BYTES("@"), BYTES("`"))); /* 0x20 apart, but no letters */
    assert_false(bytes_eq_nocase(BYTES("["), BYTES("{")));
    assert_false(bytes_eq_nocase(BYTES("\xC4"), BYTES("\xE4")));
    assert_true(bytes_cmp(BYTES("ab"), BYTES("abc")) < 0);
    assert_true(bytes_cmp(BYTES("b"), BYTES("abc")) > 0);
    assert_true(bytes_cmp(BYTES("\xFF"), BYTES("a")) > 0);
    assert_int_equal(bytes_cmp(none, BYTES("")), 0);
    expect(bytes_str(NULL), "");
}

static void test_parts(void **state)
{
    struct bytes text = BYTES("hello");
    expect(bytes_skip(text, 2), "llo");
    expect(bytes_skip(text, 9), "");
    expect(bytes_skip(none, 0), "");
    expect(bytes_head(text, 2), "he");
    expect(bytes_head(text, 9), "hello");
    assert_true(bytes_starts(text, BYTES("he")) && bytes_starts(text, none));
    assert_false(bytes_starts(text, BYTES("hello!")));
    assert_true(bytes_ends(text, BYTES("lo")) && bytes_ends(text, BYTES("")));
    assert_false(bytes_ends(text, BYTES("ohello")));
    expect(bytes_trim(BYTES(" \t a b\t ")), "a b");
    expect(bytes_trim(BYTES(" \t ")), "");
    expect(bytes_trim(BYTES("\n")), "\n");
    expect(bytes_trim(none), "");
}

static void test_cut(void **state)
{
    struct bytes rest = BYTES("a,,b");
    expect(bytes_cut(&rest, ','), "a");
    expect(bytes_cut(&rest, ','), "");
    expect(bytes_cut(&rest, ','), "b");
    assert_null(rest.data);
    expect(bytes_cut(&rest, ','), "");
    rest = BYTES("a,");
    expect(bytes_cut(&rest, ','), "a");
    assert_non_null(rest.data); /* one more, empty, part follows */
    expect(bytes_cut(&rest, ','), "");
    assert_null(rest.data);
    assert_int_equal(bytes_find(none, 'x'), 0);
    assert_int_equal(bytes_find(BYTES("ab"), 'x'), 2);
}

static void test_decimal(void **state)
{
    static const struct {
        const char *text;
        uint64_t max;
        int err;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0, 0},
        {"1", 0, ERR_TOO_BIG, 0},
        {"007", 9, 0, 7},
        {"255", 255, 0, 255},
        {"256", 255, ERR_TOO_BIG, 0},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, ERR_TOO_BIG, 0},
        {"99999999999999999999999999", UINT64_MAX, ERR_TOO_BIG, 0},
        {"99999999999999999999999999x", UINT64_MAX, ERR_SYNTAX, 0},
        {"", 9, ERR_SYNTAX, 0},
        {"+1", 9, ERR_SYNTAX, 0},
        {"-1", 9, ERR_SYNTAX, 0},
        {" 1", 9, ERR_SYNTAX, 0},
        {"1 ", 9, ERR_SYNTAX, 0},
        {"1a", 99, ERR_SYNTAX, 0},
        {"0x1", 99, ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t value = 77;
        assert_int_equal(bytes_to_u64(bytes_str(cases[i].text), cases[i].max, &value),
                         cases[i].err);
        assert_true(value == (cases[i].err ? 77 : cases[i].value));
    }
}

static void test_hexadecimal(void **state)
{
    uint64_t value;
    assert_int_equal(bytes_to_u64_hex(BYTES("fFfF"), UINT64_MAX, &value), 0);
    assert_int_equal(value, 0xFFFF);
    assert_int_equal(bytes_to_u64_hex(BYTES("ffffffffffffffff"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(bytes_to_u64_hex(BYTES("10000000000000000"), UINT64_MAX, &value), ERR_TOO_BIG);
    assert_int_equal(bytes_to_u64_hex(BYTES("g"), UINT64_MAX, &value), ERR_SYNTAX);
    assert_int_equal(bytes_to_u64_hex(BYTES("@"), UINT64_MAX, &value), ERR_SYNTAX);
    assert_int_equal(bytes_to_u64_hex(BYTES("0x1"), UINT64_MAX, &value), ERR_SYNTAX);
    char digits[8];
    bytes_hex(BYTES("\x00\x7f\x80\xff"), digits);
    assert_memory_equal(digits, "007f80ff", 8);
}

/* All limits against the same number in wider arithmetic. */
static void test_decimal_at_every_limit(void **state)
{
    for (unsigned max = 0; max < 300; max++) {
        for (unsigned n = 0; n < 300; n++) {
            char text[4];
            size_t len = 0;
            if (n > 99) text[len++] = (char)('0' + n / 100);
            if (n > 9) text[len++] = (char)('0' + n / 10 % 10);
            text[len++] = (char)('0' + n % 10);
            uint64_t value = 0;
            int err = bytes_to_u64(bytes_make(text, len), max, &value);
            assert_int_equal(err, n <= max ? 0 : ERR_TOO_BIG);
            if (!err) assert_int_equal(value, n);
        }
    }
}

static void test_distance(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},       {"", "abc", 3},        {"abc", "abc", 0},       {"abc", "abd", 1},
        {"abc", "acb", 1}, {"abc", "ab", 1},      {"abc", "xabc", 1},      {"kitten", "sitting", 3},
        {"ca", "abc", 3},  {"route", "rotue", 1}, {"listen", "silent", 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes a = bytes_str(cases[i].a), b = bytes_str(cases[i].b);
        assert_int_equal(bytes_distance(a, b, 10), cases[i].distance);
        assert_int_equal(bytes_distance(b, a, 10), cases[i].distance);
        if (cases[i].distance)
            assert_int_equal(bytes_distance(a, b, cases[i].distance - 1), cases[i].distance);
    }
    char longer[65];
    memset(longer, 'a', sizeof longer);
    struct bytes word = bytes_make(longer, sizeof longer);
    assert_int_equal(bytes_distance(word, word, 3), 0);
    assert_int_equal(bytes_distance(word, bytes_head(word, 64), 3), 4); /* too long to compare */
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"services", "gateway", "bus"};
    assert_string_equal(bytes_nearest(BYTES("servces"), words, 3), "services");
    assert_string_equal(bytes_nearest(BYTES("gatewya"), words, 3), "gateway");
    assert_null(bytes_nearest(BYTES("telemetry"), words, 3));
    assert_null(bytes_nearest(BYTES("bus"), words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality_and_order),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_hexadecimal),
        cmocka_unit_test(test_decimal_at_every_limit),
        cmocka_unit_test(test_distance),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
