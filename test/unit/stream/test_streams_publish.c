/* What a publish may ask for, and what a stream refuses. */
#include "stream_test.h"

#define HEAD "NATS/1.0\r\n"
#define END "\r\n\r\n"

static void keep_message(void *context, struct message *message)
{
    *(struct message **)context = message_ref(message);
}

/* 0: stored; else the number of the refusal. */
static int publish_as(struct test_streams *s, const char *subject, const char *header,
                      const char *payload)
{
    char headers[512] = "";
    struct waited w;
    if (*header) snprintf(headers, sizeof headers, HEAD "%s" END, header);
    int r = publish_to(s, subject, headers, payload, &w);
    assert_true((r < 0) == (w.op.refusal.kind != API_OK));
    return api_error_number(w.op.refusal.kind);
}

static uint64_t last(struct test_streams *s)
{
    return stream_state(s->stream).last_seq;
}

static void reopen(struct test_streams *s)
{
    close_streams(s);
    open_streams(s);
    s->stream = streams_find(s->streams, BYTES("S"));
    assert_non_null(s->stream);
}

/* The order of the checks is part of the protocol: clients rely on which comes first. */
static void checks_come_in_their_order(void **state)
{
    static const struct {
        const char *header;
        int number;
    } rows[] = {
        {"Nats-Expected-Stream: X\r\nNats-TTL: 5", 10060},
        {"Nats-TTL: 5\r\nNats-Expected-Last-Sequence: 9", 10166},
        {"Nats-TTL: x\r\nNats-Expected-Last-Sequence: 9", 10071},
        {"Nats-TTL: x", 10165},
        {"Nats-Expected-Last-Subject-Sequence: 9\r\nNats-Msg-Id: known", 10071},
        {"Nats-Expected-Last-Sequence: 9\r\nNats-Msg-Id: known", 10071},
        {"Nats-Expected-Last-Subject-Sequence-Subject: s.*", 10193},
        {"Nats-Expected-Last-Msg-Id: other\r\nNats-Rollup: sub", 10070},
        {"Nats-Rollup: sub", 10111},
        {"Nats-Expected-Last-Sequence: x", 10071},
        {"Dure-Delay: soon", 19002},
        {"Dure-Delay: 1s\r\nDure-Deliver-At: 2026-01-01T00:00:00Z", 19002},
        {"Nats-Msg-Id: known", 0},
    };
    struct test_streams s;
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    assert_int_equal(publish_as(&s, "s.a", "Nats-Msg-Id: known", "x"), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int number = publish_as(&s, "s.a", rows[i].header, "x");
        if (number != rows[i].number) fail_msg("%s: %d", rows[i].header, number);
    }
    assert_int_equal(last(&s), 1);
    stop_streams(&s);
}

static void the_last_of_several_subjects_can_be_expected(void **state)
{
    struct test_streams s;
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    assert_int_equal(publish_as(&s, "s.a.1", "", "x"), 0);
    assert_int_equal(publish_as(&s, "s.a.2", "", "x"), 0);
    assert_int_equal(publish_as(&s, "s.b", "", "x"), 0);
#define SUBJECT(subject, seq)                               \
    "Nats-Expected-Last-Subject-Sequence-Subject: " subject \
    "\r\nNats-Expected-Last-Subject-Sequence: " #seq
    assert_int_equal(publish_as(&s, "s.c", SUBJECT("s.a.*", 1), "x"), 10071);
    assert_int_equal(publish_as(&s, "s.c", SUBJECT("s.a.*", 2), "x"), 0);
    assert_int_equal(publish_as(&s, "s.c", SUBJECT("s.a.1", 1), "x"), 0);
    assert_int_equal(publish_as(&s, "s.c", SUBJECT("s.none.>", 0), "x"), 0);
    assert_int_equal(last(&s), 6);
    stop_streams(&s);
}

static void full_streams_say_what_is_full(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs_per_subject = 1,
                                          .discard = STREAM_DISCARD_NEW,
                                          .discard_new_per_subject = true,
                                          .max_msgs = 2});
    assert_int_equal(publish_to(&s, "s.a", "", "1", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "2", &w), ERR_FULL);
    assert_string_equal(w.op.refusal.details, "maximum messages per subject exceeded");
    assert_int_equal(publish_to(&s, "s.b", "", "3", &w), 0);
    assert_int_equal(publish_to(&s, "s.c", "", "4", &w), ERR_FULL);
    assert_string_equal(w.op.refusal.details, "maximum messages exceeded");
    stop_streams(&s);
}

/* Without it, what replaces an older message of its subject is no additional one. */
static void a_replacement_needs_no_room(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs_per_subject = 1,
                                          .discard = STREAM_DISCARD_NEW,
                                          .max_msgs = 1,
                                          .max_bytes = 50});
    assert_int_equal(publish_to(&s, "s.a", "", "0123456789", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "012345678901234", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "01234567890123456789", &w), ERR_FULL);
    assert_string_equal(w.op.refusal.details, "maximum bytes exceeded");
    assert_int_equal(stream_state(s.stream).messages, 1);
    stop_streams(&s);
}

static void ids_are_known_after_a_restart(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs = 1});
    assert_int_equal(publish_as(&s, "s.a", "Nats-Msg-Id: one", "x"), 0);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Msg-Id: two", "x"), 0);
    reopen(&s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(publish_to(&s, "s.a", HEAD "Nats-Msg-Id: one" END, "x", &w), 0);
        assert_true(w.op.duplicate);
        assert_int_equal(w.op.seq, 1);
    }
    assert_int_equal(publish_as(&s, "s.a", "Nats-Expected-Last-Msg-Id: two", "x"), 0);
    stop_streams(&s);
}

/* A purge up to what was not given out yet moves the stream on, but no message has come. */
static void a_purge_leaves_the_last_id(void **state)
{
    struct test_streams s;
    struct waited w = {0};
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    assert_int_equal(publish_as(&s, "s.a", "Nats-Msg-Id: one", "x"), 0);
    stream_purge(s.stream, &w.op, BYTES(""), 6, 0, waited_done);
    turn_until(&s, &w.done);
    assert_int_equal(w.op.purged, 1);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Expected-Last-Msg-Id: two", "x"), 10070);
    reopen(&s);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Expected-Last-Msg-Id: one", "x"), 0);
    assert_int_equal(stream_state(s.stream).last_seq, 6);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Expected-Last-Msg-Id: one", "x"), 10070);
    stop_streams(&s);
}

static void rollups_replace_what_was(void **state)
{
    struct test_streams s;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.allow_rollup = true});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(publish_as(&s, i % 2 ? "s.a" : "s.b", "", "x"), 0);
    }
    assert_int_equal(publish_as(&s, "s.a", "Nats-Rollup: sub", "x"), 0);
    assert_int_equal(stream_state(s.stream).messages, 3);
    assert_int_equal(stream_count(s.stream, 0, BYTES("s.a")), 1);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Rollup: half", "x"), 10111);
    assert_int_equal(publish_as(&s, "s.c", "Nats-Rollup: all", "x"), 0);
    assert_int_equal(stream_state(s.stream).messages, 1);
    reopen(&s);
    assert_int_equal(stream_state(s.stream).messages, 1);
    assert_int_equal(stream_state(s.stream).first_seq, 6);
    stop_streams(&s);
}

static void nothing_enters_a_sealed_stream(void **state)
{
    struct test_streams s;
    struct waited w = {0};
    start_streams(&s);
    add_stream(&s, (struct stream_config){.allow_rollup = true});
    assert_int_equal(publish_as(&s, "s.a", "", "x"), 0);
    struct stream_config sealed = *stream_config(s.stream);
    sealed.sealed = true;
    stream_update(s.stream, &w.op, &sealed, waited_done);
    turn_until(&s, &w.done);
    assert_int_equal(w.result, 0);
    assert_int_equal(publish_as(&s, "s.a", "", "x"), 10109);
    w.done = false;
    stream_delete(s.stream, &w.op, 1, waited_done);
    turn_until(&s, &w.done);
    assert_int_equal(api_error_number(w.op.refusal.kind), 10109);
    w.done = false;
    stream_purge(s.stream, &w.op, BYTES(""), 0, 0, waited_done);
    turn_until(&s, &w.done);
    assert_int_equal(api_error_number(w.op.refusal.kind), 10109);
    stop_streams(&s);
}

static void sequences_begin_where_asked(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.first_seq = 1000});
    assert_int_equal(stream_state(s.stream).first_seq, 1000);
    assert_int_equal(stream_state(s.stream).last_seq, 999);
    reopen(&s);
    assert_int_equal(publish_to(&s, "s.a", "", "x", &w), 0);
    assert_int_equal(w.op.seq, 1000);
    stop_streams(&s);
}

static void memory_is_a_stream_without_files(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){
                       .storage = STREAM_STORAGE_MEMORY, .max_msgs = 3, .allow_rollup = true});
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(publish_to(&s, "s.a", "", "body", &w), 0);
        assert_int_equal(w.op.seq, i);
    }
    assert_int_equal(stream_state(s.stream).messages, 3);
    assert_int_equal(publish_as(&s, "s.a", "Nats-Rollup: all", "x"), 0);
    assert_int_equal(stream_state(s.stream).messages, 1);
    struct waited p = {0};
    stream_purge(s.stream, &p.op, BYTES(""), 0, 0, waited_done);
    turn_until(&s, &p.done);
    assert_int_equal(p.op.purged, 1);
    assert_int_equal(stream_state(s.stream).last_seq, 6);
    assert_int_equal(publish_to(&s, "s.a", "", "body", &w), 0);
    close_streams(&s);
    open_streams(&s);
    assert_null(streams_find(s.streams, BYTES("S")));
    stop_streams(&s);
}

static void subjects_are_mapped_and_published_again(void **state)
{
    static const struct stream_transform transform = {"s.in.*", "s.{{partition(1)}}.$1"};
    static const struct stream_transform republish = {"s.>", "again.>"};
    struct test_streams s;
    struct waited w;
    struct bus_subscription *subscription;
    struct message *again = NULL;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.transform = &transform, .republish = &republish});
    assert_int_equal(
        bus_subscribe(s.t.bus, BYTES("again.>"), BYTES(""), keep_message, &again, &subscription),
        0);
    assert_int_equal(publish_to(&s, "s.in.x", HEAD "A: b" END, "1", &w), 0);
    for (int i = 0; i < TURNS_MAX && !again; i++) io_turn(s.t.io, 1);
    assert_non_null(again);
    assert_true(bytes_eq(again->subject, BYTES("again.0.x")));
    assert_true(bytes_eq(again->payload, BYTES("1")));
    assert_true(
        bytes_starts(again->headers, BYTES(HEAD "A: b\r\nNats-Stream: S\r\nNats-Subject: s.0.x\r\n"
                                                "Nats-Sequence: 1\r\nNats-Time-Stamp: 2")));
    assert_true(bytes_ends(again->headers, BYTES("Nats-Last-Sequence: 0\r\n\r\n")));
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.0.x")), 1);
    message_unref(again);
    bus_unsubscribe(subscription);
    stop_streams(&s);
}

static void messages_match_their_schema(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){
                       .schema = "{\"s.order.*\":{\"type\":\"object\",\"required\":[\"id\"],"
                                 "\"properties\":{\"id\":{\"type\":\"integer\"}}}}"});
    assert_int_equal(publish_to(&s, "s.order.x", "", "{\"id\":1}", &w), 0);
    assert_int_equal(publish_to(&s, "s.other", "", "anything", &w), 0);
    assert_int_equal(publish_to(&s, "s.order.x", "", "{\"id\":\"1\"}", &w), ERR_INVALID);
    assert_int_equal(api_error_number(w.op.refusal.kind), 19001);
    assert_string_equal(w.op.refusal.details, "at /id: found string, expected integer");
    reopen(&s);
    assert_int_equal(publish_to(&s, "s.order.x", "", "{}", &w), ERR_INVALID);
    assert_int_equal(publish_to(&s, "s.order.x", HEAD "KV-Operation: DEL" END, "", &w), 0);
    stop_streams(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_come_in_their_order),
        cmocka_unit_test(the_last_of_several_subjects_can_be_expected),
        cmocka_unit_test(full_streams_say_what_is_full),
        cmocka_unit_test(a_replacement_needs_no_room),
        cmocka_unit_test(ids_are_known_after_a_restart),
        cmocka_unit_test(a_purge_leaves_the_last_id),
        cmocka_unit_test(rollups_replace_what_was),
        cmocka_unit_test(nothing_enters_a_sealed_stream),
        cmocka_unit_test(sequences_begin_where_asked),
        cmocka_unit_test(memory_is_a_stream_without_files),
        cmocka_unit_test(subjects_are_mapped_and_published_again),
        cmocka_unit_test(messages_match_their_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
