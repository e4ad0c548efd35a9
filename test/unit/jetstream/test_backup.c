/* A stream out to a client in chunks, and back. */
#include "jetstream_test.h"

struct taken {
    struct api_test *t;
    struct bus_subscription *subscription;
    struct buf all;
    char status[128];
    bool ended;
};

static void on_chunk(void *context, struct message *message)
{
    struct taken *taken = context;
    if (message->payload.len) {
        buf_append(&taken->all, message->payload);
        struct message ack = message_borrow(message->reply, BYTES(""), BYTES(""), BYTES(""));
        bus_publish(taken->t->bus, &ack);
        return;
    }
    snprintf(taken->status, sizeof taken->status, "%.*s", BYTES_ARG(message->headers));
    taken->ended = true;
}

static void take_backup(struct api_test *t, struct taken *taken)
{
    *taken = (struct taken){.t = t};
    buf_init(&taken->all, 64 << 20);
    bus_subscribe(t->bus, BYTES("chunks"), BYTES(""), on_chunk, taken, &taken->subscription);
    const char *text = answer_to(t, "$JS.API.STREAM.SNAPSHOT.S",
                                 "{\"deliver_subject\":\"chunks\",\"chunk_size\":1024,"
                                 "\"window_size\":4096}");
    expect_part(text, "stream_snapshot_response\",\"config\":{\"name\":\"S\"");
    for (int i = 0; i < 20000 && !taken->ended; i++) io_turn(t->io, 10);
    assert_string_equal(taken->status, "NATS/1.0 204\r\n\r\n");
    bus_unsubscribe(taken->subscription);
}

/* Sends the bytes as chunks, and gives what is said in the end. */
static const char *give_back(struct api_test *t, const char *config, struct bytes all, size_t chunk)
{
    static char text[1 << 14];
    char body[2048], subject[300];
    snprintf(body, sizeof body, "{\"config\":%s,\"state\":{}}", config);
    const char *answer = answer_to(t, "$JS.API.STREAM.RESTORE.S", body);
    const char *at = strstr(answer, "\"deliver_subject\":\"");
    if (!at || strstr(answer, "error")) return answer;
    snprintf(subject, sizeof subject, "%s", at + strlen("\"deliver_subject\":\""));
    *strchr(subject, '"') = '\0';
    while (all.len) {
        struct bytes part = bytes_head(all, chunk);
        struct message message =
            message_borrow(bytes_str(subject), BYTES("answer"), BYTES(""), part);
        forget_answers(t);
        assert_int_equal(bus_publish(t->bus, &message), 1);
        await(t, 1);
        if (t->answers[0]->payload.len) break;
        all = bytes_skip(all, part.len);
    }
    if (!all.len) {
        forget_answers(t);
        ask(t, subject, "");
        await(t, 1);
    }
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(t->answers[0]->payload));
    forget_answers(t);
    return text;
}

static const char config[] =
    "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"allow_direct\":true,\"max_msgs\":5000}";

static void prepare(struct api_test *t)
{
    api_start(t);
    answer_to(t, "$JS.API.STREAM.CREATE.S", config);
    for (int i = 1; i <= 300; i++) {
        char subject[16], body[200];
        snprintf(subject, sizeof subject, "s.%d", i % 7);
        snprintf(body, sizeof body, "message %d %0150d", i, i);
        answer_to(t, subject, body);
    }
    answer_to(t, "$JS.API.STREAM.MSG.DELETE.S", "{\"seq\":100}");
    answer_to(t, "$JS.API.STREAM.MSG.DELETE.S", "{\"seq\":300}");
    answer_to(
        t, "$JS.API.CONSUMER.CREATE.S.c",
        "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"c\",\"ack_policy\":\"explicit\","
        "\"filter_subject\":\"s.1\"}}");
}

static void test_round_trip(void **state)
{
    struct api_test t;
    struct taken taken;
    prepare(&t);
    char *before = strdup(answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"seq\":42}"));
    take_backup(&t, &taken);
    expect_part(give_back(&t, config, buf_bytes(&taken.all), 1000), "\"err_code\":10130");
    answer_to(&t, "$JS.API.STREAM.DELETE.S", "");
    const char *text = give_back(&t, config, buf_bytes(&taken.all), 1000);
    expect_part(text, "stream_create_response\",\"config\":{\"name\":\"S\",\"subjects\":[\"s.>\"]");
    expect_part(text, "\"messages\":298,");
    expect_part(text, "\"first_seq\":1,");
    expect_part(text, "\"last_seq\":300,");
    expect_part(text, "\"consumer_count\":1}");
    assert_string_equal(before, answer_to(&t, "$JS.API.STREAM.MSG.GET.S", "{\"seq\":42}"));
    free(before);
    expect_part(answer_to(&t, "$JS.API.CONSUMER.INFO.S.c", ""), "\"num_pending\":43");
    /* It takes messages again, and is there after a restart. */
    expect_part(answer_to(&t, "s.1", "new"), "\"seq\":301");
    api_close(&t);
    api_open(&t);
    expect_part(answer_to(&t, "$JS.API.STREAM.INFO.S", ""), "\"messages\":299,");
    buf_release(&taken.all);
    api_stop(&t);
}

static void test_damaged(void **state)
{
    struct api_test t;
    struct taken taken;
    prepare(&t);
    take_backup(&t, &taken);
    answer_to(&t, "$JS.API.STREAM.DELETE.S", "");
    struct bytes all = buf_bytes(&taken.all);
    expect_part(
        give_back(&t, config, bytes_head(all, all.len / 2), 1 << 16),
        "\"err_code\":10062,\"description\":\"restore failed: the backup is not complete\"");
    taken.all.data[taken.all.start + all.len / 2] ^= 1;
    expect_part(give_back(&t, config, all, 1 << 16), "\"err_code\":10062");
    expect_part(give_back(&t, config, BYTES("\xFF\x06\0\0sNaPpY\0\x05\0\0aaaaa"), 1 << 16),
                "not a backup of this kind of server");
    expect_part(answer_to(&t, "$JS.API.STREAM.INFO.S", ""), "\"err_code\":10059");
    buf_release(&taken.all);
    api_stop(&t);
}

static void test_refused(void **state)
{
    struct api_test t;
    prepare(&t);
    expect_part(answer_to(&t, "$JS.API.STREAM.SNAPSHOT.S", ""), "\"err_code\":10003");
    expect_part(answer_to(&t, "$JS.API.STREAM.SNAPSHOT.S", "{\"deliver_subject\":\"a.*\"}"),
                "10015");
    expect_part(answer_to(&t, "$JS.API.STREAM.SNAPSHOT.N", "{\"deliver_subject\":\"a\"}"), "10059");
    expect_part(answer_to(&t, "$JS.API.STREAM.RESTORE.N", ""), "\"err_code\":10003,");
    expect_part(answer_to(&t, "$JS.API.STREAM.RESTORE.N", "{\"config\":{\"name\":\"M\"}}"),
                "10056");
    expect_part(answer_to(&t, "$JS.API.STREAM.RESTORE.N",
                          "{\"config\":{\"name\":\"N\",\"sources\":[{\"name\":\"S\"}]}}"),
                "10062");
    api_stop(&t);
}

/* Both are ended by a close. */
static void test_close(void **state)
{
    struct api_test t;
    prepare(&t);
    answer_to(&t, "$JS.API.STREAM.SNAPSHOT.S", "{\"deliver_subject\":\"nobody\"}");
    answer_to(&t, "$JS.API.STREAM.RESTORE.R", "{\"config\":{\"name\":\"R\"}}");
    api_close(&t);
    api_open(&t);
    expect_part(answer_to(&t, "$JS.API.STREAM.NAMES", ""), "\"streams\":[\"S\"]");
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_close),
    };
    return cmocka_run_group_tests_name("backup", tests, NULL, NULL);
}
