#include "client/jsapi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct puback ack;

static int refused(const char *code)
{
    char text[256];
    snprintf(text, sizeof text,
             "{\"error\":{%s,\"description\":\"no, because\"},\"stream\":\"S\",\"seq\":0}", code);
    int err = jsapi_puback(bytes_str(text), &ack);
    assert_string_equal(ack.description, "no, because");
    return err;
}

static void refusals(void **state)
{
    assert_int_equal(refused("\"code\":400,\"err_code\":10071"), ERR_CONFLICT);
    assert_int_equal(refused("\"code\":400,\"err_code\":10054"), ERR_TOO_BIG);
    assert_int_equal(refused("\"code\":503,\"err_code\":10077"), ERR_FULL);
    assert_int_equal(refused("\"code\":503,\"err_code\":10008"), ERR_UNAVAILABLE);
    assert_int_equal(refused("\"code\":404"), ERR_NOT_FOUND);
    assert_int_equal(refused("\"code\":418"), ERR_IO);
    assert_int_equal(ack.code, 418);
    assert_int_equal(jsapi_puback(BYTES("{\"stream\":\"S\",\"seq\":7}"), &ack), 0);
    assert_int_equal(jsapi_puback(BYTES("{}"), &ack), ERR_PROTOCOL);
}

static void positions(void **state)
{
    struct jsapi_position at;
    assert_int_equal(jsapi_position(BYTES("$JS.ACK.S.C.2.1.3.1700000000000000000.9"), &at), 0);
    assert_true(bytes_eq(at.stream, BYTES("S")) && bytes_eq(at.consumer, BYTES("C")));
    assert_int_equal(at.delivered, 2);
    assert_int_equal(at.stream_seq, 1);
    assert_int_equal(at.consumer_seq, 3);
    assert_true(at.time_ns == UINT64_C(1700000000000000000));
    assert_int_equal(at.pending, 9);
    assert_int_equal(jsapi_position(BYTES("$JS.ACK._.HASH.S.C.2.1.3.17.9"), &at), 0);
    assert_true(bytes_eq(at.stream, BYTES("S")) && at.time_ns == 17 && at.pending == 9);
    assert_int_equal(jsapi_position(BYTES("$JS.ACK.D.HASH.S.C.2.1.3.17.9.random"), &at), 0);
    assert_true(bytes_eq(at.stream, BYTES("S")));
    const char *const none[] = {"",
                                "$JS.ACK",
                                "_INBOX.a.b",
                                "$JS.ACK.S.C.1.1.1.1",
                                "$JS.ACK.S.C.x.1.3.17.9",
                                "$JS.API.S.C.2.1.3.17.9",
                                "$JS.ACK.S.C.2.1.3.17.9.10"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(jsapi_position(bytes_str(none[i]), &at), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
