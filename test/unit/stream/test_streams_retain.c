/* What goes by itself, and what comes later: interest, work queues, times to live, delays. */
#include "stream_test.h"

#define HEAD "NATS/1.0\r\n"
#define END "\r\n\r\n"

/* A consumer that needs every message of a subject which it has not acknowledged. */
struct wanter {
    struct stream_interest interest;
    const char *subject;
    bool acked[64];
};

static bool needs(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    const struct wanter *w = CONTAINER_OF(interest, struct wanter, interest);
    return bytes_eq(subject, bytes_str(w->subject)) && !w->acked[seq];
}

static bool acknowledged(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    const struct wanter *w = CONTAINER_OF(interest, struct wanter, interest);
    return bytes_eq(subject, bytes_str(w->subject)) && w->acked[seq];
}

static void want(struct test_streams *s, struct wanter *w, const char *subject)
{
    *w = (struct wanter){.interest = {.needs = needs, .acknowledged = acknowledged},
                         .subject = subject};
    stream_attach(s->stream, &w->interest);
}

static void ack(struct wanter *w, uint64_t seq)
{
    w->acked[seq] = true;
    stream_acked(&w->interest, seq);
}

static void store(struct test_streams *s, const char *subject, const char *header, uint64_t seq)
{
    char headers[256] = "";
    struct waited w;
    if (*header) snprintf(headers, sizeof headers, HEAD "%s" END, header);
    assert_int_equal(publish_to(s, subject, headers, "x", &w), 0);
    assert_int_equal(w.op.seq, seq);
}

static void until_left(struct test_streams *s, uint64_t messages)
{
    for (int i = 0; i < TURNS_MAX && stream_state(s->stream).messages != messages; i++) {
        io_turn(s->t.io, 10);
    }
    assert_int_equal(stream_state(s->stream).messages, messages);
}

static void reopen(struct test_streams *s)
{
    close_streams(s);
    open_streams(s);
    s->stream = streams_find(s->streams, BYTES("S"));
}

static void interest_keeps_what_somebody_needs(void **state)
{
    struct test_streams s;
    struct wanter a, b;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.retention = STREAM_RETENTION_INTEREST});
    store(&s, "s.a", "", 1); /* nobody wants it: a sequence, and no message */
    assert_int_equal(stream_state(s.stream).messages, 0);
    want(&s, &a, "s.a");
    want(&s, &b, "s.a");
    store(&s, "s.a", "", 2);
    store(&s, "s.b", "", 3);
    store(&s, "s.a", "", 4);
    until_left(&s, 2);
    ack(&a, 2);
    for (int i = 0; i < 20; i++) io_turn(s.t.io, 1);
    until_left(&s, 2); /* the other one needs it */
    ack(&b, 2);
    until_left(&s, 1);
    ack(&b, 4);
    stream_detach(&a.interest, true); /* only it had needed the last one */
    until_left(&s, 0);
    assert_int_equal(stream_state(s.stream).last_seq, 4);
    stream_detach(&b.interest, false);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 0);
    assert_int_equal(stream_state(s.stream).last_seq, 4);
    stop_streams(&s);
}

static void a_roll_up_that_nobody_wants_rolls_up(void **state)
{
    struct test_streams s;
    struct wanter a, b;
    start_streams(&s);
    add_stream(
        &s, (struct stream_config){.retention = STREAM_RETENTION_INTEREST, .allow_rollup = true});
    want(&s, &a, "s.a");
    want(&s, &b, "s.b");
    store(&s, "s.a", "", 1);
    store(&s, "s.b", "", 2);
    store(&s, "s.b", "", 3);
    stream_detach(&b.interest, false); /* its messages stay: it has not been forgotten */
    store(&s, "s.b", "Nats-Rollup: sub", 4);
    until_left(&s, 1);
    assert_int_equal(stream_state(s.stream).first_seq, 1);
    store(&s, "s.c", "Nats-Rollup: all", 5);
    until_left(&s, 0);
    assert_int_equal(stream_state(s.stream).last_seq, 5);
    stream_detach(&a.interest, false);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 0);
    assert_int_equal(stream_state(s.stream).last_seq, 5);
    stop_streams(&s);
}

static void a_work_queue_keeps_what_is_not_done(void **state)
{
    struct test_streams s;
    struct wanter a;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.retention = STREAM_RETENTION_WORKQUEUE});
    for (uint64_t seq = 1; seq <= 5; seq++) store(&s, "s.a", "", seq);
    want(&s, &a, "s.a");
    ack(&a, 2);
    ack(&a, 4);
    ack(&a, 3);
    until_left(&s, 2);
    assert_int_equal(stream_state(s.stream).first_seq, 1);
    assert_int_equal(stream_state(s.stream).deleted, 3);
    stream_detach(&a.interest, true);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 2);
    stop_streams(&s);
}

static void messages_have_their_own_time_to_live(void **state)
{
    struct test_streams s;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.allow_msg_ttl = true});
    store(&s, "s.a", "Nats-TTL: 1s", 1);
    store(&s, "s.b", "Nats-TTL: 1h", 2);
    store(&s, "s.c", "", 3);
    store(&s, "s.d", "Nats-TTL: 1", 4);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 4);
    until_left(&s, 2);
    assert_int_equal(stream_state(s.stream).first_seq, 2);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 2);
    stop_streams(&s);
}

struct seen {
    struct stream_observer observer;
    int count;
    char headers[256];
};

static void saw(struct stream_observer *observer, const struct stream_message *message)
{
    struct seen *seen = CONTAINER_OF(observer, struct seen, observer);
    seen->count++;
    snprintf(seen->headers, sizeof seen->headers, "%.*s", BYTES_ARG(message->message.headers));
}

static void expired_subjects_leave_a_marker(void **state)
{
    struct test_streams s;
    struct seen seen = {.observer = {.stored = saw}};
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_age_ns = INT64_C(200000000),
                                          .subject_delete_marker_ttl_ns = INT64_C(1000000000)});
    store(&s, "s.a", "", 1);
    stream_observe(s.stream, &seen.observer);
    for (int i = 0; i < TURNS_MAX && !seen.count; i++) io_turn(s.t.io, 10);
    assert_string_equal(seen.headers, HEAD "Nats-Marker-Reason: MaxAge\r\nNats-TTL: 1s\r\n"
                                           "Nats-Rollup: sub\r\n\r\n");
    until_left(&s, 0); /* a marker leaves none */
    for (int i = 0; i < 30; i++) io_turn(s.t.io, 1);
    assert_int_equal(stream_state(s.stream).last_seq, 2);
    stream_unobserve(&seen.observer);
    stop_streams(&s);
}

static void what_never_expires_outlives_the_age(void **state)
{
    struct test_streams s;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_age_ns = INT64_C(200000000), .allow_msg_ttl = true});
    store(&s, "s.a", "Nats-TTL: never", 1);
    store(&s, "s.b", "", 2);
    until_left(&s, 1);
    assert_int_equal(stream_state(s.stream).first_seq, 1);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 1);
    stop_streams(&s);
}

static void count_message(void *context, struct message *message)
{
    ++*(int *)context;
}

static void hear(void *context, struct message *message)
{
    snprintf(context, 64, "%.*s", BYTES_ARG(message->payload));
}

static void delayed_messages_come_at_their_time(void **state)
{
    struct test_streams s;
    struct seen seen = {.observer = {.stored = saw}};
    struct bus_subscription *answers, *deliveries;
    char answer[64] = "";
    int delivered = 0;
    uint64_t resume;
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    assert_int_equal(
        bus_subscribe(s.t.bus, BYTES("s.a"), BYTES(""), count_message, &delivered, &deliveries), 0);
    assert_int_equal(bus_subscribe(s.t.bus, BYTES("r"), BYTES(""), hear, answer, &answers), 0);
    struct message message =
        message_borrow(BYTES("s.a"), BYTES("r"), BYTES(HEAD "Dure-Delay: 400ms" END), BYTES("x"));
    assert_true(bus_publish(s.t.bus, &message) > 0);
    for (int i = 0; i < TURNS_MAX && !answer[0]; i++) io_turn(s.t.io, 1);
    assert_string_equal(answer, "{\"stream\":\"S\",\"seq\":1}");
    assert_int_equal(stream_state(s.stream).messages, 1);
    assert_int_equal(stream_state(s.stream).subjects, 0);
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.a")), 0);
    assert_int_equal(stream_next(s.stream, 1, BYTES(">"), 10, &resume), 0);
    assert_int_equal(stream_next(s.stream, 1, BYTES(""), 10, &resume), 0);
    reopen(&s); /* it waits on the disk */
    assert_int_equal(delivered, 0);
    stream_observe(s.stream, &seen.observer);
    for (int i = 0; i < TURNS_MAX && !(seen.count && delivered); i++) io_turn(s.t.io, 10);
    assert_int_equal(delivered, 1);
    bus_unsubscribe(deliveries);
    bus_unsubscribe(answers);
    assert_string_equal(seen.headers, HEAD "Dure-Delayed-Sequence: 1\r\n\r\n");
    assert_int_equal(stream_state(s.stream).messages, 1);
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.a")), 2);
    stream_unobserve(&seen.observer);
    stop_streams(&s);
}

static void a_delayed_message_can_be_cancelled(void **state)
{
    struct test_streams s;
    struct waited d = {0};
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    store(&s, "s.a", "Dure-Delay: 100ms", 1);
    stream_delete(s.stream, &d.op, 1, waited_done);
    turn_until(&s, &d.done);
    assert_int_equal(d.result, 0);
    sim_run_ms(s.sim, 300);
    assert_int_equal(stream_state(s.stream).last_seq, 1);
    assert_int_equal(stream_state(s.stream).messages, 0);
    /* What is due already is not delayed at all. */
    store(&s, "s.a", "Dure-Deliver-At: 2020-01-01T00:00:00Z", 2);
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.a")), 2);
    stop_streams(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interest_keeps_what_somebody_needs),
        cmocka_unit_test(a_roll_up_that_nobody_wants_rolls_up),
        cmocka_unit_test(a_work_queue_keeps_what_is_not_done),
        cmocka_unit_test(messages_have_their_own_time_to_live),
        cmocka_unit_test(expired_subjects_leave_a_marker),
        cmocka_unit_test(what_never_expires_outlives_the_age),
        cmocka_unit_test(delayed_messages_come_at_their_time),
        cmocka_unit_test(a_delayed_message_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
