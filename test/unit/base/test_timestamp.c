#include "base/timestamp.h"

#include "base/err.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_format(void **state)
{
    char text[TIMESTAMP_TEXT];
    timestamp_format_ns(UINT64_C(1795253661131173236), text);
    assert_string_equal(text, "2026-11-21T09:34:21.131173236Z");
    timestamp_format_ns(UINT64_C(1795253661250000000), text);
    assert_string_equal(text, "2026-11-21T09:34:21.25Z");
    timestamp_format_ns(UINT64_C(1795253661000000000), text);
    assert_string_equal(text, "2026-11-21T09:34:21Z");
    timestamp_format_ns(0, text);
    assert_string_equal(text, "0001-01-01T00:00:00Z");
    timestamp_format(UINT64_C(1795253661131173236), text);
    assert_string_equal(text, "2026-11-21T09:34:21.131Z");
}

static void test_parse(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } cases[] = {
        {"2026-11-21T09:34:21.131173236Z", UINT64_C(1795253661131173236)},
        {"2026-11-21T09:34:21.1311732369Z", UINT64_C(1795253661131173236)},
        {"2026-11-21T11:34:21.25+02:00", UINT64_C(1795253661250000000)},
        {"2026-11-20T23:34:21-10:00", UINT64_C(1795253661000000000)},
        {"0001-01-01T00:00:00Z", 0},
        {"1970-01-01T00:00:00.000000001Z", 1},
        {"2000-02-29T00:00:00Z", UINT64_C(951782400000000000)},
        {"2100-03-01T00:00:00Z", UINT64_C(4107542400000000000)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t ns = 7;
        assert_int_equal(timestamp_parse(bytes_str(cases[i].text), &ns), 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-13-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01 00:00:00Z",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00+0100",
                                      "2026-01-01T00:00:00ZZ"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(timestamp_parse(bytes_str(bad[i]), &ns), ERR_SYNTAX);
    }
    assert_int_equal(timestamp_parse(BYTES("2600-01-01T00:00:00Z"), &ns), ERR_TOO_BIG);
    struct bytes whole = BYTES("2026-11-21T11:34:21.25+02:00");
    for (size_t i = 0; i < whole.len; i++) {
        assert_int_equal(timestamp_parse(bytes_head(whole, i), &ns), ERR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
