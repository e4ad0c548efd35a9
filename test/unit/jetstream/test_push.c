/* Push: who listens, heartbeats, a rate, flow control. */
#include "delivery_test.h"

static void pushes(void **state)
{
    struct api_test t;
    struct bus_subscription *s;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, ",\"deliver_subject\":\"push.here\",\"idle_heartbeat\":100000000,"
                      "\"flow_control\":true");
    turns(&t, 5);
    assert_false(info_of(&t).push_bound);
    assert_int_equal(info_of(&t).delivered.consumer_seq, 0); /* nobody listens yet */
    assert_int_equal(bus_subscribe(t.bus, BYTES("push.*"), BYTES(""), on_answer, &t, &s), 0);
    turns(&t, 5);
    assert_int_equal(t.count, 0); /* only who listens exactly there counts */
    bus_unsubscribe(s);
    assert_int_equal(bus_subscribe(t.bus, BYTES("push.here"), BYTES(""), on_answer, &t, &s), 0);
    await(&t, 1);
    expect_message(&t, 0, "s.a", "one");
    expect_reply(&t, 0, "$JS.ACK.S.c.1.1.1.", ".0");
    assert_true(info_of(&t).push_bound);
    put(&t, "s.b", "two");
    await(&t, 2);
    expect_message(&t, 1, "s.b", "two");
    await(&t, 3);
    expect_status(&t, 2,
                  "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 2\r\n"
                  "Nats-Last-Stream: 2\r\n\r\n");
    bus_unsubscribe(s);
    put(&t, "s.c", "three");
    turns(&t, 5);
    assert_int_equal(info_of(&t).num_pending, 1);
    forget_answers(&t);
    ask(&t, NEXT, "1");
    await(&t, 1);
    expect_status(&t, 0, "409 Consumer is push based");
    api_stop(&t);
}

static void a_rate_is_kept(void **state)
{
    struct api_test t;
    struct bus_subscription *s;
    api_start(&t);
    expect_part(answer_to(&t, "$JS.API.STREAM.CREATE.S",
                          "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"max_msg_size\":200}"),
                "\"did_create\":true");
    for (int i = 0; i < 20; i++) put(&t, "s.a", "x");
    assert_int_equal(bus_subscribe(t.bus, BYTES("push.here"), BYTES(""), on_answer, &t, &s), 0);
    make_consumer(&t, ",\"deliver_subject\":\"push.here\",\"rate_limit_bps\":80");
    turns(&t, 50); /* as much as the largest message goes at once */
    assert_in_range(t.count, 1, 10);
    bus_unsubscribe(s);
    api_stop(&t);
}

struct flood {
    struct api_test *t;
    size_t messages;
    struct message *request; /* flow control */
};

static void on_flood(void *context, struct message *message)
{
    struct flood *flood = context;
    if (message->payload.len) {
        flood->messages++;
    } else if (bytes_starts(message->reply, BYTES("$JS.FC.")) && !flood->request) {
        flood->request = message_ref(message);
    }
}

static void flow_is_controlled(void **state)
{
    enum { COUNT = 40, SIZE = 100000 };
    struct api_test t;
    struct bus_subscription *s;
    struct flood flood = {.t = &t};
    static char big[SIZE + 1];
    memset(big, 'x', SIZE);
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < COUNT; i++) put(&t, "s.a", big);
    assert_int_equal(bus_subscribe(t.bus, BYTES("push"), BYTES(""), on_flood, &flood, &s), 0);
    make_consumer(&t, ",\"deliver_subject\":\"push\",\"idle_heartbeat\":60000000000,"
                      "\"flow_control\":true,\"max_ack_pending\":-1");
    turns(&t, 40);
    assert_non_null(flood.request);
    assert_in_range(flood.messages, 20, COUNT - 1); /* the window of 2 MiB is full */
    while (flood.messages < COUNT) {
        struct message *request = flood.request;
        assert_non_null(request);
        flood.request = NULL;
        struct message ok = message_borrow(request->reply, BYTES(""), BYTES(""), BYTES(""));
        assert_int_equal(bus_publish(t.bus, &ok), 1);
        message_unref(request);
        size_t before = flood.messages;
        for (int i = 0; i < TURNS_MAX && flood.messages == before; i++) io_turn(t.io, 10);
        turns(&t, 20);
    }
    message_unref(flood.request);
    bus_unsubscribe(s);
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushes),
        cmocka_unit_test(a_rate_is_kept),
        cmocka_unit_test(flow_is_controlled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
