/* What all streams of an account may take together. */
#include "stream_test.h"

static int make(struct test_streams *s, const char *name, int64_t max_bytes, int64_t consumers,
                struct api_error *refusal)
{
    const struct stream_config config = {.name = name,
                                         .storage = STREAM_STORAGE_MEMORY,
                                         .max_bytes = max_bytes,
                                         .max_consumers = consumers};
    *refusal = (struct api_error){0};
    return streams_add(s->streams, &config, &s->stream, refusal);
}

static void promises_are_counted(void **state)
{
    struct test_streams s;
    struct api_error refusal;
    start_streams(&s);
    const struct streams_limits limits = {
        .memory_bytes = 1000, .disk_bytes = 0, .streams = 2, .consumers = 3};
    streams_set_limits(s.streams, &limits);
    assert_int_equal(make(&s, "BIG", 1001, 0, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_MEMORY_EXCEEDED);
    assert_int_equal(make(&s, "MANY", 0, 4, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_MAX_CONSUMERS);
    assert_int_equal(make(&s, "A", 600, 0, &refusal), 0);
    assert_int_equal(make(&s, "B", 401, 0, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_MEMORY_EXCEEDED);
    const struct stream_config on_disk = {.name = "D"};
    assert_int_equal(streams_add(s.streams, &on_disk, &s.stream, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_STORAGE_EXCEEDED);
    assert_int_equal(make(&s, "B", 400, 0, &refusal), 0);
    assert_int_equal(make(&s, "C", 0, 0, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_MAX_STREAMS);
    stop_streams(&s);
}

static void messages_are_counted(void **state)
{
    struct test_streams s;
    struct waited w;
    char payload[401];
    memset(payload, 'x', sizeof payload - 1);
    payload[sizeof payload - 1] = '\0';
    start_streams(&s);
    add_stream(&s, (struct stream_config){.storage = STREAM_STORAGE_MEMORY});
    const struct streams_limits limits = {.memory_bytes = 1000, .disk_bytes = -1};
    streams_set_limits(s.streams, &limits);
    assert_int_equal(publish_to(&s, "s.a", "", payload, &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", payload, &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", payload, &w), ERR_FULL);
    assert_int_equal(w.op.refusal.kind, API_RESOURCES_EXCEEDED);
    struct waited d = {0};
    stream_delete(s.stream, &d.op, 1, waited_done);
    turn_until(&s, &d.done);
    assert_int_equal(publish_to(&s, "s.a", "", payload, &w), 0);
    stop_streams(&s);
}

static void consumers_are_counted(void **state)
{
    struct test_streams s;
    struct api_error refusal = {0};
    struct consumer *consumer;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.storage = STREAM_STORAGE_MEMORY});
    const struct streams_limits limits = {.memory_bytes = -1, .disk_bytes = -1, .consumers = 1};
    streams_set_limits(s.streams, &limits);
    struct consumer_config config = {.name = "one"};
    assert_int_equal(
        consumers_add(s.streams, s.stream, &config, CONSUMER_MAKE, &consumer, &refusal), 0);
    config.name = "two";
    assert_int_equal(
        consumers_add(s.streams, s.stream, &config, CONSUMER_MAKE, &consumer, &refusal), ERR_FULL);
    assert_int_equal(refusal.kind, API_MAX_CONSUMERS);
    stop_streams(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_are_counted),
        cmocka_unit_test(messages_are_counted),
        cmocka_unit_test(consumers_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
