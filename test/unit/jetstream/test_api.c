/* Requests about streams and their messages. */
#include "jetstream_test.h"

static const char make_s[] = "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true}";

static void make_stream(struct api_test *t)
{
    expect_part(answer_to(t, "$JS.API.STREAM.CREATE.S", make_s), "\"did_create\":true");
}

static void test_account(void **state)
{
    struct api_test t;
    api_start(&t);
    const char *text = answer_to(&t, "$JS.API.INFO", "");
    expect_part(text, "{\"type\":\"io.nats.jetstream.api.v1.account_info_response\",\"memory\":0");
    expect_part(text, "\"streams\":0,\"consumers\":0");
    make_stream(&t);
    answer_to(&t, "s.a", "hello");
    text = answer_to(&t, "$JS.API.INFO", "");
    expect_part(text, "\"streams\":1");
    expect_part(text, "\"total\":3,\"errors\":0");
    api_stop(&t);
}

static void test_stream_life(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    const char *text = answer_to(&t, "$JS.API.STREAM.CREATE.S", make_s);
    expect_part(text, "stream_create_response\",\"config\":{\"name\":\"S\"");
    expect_part(text, "\"_nats.req.level\":\"0\"");
    text = answer_to(&t, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"x\"]}");
    expect_part(text, "\"err_code\":10058");
    text = answer_to(&t, "$JS.API.STREAM.UPDATE.S",
                     "{\"name\":\"S\",\"subjects\":[\"s.>\",\"u\"],\"max_msgs\":7}");
    expect_part(text, "stream_update_response\",\"config\"");
    expect_part(text, "\"max_msgs\":7");
    text = answer_to(&t, "$JS.API.STREAM.INFO.S", "");
    expect_part(text, "\"total\":0,\"offset\":0,\"limit\":0,\"config\":{\"name\":\"S\"");
    assert_string_equal(
        answer_to(&t, "$JS.API.STREAM.DELETE.S", ""),
        "{\"type\":\"io.nats.jetstream.api.v1.stream_delete_response\",\"success\":true}");
    assert_string_equal(answer_to(&t, "$JS.API.STREAM.INFO.S", ""),
                        "{\"type\":\"io.nats.jetstream.api.v1.stream_info_response\",\"error\":{"
                        "\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"},"
                        "\"total\":0,\"offset\":0,\"limit\":0}");
    api_stop(&t);
}

static void test_refusals(void **state)
{
    static const char *const cases[][3] = {
        {"STREAM.CREATE.S", "", "10056"},
        {"STREAM.CREATE.S", "{bad", "10025"},
        {"STREAM.CREATE.S", "[]", "10025"},
        {"STREAM.CREATE.S", "{\"name\":7}", "10025"},
        {"STREAM.CREATE.S", "{\"name\":\"T\"}", "10056"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"sealed\":true}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"mirror_direct\":true}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"num_replicas\":3}", "10074"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"max_age\":1}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"max_age\":-1}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"num_replicas\":-1}", "10133"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"retention\":\"x\"}", "10025"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"a.*.c\",\"a.b.*\"]}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"sources\":[{\"name\":\"S\"}]}", "10052"},
        {"STREAM.CREATE.S", "{\"name\":\"S\",\"mirror\":{\"name\":\"S\"}}", "10052"},
        {"STREAM.UPDATE.S", "{\"name\":\"S\"}", "10059"},
        {"STREAM.UPDATE.S", "{\"name\":\"S\",\"num_replicas\":3}", "10059"},
        {"STREAM.UPDATE.S", "{\"name\":\"S\",\"num_replicas\":3,\"discard_new_per_subject\":true}",
         "10052"},
        {"STREAM.DELETE.S", "", "10059"},
        {"STREAM.DELETE.S", "{\"x\":1}", "10038"},
        {"STREAM.PURGE.S", "", "10059"},
        {"STREAM.PURGE.S", "{\"seq\":1,\"keep\":1}", "10003"},
        {"STREAM.PURGE.S", "{\"seq\":-1}", "10025"},
        {"STREAM.MSG.GET.S", "", "10003"},
        {"STREAM.MSG.GET.S", "{\"seq\":1}", "10059"},
        {"STREAM.MSG.DELETE.S", "", "10003"},
        {"STREAM.NAMES", "{\"offset\":\"x\"}", "10025"},
    };
    struct api_test t;
    api_start(&t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char subject[80], number[32];
        snprintf(subject, sizeof subject, "$JS.API.%s", cases[i][0]);
        snprintf(number, sizeof number, "\"err_code\":%s,", cases[i][2]);
        expect_part(answer_to(&t, subject, cases[i][1]), number);
    }
    api_stop(&t);
}

/* What means nothing is swallowed: a client's request runs into its timeout, as with NATS. */
static void test_silence(void **state)
{
    static const char *const subjects[] = {"$JS.API.STREAM.CREATE.bad.name",
                                           "$JS.API.STREAM.CREATE", "$JS.API.NOTHING",
                                           "$JS.API.INFO.x", "$JS.API.INFOX"};
    struct api_test t;
    api_start(&t);
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        assert_true(ask(&t, subjects[i], "") > 0);
    }
    for (int i = 0; i < 10; i++) io_turn(t.io, 1);
    assert_int_equal(t.count, 0);
    api_stop(&t);
}

static void test_level(void **state)
{
    struct api_test t;
    api_start(&t);
    struct message message =
        message_borrow(BYTES("$JS.API.INFO"), BYTES("answer"),
                       BYTES("NATS/1.0\r\nNats-Required-Api-Level: 99\r\n\r\n"), BYTES(""));
    bus_publish(t.bus, &message);
    await(&t, 1);
    struct bytes text = t.answers[0]->payload;
    assert_true(
        bytes_starts(text, BYTES("{\"type\":\"io.nats.jetstream.api.v1.account_info_response\","
                                 "\"error\":{\"code\":412,\"err_code\":10185,")));
    api_stop(&t);
}

static void test_messages(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    answer_to(&t, "s.a", "one");
    answer_to(&t, "s.b", "two");
    answer_to(&t, "s.a", "");
    const char *text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"seq\":1}");
    expect_part(text, "\"message\":{\"subject\":\"s.a\",\"seq\":1,\"data\":\"b25l\",\"time\":\"");
    text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"last_by_subj\":\"s.a\"}");
    expect_part(text, "\"seq\":3,\"time\"");
    text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"last_by_subj\":\"s.*\"}");
    expect_part(text, "\"seq\":3");
    text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"next_by_subj\":\"s.*\",\"seq\":2}");
    expect_part(text, "\"seq\":2,\"data\":\"dHdv\"");
    text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"start_time\":\"2001-01-01T00:00:00Z\"}");
    expect_part(text, "\"seq\":1");
    text = answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"start_time\":\"2400-01-01T00:00:00Z\"}");
    expect_part(text, "\"err_code\":10037");
    text = answer_to(&t, "$JS.API.STREAM.MSG.DELETE.S", "{\"seq\":2}");
    expect_part(text, "\"success\":true");
    text = answer_to(&t, "$JS.API.STREAM.MSG.DELETE.S", "{\"seq\":2}");
    expect_part(text, "\"err_code\":10043,\"description\":\"sequence 2 not found\"");
    text = answer_to(&t, "$JS.API.STREAM.INFO.S",
                     "{\"deleted_details\":true,\"subjects_filter\":\">\"}");
    expect_part(text,
                "\"num_subjects\":1,\"subjects\":{\"s.a\":2},\"num_deleted\":1,\"deleted\":[2]");
    text = answer_to(&t, "$JS.API.STREAM.PURGE.S", "{\"filter\":\"s.a\",\"keep\":1}");
    expect_part(text, "\"success\":true,\"purged\":1");
    text = answer_to(&t, "$JS.API.STREAM.PURGE.S", "{\"seq\":10}");
    expect_part(text, "\"success\":true,\"purged\":1");
    expect_part(answer_to(&t, "s.a", "next"), "\"seq\":10}");
    api_stop(&t);
}

static void test_lists(void **state)
{
    struct api_test t;
    api_start(&t);
    static const char *const names[] = {"C", "A", "B"};
    for (size_t i = 0; i < 3; i++) {
        char subject[64], body[64];
        snprintf(subject, sizeof subject, "$JS.API.STREAM.CREATE.%s", names[i]);
        snprintf(body, sizeof body, "{\"name\":\"%s\",\"subjects\":[\"%s.*\"]}", names[i],
                 names[i]);
        answer_to(&t, subject, body);
    }
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", ""),
                "\"total\":3,\"offset\":0,\"limit\":1024,\"streams\":[\"A\",\"B\",\"C\"]");
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", "{\"offset\":2}"),
                "\"total\":3,\"offset\":2,\"limit\":1024,\"streams\":[\"C\"]");
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", "{\"offset\":9}"),
                "\"total\":3,\"offset\":3,\"limit\":1024");
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", "{\"subject\":\"B.x\"}"),
                "\"total\":1,\"offset\":0,\"limit\":1024,\"streams\":[\"B\"]");
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", "{\"subject\":\"*.x\"}"), "\"total\":3");
    expect_part(answer_to(&t, "$JS.API.STREAM.LIST", "{\"subject\":\"C.x\"}"),
                "\"limit\":256,\"streams\":[{\"config\":{\"name\":\"C\"");
    api_stop(&t);
}

/* Streams that take from each other in a circle, over another one, and one that is too small for
 * what it would get. */
static void test_origins(void **state)
{
    struct api_test t;
    api_start(&t);
    answer_to(&t, "$JS.API.STREAM.CREATE.A",
              "{\"name\":\"A\",\"sources\":[{\"name\":\"C\",\"filter_subject\":\"c\"}]}");
    const char *text = answer_to(&t, "$JS.API.STREAM.CREATE.B",
                                 "{\"name\":\"B\",\"allow_direct\":true,\"max_msg_size\":9}");
    expect_part(text, "did_create");
    text = answer_to(&t, "$JS.API.STREAM.CREATE.C",
                     "{\"name\":\"C\",\"subjects\":[\"c\"],\"sources\":[{\"name\":\"A\"}]}");
    expect_part(text, "\"err_code\":10052,\"description\":\"detected cycle\"");
    text = answer_to(&t, "$JS.API.STREAM.CREATE.C",
                     "{\"name\":\"C\",\"subjects\":[\"d\"],\"sources\":[{\"name\":\"A\"}]}");
    expect_part(text, "did_create");
    text = answer_to(&t, "$JS.API.STREAM.CREATE.M",
                     "{\"name\":\"M\",\"mirror\":{\"name\":\"B\"},\"max_msg_size\":8}");
    expect_part(text, "\"err_code\":10030");
    text = answer_to(&t, "$JS.API.STREAM.CREATE.M", "{\"name\":\"M\",\"mirror\":{\"name\":\"B\"}}");
    expect_part(text, "\"mirror_direct\":true");
    api_stop(&t);
}

/* A client may send the next request without having seen the answer to the one before. */
static void test_order(void **state)
{
    struct api_test t;
    api_start(&t);
    ask(&t, "$JS.API.STREAM.CREATE.S", make_s);
    ask(&t, "$JS.API.STREAM.INFO.S", "");
    ask(&t, "$JS.API.STREAM.DELETE.S", "");
    ask(&t, "$JS.API.STREAM.INFO.S", "");
    await(&t, 4);
    static const char *const parts[] = {"did_create", "stream_info_response\",\"total\"",
                                        "\"success\":true", "\"err_code\":10059"};
    for (size_t i = 0; i < 4; i++) {
        char text[4096];
        snprintf(text, sizeof text, "%.*s", BYTES_ARG(t.answers[i]->payload));
        expect_part(text, parts[i]);
    }
    api_stop(&t);
}

/* Those that wait for their turn are dropped, those under way are answered. */
static void test_close(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    answer_to(&t, "s.a", "one");
    forget_answers(&t);
    ask(&t, "$JS.API.STREAM.MSG.GET.S", "{\"seq\":1}");
    io_turn(t.io, 0);
    ask(&t, "$JS.API.STREAM.INFO.S", "");
    api_close(&t);
    assert_int_equal(ask(&t, "$JS.API.INFO", ""), 0);
    assert_true(t.count <= 1);
    api_open(&t);
    expect_part(answer_to(&t, "$JS.API.STREAM.INFO.S", ""), "\"messages\":1");
    api_stop(&t);
}

static void test_limit(void **state)
{
    struct api_test t;
    struct error error;
    api_start(&t);
    jetstream_close(t.js, was_closed, &t);
    until_closed(&t);
    const struct jetstream_options options = {.max_requests = 2};
    assert_int_equal(jetstream_open(t.io, t.bus, t.streams, &options, &t.js, &error), 0);
    for (int i = 0; i < 5; i++) ask(&t, "$JS.API.INFO", "");
    for (int i = 0; i < 20; i++) io_turn(t.io, 1);
    assert_int_equal(t.count, 2);
    assert_int_equal(jetstream_metrics(t.js)->dropped, 3);
    assert_int_equal(jetstream_metrics(t.js)->waiting, 0);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_account),  cmocka_unit_test(test_stream_life),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_silence),
        cmocka_unit_test(test_level),    cmocka_unit_test(test_messages),
        cmocka_unit_test(test_lists),    cmocka_unit_test(test_order),
        cmocka_unit_test(test_origins),  cmocka_unit_test(test_close),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests_name("jetstream api", tests, NULL, NULL);
}
