#include "proxy/path.h"

#include "base/err.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void check(const char *path, const char *expected)
{
    char text[256];
    size_t len = 99;
    assert_true(strlen(path) < sizeof text);
    assert_int_equal(path_normalise(bytes_str(path), text, &len), 0);
    if (!bytes_eq(bytes_make(text, len), bytes_str(expected)))
        fail_msg("%s became %.*s, expected %s", path, (int)len, text, expected);
    assert_true(len <= strlen(path));
    if (path_is_normal(bytes_str(path))) assert_string_equal(path, expected);
    /* What is normal stays so. */
    char again[256];
    size_t again_len;
    assert_int_equal(path_normalise(bytes_make(text, len), again, &again_len), 0);
    assert_true(bytes_eq(bytes_make(text, len), bytes_make(again, again_len)));
}

static void test_normalise(void **state)
{
    static const char *const cases[][2] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"/a//b", "/a//b"},
        {"//", "//"},
        {"/.", "/"},
        {"/..", "/"},
        {"/./", "/"},
        {"/../", "/"},
        {"/../../..", "/"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/../b", "/b"},
        {"/a/./b", "/a/b"},
        {"/a/b/c/./../../g", "/a/g"},
        {"/mid/content=5/../6", "/mid/6"},
        {"/a//../b", "/a/b"},
        {"/..a", "/..a"},
        {"/a..", "/a.."},
        {"/.well-known/x", "/.well-known/x"},
        {"/...", "/..."},
        {"/%61", "/a"},
        {"/%2e%2E/admin", "/admin"},
        {"/x/%2e%2e/admin", "/admin"},
        {"/x/.%2e/admin", "/admin"},
        {"/x%2fy", "/x%2Fy"},
        {"/%7euser", "/~user"},
        {"/a%20b", "/a%20b"},
        {"/%c3%a9", "/%C3%A9"},
        {"/%252e%252e/x", "/%252e%252e/x"}, /* decoded once only */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check(cases[i][0], cases[i][1]);
}

static void test_refused(void **state)
{
    static const char *const cases[] = {"",     "a",    "*",    "/%",   "/%4",  "/%4g",
                                        "/%00", "/a%0", "/%-1", "/%+1", "/% 1", "/a/%zz/b"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        size_t len;
        assert_int_equal(path_normalise(bytes_str(cases[i]), text, &len), ERR_SYNTAX);
    }
}

static void test_is_normal(void **state)
{
    assert_true(path_is_normal(BYTES("/")));
    assert_true(path_is_normal(BYTES("/orders/17.json")));
    assert_true(path_is_normal(BYTES("/a..b/c.")));
    assert_false(path_is_normal(BYTES("/a/.b"))); /* may be one: looked at closely */
    assert_false(path_is_normal(BYTES("/..")));
    assert_false(path_is_normal(BYTES("/%61")));
}

static void test_prefix(void **state)
{
    assert_true(path_has_prefix(BYTES("/foo"), BYTES("/foo")));
    assert_true(path_has_prefix(BYTES("/foo/"), BYTES("/foo")));
    assert_true(path_has_prefix(BYTES("/foo/bar"), BYTES("/foo")));
    assert_false(path_has_prefix(BYTES("/foobar"), BYTES("/foo")));
    assert_false(path_has_prefix(BYTES("/fo"), BYTES("/foo")));
    assert_true(path_has_prefix(BYTES("/anything"), BYTES("/")));
    assert_false(path_has_prefix(BYTES("*"), BYTES("/")));
    assert_false(path_has_prefix(BYTES(""), BYTES("/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalise),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_is_normal),
        cmocka_unit_test(test_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
