/* Streams that take what other streams store. */
#include "stream_test.h"

#define HEAD "NATS/1.0\r\n"
#define END "\r\n\r\n"

static struct stream *make(struct test_streams *s, struct stream_config config, const char *name,
                           const char *subject)
{
    struct stream *stream;
    struct api_error refusal = {0};
    config.name = name;
    config.subjects = &subject;
    config.subject_count = subject ? 1 : 0;
    if (streams_add(s->streams, &config, &stream, &refusal) < 0) {
        fail_msg("%d %s", api_error_number(refusal.kind), refusal.details);
    }
    return stream;
}

static void store(struct test_streams *s, struct stream *stream, const char *subject)
{
    struct waited w;
    s->stream = stream;
    assert_int_equal(publish_to(s, subject, HEAD "A: b\r\nNats-Expected-Stream: O" END, "x", &w),
                     0);
}

static void until_last(struct test_streams *s, struct stream *stream, uint64_t last)
{
    for (int i = 0; i < TURNS_MAX && stream_state(stream).last_seq < last; i++) {
        io_turn(s->t.io, 10);
    }
    for (int i = 0; i < 20; i++) io_turn(s->t.io, 1);
    assert_int_equal(stream_state(stream).last_seq, last);
}

static struct stream_message got;
static char got_headers[256];
static bool got_done;

static void keep(struct stream_get *get, int result, const struct stream_message *message)
{
    assert_int_equal(result, 0);
    got = *message;
    snprintf(got_headers, sizeof got_headers, "%.*s", BYTES_ARG(message->message.headers));
    got_done = true;
}

static void get(struct test_streams *s, struct stream *stream, uint64_t seq)
{
    struct stream_get one;
    stream_get_init(&one);
    got_done = false;
    stream_get(stream, &one, seq, keep);
    turn_until(s, &got_done);
    stream_get_release(&one);
}

static void a_mirror_has_the_same_sequences(void **state)
{
    static const struct stream_source origin = {.name = "O"};
    static const struct stream_source some = {.name = "O", .start_seq = 2, .filter = "o.a"};
    struct test_streams s;
    start_streams(&s);
    struct stream *mirror = make(&s, (struct stream_config){.mirror = &origin}, "M", NULL);
    struct stream *o = make(&s, (struct stream_config){0}, "O", "o.>"); /* comes later */
    for (int i = 0; i < 5; i++) store(&s, o, i % 2 ? "o.b" : "o.a");
    until_last(&s, mirror, 5);
    assert_int_equal(stream_state(mirror).messages, 5);
    get(&s, mirror, 3);
    assert_string_equal(got_headers, HEAD "A: b" END); /* what was expected of O is not of M */
    struct stream *part = make(&s, (struct stream_config){.mirror = &some}, "P", NULL);
    until_last(&s, part, 5);
    assert_int_equal(stream_state(part).first_seq, 3);
    assert_int_equal(stream_state(part).messages, 2);
    close_streams(&s);
    open_streams(&s);
    o = streams_find(s.streams, BYTES("O"));
    mirror = streams_find(s.streams, BYTES("M"));
    store(&s, o, "o.a");
    until_last(&s, mirror, 6);
    assert_int_equal(stream_state(mirror).messages, 6);
    /* Without its origin it stays as it is. */
    s.closed = false;
    streams_remove(s.streams, o, stream_was_removed, &s);
    turn_until(&s, &s.closed);
    assert_int_equal(stream_state(mirror).messages, 6);
    stop_streams(&s);
}

static void sources_flow_together(void **state)
{
    static const struct stream_transform transform = {"o.*", "from.o.$1"};
    static const struct stream_source sources[] = {
        {.name = "O", .transforms = &transform, .transform_count = 1},
        {.name = "P", .filter = "p.x", .start_seq = 2},
    };
    struct test_streams s;
    start_streams(&s);
    struct stream *o = make(&s, (struct stream_config){0}, "O", "o.>");
    struct stream *p = make(&s, (struct stream_config){0}, "P", "p.>");
    for (int i = 0; i < 300; i++) store(&s, o, "o.1");
    store(&s, o, "o.1.2"); /* outside of the mapping */
    for (int i = 0; i < 3; i++) store(&s, s.stream == p ? p : o, "o.3");
    s.stream = p;
    struct waited w;
    for (int i = 0; i < 3; i++) assert_int_equal(publish_to(&s, "p.x", "", "x", &w), 0);
    assert_int_equal(publish_to(&s, "p.y", "", "x", &w), 0);
    struct stream *all =
        make(&s, (struct stream_config){.sources = sources, .source_count = 2}, "ALL", "all.>");
    until_last(&s, all, 305);
    assert_int_equal(stream_count(all, 0, BYTES("from.o.1")), 300);
    assert_int_equal(stream_count(all, 0, BYTES("from.o.3")), 3);
    assert_int_equal(stream_count(all, 0, BYTES("p.x")), 2);
    get(&s, all, stream_last_seq(all, BYTES("from.o.3")));
    assert_string_equal(got_headers, HEAD "A: b\r\nNats-Stream-Source: O 304" END);
    s.stream = all;
    assert_int_equal(publish_to(&s, "all.x", "", "its own", &w), 0);
    close_streams(&s);
    open_streams(&s);
    all = streams_find(s.streams, BYTES("ALL"));
    until_last(&s, all, 306); /* nothing comes twice */
    s.stream = streams_find(s.streams, BYTES("P"));
    assert_int_equal(publish_to(&s, "p.x", "", "x", &w), 0);
    until_last(&s, all, 307);
    stop_streams(&s);
}

static void circles_are_refused(void **state)
{
    static const struct stream_source a = {.name = "A"}, b = {.name = "B"}, self = {.name = "C"};
    static const char *const subject = "c";
    struct test_streams s;
    struct stream *stream;
    struct api_error refusal = {0};
    start_streams(&s);
    make(&s, (struct stream_config){.sources = &b, .source_count = 1}, "A", "a");
    struct stream_config config = {
        .name = "C", .subjects = &subject, .subject_count = 1, .sources = &self, .source_count = 1};
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_INVALID);
    assert_string_equal(refusal.details, "detected cycle");
    config.name = "B";
    config.sources = &a;
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_INVALID);
    config = (struct stream_config){.name = "B", .mirror = &a};
    refusal = (struct api_error){0};
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_INVALID);
    assert_string_equal(refusal.details, "detected cycle");
    stop_streams(&s);
}

static void until_count(struct test_streams *s, const struct stream *stream, uint64_t count)
{
    for (int i = 0; i < TURNS_MAX && stream_state(stream).messages != count; i++) {
        io_turn(s->t.io, 10);
    }
    assert_int_equal(stream_state(stream).messages, count);
}

/* A stream that copies needs what a consumer would: also what nobody else does, and no longer than
 * until it has it. */
static void origins_keep_what_is_to_be_copied(enum stream_retention retention)
{
    static const struct stream_source source = {.name = "O", .filter = "o.1"};
    struct test_streams s;
    start_streams(&s);
    struct stream *o = make(&s, (struct stream_config){.retention = retention}, "O", "o.>");
    struct stream *m = make(&s, (struct stream_config){.mirror = &source}, "M", NULL);
    struct stream *all =
        make(&s, (struct stream_config){.sources = &source, .source_count = 1}, "ALL", NULL);
    for (int i = 0; i < 3; i++) store(&s, o, "o.1");
    until_last(&s, m, 3);
    until_last(&s, all, 3);
    bool queue = retention == STREAM_RETENTION_WORKQUEUE;
    until_count(&s, o, queue ? 3 : 0);
    assert_int_equal(stream_state(o).consumers, 0);
    close_streams(&s);
    open_streams(&s);
    o = streams_find(s.streams, BYTES("O"));
    store(&s, o, "o.2"); /* not for them */
    store(&s, o, "o.1");
    until_last(&s, streams_find(s.streams, BYTES("M")), 5);
    until_last(&s, streams_find(s.streams, BYTES("ALL")), 4);
    until_count(&s, o, queue ? 5 : 0);
    stop_streams(&s);
}

static void interest_is_also_that_of_streams(void **state)
{
    origins_keep_what_is_to_be_copied(STREAM_RETENTION_INTEREST);
}

static void a_work_queue_is_for_its_consumers(void **state)
{
    origins_keep_what_is_to_be_copied(STREAM_RETENTION_WORKQUEUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mirror_has_the_same_sequences),
        cmocka_unit_test(sources_flow_together),
        cmocka_unit_test(circles_are_refused),
        cmocka_unit_test(interest_is_also_that_of_streams),
        cmocka_unit_test(a_work_queue_is_for_its_consumers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
