#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/jsonw.h"

static void expect(struct buf *out, const char *expected)
{
    buf_append_char(out, '\0');
    assert_string_equal(buf_bytes(out).data, expected);
    buf_clear(out);
}

static void write_document(struct buf *out)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_str(&json, "s", BYTES("a\"b"));
    jsonw_cstr(&json, "n", NULL);
    jsonw_array(&json, "list");
    jsonw_u64(&json, NULL, UINT64_MAX);
    jsonw_i64(&json, NULL, INT64_MIN);
    jsonw_object(&json, NULL);
    jsonw_object_end(&json);
    jsonw_array(&json, NULL);
    jsonw_array_end(&json);
    jsonw_array_end(&json);
    jsonw_bool(&json, "t", true);
    jsonw_bool(&json, "f\n", false);
    jsonw_double(&json, "half", 0.5);
    jsonw_double(&json, "nan", (double)NAN);
    jsonw_double(&json, "inf", -(double)INFINITY);
    jsonw_raw(&json, "raw", BYTES("[1]"));
    jsonw_base64(&json, "b64", BYTES("fo"));
    jsonw_object_end(&json);
}

static const char document[] =
    "{\"s\":\"a\\\"b\",\"n\":null,\"list\":[18446744073709551615,-9223372036854775808,{},[]],"
    "\"t\":true,\"f\\n\":false,\"half\":0.5,\"nan\":null,\"inf\":null,\"raw\":[1],\"b64\":\"Zm8="
    "\"}";

static void test_document(void **state)
{
    struct buf out;
    buf_init(&out, 1000);
    write_document(&out);
    expect(&out, document);
    buf_release(&out);
}

static void test_every_limit(void **state)
{
    for (size_t max = 0; max <= sizeof document; max++) {
        struct buf out;
        buf_init(&out, max);
        write_document(&out);
        assert_int_equal(out.failed, max < sizeof document - 1);
        buf_release(&out);
    }
}

static void test_escapes(void **state)
{
    static const struct {
        struct bytes text;
        const char *json;
    } cases[] = {
        {{NULL, 0}, "\"\""},
        {{"\0\x1f", 2}, "\"\\u0000\\u001f\""},
        {{"\t\r\n\\\"/", 6}, "\"\\t\\r\\n\\\\\\\"/\""},
        {{"\x7f", 1}, "\"\\u007f\""},
        {{"\xC3\xA9", 2}, "\"\xC3\xA9\""},
        {{"\xF0\x9F\x98\x80", 4}, "\"\xF0\x9F\x98\x80\""},
        {{"\xF4\x8F\xBF\xBF", 4}, "\"\xF4\x8F\xBF\xBF\""},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        jsonw_escape(&out, cases[i].text);
        expect(&out, cases[i].json);
    }
    buf_release(&out);
}

#define BAD "\xEF\xBF\xBD"

/* RFC 3629: overlong forms, surrogates, what lies above U+10FFFF, and what is cut short. */
static void test_what_is_not_utf8_is_replaced(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"\x80", "\"" BAD "\""},
        {"a\xFFz", "\"a" BAD "z\""},
        {"\xC0\x80", "\"" BAD BAD "\""},
        {"\xC1\xBF", "\"" BAD BAD "\""},
        {"\xE0\x9F\xBF", "\"" BAD BAD BAD "\""},
        {"\xED\xA0\x80", "\"" BAD BAD BAD "\""},
        {"\xF0\x8F\xBF\xBF", "\"" BAD BAD BAD BAD "\""},
        {"\xF4\x90\x80\x80", "\"" BAD BAD BAD BAD "\""},
        {"\xF5\x80\x80\x80", "\"" BAD BAD BAD BAD "\""},
        {"\xC3", "\"" BAD "\""},
        {"\xE2\x82", "\"" BAD BAD "\""},
        {"\xF0\x9F\x98", "\"" BAD BAD BAD "\""},
        {"\xC3(", "\"" BAD "(\""},
        {"\xE2\x82(", "\"" BAD BAD "(\""},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].text);
        char *exact = malloc(len); /* ASan sees who reads on */
        assert_non_null(exact);
        memcpy(exact, cases[i].text, len);
        jsonw_escape(&out, bytes_make(exact, len));
        expect(&out, cases[i].json);
        free(exact);
    }
    buf_release(&out);
}

static void test_deepest(void **state)
{
    struct jsonw json;
    struct buf out;
    buf_init(&out, 1000);
    jsonw_init(&json, &out);
    for (int i = 1; i < JSONW_DEPTH_MAX; i++) jsonw_array(&json, NULL);
    for (int i = 1; i < JSONW_DEPTH_MAX; i++) jsonw_array_end(&json);
    assert_int_equal(buf_len(&out), 2 * (JSONW_DEPTH_MAX - 1));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_document), cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_escapes),  cmocka_unit_test(test_what_is_not_utf8_is_replaced),
        cmocka_unit_test(test_deepest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
