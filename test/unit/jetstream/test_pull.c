/* Pull requests: what ends them, what waits, which are refused, and what they are told. */
#include "delivery_test.h"

static void pulls(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    put(&t, "s.b", "two");
    put(&t, "s.c", "three");
    make_consumer(&t, "");
    ask(&t, NEXT, "2");
    await(&t, 2);
    expect_message(&t, 0, "s.a", "one");
    expect_reply(&t, 0, "$JS.ACK.S.c.1.1.1.", ".2");
    expect_message(&t, 1, "s.b", "two");
    expect_reply(&t, 1, "$JS.ACK.S.c.1.2.2.", ".1");
    ask(&t, NEXT, "{\"batch\":5,\"no_wait\":true}");
    await(&t, 4);
    expect_message(&t, 2, "s.c", "three");
    expect_status(&t, 3, "NATS/1.0 404 No Messages\r\n\r\n");
    ask(&t, NEXT, "{\"batch\":5,\"no_wait\":true}");
    await(&t, 5);
    expect_status(&t, 4, "NATS/1.0 404 No Messages\r\n\r\n");
    ask(&t, NEXT, "{\"batch\":1,\"expires\":20000000}");
    await(&t, 6);
    expect_status(&t, 5, "NATS/1.0 408 Request Timeout\r\n");
    struct consumer_info info = info_of(&t);
    assert_int_equal(info.num_ack_pending, 3);
    assert_int_equal(info.num_pending, 0);
    assert_int_equal(info.num_waiting, 0);
    assert_int_equal(info.delivered.consumer_seq, 3);
    api_stop(&t);
}

static void waits_for_what_comes(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    make_consumer(&t, "");
    ask(&t, NEXT, "{\"batch\":2,\"expires\":2000000000,\"idle_heartbeat\":30000000}");
    await(&t, 1);
    expect_status(&t, 0,
                  "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 0\r\n"
                  "Nats-Last-Stream: 0\r\n\r\n");
    assert_int_equal(info_of(&t).num_waiting, 1);
    forget_answers(&t);
    put(&t, "s.a", "one");
    put(&t, "s.a", "two");
    await(&t, 2);
    expect_message(&t, 0, "s.a", "one");
    expect_message(&t, 1, "s.a", "two");
    assert_int_equal(info_of(&t).num_waiting, 0);
    api_stop(&t);
}

/* One that waits for the first message, but then takes only what there is. */
static void waits_for_the_first_only(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    make_consumer(&t, "");
    ask(&t, NEXT, "{\"batch\":5,\"expires\":5000000000,\"no_wait\":true}");
    turns(&t, 5);
    assert_int_equal(t.count, 0);
    put(&t, "s.a", "one");
    await(&t, 2);
    expect_message(&t, 0, "s.a", "one");
    expect_status(&t, 1, "NATS/1.0 404 No Messages\r\n\r\n");
    assert_int_equal(info_of(&t).num_waiting, 0);
    api_stop(&t);
}

static void limits_of_requests(void **state)
{
    static const struct {
        const char *config, *request, *status;
    } cases[] = {
        {"", "{\"batch\":1,\"expires\":1000000000,\"idle_heartbeat\":900000000}",
         "400 Bad Request - heartbeat value too large"},
        {"", "{\"batch\":", "400 Bad Request - "},
        {",\"max_batch\":2", "3", "409 Exceeded MaxRequestBatch of 2"},
        {",\"max_expires\":1000000000", "{\"expires\":2000000000}",
         "409 Exceeded MaxRequestExpires of 1s"},
        {",\"max_bytes\":100", "{\"max_bytes\":101}", "409 Exceeded MaxRequestMaxBytes of 100"},
        {"", "{\"batch\":1,\"max_bytes\":10}",
         "409 Message Size Exceeds MaxBytes\r\n"
         "Nats-Pending-Messages: 1\r\n"
         "Nats-Pending-Bytes: 10\r\n"},
        {"", "{\"id\":\"x\"}", "400 Bad Request - Not a Pinned Client Priority consumer"},
        {",\"priority_groups\":[\"A\"],\"priority_policy\":\"overflow\"", "{}",
         "400 Bad Request - Priority Group missing"},
        {",\"priority_groups\":[\"A\"],\"priority_policy\":\"overflow\"", "{\"group\":\"B\"}",
         "400 Bad Request - Invalid Priority Group"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_test t;
        api_start(&t);
        make_stream(&t);
        put(&t, "s.a", "x");
        make_consumer(&t, cases[i].config);
        ask(&t, NEXT, cases[i].request);
        await(&t, 1);
        expect_status(&t, 0, cases[i].status);
        api_stop(&t);
    }
}

static void asked_when_it_is_over(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, "");
    ask(&t, NEXT, "{\"expires\":-1}");
    await(&t, 1);
    expect_status(&t, 0, "408 Request Timeout");
    ask(&t, NEXT, "1");
    await(&t, 2);
    expect_message(&t, 1, "s.a", "one");
    api_stop(&t);
}

static void asked_while_paused(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, ",\"pause_until\":\"2200-01-01T00:00:00Z\"");
    ask(&t, NEXT, "{\"no_wait\":true}");
    await(&t, 1);
    expect_status(&t, 0, "404 No Messages");
    ask(&t, NEXT, "{\"batch\":5}");
    ask(&t, NEXT, "{\"no_wait\":true}");
    await(&t, 2);
    expect_status(&t, 1, "408 Requests Pending");
    api_stop(&t);
}

static void bytes_end_a_batch(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 5; i++) put(&t, "s.a", "0123456789");
    make_consumer(&t, "");
    ask(&t, NEXT, "{\"batch\":2,\"max_bytes\":1000}");
    await(&t, 3);
    expect_status(&t, 2, "409 Batch Completed\r\nNats-Pending-Messages: 0\r\n");
    ask(&t, NEXT, "{\"batch\":9,\"max_bytes\":150}");
    await(&t, 6);
    expect_message(&t, 4, "s.a", "0123456789");
    expect_status(&t, 5, "409 Message Size Exceeds MaxBytes");
    api_stop(&t);
}

static void too_many_wait(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    make_consumer(&t, ",\"max_waiting\":2");
    for (int i = 0; i < 3; i++) ask(&t, NEXT, "{\"expires\":5000000000}");
    await(&t, 1);
    expect_status(&t, 0, "409 Exceeded MaxWaiting");
    forget_answers(&t);
    ask(&t, NEXT, "{\"no_wait\":true}"); /* it would not have waited */
    await(&t, 1);
    expect_status(&t, 0, "404 No Messages");
    forget_answers(&t);
    assert_int_equal(ask(&t, "$JS.API.CONSUMER.DELETE.S.c", ""), 1);
    await(&t, 3);
    expect_status(&t, 0, "409 Consumer Deleted");
    expect_status(&t, 1, "409 Consumer Deleted");
    assert_int_equal(ask(&t, NEXT, "1"), 0); /* nobody there */
    api_stop(&t);
}

static void nobody_listens_any_more(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    make_consumer(&t, "");
    struct message m = message_borrow(BYTES(NEXT), BYTES("gone"), BYTES(""), BYTES(""));
    assert_int_equal(bus_publish(t.bus, &m), 1);
    ask(&t, NEXT, "1");
    turns(&t, 3);
    put(&t, "s.a", "one"); /* not lost on the one who has gone */
    await(&t, 1);
    expect_message(&t, 0, "s.a", "one");
    expect_reply(&t, 0, "$JS.ACK.S.c.1.1.1.", ".0");
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulls),
        cmocka_unit_test(waits_for_what_comes),
        cmocka_unit_test(waits_for_the_first_only),
        cmocka_unit_test(limits_of_requests),
        cmocka_unit_test(asked_when_it_is_over),
        cmocka_unit_test(asked_while_paused),
        cmocka_unit_test(bytes_end_a_batch),
        cmocka_unit_test(too_many_wait),
        cmocka_unit_test(nobody_listens_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
