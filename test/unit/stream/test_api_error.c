#include "stream/api_error.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static void test_text(void **state)
{
    struct api_error error;
    char text[64];
    assert_false(api_error_set(&error, API_STREAM_NOT_FOUND, NULL));
    api_error_text(&error, text, sizeof text);
    assert_string_equal(text, "stream not found");
    assert_int_equal(api_error_code(error.kind), 404);
    assert_int_equal(api_error_number(error.kind), 10059);

    api_error_set(&error, API_SEQUENCE_NOT_FOUND, "%u", 999U);
    api_error_text(&error, text, sizeof text);
    assert_string_equal(text, "sequence 999 not found");

    /* Details are a client's own words: nothing in them is a format. */
    api_error_set(&error, API_INVALID_JSON, "%s", "%s%n");
    api_error_text(&error, text, sizeof text);
    assert_string_equal(text, "invalid JSON: %s%n");
}

static void test_encode(void **state)
{
    struct api_error error;
    struct buf out;
    struct jsonw json;
    buf_init(&out, 1024);
    jsonw_init(&json, &out);
    jsonw_object(&json, NULL);
    api_error_set(&error, API_STREAM_MISMATCH, NULL);
    api_error_encode(&error, &json);
    jsonw_object_end(&json);
    assert_true(bytes_eq(buf_bytes(&out),
                         BYTES("{\"error\":{\"code\":400,\"err_code\":10056,\"description\":"
                               "\"stream name in subject does not match request\"}}")));
    buf_release(&out);
}

/* Clients find an error by its number: none may stand for two. */
static void test_numbers(void **state)
{
    for (int a = API_OK + 1; a < API_ERROR_COUNT; a++) {
        assert_in_range(api_error_code((enum api_error_kind)a), 400, 599);
        for (int b = a + 1; b < API_ERROR_COUNT; b++) {
            assert_int_not_equal(api_error_number((enum api_error_kind)a),
                                 api_error_number((enum api_error_kind)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests_name("api_error", tests, NULL, NULL);
}
