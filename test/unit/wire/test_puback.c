#include "wire/puback.h"
#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct puback ack;

static int parse(const char *text)
{
    return puback_parse(bytes_str(text), &ack);
}

static void acknowledgements(void **state)
{
    assert_int_equal(parse("{\"stream\":\"S\",\"seq\":7}"), 0);
    assert_string_equal(ack.stream, "S");
    assert_int_equal(ack.seq, 7);
    assert_false(ack.duplicate || ack.code);
    assert_int_equal(parse(" { \"seq\" : 18446744073709551615 ,\"domain\":\"d\",\r\n"
                           "\t\"duplicate\":true,\"stream\":\"S\" } "),
                     0);
    assert_true(ack.duplicate && ack.seq == UINT64_MAX);
    assert_int_equal(parse("{\"stream\":\"S\",\"seq\":1,\"duplicate\":false}"), 0);
    assert_false(ack.duplicate);
}

static void refusals(void **state)
{
    assert_int_equal(
        parse("{\"error\":{\"code\":400,\"err_code\":10071,"
              "\"description\":\"wrong last sequence: 4\"},\"stream\":\"S\",\"seq\":0}"),
        0);
    assert_int_equal(ack.code, 400);
    assert_int_equal(ack.err_code, 10071);
    assert_string_equal(ack.description, "wrong last sequence: 4");
    assert_int_equal(parse("{\"type\":\"t\",\"error\":{}}"), 0);
    assert_int_equal(ack.code, 500);
    assert_string_equal(ack.description, "");
}

/* Members of servers to come. */
static void passed_over(void **state)
{
    const char *const values[] = {"\"a\\\"b\"",
                                  "0",
                                  "-1.5e-7",
                                  "10E2",
                                  "true",
                                  "false",
                                  "null",
                                  "[]",
                                  "{}",
                                  "[1, [2], {\"x\": []}]",
                                  "{\"seq\":\"x\",\"stream\":1}"};
    char text[200];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(text, sizeof text, "{\"stream\":\"S\",\"more\":%s,\"seq\":7}", values[i]);
        assert_int_equal(parse(text), 0);
        assert_true(ack.seq == 7);
        snprintf(text, sizeof text, "{\"error\":{\"code\":400,\"a name that is very long\":%s}}",
                 values[i]);
        assert_int_equal(parse(text), 0);
        assert_int_equal(ack.code, 400);
    }
    assert_int_equal(parse("{\"x\":[[[[[[[1]]]]]]],\"stream\":\"S\",\"seq\":7}"), 0);
    assert_int_equal(parse("{\"x\":[[[[[[[[1]]]]]]]],\"stream\":\"S\",\"seq\":7}"), ERR_SYNTAX);
}

static void strings(void **state)
{
    assert_int_equal(parse("{\"stream\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00fc\\u20ac"
                           "\\ud83d\\ude00\xC3\xBC\",\"\\u0073eq\":7}"),
                     0);
    assert_string_equal(ack.stream,
                        "a\"\\/\b\f\n\r\tA\xC3\xBC\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xBC");
    const char *const wrong[] = {"\\x",     "\\u12",          "\\u123g",      "\\ud83d",
                                 "\\ude00", "\\ud83d\\u0041", "\n",           "\xC3",
                                 "\xFF",    "\\u0000",        "\xED\xA0\x80", "\\"};
    char text[200];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "{\"stream\":\"%s\",\"seq\":7}", wrong[i]);
        assert_int_equal(parse(text), ERR_SYNTAX);
        snprintf(text, sizeof text, "{\"stream\":\"S\",\"x\":\"%s\",\"seq\":7}", wrong[i]);
        assert_int_equal(parse(text), ERR_SYNTAX);
    }
}

/* What is longer than its room is cut between two characters. */
static void long_texts(void **state)
{
    char text[700];
    snprintf(text, sizeof text, "{\"error\":{\"description\":\"%0300d\"}}", 0);
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(ack.description), 255);
    snprintf(text, sizeof text, "{\"error\":{\"description\":\"%0254d\xC3\xBC!\"}}", 0);
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(ack.description), 254);
    snprintf(text, sizeof text, "{\"error\":{\"description\":\"%0253d\xC3\xBC!\"}}", 0);
    assert_int_equal(parse(text), 0);
    assert_int_equal(strlen(ack.description), 255);
}

static void what_is_none(void **state)
{
    const char *const texts[] = {"",
                                 "x",
                                 "[]",
                                 "{}",
                                 "7",
                                 "{\"stream\":\"S\"}",
                                 "{\"seq\":7}",
                                 "{\"stream\":\"\",\"seq\":7}",
                                 "{\"stream\":\"S\",\"seq\":0}",
                                 "{\"stream\":\"S\",\"seq\":-7}",
                                 "{\"stream\":\"S\",\"seq\":07}",
                                 "{\"stream\":\"S\",\"seq\":7.5}",
                                 "{\"stream\":\"S\",\"seq\":18446744073709551616}",
                                 "{\"stream\":\"S\",\"seq\":\"7\"}",
                                 "{\"stream\":1,\"seq\":1}",
                                 "{\"stream\":null,\"seq\":1}",
                                 "{\"stream\":\"S\",\"seq\":7,\"duplicate\":1}",
                                 "{\"stream\":\"S\",\"seq\":7,\"stream\":\"S\"}",
                                 "{\"stream\":\"S\",\"seq\":7,\"seq\":7}",
                                 "{\"stream\":\"S\",\"seq\":7,}",
                                 "{\"stream\":\"S\",\"seq\":7}}",
                                 "{\"stream\":\"S\",\"seq\":7} x",
                                 "{\"stream\":\"S\" \"seq\":7}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":-}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":1.}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":1e}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":[1,]}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":[1}",
                                 "{\"stream\":\"S\",\"seq\":7,\"x\":nul}",
                                 "{\"error\":7}",
                                 "{\"error\":{\"code\":\"400\"}}",
                                 "{\"error\":{\"code\":99999999999}}",
                                 "{\"error\":{\"code\":400,\"code\":400}}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse(texts[i]), ERR_SYNTAX);
        assert_true(!ack.seq && !ack.code && !ack.stream[0] && !ack.description[0]);
    }
    assert_int_equal(puback_parse(BYTES("{\"stream\":\"S\",\"seq\":7}\0"), &ack), ERR_SYNTAX);
}

static void cut_at_every_byte(void **state)
{
    const struct bytes wholes[] = {
        BYTES("{\"stream\":\"S\\u00fc\xC3\xBC\",\"x\":[1.5e+7,{\"a\":null}],\"seq\":7,"
              "\"duplicate\":true}"),
        BYTES("{\"error\":{\"code\":400,\"err_code\":1,\"description\":\"no\\n\"},\"seq\":0}")};
    struct guard guard;
    guard_init(&guard, 200);
    for (size_t i = 0; i < 2; i++) {
        for (size_t len = 0; len < wholes[i].len; len++) {
            struct bytes cut = guard_bytes(&guard, bytes_head(wholes[i], len));
            assert_int_equal(puback_parse(cut, &ack), ERR_SYNTAX);
        }
        assert_int_equal(puback_parse(guard_bytes(&guard, wholes[i]), &ack), 0);
    }
    guard_release(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledgements),  cmocka_unit_test(refusals),
        cmocka_unit_test(passed_over),       cmocka_unit_test(strings),
        cmocka_unit_test(long_texts),        cmocka_unit_test(what_is_none),
        cmocka_unit_test(cut_at_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
