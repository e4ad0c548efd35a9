/* Requests about consumers. */
#include "jetstream_test.h"

static void prepare(struct api_test *t)
{
    api_start(t);
    answer_to(t, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}");
    for (int i = 0; i < 3; i++) answer_to(t, i == 1 ? "s.b" : "s.a", "x");
}

static const char *create(struct api_test *t, const char *subject, const char *config,
                          const char *more)
{
    char name[128], body[1024];
    snprintf(name, sizeof name, "$JS.API.CONSUMER.%s", subject);
    snprintf(body, sizeof body, "{\"stream_name\":\"S\",\"config\":%s%s}", config, more);
    return answer_to(t, name, body);
}

static void test_create(void **state)
{
    struct api_test t;
    prepare(&t);
    const char *text = create(&t, "CREATE.S.c", "{\"durable_name\":\"c\"}", "");
    expect_part(text,
                "consumer_create_response\",\"stream_name\":\"S\",\"name\":\"c\",\"created\":\"2");
    expect_part(text,
                "\"config\":{\"durable_name\":\"c\",\"name\":\"c\",\"deliver_policy\":\"all\","
                "\"ack_policy\":\"none\",\"max_deliver\":-1,\"replay_policy\":\"instant\","
                "\"max_waiting\":512,\"num_replicas\":0,\"metadata\":{\"_nats.level\":\"");
    expect_part(text, "\"delivered\":{\"consumer_seq\":0,\"stream_seq\":0},\"ack_floor\":{"
                      "\"consumer_seq\":0,\"stream_seq\":0},\"num_ack_pending\":0,"
                      "\"num_redelivered\":0,\"num_waiting\":0,\"num_pending\":3,\"ts\":\"");
    /* The same again, and an update of what may change. */
    expect_part(create(&t, "CREATE.S.c", "{\"durable_name\":\"c\"}", ",\"action\":\"create\""),
                "\"num_pending\":3");
    text = create(&t, "CREATE.S.c", "{\"durable_name\":\"c\",\"description\":\"d\"}",
                  ",\"action\":\"update\"");
    expect_part(text, "\"description\":\"d\"");
    text = create(&t, "CREATE.S.f.s.a", "{\"filter_subject\":\"s.a\"}", "");
    expect_part(text, "\"num_pending\":2");
    text = create(&t, "CREATE.S.c", "{\"description\":\"no durable_name\"}", "");
    expect_part(text, "\"description\":\"no durable_name\"");
    assert_null(strstr(text, "inactive_threshold")); /* it does not become mortal by that */
    text = create(&t, "DURABLE.CREATE.S.old", "{\"durable_name\":\"old\"}", "");
    expect_part(text, "\"name\":\"old\"");
    text = create(&t, "CREATE.S", "{\"deliver_policy\":\"new\"}", "");
    expect_part(text, "\"inactive_threshold\":5000000000");
    expect_part(text, "\"num_pending\":0");
    expect_part(answer_to(&t, "$JS.API.STREAM.INFO.S", ""), "\"consumer_count\":4");
    expect_part(answer_to(&t, "$JS.API.INFO", ""), "\"consumers\":4");
    api_stop(&t);
}

static void test_refused(void **state)
{
    static const char *const cases[][4] = {
        {"CREATE.S.d", "{\"durable_name\":\"e\"}", "", "10017"},
        {"CREATE.S", "{\"durable_name\":\"e\"}", "", "10020"},
        {"DURABLE.CREATE.S.d", "{}", "", "10018"},
        {"DURABLE.CREATE.S.d", "{\"durable_name\":\"e\"}", "", "10017"},
        {"CREATE.S.d.s.a", "{\"filter_subject\":\"s.b\"}", "", "10131"},
        {"CREATE.S.d.s.a", "{}", "", "10131"},
        {"CREATE.S.d.s.a", "{\"filter_subjects\":[\"s.a\"]}", "", "10137"},
        {"CREATE.S.d", "{\"num_replicas\":3}", "", "10074"},
        {"CREATE.S.d", "{}", ",\"action\":\"update\"", "10149"},
        {"CREATE.S.d", "{}", ",\"action\":\"jump\"", "10025"},
        {"CREATE.S.d", "{\"ack_policy\":\"x\"}", "", "10025"},
        {"CREATE.S.c", "{\"durable_name\":\"c\",\"ack_policy\":\"all\"}", ",\"action\":\"create\"",
         "10148"},
        {"CREATE.S.c", "{\"durable_name\":\"c\",\"ack_policy\":\"all\"}", "", "10012"},
        {"CREATE.S.d", "{\"deliver_policy\":\"last_per_subject\"}", "", "10094"},
        {"CREATE.T.d", "{}", "", "10056"},
        {"CREATE.S.d", "[]", "", "10025"},
    };
    struct api_test t;
    prepare(&t);
    create(&t, "CREATE.S.c", "{\"durable_name\":\"c\"}", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char number[32];
        snprintf(number, sizeof number, "\"err_code\":%s,", cases[i][3]);
        expect_part(create(&t, cases[i][0], cases[i][1], cases[i][2]), number);
    }
    expect_part(answer_to(&t, "$JS.API.CONSUMER.CREATE.N.c", "{\"stream_name\":\"N\"}"), "10059");
    api_stop(&t);
}

/* What can not be changed is said before what a work queue asks of a new consumer. */
static void test_work_queue(void **state)
{
    struct api_test t;
    api_start(&t);
    answer_to(&t, "$JS.API.STREAM.CREATE.S",
              "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"retention\":\"workqueue\"}");
    static const char *const cases[][3] = {
        {"CREATE.S.c", "{}", "10084"},
        {"CREATE.S.c", "{\"ack_policy\":\"all\"}", "10098"},
        {"CREATE.S.c", "{\"ack_policy\":\"explicit\",\"deliver_policy\":\"new\"}", "10101"},
        {"CREATE.S.d", "{\"ack_policy\":\"explicit\"}", NULL},
        {"CREATE.S.d", "{\"ack_policy\":\"all\"}", "10012"},
        {"CREATE.S.d", "{\"ack_policy\":\"explicit\",\"deliver_policy\":\"new\"}", "10012"},
        {"CREATE.S.c", "{\"ack_policy\":\"explicit\"}", "10099"},
        {"CREATE.S.c", "{\"ack_policy\":\"explicit\",\"filter_subject\":\"s.a\"}", "10100"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char number[32];
        snprintf(number, sizeof number, "\"err_code\":%s,", cases[i][2]);
        expect_part(create(&t, cases[i][0], cases[i][1], ""), cases[i][2] ? number : "\"config\"");
    }
    api_stop(&t);
}

/* A stream's limits for consumers may not be less than what one of them has. */
static void test_limits_below(void **state)
{
    struct api_test t;
    prepare(&t);
    create(&t, "CREATE.S.a",
           "{\"durable_name\":\"a\",\"ack_policy\":\"explicit\",\"max_ack_pending\":9}", "");
    const char *update =
        "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"consumer_limits\":{\"max_ack_pending\":%d}}";
    char body[128];
    snprintf(body, sizeof body, update, 8);
    expect_part(answer_to(&t, "$JS.API.STREAM.UPDATE.S", body), "\"error\"");
    snprintf(body, sizeof body, update, 9);
    expect_part(answer_to(&t, "$JS.API.STREAM.UPDATE.S", body), "\"max_ack_pending\":9");
    api_stop(&t);
}

static void test_lists(void **state)
{
    struct api_test t;
    prepare(&t);
    expect_part(answer_to(&t, "$JS.API.CONSUMER.NAMES.S", ""),
                "\"total\":0,\"offset\":0,\"limit\":1024,\"consumers\":[]");
    create(&t, "CREATE.S.b", "{\"durable_name\":\"b\"}", "");
    create(&t, "CREATE.S.a", "{\"durable_name\":\"a\"}", "");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.NAMES.S", ""),
                "\"total\":2,\"offset\":0,\"limit\":1024,\"consumers\":[\"a\",\"b\"]");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.LIST.S", "{\"offset\":1}"),
                "\"total\":2,\"offset\":1,\"limit\":256,\"consumers\":[{\"stream_name\":\"S\","
                "\"name\":\"b\"");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.LIST.N", ""),
                "\"err_code\":10059,\"description\":\"stream not found\"},\"total\":0,\"offset\":0,"
                "\"limit\":0,\"consumers\":[]}");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.INFO.S.a", ""),
                "consumer_info_response\",\"stream");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.INFO.S.z", ""), "\"err_code\":10014");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.INFO.S.a", "{\"x\":1}"), "\"err_code\":10038");
    assert_string_equal(
        answer_to(&t, "$JS.API.CONSUMER.DELETE.S.a", ""),
        "{\"type\":\"io.nats.jetstream.api.v1.consumer_delete_response\",\"success\":true}");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.DELETE.S.a", ""), "\"err_code\":10014");
    api_stop(&t);
}

static void test_pause(void **state)
{
    struct api_test t;
    prepare(&t);
    create(&t, "CREATE.S.c", "{\"durable_name\":\"c\"}", "");
    const char *text =
        answer_to(&t, "$JS.API.CONSUMER.PAUSE.S.c", "{\"pause_until\":\"2200-01-01T00:00:00Z\"}");
    expect_part(text, "consumer_pause_response\",\"paused\":true,\"pause_until\":"
                      "\"2200-01-01T00:00:00Z\",\"pause_remaining\":");
    text = answer_to(&t, "$JS.API.CONSUMER.INFO.S.c", "");
    expect_part(text, "\"paused\":true,\"pause_remaining\":");
    expect_part(text, "\"_nats.req.level\":\"1\"");
    /* An update does not end it, and it is there after a restart. */
    create(&t, "CREATE.S.c", "{\"durable_name\":\"c\",\"description\":\"d\"}", "");
    api_close(&t);
    api_open(&t);
    expect_part(answer_to(&t, "$JS.API.CONSUMER.INFO.S.c", ""), "\"paused\":true");
    text = answer_to(&t, "$JS.API.CONSUMER.PAUSE.S.c", "");
    expect_part(text, "\"paused\":false,\"pause_until\":\"0001-01-01T00:00:00Z\"}");
    expect_part(answer_to(&t, "$JS.API.CONSUMER.PAUSE.S.z", ""), "\"err_code\":10014");
    api_stop(&t);
}

static void test_unpin(void **state)
{
    struct api_test t;
    prepare(&t);
    create(&t, "CREATE.S.c",
           "{\"ack_policy\":\"explicit\",\"priority_policy\":\"pinned_client\","
           "\"priority_groups\":[\"jobs\"]}",
           "");
    static const char *const cases[][3] = {
        {"S.c", "", "10025"},
        {"S.c", "{\"group\":\"a b\"}", "10162"},
        {"N.c", "{\"group\":\"jobs\"}", "10059"},
        {"S.n", "{\"group\":\"jobs\"}", "10014"},
        {"S.c", "{\"group\":\"others\"}", "10160"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char subject[80], number[32];
        snprintf(subject, sizeof subject, "$JS.API.CONSUMER.UNPIN.%s", cases[i][0]);
        snprintf(number, sizeof number, "\"err_code\":%s,", cases[i][2]);
        expect_part(answer_to(&t, subject, cases[i][1]), number);
    }
    assert_string_equal(answer_to(&t, "$JS.API.CONSUMER.UNPIN.S.c", "{\"group\":\"jobs\"}"),
                        "{\"type\":\"io.nats.jetstream.api.v1.consumer_unpin_response\"}");
    api_stop(&t);
}

static void test_advisories(void **state)
{
    struct api_test t;
    struct bus_subscription *all;
    prepare(&t);
    forget_answers(&t);
    bus_subscribe(t.bus, BYTES("$JS.EVENT.ADVISORY.CONSUMER.>"), BYTES(""), on_answer, &t, &all);
    ask(&t, "$JS.API.CONSUMER.CREATE.S.c",
        "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"c\"}}");
    await(&t, 2);
    ask(&t, "$JS.API.CONSUMER.PAUSE.S.c", "{\"pause_until\":\"2200-01-01T00:00:00Z\"}");
    await(&t, 4);
    ask(&t, "$JS.API.CONSUMER.DELETE.S.c", "");
    await(&t, 6);
    static const char *const subjects[] = {"$JS.EVENT.ADVISORY.CONSUMER.CREATED.S.c",
                                           "$JS.EVENT.ADVISORY.CONSUMER.PAUSE.S.c",
                                           "$JS.EVENT.ADVISORY.CONSUMER.DELETED.S.c"};
    for (size_t i = 0; i < 3; i++) {
        size_t found = 0;
        for (size_t j = 0; j < 6; j++)
            found += bytes_eq(t.answers[j]->subject, bytes_str(subjects[i]));
        assert_int_equal(found, 1);
    }
    bus_unsubscribe(all);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),     cmocka_unit_test(test_work_queue),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_lists),
        cmocka_unit_test(test_pause),      cmocka_unit_test(test_unpin),
        cmocka_unit_test(test_advisories), cmocka_unit_test(test_limits_below),
    };
    return cmocka_run_group_tests_name("jetstream api: consumers", tests, NULL, NULL);
}
