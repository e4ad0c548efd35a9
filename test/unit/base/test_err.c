#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

static void test_table(void **state)
{
    assert_string_equal(err_name(0), "OK");
    assert_string_equal(err_name(42), "OK"); /* a count */
    assert_string_equal(err_name(ERR_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(err_text(ERR_NOT_FOUND), "not found");
    assert_string_equal(err_name(-ERR_COUNT), "UNKNOWN");
    assert_string_equal(err_name(INT_MIN), "UNKNOWN");
    assert_int_equal(err_http_status(ERR_TIMEOUT), 504);
    assert_int_equal(err_http_status(-1000), 500);
    assert_true(err_retry_helps(ERR_REFUSED));
    assert_false(err_retry_helps(ERR_INVALID));
    for (int err = -1; err > -ERR_COUNT; err--) {
        assert_string_not_equal(err_name(err), "UNKNOWN");
        assert_true(err_text(err)[0]);
        assert_in_range(err_http_status(err), 400, 599);
        for (int other = -1; other > err; other--)
            assert_string_not_equal(err_name(err), err_name(other));
    }
}

static void test_errno(void **state)
{
    static const struct {
        int errnum, err;
    } cases[] = {{0, 0},
                 {ENOENT, ERR_NOT_FOUND},
                 {EADDRINUSE, ERR_IN_USE},
                 {EPIPE, ERR_RESET},
                 {EMFILE, ERR_FULL},
                 {ENOSPC, ERR_NO_SPACE},
                 {EIO, ERR_IO},
                 {99999, ERR_IO},
                 {-1, ERR_IO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(err_from_errno(cases[i].errnum), cases[i].err);
}

static void test_sentence(void **state)
{
    struct error error = {0};
    char text[1024];
    assert_int_equal(error_set(&error, ERR_INVALID, "scale is %d", -1), ERR_INVALID);
    assert_int_equal(error_format(&error, text, sizeof text), strlen("scale is -1"));
    assert_string_equal(text, "scale is -1");
    error_at(&error, "a.yaml", 0, 0);
    error_format(&error, text, sizeof text);
    assert_string_equal(text, "a.yaml: scale is -1");
    error_at(&error, "a.yaml", 3, 0);
    error_format(&error, text, sizeof text);
    assert_string_equal(text, "a.yaml:3: scale is -1");
    error_at(&error, "a.yaml", 3, 9);
    error_remedy(&error, "Use %s.", "1");
    size_t len = error_format(&error, text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_string_equal(text, "a.yaml:3:9: scale is -1\n  Use 1.");
    error_at(&error, NULL, 3, 9);
    error_format(&error, text, sizeof text);
    assert_string_equal(text, "scale is -1\n  Use 1.");
}

static void test_nobody_wants_the_sentence(void **state)
{
    assert_int_equal(error_set(NULL, ERR_FULL, "%s", "x"), ERR_FULL);
    error_at(NULL, "f", 1, 1);
    error_remedy(NULL, "x");
}

static void test_what_does_not_fit_is_cut(void **state)
{
    struct error error = {0};
    char text[1024], longer[1000];
    memset(longer, 'm', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    error_set(&error, ERR_INVALID, "%s", longer);
    error_remedy(&error, "%s", longer);
    error_at(&error, longer, INT_MAX, INT_MAX);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_string_equal(error.message + sizeof error.message - 5, "m...");
    assert_string_equal(error.remedy + sizeof error.remedy - 5, "m...");
    error_set(&error, ERR_INVALID, "%.*s", (int)sizeof error.message - 1, longer);
    assert_string_equal(error.message + sizeof error.message - 5, "mmmm"); /* fits exactly */
    size_t whole = error_format(&error, text, sizeof text);
    for (size_t size = 1; size <= whole + 1; size++) {
        char part[1024];
        memset(part, '#', sizeof part);
        assert_int_equal(error_format(&error, part, size), size - 1);
        assert_memory_equal(part, text, size - 1);
        assert_int_equal(part[size - 1], '\0');
        assert_int_equal(part[size], '#');
    }
    assert_int_equal(error_format(&error, text, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_errno),
        cmocka_unit_test(test_sentence),
        cmocka_unit_test(test_nobody_wants_the_sentence),
        cmocka_unit_test(test_what_does_not_fit_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
