/* What consumers deliver over the wire, and what is said of it: pull requests, push, flow control,
 * heartbeats, acknowledgements of every kind. */
#include "jetstream_test.h"

#include "stream/consumer.h"

#define STREAM "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}"
#define NEXT "$JS.API.CONSUMER.MSG.NEXT.S.c"

static void make_stream(struct api_test *t)
{
    expect_part(answer_to(t, STREAM), "\"did_create\":true");
}

static void make_consumer(struct api_test *t, const char *more)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"c\",\"ack_policy\":"
             "\"explicit\"%s}}",
             more);
    expect_part(answer_to(t, "$JS.API.CONSUMER.DURABLE.CREATE.S.c", body), "\"name\":\"c\"");
    forget_answers(t);
}

static void put(struct api_test *t, const char *subject, const char *payload)
{
    struct message m = message_borrow(bytes_str(subject), BYTES(""), BYTES(""), bytes_str(payload));
    struct stream *stream = streams_find(t->streams, BYTES("S"));
    uint64_t last = stream_state(stream).last_seq;
    assert_true(bus_publish(t->bus, &m) > 0);
    for (int i = 0; i < TURNS_MAX && stream_state(stream).last_seq == last; i++) {
        io_turn(t->io, 10);
    }
}

static struct consumer_info info_of(struct api_test *t)
{
    return consumer_info(consumers_find(streams_find(t->streams, BYTES("S")), BYTES("c")));
}

static void turns(struct api_test *t, int count)
{
    for (int i = 0; i < count; i++) io_turn(t->io, 2);
}

/* The answer must have this subject, and this behind its headers. */
static void expect_message(struct api_test *t, size_t index, const char *subject,
                           const char *payload)
{
    assert_true(index < t->count);
    const struct message *m = t->answers[index];
    if (!bytes_eq(m->subject, bytes_str(subject)) || !bytes_eq(m->payload, bytes_str(payload))) {
        fail_msg("%zu: %.*s %.*s %.*s", index, BYTES_ARG(m->subject), BYTES_ARG(m->headers),
                 BYTES_ARG(m->payload));
    }
}

static void expect_reply(struct api_test *t, size_t index, const char *start, const char *end)
{
    const struct message *m = t->answers[index];
    if (!bytes_starts(m->reply, bytes_str(start)) || !bytes_ends(m->reply, bytes_str(end))) {
        fail_msg("%.*s", BYTES_ARG(m->reply));
    }
}

static void expect_status(struct api_test *t, size_t index, const char *line)
{
    assert_true(index < t->count);
    const struct message *m = t->answers[index];
    char text[512];
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(m->headers));
    expect_part(text, line);
    assert_int_equal(m->payload.len, 0);
}

/* Says something to the reply subject of an answer; `reply` may be "". */
static void say_of(struct api_test *t, size_t index, const char *what, const char *reply)
{
    char subject[256];
    snprintf(subject, sizeof subject, "%.*s", BYTES_ARG(t->answers[index]->reply));
    struct message m =
        message_borrow(bytes_str(subject), bytes_str(reply), BYTES(""), bytes_str(what));
    assert_int_equal(bus_publish(t->bus, &m), 1);
}

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

static void acknowledges(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 6; i++) put(&t, "s.a", "x");
    make_consumer(&t, ",\"max_deliver\":3");
    ask(&t, NEXT, "6");
    await(&t, 6);
    say_of(&t, 0, "", "");
    say_of(&t, 1, "+ACK", "answer");
    await(&t, 7);
    expect_message(&t, 6, "answer", ""); /* when it is on the disk */
    assert_int_equal(info_of(&t).ack_floor.stream_seq, 2);
    assert_int_equal(info_of(&t).num_ack_pending, 4);
    say_of(&t, 1, "+ACK", "answer"); /* again */
    await(&t, 8);
    say_of(&t, 2, "-NAK", "");
    say_of(&t, 3, "-NAK {\"delay\": 30000000}", "");
    say_of(&t, 4, "+WPI", "");
    say_of(&t, 5, "+TERM no good", "");
    ask(&t, NEXT, "2");
    await(&t, 10);
    expect_reply(&t, 8, "$JS.ACK.S.c.2.3.7.", ".0");
    expect_reply(&t, 9, "$JS.ACK.S.c.2.4.8.", ".0");
    assert_int_equal(info_of(&t).num_redelivered, 2);
    assert_int_equal(info_of(&t).num_ack_pending, 3);
    say_of(&t, 8, "+NXT 1", "answer"); /* acknowledges, and asks for another */
    turns(&t, 5);
    assert_int_equal(info_of(&t).num_waiting, 1);
    put(&t, "s.b", "next");
    await(&t, 11);
    expect_message(&t, 10, "s.b", "next");
    for (int i = 0; i < TURNS_MAX && !streams_find(t.streams, BYTES("DEAD")); i++) {
        io_turn(t.io, 10);
    }
    assert_non_null(streams_find(t.streams, BYTES("DEAD")));
    struct message odd =
        message_borrow(BYTES("$JS.ACK.S.none.1.1.1.1.1"), BYTES(""), BYTES(""), BYTES(""));
    assert_int_equal(bus_publish(t.bus, &odd), 0);
    api_stop(&t);
}

static void the_last_delay_counts(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, "");
    ask(&t, NEXT, "1");
    await(&t, 1);
    say_of(&t, 0, "-NAK", "");
    say_of(&t, 0, "-NAK 1h", "");
    turns(&t, 5);
    ask(&t, NEXT, "{\"no_wait\":true}");
    await(&t, 2);
    expect_status(&t, 1, "404 No Messages");
    say_of(&t, 0, "-NAK", "");
    ask(&t, NEXT, "1");
    await(&t, 3);
    expect_message(&t, 2, "s.a", "one");
    api_stop(&t);
}

/* A server that has started anew may not have delivered it yet; then it will. */
static void what_was_not_delivered_is_not_acknowledged(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    put(&t, "s.a", "two");
    make_consumer(&t, "");
    struct message early =
        message_borrow(BYTES("$JS.ACK.S.c.1.2.2.1.0"), BYTES("answer"), BYTES(""), BYTES("+ACK"));
    ask(&t, NEXT, "1");
    await(&t, 1);
    assert_int_equal(bus_publish(t.bus, &early), 1);
    turns(&t, 5);
    assert_int_equal(t.count, 1);
    ask(&t, NEXT, "1");
    await(&t, 2);
    expect_message(&t, 1, "s.a", "two");
    assert_int_equal(info_of(&t).num_ack_pending, 2);
    api_stop(&t);
}

/* A subject that names no sequence acknowledges nothing: above all not one whose number, cut to
 * 64 bits, would be that of a message. */
static void odd_sequences_are_not_acknowledged(void **state)
{
    static const char *const odd[] = {"$JS.ACK.S.c.1.18446744073709551617.1.1.0",
                                      "$JS.ACK.S.c.1.1x.1.1.0",
                                      "$JS.ACK.S.c.1.-1.1.1.0",
                                      "$JS.ACK.S.c.1.1",
                                      "$JS.ACK.S.c.1",
                                      "$JS.ACK.S.c"};
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "one");
    make_consumer(&t, "");
    ask(&t, NEXT, "1");
    await(&t, 1);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        struct message ack = message_borrow(bytes_str(odd[i]), BYTES(""), BYTES(""), BYTES("+ACK"));
        assert_int_equal(bus_publish(t.bus, &ack), 0);
        assert_int_equal(info_of(&t).num_ack_pending, 1);
    }
    struct message ack = message_borrow(BYTES("$JS.ACK.S.c.1.0000000000000000001.1.1.0"), BYTES(""),
                                        BYTES(""), BYTES("+ACK"));
    assert_int_equal(bus_publish(t.bus, &ack), 1);
    assert_int_equal(info_of(&t).num_ack_pending, 0);
    api_stop(&t);
}

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

/* Only JSON can name a group: who asks with a number, or nothing, is of none. */
static void needs_no_group(void **state)
{
    static const char *const policies[] = {"overflow", "pinned_client"};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct api_test t;
        char config[96];
        snprintf(config, sizeof config, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"%s\"",
                 policies[i]);
        api_start(&t);
        make_stream(&t);
        put(&t, "s.a", "one");
        put(&t, "s.a", "two");
        make_consumer(&t, config);
        ask(&t, NEXT, "1");
        await(&t, 1);
        expect_message(&t, 0, "s.a", "one");
        assert_string_equal(info_of(&t).groups[0].pinned_id, "");
        ask(&t, NEXT, "");
        await(&t, 2);
        expect_message(&t, 1, "s.a", "two");
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

static void one_client_is_pinned(void **state)
{
    struct api_test t;
    char id[64], request[128];
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 4; i++) put(&t, "s.a", "x");
    make_consumer(&t, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"pinned_client\","
                      "\"priority_timeout\":800000000");
    ask(&t, NEXT, "{\"group\":\"A\"}");
    await(&t, 1);
    struct bytes headers = t.answers[0]->headers;
    struct bytes start = BYTES("NATS/1.0\r\nNats-Pin-Id: ");
    assert_true(bytes_starts(headers, start));
    snprintf(id, sizeof id, "%.*s", (int)(headers.len - start.len - 4), headers.data + start.len);
    assert_string_equal(info_of(&t).groups[0].pinned_id, id);
    ask(&t, NEXT, "{\"group\":\"A\",\"expires\":5000000000}"); /* waits until that one is silent */
    turns(&t, 3);
    assert_int_equal(t.count, 1);
    snprintf(request, sizeof request, "{\"group\":\"A\",\"id\":\"%s\"}", id);
    ask(&t, NEXT, request);
    await(&t, 2);
    ask(&t, NEXT, "{\"group\":\"A\",\"id\":\"another\"}");
    await(&t, 3);
    expect_status(&t, 2, "423 Nats-Wrong-Pin-Id");
    await(&t, 4); /* the time of the pinned one is over */
    assert_string_not_equal(info_of(&t).groups[0].pinned_id, id);
    api_stop(&t);
}

static void overflow_waits_for_enough(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "x");
    make_consumer(&t, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"overflow\"");
    ask(&t, NEXT, "{\"group\":\"A\",\"min_pending\":2,\"expires\":5000000000}");
    turns(&t, 3);
    assert_int_equal(t.count, 0);
    ask(&t, NEXT,
        "{\"group\":\"A\",\"min_pending\":2,\"no_wait\":true}"); /* not for it, nor later */
    await(&t, 1);
    expect_status(&t, 0, "NATS/1.0 404 No Messages\r\n\r\n");
    put(&t, "s.a", "y");
    await(&t, 2);
    expect_message(&t, 1, "s.a", "x");
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
        cmocka_unit_test(pulls),
        cmocka_unit_test(waits_for_what_comes),
        cmocka_unit_test(waits_for_the_first_only),
        cmocka_unit_test(acknowledges),
        cmocka_unit_test(the_last_delay_counts),
        cmocka_unit_test(what_was_not_delivered_is_not_acknowledged),
        cmocka_unit_test(odd_sequences_are_not_acknowledged),
        cmocka_unit_test(purges_take_consumers_along),
        cmocka_unit_test(limits_of_requests),
        cmocka_unit_test(needs_no_group),
        cmocka_unit_test(asked_when_it_is_over),
        cmocka_unit_test(asked_while_paused),
        cmocka_unit_test(bytes_end_a_batch),
        cmocka_unit_test(too_many_wait),
        cmocka_unit_test(nobody_listens_any_more),
        cmocka_unit_test(pushes),
        cmocka_unit_test(a_rate_is_kept),
        cmocka_unit_test(flow_is_controlled),
        cmocka_unit_test(headers_only),
        cmocka_unit_test(unused_ones_go),
        cmocka_unit_test(one_client_is_pinned),
        cmocka_unit_test(overflow_waits_for_enough),
        cmocka_unit_test(survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
