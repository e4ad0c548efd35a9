/* A consumer's deliveries, redeliveries and dead letters. What a crash does is proved in
 * test/sim/test_stream.c. */
#include "stream_test.h"

enum { GOT_MAX = 64 };

#define MS INT64_C(1000000)

static const char *const only_a = "s.a";

struct fixture {
    struct test_streams s;
    struct consumer *consumer;
    char got[GOT_MAX][48]; /* "seq/attempt payload" */
    int count;
    uint64_t settled;
    bool closed;
};

static void deliver(void *context, const struct delivery *delivery)
{
    struct fixture *f = context;
    assert_true(f->count < GOT_MAX);
    snprintf(f->got[f->count++], 48, "%d/%u %.*s", (int)delivery->seq, delivery->attempt,
             BYTES_ARG(delivery->message.payload));
    assert_int_equal(delivery->message.reply.len, 0);
}

static void settled(void *context, uint64_t seq)
{
    ((struct fixture *)context)->settled = seq;
}

static void was_closed(void *context)
{
    ((struct fixture *)context)->closed = true;
}

static void open_consumer(struct fixture *f, struct consumer_config config)
{
    struct error error = {0};
    config.name = "C";
    config.durable = true;
    config.ack_policy = CONSUMER_ACK_EXPLICIT;
    int r = consumer_open(f->s.streams, f->s.stream, &config, deliver, f, &f->consumer, &error);
    if (r < 0) fail_msg("%s", error.message);
    consumer_on_settled(f->consumer, settled);
}

static void close_consumer(struct fixture *f)
{
    f->closed = false;
    consumer_close(f->consumer, was_closed, f);
    turn_until(&f->s, &f->closed);
}

static void begin(struct fixture *f, struct consumer_config config)
{
    *f = (struct fixture){0};
    start_streams(&f->s);
    add_stream(&f->s, (struct stream_config){0});
    open_consumer(f, config);
}

static void end(struct fixture *f)
{
    close_consumer(f);
    stop_streams(&f->s);
}

/* The next delivery must be this. */
static void next(struct fixture *f, int index, const char *text)
{
    for (int i = 0; i < TURNS_MAX && f->count <= index; i++) io_turn(f->s.t.io, 10);
    assert_true(f->count > index);
    assert_string_equal(f->got[index], text);
}

/* The next two, in either order: what is new and what comes again are independent. */
static void next_two(struct fixture *f, int index, const char *a, const char *b)
{
    for (int i = 0; i < TURNS_MAX && f->count <= index + 1; i++) io_turn(f->s.t.io, 10);
    assert_true(f->count > index + 1);
    if (strcmp(f->got[index], a) != 0) {
        const char *swap = a;
        a = b;
        b = swap;
    }
    assert_string_equal(f->got[index], a);
    assert_string_equal(f->got[index + 1], b);
}

static void nothing_more(struct fixture *f, int count)
{
    for (int i = 0; i < 10; i++) io_turn(f->s.t.io, 2);
    assert_int_equal(f->count, count);
}

static void put(struct fixture *f, const char *subject, const char *payload)
{
    struct waited w;
    assert_int_equal(publish_to(&f->s, subject, "", payload, &w), 0);
}

static void ack(struct fixture *f, uint64_t seq)
{
    assert_int_equal(consumer_ack(f->consumer, seq), 0);
    for (int i = 0; i < TURNS_MAX && f->settled != seq; i++) io_turn(f->s.t.io, 10);
    assert_int_equal(f->settled, seq);
}

static void delivers_what_is_wanted(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){.filters = &only_a, .filter_count = 1});
    put(&f, "s.a", "one");
    put(&f, "s.b", "not for it");
    put(&f, "s.a", "two");
    nothing_more(&f, 0);
    consumer_want(f.consumer, 1);
    next(&f, 0, "1/1 one");
    nothing_more(&f, 1);
    consumer_want(f.consumer, 2);
    next(&f, 1, "3/1 two");
    put(&f, "s.b", "not for it");
    put(&f, "s.a", "three"); /* straight from the publish */
    next(&f, 2, "5/1 three");
    ack(&f, 3);
    struct consumer_info info = consumer_info(f.consumer);
    assert_int_equal(info.ack_floor.stream_seq, 0);
    ack(&f, 1);
    info = consumer_info(f.consumer);
    assert_int_equal(info.ack_floor.stream_seq, 4);
    assert_int_equal(info.num_ack_pending, 1);
    assert_int_equal(info.delivered.consumer_seq, 3);
    assert_int_equal(consumer_ack(f.consumer, 1), ERR_NOT_FOUND);
    assert_int_equal(consumer_ack(f.consumer, 99), ERR_NOT_FOUND);
    end(&f);
}

static void restart_brings_back_what_was_pending(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){0});
    put(&f, "s.a", "one");
    put(&f, "s.a", "two");
    put(&f, "s.a", "three");
    consumer_want(f.consumer, 2);
    next(&f, 1, "2/1 two");
    ack(&f, 1);
    close_consumer(&f);
    close_streams(&f.s);
    open_streams(&f.s);
    f.s.stream = streams_find(f.s.streams, BYTES("S"));
    open_consumer(&f, (struct consumer_config){0});
    consumer_want(f.consumer, 10);
    next_two(&f, 2, "2/2 two", "3/1 three");
    nothing_more(&f, 4);
    end(&f);
}

/* Nothing else happens than that its time is up. */
static void comes_again_to_one_that_has_waited(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){.ack_wait_ns = 20 * MS, .max_deliver = 3});
    consumer_want(f.consumer, 2);
    for (int i = 0; i < 20; i++) io_turn(f.s.t.io, 1);
    put(&f, "s.a", "x");
    next(&f, 0, "1/1 x");
    next(&f, 1, "1/2 x");
    assert_int_equal(consumer_ack(f.consumer, 1), 0);
    end(&f);
}

static void comes_again_until_it_is_dead(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){.ack_wait_ns = 20 * MS, .max_deliver = 3});
    struct waited w;
    assert_int_equal(
        publish_to(&f.s, "s.a", "NATS/1.0\r\nX: y\r\nNats-Msg-Id: i\r\n\r\n", "poison", &w), 0);
    put(&f, "s.a", "good");
    consumer_want(f.consumer, 10);
    next(&f, 0, "1/1 poison");
    next(&f, 1, "2/1 good");
    ack(&f, 2);
    next(&f, 2, "1/2 poison"); /* its time ran out */
    assert_int_equal(consumer_nak(f.consumer, 1, 0), 0);
    next(&f, 3, "1/3 poison");
    assert_int_equal(consumer_nak(f.consumer, 1, 5000 * MS), 0);
    for (int i = 0; i < TURNS_MAX && f.settled != 1; i++) io_turn(f.s.t.io, 10);
    assert_int_equal(f.settled, 1);
    nothing_more(&f, 4);
    struct stream *dead = streams_find(f.s.streams, BYTES(CONSUMER_DEAD_STREAM));
    assert_non_null(dead);
    assert_int_equal(stream_last_seq(dead, BYTES("DEAD.S.C")), 1);
    assert_int_equal(consumer_info(f.consumer).ack_floor.stream_seq, 2);
    end(&f);
}

static int see_dead(void *context, const struct stream_message *message)
{
    char *text = context;
    snprintf(text, 1024, "%.*s%.*s", BYTES_ARG(message->message.headers),
             BYTES_ARG(message->message.payload));
    return 0;
}

static void dead_letter_says_why(void **state)
{
    struct fixture f;
    char text[1024];
    struct waited w;
    begin(&f, (struct consumer_config){0});
    assert_int_equal(
        publish_to(&f.s, "s.a", "NATS/1.0\r\nX: y\r\nNats-Msg-Id: i\r\n\r\n", "bad", &w), 0);
    consumer_want(f.consumer, 1);
    next(&f, 0, "1/1 bad");
    assert_int_equal(consumer_term(f.consumer, 1, BYTES("no such order")), 0);
    assert_int_equal(consumer_ack(f.consumer, 1), ERR_NOT_FOUND);
    for (int i = 0; i < TURNS_MAX && f.settled != 1; i++) io_turn(f.s.t.io, 10);
    struct stream *dead = streams_find(f.s.streams, BYTES(CONSUMER_DEAD_STREAM));
    assert_non_null(dead);
    assert_int_equal(stream_each(dead, see_dead, text), 0);
    static const char *const parts[] = {"Nats-Msg-Id: S.C.1.",
                                        "Dure-Dead-Stream: S\r\n",
                                        "Dure-Dead-Consumer: C\r\n",
                                        "Dure-Dead-Subject: s.a\r\n",
                                        "Dure-Dead-Sequence: 1\r\n",
                                        "Dure-Dead-Attempts: 1\r\n",
                                        "Dure-Dead-Reason: no such order\r\n",
                                        "Dure-Dead-Time: 2",
                                        "X: y\r\n",
                                        "\r\n\r\nbad"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(text, parts[i])) fail_msg("no \"%s\" in %s", parts[i], text);
    }
    assert_null(strstr(text, "Nats-Msg-Id: i"));
    end(&f);
}

static void backs_off(void **state)
{
    struct fixture f;
    static const int64_t waits[] = {150 * MS, 60000 * MS};
    begin(&f, (struct consumer_config){.backoff_ns = waits, .backoff_count = 2});
    put(&f, "s.a", "x");
    consumer_want(f.consumer, 10);
    next(&f, 0, "1/1 x");
    assert_int_equal(consumer_nak(f.consumer, 1, CONSUMER_DELAY_BACKOFF), 0);
    nothing_more(&f, 1);
    next(&f, 1, "1/2 x");
    assert_int_equal(consumer_nak(f.consumer, 1, CONSUMER_DELAY_BACKOFF), 0);
    nothing_more(&f, 2);
    end(&f);
}

static void holds_back_at_max_ack_pending(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){.max_ack_pending = 2,
                                       .deliver_policy = CONSUMER_DELIVER_BY_START_SEQ,
                                       .start_seq = 2});
    for (int i = 1; i <= 5; i++) put(&f, "s.a", "x");
    consumer_want(f.consumer, 10);
    next(&f, 0, "2/1 x");
    next(&f, 1, "3/1 x");
    nothing_more(&f, 2);
    ack(&f, 2);
    next(&f, 2, "4/1 x");
    nothing_more(&f, 3);
    struct consumer *other;
    struct consumer_config again = {.name = "C", .durable = true};
    assert_int_equal(consumer_open(f.s.streams, f.s.stream, &again, deliver, &f, &other, NULL),
                     ERR_EXISTS);
    end(&f);
}

/* Enough records for several segments: the state stays, the journal does not grow. */
static void journal_is_shortened(void **state)
{
    struct fixture f;
    begin(&f, (struct consumer_config){.max_ack_pending = 65536});
    static struct waited w[6000];
    struct message m = message_borrow(BYTES("s.a"), BYTES(""), BYTES(""), BYTES("x"));
    for (int i = 0; i < 6000; i++) {
        stream_publish(f.s.stream, &w[i].op, &m, NULL, waited_done);
    }
    message_done(&m);
    turn_until(&f.s, &w[5999].done);
    for (uint64_t seq = 1; seq <= 6000; seq++) {
        f.count = 0;
        consumer_want(f.consumer, 1);
        for (int i = 0; i < TURNS_MAX && f.count == 0; i++) io_turn(f.s.t.io, 10);
        assert_int_equal(consumer_ack(f.consumer, seq), 0);
    }
    for (int i = 0; i < TURNS_MAX && f.settled != 6000; i++) io_turn(f.s.t.io, 10);
    assert_true(streams_store_metrics(f.s.streams)->snapshots > 0);
    assert_true(streams_store_metrics(f.s.streams)->segments_dropped > 0);
    close_consumer(&f);
    open_consumer(&f, (struct consumer_config){0});
    struct consumer_info info = consumer_info(f.consumer);
    assert_int_equal(info.ack_floor.stream_seq, 6000);
    assert_int_equal(info.num_ack_pending, 0);
    assert_int_equal(info.num_pending, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_what_is_wanted),
        cmocka_unit_test(restart_brings_back_what_was_pending),
        cmocka_unit_test(comes_again_to_one_that_has_waited),
        cmocka_unit_test(comes_again_until_it_is_dead),
        cmocka_unit_test(dead_letter_says_why),
        cmocka_unit_test(backs_off),
        cmocka_unit_test(holds_back_at_max_ack_pending),
        cmocka_unit_test(journal_is_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
