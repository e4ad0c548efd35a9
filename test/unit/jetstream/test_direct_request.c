#include "jetstream/direct_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *read_request(struct direct_request *request, const char *subject,
                                struct bytes body, int *ret_status)
{
    struct message message = message_borrow(bytes_str(subject), BYTES("r"), BYTES(""), body);
    return direct_request_read(request, &message, ret_status);
}

static void test_forms(void **state)
{
    struct direct_request r;
    int status;
    assert_null(read_request(&r, "$JS.API.DIRECT.GET.S.a.b", BYTES(""), &status));
    assert_true(bytes_eq(r.stream, BYTES("S")));
    assert_true(bytes_eq(r.last, BYTES("a.b")));
    direct_request_release(&r);
    assert_null(read_request(&r, "$JS.API.DIRECT.GET.S",
                             BYTES("{\"next_by_subj\":\"a.*\",\"start_time\":"
                                   "\"1970-01-01T00:00:01Z\",\"batch\":5,\"max_bytes\":7}"),
                             &status));
    assert_true(bytes_eq(r.next, BYTES("a.*")));
    assert_true(r.by_time && r.start_ns == 1000000000 && r.batch == 5 && r.max_bytes == 7);
    assert_true(direct_request_is_batch(&r));
    direct_request_release(&r);
    assert_null(read_request(&r, "$JS.API.DIRECT.GET.S",
                             BYTES("{\"multi_last\":[\"a\",\"b\"],\"up_to_seq\":3,\"seq\":2}"),
                             &status));
    assert_int_equal(r.many_count, 2);
    assert_true(bytes_eq(r.many[1], BYTES("b")));
    assert_true(r.up_to_seq == 3 && r.seq == 2);
    direct_request_release(&r);
}

static void test_refusals(void **state)
{
    static const char *const cases[][3] = {
        {"", "{}", "Empty Request"},
        {"", "{\"batch\":3}", "Empty Request"},
        {"", "{\"seq\":0}", "Empty Request"},
        {"", "{", "Malformed Request"},
        {"", "7", "Malformed Request"},
        {"", "{\"seq\":-1}", "Malformed Request"},
        {"", "{\"seq\":\"1\"}", "Malformed Request"},
        {"", "{\"last_by_subj\":1}", "Malformed Request"},
        {"", "{\"start_time\":\"x\"}", "Malformed Request"},
        {"", "{\"multi_last\":\"a\"}", "Malformed Request"},
        {"", "{\"multi_last\":[1]}", "Malformed Request"},
        {"", "{\"seq\":1,\"last_by_subj\":\"a\"}", "Bad Request"},
        {"", "{\"seq\":1,\"start_time\":\"2026-01-01T00:00:00Z\"}", "Bad Request"},
        {"", "{\"last_by_subj\":\"a\",\"next_by_subj\":\"a\"}", "Bad Request"},
        {"", "{\"last_by_subj\":\"a\",\"batch\":2}", "Bad Request"},
        {"", "{\"last_by_subj\":\"a\",\"multi_last\":[\"a\"]}", "Bad Request"},
        {"", "{\"next_by_subj\":\"a\",\"multi_last\":[\"a\"]}", "Bad Request"},
        {"", "{\"seq\":1,\"up_to_seq\":1,\"up_to_time\":\"2026-01-01T00:00:00Z\"}", "Bad Request"},
        {".a", "{\"seq\":1}", "Bad Request"},
        {".a", "{\"batch\":1}", "Bad Request"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct direct_request r;
        int status;
        char subject[64];
        snprintf(subject, sizeof subject, "$JS.API.DIRECT.GET.S%s", cases[i][0]);
        const char *words = read_request(&r, subject, bytes_str(cases[i][1]), &status);
        assert_non_null(words);
        assert_string_equal(words, cases[i][2]);
        assert_int_equal(status, 408);
        direct_request_release(&r);
    }
}

static void test_cut(void **state)
{
    struct bytes whole =
        BYTES("{\"multi_last\":[\"a\",\"b\"],\"up_to_time\":\"2026-01-01T00:00:00Z\"}");
    for (size_t len = 1; len <= whole.len; len++) {
        struct direct_request r;
        int status;
        char *copy = malloc(len); /* so that a read behind the end is seen */
        memcpy(copy, whole.data, len);
        const char *words =
            read_request(&r, "$JS.API.DIRECT.GET.S", bytes_make(copy, len), &status);
        if (len == whole.len)
            assert_null(words);
        else
            assert_string_equal(words, "Malformed Request");
        direct_request_release(&r);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests_name("direct request", tests, NULL, NULL);
}
