/* Where a consumer begins, what it passes over, how it is acknowledged, how many messages it has
 * ahead: each policy. */
#include "stream_test.h"

enum { GOT_MAX = 64 };

#define MS INT64_C(1000000)

struct fixture {
    struct test_streams s;
    struct consumer *consumer;
    uint64_t got[GOT_MAX], pending[GOT_MAX];
    uint32_t attempts[GOT_MAX];
    size_t count;
    bool closed;
};

static void deliver(void *context, const struct delivery *delivery)
{
    struct fixture *f = context;
    assert_true(f->count < GOT_MAX);
    f->got[f->count] = delivery->seq;
    f->pending[f->count] = delivery->pending;
    f->attempts[f->count++] = delivery->attempt;
    assert_int_equal(delivery->consumer_seq, consumer_info(f->consumer).delivered.consumer_seq);
}

static void put(struct fixture *f, const char *subject)
{
    struct waited w;
    assert_int_equal(publish_to(&f->s, subject, "", "x", &w), 0);
}

static void begin(struct fixture *f, struct stream_config config)
{
    static const char *const subjects[] = {"s.a", "s.b", "s.c", "s.a", "s.b", "s.a"};
    *f = (struct fixture){0};
    start_streams(&f->s);
    add_stream(&f->s, config);
    for (size_t i = 0; i < 6; i++) put(f, subjects[i]);
}

static void open_consumer(struct fixture *f, struct consumer_config config)
{
    struct error error = {0};
    config.name = "C";
    config.durable = true;
    f->count = 0;
    int r = consumer_open(f->s.streams, f->s.stream, &config, deliver, f, &f->consumer, &error);
    if (r < 0) fail_msg("%s", error.message);
}

static void end(struct fixture *f)
{
    stop_streams(&f->s);
}

static void turns(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) io_turn(f->s.t.io, 2);
}

/* Wants as many, and gets these, ended by 0, and nothing more. */
static void get_these(struct fixture *f, uint32_t want, const uint64_t *seqs)
{
    size_t count = 0;
    f->count = 0;
    consumer_want(f->consumer, want);
    while (seqs[count]) count++;
    for (int i = 0; i < TURNS_MAX && f->count < count; i++) io_turn(f->s.t.io, 10);
    turns(f, 5);
    assert_int_equal(f->count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(f->got[i], seqs[i]);
}

#define EXPECT(f, want, ...) get_these(f, want, (const uint64_t[]){__VA_ARGS__, 0})

static void destroyed(void *context, int result)
{
    assert_int_equal(result, 0);
    ((struct fixture *)context)->closed = true;
}

static void begins_where_its_policy_says(void **state)
{
    static const char *const filters[] = {"s.a", "s.b"};
    static const struct {
        struct consumer_config config;
        uint64_t pending, seqs[8];
    } cases[] = {
        {{.deliver_policy = CONSUMER_DELIVER_ALL}, 6, {1, 2, 3, 4, 5, 6, 7}},
        {{.deliver_policy = CONSUMER_DELIVER_LAST}, 1, {6, 7}},
        {{.deliver_policy = CONSUMER_DELIVER_LAST, .filters = filters + 1, .filter_count = 1},
         1,
         {5}},
        {{.deliver_policy = CONSUMER_DELIVER_NEW}, 0, {7}},
        {{.deliver_policy = CONSUMER_DELIVER_BY_START_SEQ, .start_seq = 4}, 3, {4, 5, 6, 7}},
        {{.deliver_policy = CONSUMER_DELIVER_BY_START_TIME, .start_time_ns = 1},
         6,
         {1, 2, 3, 4, 5, 6, 7}},
        {{.deliver_policy = CONSUMER_DELIVER_LAST_PER_SUBJECT,
          .filters = filters,
          .filter_count = 2,
          .filter_list = true},
         2,
         {5, 6, 7}},
        {{.filters = filters, .filter_count = 2, .filter_list = true}, 5, {1, 2, 4, 5, 6, 7}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        begin(&f, (struct stream_config){0});
        struct consumer_config config = cases[i].config;
        config.ack_policy = CONSUMER_ACK_EXPLICIT;
        open_consumer(&f, config);
        assert_int_equal(consumer_info(f.consumer).num_pending, cases[i].pending);
        put(&f, "s.a");
        get_these(&f, 10, cases[i].seqs);
        assert_int_equal(consumer_info(f.consumer).num_pending, 0);
        if (f.count) assert_int_equal(f.pending[f.count - 1], 0);
        end(&f);
    }
}

/* The last of all is what came last, also when that was removed; ">" is no filter. */
static void last_of_all_may_be_gone(void **state)
{
    static const char *const filters[] = {">", "s.*"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct waited w = {0};
        begin(&f, (struct stream_config){0});
        stream_delete(f.s.stream, &w.op, 6, waited_done);
        turn_until(&f.s, &w.done);
        open_consumer(&f, (struct consumer_config){.deliver_policy = CONSUMER_DELIVER_LAST,
                                                   .filters = filters + i,
                                                   .filter_count = 1,
                                                   .ack_policy = CONSUMER_ACK_EXPLICIT});
        assert_int_equal(consumer_info(f.consumer).num_pending, i);
        put(&f, "s.a");
        if (i == 0) EXPECT(&f, 10, 7);
        if (i == 1) EXPECT(&f, 10, 5, 7);
        end(&f);
    }
}

static void last_of_each_after_a_restart(void **state)
{
    static const char *const filter = "s.*";
    struct consumer_config config = {.deliver_policy = CONSUMER_DELIVER_LAST_PER_SUBJECT,
                                     .filters = &filter,
                                     .filter_count = 1,
                                     .ack_policy = CONSUMER_ACK_EXPLICIT};
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, config);
    EXPECT(&f, 1, 3);
    assert_int_equal(consumer_ack(f.consumer, 3), 0);
    close_streams(&f.s);
    open_streams(&f.s);
    f.s.stream = streams_find(f.s.streams, BYTES("S"));
    open_consumer(&f, config);
    assert_int_equal(consumer_info(f.consumer).num_pending, 2);
    EXPECT(&f, 10, 5, 6);
    end(&f);
}

static void all_up_to_one(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_ALL});
    EXPECT(&f, 4, 1, 2, 3, 4);
    assert_int_equal(consumer_ack(f.consumer, 3), 0);
    struct consumer_info info = consumer_info(f.consumer);
    assert_int_equal(info.num_ack_pending, 1);
    assert_int_equal(info.ack_floor.stream_seq, 3);
    assert_int_equal(info.ack_floor.consumer_seq, 3);
    assert_int_equal(consumer_ack(f.consumer, 2), ERR_NOT_FOUND);
    end(&f);
}

static void delivered_is_done(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_NONE});
    EXPECT(&f, 4, 1, 2, 3, 4);
    struct consumer_info info = consumer_info(f.consumer);
    assert_int_equal(info.num_ack_pending, 0);
    assert_int_equal(info.ack_floor.stream_seq, 4);
    assert_int_equal(consumer_ack(f.consumer, 1), ERR_NOT_FOUND);
    close_streams(&f.s);
    open_streams(&f.s);
    f.s.stream = streams_find(f.s.streams, BYTES("S"));
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_NONE});
    EXPECT(&f, 10, 5, 6);
    end(&f);
}

static void counts_what_goes(void **state)
{
    static const char *const filters[] = {"s.a", "s.b"};
    struct fixture f;
    struct waited w = {0};
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT,
                                               .filters = filters,
                                               .filter_count = 2,
                                               .filter_list = true});
    EXPECT(&f, 2, 1, 2);
    assert_int_equal(consumer_info(f.consumer).num_pending, 3);
    stream_delete(f.s.stream, &w.op, 3, waited_done); /* not for it */
    turn_until(&f.s, &w.done);
    assert_int_equal(consumer_info(f.consumer).num_pending, 3);
    w = (struct waited){0};
    stream_delete(f.s.stream, &w.op, 4, waited_done);
    turn_until(&f.s, &w.done);
    assert_int_equal(consumer_info(f.consumer).num_pending, 2);
    w = (struct waited){0};
    stream_delete(f.s.stream, &w.op, 1, waited_done); /* it was out */
    turn_until(&f.s, &w.done);
    assert_int_equal(consumer_info(f.consumer).num_ack_pending, 1);
    assert_int_equal(consumer_ack(f.consumer, 1), ERR_NOT_FOUND);
    w = (struct waited){0};
    stream_purge(f.s.stream, &w.op, BYTES(""), 0, 0, waited_done);
    turn_until(&f.s, &w.done);
    struct consumer_info info = consumer_info(f.consumer);
    assert_int_equal(info.num_pending, 0);
    assert_int_equal(info.num_ack_pending, 0);
    put(&f, "s.b");
    EXPECT(&f, 1, 7);
    end(&f);
}

static void pauses(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    int64_t until = (int64_t)io_wall_ns(f.s.t.io) + 800 * MS;
    assert_int_equal(consumer_pause(f.consumer, until), 0);
    assert_true(consumer_info(f.consumer).paused);
    consumer_want(f.consumer, 10);
    turns(&f, 10);
    assert_int_equal(f.count, 0);
    for (int i = 0; i < TURNS_MAX && f.count < 6; i++) io_turn(f.s.t.io, 10);
    assert_int_equal(f.count, 6); /* goes on by itself */
    assert_false(consumer_info(f.consumer).paused);
    end(&f);
}

/* What the consumer found comes at its pace; what came later, when the consumer was done with that,
 * comes at once. */
static void the_past_ends(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    turns(&f, 150);
    put(&f, "s.a");
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT,
                                               .replay_policy = CONSUMER_REPLAY_ORIGINAL});
    uint64_t began = io_wall_ns(f.s.t.io);
    EXPECT(&f, 7, 1, 2, 3, 4, 5, 6, 7);
    assert_true(io_wall_ns(f.s.t.io) - began >= 200 * MS);
    put(&f, "s.a");
    f.count = 0;
    consumer_want(f.consumer, 1);
    turns(&f, 50);
    assert_int_equal(f.count, 1);
    end(&f);
}

static void begins_anew(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    EXPECT(&f, 6, 1, 2, 3, 4, 5, 6);
    assert_int_equal(consumer_reset(f.consumer, 4), 0);
    assert_int_equal(consumer_info(f.consumer).num_pending, 3);
    assert_int_equal(consumer_info(f.consumer).num_ack_pending, 0);
    EXPECT(&f, 10, 4, 5, 6);
    assert_int_equal(f.attempts[0], 1);
    end(&f);
}

/* It holds for what is out; what was given back with a delay comes when that is over. */
static void a_changed_wait(void **state)
{
    static const int64_t hour_ns = 3600000000000;
    struct fixture f;
    struct consumer *same;
    struct api_error refusal = {0};
    begin(&f, (struct stream_config){0});
    struct consumer_config config = {
        .ack_policy = CONSUMER_ACK_EXPLICIT, .ack_wait_ns = hour_ns, .max_ack_pending = 2};
    open_consumer(&f, config);
    EXPECT(&f, 2, 1, 2);
    assert_int_equal(consumer_nak(f.consumer, 2, hour_ns), 0);
    EXPECT(&f, 1, 0);
    config.name = "C";
    config.durable = true;
    config.ack_wait_ns = 20000000;
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &config, CONSUMER_UPDATE, &same, &refusal), 0);
    EXPECT(&f, 0, 1);
    end(&f);
}

static void a_changed_filter(void **state)
{
    static const char *const a = "s.a", *const b = "s.b";
    struct fixture f;
    struct consumer *same;
    struct api_error refusal = {0};
    begin(&f, (struct stream_config){0});
    struct consumer_config config = {
        .ack_policy = CONSUMER_ACK_EXPLICIT, .filters = &a, .filter_count = 1};
    open_consumer(&f, config);
    EXPECT(&f, 1, 1);
    config.name = "C";
    config.durable = true;
    config.filters = &b;
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &config, CONSUMER_UPDATE, &same, &refusal), 0);
    assert_ptr_equal(same, f.consumer);
    assert_int_equal(consumer_info(f.consumer).num_pending, 2);
    EXPECT(&f, 10, 2, 5);
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &config, CONSUMER_MAKE, &same, &refusal), 0);
    config.max_deliver = 9;
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &config, CONSUMER_MAKE, &same, &refusal),
        ERR_EXISTS);
    assert_int_equal(refusal.kind, API_CONSUMER_EXISTS);
    config.name = "other";
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &config, CONSUMER_UPDATE, &same, &refusal),
        ERR_NOT_FOUND);
    end(&f);
}

static void a_name_is_free_at_once(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    EXPECT(&f, 2, 1, 2);
    assert_int_equal(consumer_ack(f.consumer, 1), 0);
    consumer_destroy(f.consumer, destroyed, &f);
    assert_null(consumers_find(f.s.stream, BYTES("C")));
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    EXPECT(&f, 1, 1);
    turn_until(&f.s, &f.closed);
    close_streams(&f.s);
    open_streams(&f.s);
    f.s.stream = streams_find(f.s.streams, BYTES("S"));
    assert_int_equal(consumers_count(f.s.stream), 1);
    assert_int_equal(consumer_info(consumers_at(f.s.stream, 0)).delivered.consumer_seq, 1);
    end(&f);
}

static void of_a_stream_in_memory(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){.storage = STREAM_STORAGE_MEMORY});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    EXPECT(&f, 3, 1, 2, 3);
    assert_int_equal(consumer_ack(f.consumer, 1), 0);
    assert_int_equal(consumer_nak(f.consumer, 2, 0), 0);
    EXPECT(&f, 2, 2, 4);
    assert_int_equal(f.attempts[0], 2);
    end(&f);
}

static void work_is_removed_when_done(void **state)
{
    struct fixture f;
    begin(&f, (struct stream_config){.retention = STREAM_RETENTION_WORKQUEUE});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT});
    EXPECT(&f, 3, 1, 2, 3);
    assert_int_equal(consumer_ack(f.consumer, 2), 0);
    for (int i = 0; i < TURNS_MAX && stream_state(f.s.stream).messages > 5; i++) {
        io_turn(f.s.t.io, 10);
    }
    assert_int_equal(stream_state(f.s.stream).messages, 5);
    assert_int_equal(consumer_info(f.consumer).num_pending, 3);
    struct consumer *other;
    struct api_error refusal = {0};
    const struct consumer_config second = {.name = "D", .ack_policy = CONSUMER_ACK_EXPLICIT};
    assert_int_equal(
        consumers_add(f.s.streams, f.s.stream, &second, CONSUMER_MAKE, &other, &refusal),
        ERR_CONFLICT);
    assert_int_equal(refusal.kind, API_WORKQUEUE_UNFILTERED);
    end(&f);
}

static void dead_letters_can_be_off(void **state)
{
    static const struct stream_pair off = {CONSUMER_DEAD_LETTERS, "off"};
    struct fixture f;
    begin(&f, (struct stream_config){0});
    open_consumer(&f, (struct consumer_config){.ack_policy = CONSUMER_ACK_EXPLICIT,
                                               .max_deliver = 1,
                                               .metadata = &off,
                                               .metadata_count = 1});
    EXPECT(&f, 2, 1, 2);
    assert_int_equal(consumer_nak(f.consumer, 1, 0), 0);
    assert_int_equal(consumer_term(f.consumer, 2, BYTES("no")), 0);
    EXPECT(&f, 1, 3);
    assert_int_equal(consumer_info(f.consumer).num_ack_pending, 1);
    assert_null(streams_find(f.s.streams, BYTES("DEAD")));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_where_its_policy_says),
        cmocka_unit_test(last_of_all_may_be_gone),
        cmocka_unit_test(last_of_each_after_a_restart),
        cmocka_unit_test(all_up_to_one),
        cmocka_unit_test(delivered_is_done),
        cmocka_unit_test(counts_what_goes),
        cmocka_unit_test(pauses),
        cmocka_unit_test(the_past_ends),
        cmocka_unit_test(begins_anew),
        cmocka_unit_test(a_changed_wait),
        cmocka_unit_test(a_changed_filter),
        cmocka_unit_test(a_name_is_free_at_once),
        cmocka_unit_test(of_a_stream_in_memory),
        cmocka_unit_test(work_is_removed_when_done),
        cmocka_unit_test(dead_letters_can_be_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
