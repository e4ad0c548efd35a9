/* A consumer's configuration: read, checked, filled in, written, compared. */
#include "stream/consumer_config.h"

#include "base/arena.h"
#include "stream/stream_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

static const char *const subjects[] = {"s.>"};

static struct stream_config of_stream(void)
{
    return (struct stream_config){.name = "S", .subjects = subjects, .subject_count = 1};
}

/* Reads and checks; returns the number of the error, 0: none. */
static int check(const char *json, const struct stream_config *stream)
{
    struct arena arena;
    struct consumer_config config;
    struct api_error refusal = {0};
    arena_init(&arena, 1 << 20);
    json_t *object = json_loads(json, 0, NULL);
    assert_non_null(object);
    int r = consumer_config_read(object, &arena, &config, &refusal);
    if (r == 0) r = consumer_config_check(&config, stream, &refusal);
    assert_int_equal(r < 0, refusal.kind != API_OK);
    json_decref(object);
    arena_release(&arena);
    return api_error_number(refusal.kind);
}

static struct consumer_config *copy(const char *json, const struct stream_config *stream)
{
    struct arena arena;
    struct consumer_config config;
    arena_init(&arena, 1 << 20);
    json_t *object = json_loads(json, 0, NULL);
    assert_int_equal(consumer_config_read(object, &arena, &config, NULL), 0);
    struct consumer_config *made = consumer_config_copy(&config, stream);
    json_decref(object);
    arena_release(&arena);
    assert_non_null(made);
    return made;
}

static void encode(const struct consumer_config *config, struct buf *out)
{
    struct jsonw json;
    buf_init(out, SIZE_MAX);
    jsonw_init(&json, out);
    consumer_config_encode(config, &json, NULL);
}

static void expect(const char *json, const char *text)
{
    struct buf out, again;
    struct stream_config stream = of_stream();
    struct consumer_config *made = copy(json, &stream), *decoded;
    encode(made, &out);
    if (!bytes_eq(buf_bytes(&out), bytes_str(text))) {
        fail_msg("%.*s", BYTES_ARG(buf_bytes(&out)));
    }
    assert_int_equal(consumer_config_decode(buf_bytes(&out), &decoded), 0);
    assert_true(consumer_config_equal(made, decoded));
    encode(decoded, &again);
    assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&again)));
    buf_release(&out);
    buf_release(&again);
    free(made);
    free(decoded);
}

static void defaults_are_filled_in(void **state)
{
    expect("{\"durable_name\":\"c\"}",
           "{\"durable_name\":\"c\",\"name\":\"c\",\"deliver_policy\":\"all\",\"ack_policy\":"
           "\"none\",\"max_deliver\":-1,\"replay_policy\":\"instant\",\"max_waiting\":512,"
           "\"num_replicas\":0}");
    expect("{\"name\":\"e\",\"ack_policy\":\"explicit\",\"filter_subject\":\"s.a\"}",
           "{\"name\":\"e\",\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\",\"ack_wait\":"
           "30000000000,\"max_deliver\":-1,\"filter_subject\":\"s.a\",\"replay_policy\":"
           "\"instant\",\"max_waiting\":512,\"max_ack_pending\":1000,\"inactive_threshold\":"
           "5000000000,\"num_replicas\":0}");
}

static void every_field_survives(void **state)
{
    const char *push =
        "{\"durable_name\":\"c\",\"name\":\"c\",\"description\":\"d\",\"deliver_policy\":\"by_"
        "start_time\",\"opt_start_time\":\"2026-11-21T12:00:00.25Z\",\"ack_policy\":\"all\",\"ack_"
        "wait\":1000000000,\"max_deliver\":7,\"backoff\":[1000000000,2000000000],\"filter_"
        "subjects\":[\"s.a\",\"s.b\"],\"replay_policy\":\"original\",\"rate_limit_bps\":1024,"
        "\"sample_freq\":\"50%\",\"max_ack_pending\":5,\"flow_control\":true,\"headers_only\":true,"
        "\"deliver_subject\":\"d\",\"deliver_group\":\"g\",\"idle_heartbeat\":100000000,"
        "\"inactive_threshold\":9000000000,\"num_replicas\":1,\"mem_storage\":true,\"metadata\":{"
        "\"k\":\"v\"},\"pause_until\":\"2036-11-21T12:00:00Z\"}";
    expect(push, push);
    const char *pull =
        "{\"name\":\"p\",\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":9,\"ack_"
        "policy\":\"explicit\",\"ack_wait\":1,\"max_deliver\":-1,\"replay_policy\":\"instant\","
        "\"max_waiting\":3,\"max_ack_pending\":-1,\"max_batch\":4,\"max_expires\":5000000,\"max_"
        "bytes\":6,\"inactive_threshold\":1,\"num_replicas\":0,\"priority_groups\":[\"A\",\"B\"],"
        "\"priority_policy\":\"pinned_client\",\"priority_timeout\":120000000000}";
    expect(pull, pull);
    const struct stream_config stream = of_stream();
    assert_int_equal(check(push, &stream), 0);
    assert_int_equal(check(pull, &stream), 0);
}

static void refusals(void **state)
{
    static const struct {
        const char *json;
        int number;
    } cases[] = {
        {"{\"name\":\"c\"}", 0},
        {"{\"name\":\"c\",\"ack_wait\":\"1s\"}", 10025},
        {"{\"name\":\"c\",\"ack_policy\":\"some\"}", 10025},
        {"{\"name\":\"a.b\"}", 10103},
        {"{\"name\":\"a/b\"}", 10127},
        {"{\"name\":\"a\",\"durable_name\":\"b\"}", 10132},
        {"{\"name\":\"c\",\"deliver_policy\":\"last_per_subject\"}", 10094},
        {"{\"name\":\"c\",\"opt_start_seq\":1}", 10094},
        {"{\"name\":\"c\",\"deliver_policy\":\"by_start_sequence\"}", 10094},
        {"{\"name\":\"c\",\"deliver_subject\":\"d\",\"max_waiting\":1}", 10080},
        {"{\"name\":\"c\",\"deliver_subject\":\"d.*\"}", 10079},
        {"{\"name\":\"c\",\"deliver_subject\":\"d..e\"}", 10112},
        {"{\"name\":\"c\",\"deliver_subject\":\"s.x\"}", 10081},
        {"{\"name\":\"c\",\"deliver_subject\":\"d\",\"flow_control\":true}", 10108},
        {"{\"name\":\"c\",\"deliver_subject\":\"d\",\"idle_heartbeat\":1}", 10083},
        {"{\"name\":\"c\",\"deliver_subject\":\"d\",\"max_ack_pending\":1}", 10082},
        {"{\"name\":\"c\",\"idle_heartbeat\":1000000000}", 10088},
        {"{\"name\":\"c\",\"flow_control\":true}", 10089},
        {"{\"name\":\"c\",\"rate_limit_bps\":1}", 10086},
        {"{\"name\":\"c\",\"max_expires\":1}", 10115},
        {"{\"name\":\"c\",\"max_deliver\":1,\"backoff\":[1,2]}", 10116},
        {"{\"name\":\"c\",\"filter_subject\":\"s.a\",\"filter_subjects\":[\"s.b\"]}", 10136},
        {"{\"name\":\"c\",\"filter_subjects\":[\"s.*\",\"s.b\"]}", 10138},
        {"{\"name\":\"c\",\"filter_subjects\":[\"\"]}", 10139},
        {"{\"name\":\"c\",\"sample_freq\":\"x%\"}", 10095},
        {"{\"name\":\"c\",\"num_replicas\":3}", 10126},
        {"{\"name\":\"c\",\"priority_policy\":\"overflow\"}", 10159},
        {"{\"name\":\"c\",\"priority_policy\":\"overflow\",\"priority_groups\":[\"\"]}", 10161},
        {"{\"name\":\"c\",\"priority_policy\":\"overflow\",\"priority_groups\":[\"a b\"]}", 10162},
        {"{\"name\":\"c\",\"priority_groups\":[\"A\"]}", 10196},
        {"{\"name\":\"c\",\"priority_groups\":[\"A\"],\"deliver_subject\":\"d\"}", 10196},
        {"{\"name\":\"c\",\"priority_policy\":\"overflow\",\"deliver_subject\":\"d\"}", 10178},
    };
    const struct stream_config stream = of_stream();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int number = check(cases[i].json, &stream);
        if (number != cases[i].number) fail_msg("%s: %d", cases[i].json, number);
    }
}

static void limits_of_the_stream(void **state)
{
    struct stream_config stream = of_stream();
    stream.consumer_inactive_threshold_ns = 1000000000;
    stream.consumer_max_ack_pending = 10;
    assert_int_equal(check("{\"name\":\"c\",\"inactive_threshold\":2000000000}", &stream), 10153);
    assert_int_equal(check("{\"name\":\"c\",\"max_ack_pending\":11}", &stream), 10121);
    struct consumer_config *made = copy("{\"name\":\"c\",\"ack_policy\":\"explicit\"}", &stream);
    assert_int_equal(made->max_ack_pending, 10);
    assert_int_equal(made->inactive_threshold_ns, 1000000000);
    free(made);
    stream = of_stream();
    stream.retention = STREAM_RETENTION_WORKQUEUE;
    assert_int_equal(check("{\"name\":\"c\"}", &stream), 10084);
}

static void updates(void **state)
{
    static const struct {
        const char *to;
        bool allowed;
    } cases[] = {
        {"{\"name\":\"c\",\"max_deliver\":9,\"filter_subject\":\"s.z\",\"description\":\"x\"}",
         true},
        {"{\"name\":\"c\",\"ack_policy\":\"explicit\"}", false},
        {"{\"name\":\"c\",\"deliver_policy\":\"new\"}", false},
        {"{\"name\":\"c\",\"replay_policy\":\"original\"}", false},
        {"{\"name\":\"c\",\"deliver_subject\":\"d\"}", false},
        {"{\"name\":\"c\",\"max_waiting\":1}", false},
        {"{\"name\":\"c\",\"mem_storage\":true}", false},
        {"{\"durable_name\":\"c\"}", true},
    };
    struct consumer_config *from = copy("{\"name\":\"c\"}", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_error refusal = {0};
        struct consumer_config *to = copy(cases[i].to, NULL);
        int r = consumer_config_may_become(from, to, &refusal);
        if ((r == 0) != cases[i].allowed) fail_msg("%s", cases[i].to);
        if (r < 0) assert_int_equal(api_error_number(refusal.kind), 10012);
        assert_false(consumer_config_equal(from, to));
        free(to);
    }
    free(from);
}

static void damaged_records(void **state)
{
    struct consumer_config *config;
    assert_int_equal(consumer_config_decode(BYTES("{}"), &config), ERR_CORRUPT);
    assert_int_equal(consumer_config_decode(BYTES("{\"name\":3}"), &config), ERR_CORRUPT);
    assert_int_equal(consumer_config_decode(BYTES("["), &config), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(every_field_survives),
        cmocka_unit_test(refusals),
        cmocka_unit_test(limits_of_the_stream),
        cmocka_unit_test(updates),
        cmocka_unit_test(damaged_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
