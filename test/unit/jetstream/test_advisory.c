#include "jetstream_test.h"

static const char *heard(struct api_test *t)
{
    static char text[4096];
    struct message *m = t->answers[t->count - 1];
    snprintf(text, sizeof text, "%.*s %.*s", BYTES_ARG(m->subject), BYTES_ARG(m->payload));
    return text;
}

static void test_streams(void **state)
{
    struct api_test t;
    struct bus_subscription *all;
    api_start(&t);
    bus_subscribe(t.bus, BYTES("$JS.EVENT.ADVISORY.STREAM.>"), BYTES(""), on_answer, &t, &all);
    ask(&t, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\"}");
    await(&t, 2);
    expect_part(heard(&t), "$JS.EVENT.ADVISORY.STREAM.CREATED.S {\"type\":"
                           "\"io.nats.jetstream.advisory.v1.stream_action\",\"id\":\"");
    expect_part(heard(&t), "\"stream\":\"S\",\"action\":\"create\"}");
    ask(&t, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\"}"); /* was there */
    await(&t, 3);
    ask(&t, "$JS.API.STREAM.UPDATE.S", "{\"name\":\"S\",\"max_msgs\":3}");
    await(&t, 5);
    expect_part(heard(&t), "STREAM.UPDATED.S");
    ask(&t, "$JS.API.STREAM.DELETE.S", "");
    await(&t, 7);
    expect_part(heard(&t), "STREAM.DELETED.S");
    bus_unsubscribe(all);
    api_stop(&t);
}

static void test_audit(void **state)
{
    struct api_test t;
    struct bus_subscription *audit;
    api_start(&t);
    bus_subscribe(t.bus, BYTES("$JS.EVENT.ADVISORY.API"), BYTES(""), on_answer, &t, &audit);
    ask(&t, "$JS.API.STREAM.INFO.S", "{\"offset\":1}");
    await(&t, 2);
    expect_part(heard(&t), "api_audit");
    expect_part(heard(&t),
                "\"subject\":\"$JS.API.STREAM.INFO.S\",\"request\":\"{\\\"offset\\\":1}\","
                "\"response\":\"{\\\"type\\\"");
    bus_unsubscribe(audit);
    api_stop(&t);
}

/* Nothing is written for nobody. */
static void test_nobody(void **state)
{
    struct api_test t;
    api_start(&t);
    answer_to(&t, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\"}");
    assert_int_equal(jetstream_metrics(t.js)->advisories, 0);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_nobody),
    };
    return cmocka_run_group_tests_name("advisory", tests, NULL, NULL);
}
