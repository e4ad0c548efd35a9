/* Direct get, over the bus. */
#include "jetstream_test.h"

static void prepare(struct api_test *t)
{
    api_start(t);
    answer_to(t, "$JS.API.STREAM.CREATE.S",
              "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true}");
    for (int i = 0; i < 6; i++) {
        char subject[8], body[8];
        snprintf(subject, sizeof subject, "s.%d", i % 3);
        snprintf(body, sizeof body, "m%d", i + 1);
        answer_to(t, subject, body);
    }
    forget_answers(t);
}

/* Asks, and wants answers that hold these parts. */
static void expect_answers(struct api_test *t, const char *body, size_t count,
                           const char *const *parts)
{
    forget_answers(t);
    assert_int_equal(ask(t, "$JS.API.DIRECT.GET.S", body), 1);
    await(t, count);
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        struct message *m = t->answers[i];
        snprintf(text, sizeof text, "%.*s%.*s", BYTES_ARG(m->headers), BYTES_ARG(m->payload));
        expect_part(text, parts[i]);
    }
    for (int i = 0; i < 5; i++) io_turn(t->io, 0);
    assert_int_equal(t->count, count);
}

static void test_one(void **state)
{
    struct api_test t;
    prepare(&t);
    const char *text = answer_to(&t, "$JS.API.DIRECT.GET.S.s.1", "");
    expect_part(text, "NATS/1.0\r\nNats-Stream: S\r\nNats-Subject: s.1\r\nNats-Sequence: 5\r\n"
                      "Nats-Time-Stamp: 2");
    expect_part(text, "Z\r\n\r\nm5");
    expect_part(answer_to(&t, "$JS.API.DIRECT.GET.S", "{\"seq\":2}"), "\r\n\r\nm2");
    expect_part(answer_to(&t, "$JS.API.DIRECT.GET.S", "{\"last_by_subj\":\"s.*\"}"), "\r\n\r\nm6");
    expect_part(answer_to(&t, "$JS.API.DIRECT.GET.S", "{\"next_by_subj\":\"s.0\",\"seq\":2}"),
                "\r\n\r\nm4");
    assert_string_equal(answer_to(&t, "$JS.API.DIRECT.GET.S", "{\"seq\":2,\"no_hdr\":true}"), "m2");
    assert_string_equal(answer_to(&t, "$JS.API.DIRECT.GET.S.s.9", ""),
                        "NATS/1.0 404 Message Not Found\r\n\r\n");
    assert_string_equal(answer_to(&t, "$JS.API.DIRECT.GET.S", "{\"seq\":99}"),
                        "NATS/1.0 404 Message Not Found\r\n\r\n");
    api_stop(&t);
}

/* Ours come behind the message's own. */
static void test_headers(void **state)
{
    struct api_test t;
    prepare(&t);
    struct message message = message_borrow(BYTES("s.h"), BYTES("answer"),
                                            BYTES("NATS/1.0\r\nA: b\r\n\r\n"), BYTES("x"));
    bus_publish(t.bus, &message);
    await(&t, 1);
    expect_part(answer_to(&t, "$JS.API.DIRECT.GET.S.s.h", ""),
                "NATS/1.0\r\nA: b\r\nNats-Stream: S\r\n");
    api_stop(&t);
}

static void test_refused(void **state)
{
    struct api_test t;
    prepare(&t);
    assert_string_equal(answer_to(&t, "$JS.API.DIRECT.GET.S", ""),
                        "NATS/1.0 408 Empty Request\r\n\r\n");
    assert_string_equal(answer_to(&t, "$JS.API.DIRECT.GET.S", "{x"),
                        "NATS/1.0 408 Malformed Request\r\n\r\n");
    /* Nobody answers for a stream that is not there, or does not allow it. */
    answer_to(&t, "$JS.API.STREAM.CREATE.N", "{\"name\":\"N\"}");
    assert_int_equal(ask(&t, "$JS.API.DIRECT.GET.N", "{\"seq\":1}"), 0);
    assert_int_equal(ask(&t, "$JS.API.DIRECT.GET.NOPE", "{\"seq\":1}"), 0);
    api_stop(&t);
}

static void test_batch(void **state)
{
    struct api_test t;
    prepare(&t);
    expect_answers(&t, "{\"seq\":2,\"batch\":3}", 4,
                   (const char *const[]){
                       "Nats-Num-Pending: 4\r\nNats-Last-Sequence: 0\r\n\r\nm2",
                       "Nats-Num-Pending: 3\r\nNats-Last-Sequence: 2\r\n\r\nm3",
                       "Nats-Num-Pending: 2\r\nNats-Last-Sequence: 3\r\n\r\nm4",
                       "NATS/1.0 204 EOB\r\nNats-Num-Pending: 2\r\nNats-Last-Sequence: 4\r\n\r\n"});
    expect_answers(&t, "{\"next_by_subj\":\"s.2\",\"batch\":9}", 3,
                   (const char *const[]){
                       "Nats-Num-Pending: 1\r\n", "Nats-Num-Pending: 0\r\n",
                       "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 6\r\n\r\n"});
    expect_answers(&t, "{\"seq\":1,\"batch\":9,\"max_bytes\":6}", 3,
                   (const char *const[]){"m1", "m2", "Nats-Num-Pending: 4\r\n"});
    expect_answers(&t, "{\"next_by_subj\":\"z\",\"batch\":9}", 1,
                   (const char *const[]){"NATS/1.0 404 Message Not Found\r\n\r\n"});
    api_stop(&t);
}

static void test_many(void **state)
{
    struct api_test t;
    prepare(&t);
    expect_answers(&t, "{\"multi_last\":[\"s.0\",\"s.*\"]}", 4,
                   (const char *const[]){"Nats-Num-Pending: 2\r\nNats-Last-Sequence: 0\r\n\r\nm4",
                                         "m5", "m6",
                                         "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\n"
                                         "Nats-Last-Sequence: 6\r\nNats-UpTo-Sequence: 6\r\n\r\n"});
    expect_answers(&t, "{\"multi_last\":[\"s.*\"],\"up_to_seq\":4}", 4,
                   (const char *const[]){"m2", "m3", "m4", "Nats-UpTo-Sequence: 4\r\n"});
    expect_answers(&t, "{\"multi_last\":[\"s.*\"],\"batch\":1}", 2,
                   (const char *const[]){"m4", "Nats-Num-Pending: 2\r\n"});
    expect_answers(&t, "{\"multi_last\":[\"z\"]}", 1,
                   (const char *const[]){"NATS/1.0 404 No Results\r\n\r\n"});
    expect_answers(&t, "{\"multi_last\":[\"s.*\"],\"up_to_time\":\"2001-01-01T00:00:00Z\"}", 1,
                   (const char *const[]){"NATS/1.0 404 No Results\r\n\r\n"});
    api_stop(&t);
}

/* The stream goes while gets of it are under way. */
static void test_stream_goes(void **state)
{
    struct api_test t;
    prepare(&t);
    ask(&t, "$JS.API.DIRECT.GET.S", "{\"seq\":1,\"batch\":6}");
    ask(&t, "$JS.API.STREAM.DELETE.S", "");
    ask(&t, "$JS.API.DIRECT.GET.S", "{\"seq\":1,\"batch\":6}");
    for (int i = 0; i < 50; i++) io_turn(t.io, 1);
    assert_in_range(t.count, 3, 15);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one),     cmocka_unit_test(test_headers),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_batch),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_stream_goes),
    };
    return cmocka_run_group_tests_name("direct get", tests, NULL, NULL);
}
