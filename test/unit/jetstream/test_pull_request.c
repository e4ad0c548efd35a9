#include "jetstream/pull_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pull_request *read_request(const char *payload)
{
    struct pull_request *request = pull_request_read(bytes_str(payload), BYTES("_INBOX.1"));
    assert_non_null(request);
    assert_true(bytes_eq(bytes_make(request->reply, request->reply_len), BYTES("_INBOX.1")));
    return request;
}

/* What is refused, and in which words. */
static void refused(const char *payload, const char *words)
{
    struct pull_request *request = read_request(payload);
    assert_string_equal(request->error, words);
    free(request);
}

static void test_how_many(void **state)
{
    static const struct {
        const char *payload;
        int64_t batch;
    } forms[] = {{"", 1},
                 {" \r\n", 1},
                 {"7", 7},
                 {" 7\r\n", 7},
                 {"-7", 1},
                 {"seven", 1},
                 {"{\"batch\":0}", 1},
                 {"{\"batch\":-3}", 1},
                 {"{}", 1},
                 {"{\"batch\":256}", 256}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct pull_request *request = read_request(forms[i].payload);
        assert_string_equal(request->error, "");
        assert_int_equal(request->batch, forms[i].batch);
        free(request);
    }
}

static void test_every_field(void **state)
{
    struct pull_request *request =
        read_request("{\"batch\":5,\"max_bytes\":900,\"expires\":2000000000,\"idle_heartbeat\":"
                     "1000000000,\"no_wait\":true,\"min_pending\":3,\"min_ack_pending\":4,"
                     "\"priority\":9,\"group\":\"east\",\"id\":\"pin\"}");
    assert_string_equal(request->error, "");
    assert_true(request->batch == 5 && request->bytes == 900 && request->has_bytes);
    assert_true(request->expires_ns == 2000000000 && request->heartbeat_ns == 1000000000);
    assert_true(request->no_wait && request->min_pending == 3 && request->min_ack_pending == 4);
    assert_true(request->priority == 9 && request->has_group);
    assert_string_equal(request->group, "east");
    assert_string_equal(request->id, "pin");
    free(request);
}

static void test_times_below_zero_are_over_or_none(void **state)
{
    struct pull_request *request =
        read_request("{\"expires\":-2,\"idle_heartbeat\":-1,\"max_bytes\":-1}");
    assert_string_equal(request->error, "");
    assert_true(request->is_over && request->expires_ns == 0 && request->heartbeat_ns == 0);
    assert_true(request->bytes == 0 && !request->has_bytes);
    free(request);
    refused("{\"idle_heartbeat\":1,\"expires\":-2}", "heartbeat value too large");
}

static void test_says_what_is_wrong(void **state)
{
    refused("{\"expires\":10,\"idle_heartbeat\":6}", "heartbeat value too large");
    refused("{\"priority\":10}", "priority must be between 0 and 9");
    refused("{\"priority\":-1}", "priority must be between 0 and 9");
    refused("{\"batch\":\"5\"}", "json: a field has the wrong type");
    refused("{\"no_wait\":1}", "json: a field has the wrong type");
    refused("{\"group\":\"a-name-of-17-chars\"}", "json: a field has the wrong type");
    refused("{\"batch\":", "unexpected end of JSON input");
    refused("{batch}", "invalid JSON");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_many),
        cmocka_unit_test(test_every_field),
        cmocka_unit_test(test_times_below_zero_are_over_or_none),
        cmocka_unit_test(test_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
