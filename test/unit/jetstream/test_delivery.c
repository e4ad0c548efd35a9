/* What holds of deliveries however they were asked for: what a purge or a restart makes of them,
 * headers alone, and consumers that nobody uses. */
#include "delivery_test.h"

/* What a purge takes is behind the consumer, as if it had been delivered and acknowledged. */
static void purges_take_consumers_along(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 5; i++) put(&t, "s.a", "x");
    make_consumer(&t, "");
    ask(&t, NEXT, "2");
    await(&t, 2);
    expect_part(answer_to(&t, "$JS.API.STREAM.PURGE.S", "{\"seq\":4}"), "\"purged\":3");
    struct consumer_info info = info_of(&t);
    assert_int_equal(info.delivered.consumer_seq, 2);
    assert_int_equal(info.delivered.stream_seq, 3);
    assert_int_equal(info.ack_floor.consumer_seq, 2);
    assert_int_equal(info.ack_floor.stream_seq, 3);
    assert_int_equal(info.num_ack_pending, 0);
    assert_int_equal(info.num_pending, 2);
    api_stop(&t);
}

static void headers_only(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "twelve bytes");
    make_consumer(&t, ",\"headers_only\":true");
    ask(&t, NEXT, "1");
    await(&t, 1);
    expect_message(&t, 0, "s.a", "");
    expect_status(&t, 0, "NATS/1.0\r\nNats-Msg-Size: 12\r\n\r\n");
    api_stop(&t);
}

static void unused_ones_go(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    expect_part(answer_to(&t, "$JS.API.CONSUMER.CREATE.S.c",
                          "{\"stream_name\":\"S\",\"config\":{\"name\":\"c\",\"inactive_"
                          "threshold\":400000000}}"),
                "\"name\":\"c\"");
    struct stream *stream = streams_find(t.streams, BYTES("S"));
    assert_non_null(consumers_find(stream, BYTES("c")));
    for (int i = 0; i < TURNS_MAX && consumers_count(stream); i++) io_turn(t.io, 10);
    assert_int_equal(consumers_count(stream), 0);
    api_stop(&t);
}

static void those_with_work_out_stay(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "x");
    make_consumer(&t, ",\"inactive_threshold\":200000000");
    struct stream *stream = streams_find(t.streams, BYTES("S"));
    ask(&t, NEXT, "1");
    await(&t, 1);
    uint64_t until = io_wall_ns(t.io) + 700000000;
    while (io_wall_ns(t.io) < until) io_turn(t.io, 10);
    assert_int_equal(consumers_count(stream), 1);
    say_of(&t, 0, "+ACK", "");
    turns(&t, 5);
    assert_int_equal(consumers_count(stream), 1);
    for (int i = 0; i < TURNS_MAX && consumers_count(stream); i++) io_turn(t.io, 10);
    assert_int_equal(consumers_count(stream), 0);
    api_stop(&t);
}

static void survives_a_restart(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 3; i++) put(&t, "s.a", "x");
    make_consumer(&t, ",\"ack_wait\":1500000000");
    ask(&t, NEXT, "3");
    await(&t, 3);
    say_of(&t, 1, "", "answer");
    await(&t, 4);
    uint64_t began = io_wall_ns(t.io);
    forget_answers(&t);
    api_close(&t);
    api_open(&t);
    assert_int_equal(info_of(&t).num_ack_pending, 2);
    assert_int_equal(info_of(&t).delivered.consumer_seq, 3);
    ask(&t, NEXT, "{\"batch\":9,\"expires\":5000000000}");
    turns(&t, 10);
    assert_int_equal(t.count, 0); /* not before its time */
    await(&t, 2);
    assert_true(io_wall_ns(t.io) - began > 700000000);
    expect_reply(&t, 0, "$JS.ACK.S.c.2.1.4.", ".0");
    expect_reply(&t, 1, "$JS.ACK.S.c.2.3.5.", ".0");
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purges_take_consumers_along),
        cmocka_unit_test(headers_only),
        cmocka_unit_test(unused_ones_go),
        cmocka_unit_test(those_with_work_out_stay),
        cmocka_unit_test(survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
