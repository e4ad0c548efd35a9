/* Streams as a NATS client and as this program see them. Durability is proved in
 * test/sim/test_stream.c. */
#include "stream_test.h"

#define HEAD "NATS/1.0\r\n"

/* One publish with headers and what JetStream answers to it. */
struct exchange {
    const char *subject, *headers, *answer;
};

static void hpub(struct client *c, const struct exchange *e)
{
    char text[512];
    size_t len = strlen(e->headers);
    if (len) {
        snprintf(text, sizeof text, "HPUB %s r %zu %zu\r\n%sbody\r\n", e->subject, len, len + 4,
                 e->headers);
    } else {
        snprintf(text, sizeof text, "PUB %s r 4\r\nbody\r\n", e->subject);
    }
    say(c, text);
    snprintf(text, sizeof text, "MSG r 1 %zu\r\n%s\r\n", strlen(e->answer), e->answer);
    expect(c, text);
}

#define SEQ(n) "{\"stream\":\"S\",\"seq\":" #n "}"
#define DUPLICATE(n) "{\"stream\":\"S\",\"seq\":" #n ",\"duplicate\": true}"
#define REFUSED(code, err, text)                                                         \
    "{\"error\":{\"code\":" #code ",\"err_code\":" #err ",\"description\":\"" text "\"}" \
    ",\"stream\":\"S\",\"seq\":0}"

static void answers_as_jetstream(void **state)
{
    static const struct exchange exchanges[] = {
        {"s.a", "", SEQ(1)},
        {"s.a", HEAD "Nats-Msg-Id: x\r\n\r\n", SEQ(2)},
        {"s.b", HEAD "Nats-Msg-Id: x\r\n\r\n", DUPLICATE(2)},
        {"s.a", HEAD "Nats-Expected-Stream: T\r\n\r\n",
         REFUSED(400, 10060, "expected stream does not match")},
        {"s.a", HEAD "Nats-Expected-Last-Sequence: 1\r\n\r\n",
         REFUSED(400, 10071, "wrong last sequence: 2")},
        {"s.a", HEAD "Nats-Expected-Last-Subject-Sequence: 1\r\n\r\n",
         REFUSED(400, 10071, "wrong last sequence: 2")},
        /* a wrong sequence is told even of a duplicate */
        {"s.a", HEAD "Nats-Msg-Id: x\r\nNats-Expected-Last-Sequence: 1\r\n\r\n",
         REFUSED(400, 10071, "wrong last sequence: 2")},
        {"s.a", HEAD "Nats-Expected-Last-Msg-Id: y\r\n\r\n",
         REFUSED(400, 10070, "wrong last msg ID: x")},
        {"s.a", HEAD "Nats-Expected-Last-Msg-Id: x\r\nNats-Expected-Last-Sequence: 2\r\n\r\n",
         SEQ(3)},
        {"s.new", HEAD "Nats-Expected-Last-Subject-Sequence: 0\r\n\r\n", SEQ(4)},
        {"s.a", HEAD "Nats-Rollup: sub\r\n\r\n", REFUSED(500, 10111, "rollup not permitted")},
        {"s.a", HEAD "A: 012345678901234567890123456789012345678901234567890123456789\r\n\r\n",
         REFUSED(400, 10054, "message size exceeds maximum allowed")},
        {"s.a", "", SEQ(5)},
    };
    struct test_streams s;
    struct client c;
    serve_streams(&s);
    add_stream(&s, (struct stream_config){.max_msg_size = 78});
    open_client(&s.t, &c, "{\"verbose\":false,\"headers\":true}");
    say(&c, "SUB r 1\r\n");
    for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) hpub(&c, &exchanges[i]);
    /* Not captured, and captured without a reply subject: no answer. */
    say(&c, "PUB other r 1\r\nx\r\nPUB s.a 1\r\nx\r\n");
    expect_all(&c, "");
    hpub(&c, &(struct exchange){"s.a", "", SEQ(7)});
    assert_int_equal(streams_metrics(s.streams)->duplicates, 1);
    close_client(&c);
    stop_streams(&s);
}

static void refuses_what_does_not_fit(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs = 2, .discard = STREAM_DISCARD_NEW});
    assert_int_equal(publish_to(&s, "s.a", "", "1", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "2", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "3", &w), ERR_FULL);
    assert_int_equal(w.op.refusal.kind, API_STORE_FAILED);
    assert_string_equal(w.op.refusal.details, "maximum messages exceeded");
    struct waited d = {0};
    stream_delete(s.stream, &d.op, 1, waited_done);
    turn_until(&s, &d.done);
    assert_int_equal(d.result, 0);
    assert_int_equal(publish_to(&s, "s.a", "", "3", &w), 0);
    assert_int_equal(w.op.seq, 3);
    stop_streams(&s);
}

static void count(struct test_streams *s, uint64_t messages, uint64_t first, uint64_t last)
{
    struct stream_state state = stream_state(s->stream);
    assert_int_equal(state.messages, messages);
    assert_int_equal(state.first_seq, first);
    assert_int_equal(state.last_seq, last);
}

static void limits_drop_the_oldest(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs = 3, .max_msgs_per_subject = 2});
    count(&s, 0, 0, 0);
    assert_int_equal(publish_to(&s, "s.a", "", "1", &w), 0);
    assert_int_equal(publish_to(&s, "s.b", "", "2", &w), 0);
    assert_int_equal(publish_to(&s, "s.a", "", "3", &w), 0);
    count(&s, 3, 1, 3);
    assert_int_equal(publish_to(&s, "s.a", "", "4", &w), 0);
    count(&s, 3, 2, 4);
    assert_int_equal(publish_to(&s, "s.c", "", "5", &w), 0);
    count(&s, 3, 3, 5);
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.b")), 0);
    assert_int_equal(stream_last_seq(s.stream, BYTES("s.a")), 4);
    uint64_t resume;
    assert_int_equal(stream_next(s.stream, 4, BYTES("s.*"), 10, &resume), 4);
    assert_int_equal(stream_next(s.stream, 1, BYTES("s.c"), 10, &resume), 5);
    assert_int_equal(stream_next(s.stream, 1, BYTES("*.c"), 1, &resume), 0);
    assert_int_equal(resume, 4);
    struct waited p = {0};
    stream_purge(s.stream, &p.op, BYTES("s.a"), 0, 1, waited_done);
    turn_until(&s, &p.done);
    assert_int_equal(p.op.purged, 1);
    count(&s, 2, 4, 5);
    p = (struct waited){0};
    stream_purge(s.stream, &p.op, BYTES(""), 0, 0, waited_done);
    turn_until(&s, &p.done);
    assert_int_equal(p.op.purged, 2);
    count(&s, 0, 6, 5);
    close_streams(&s);
    open_streams(&s);
    s.stream = streams_find(s.streams, BYTES("S"));
    count(&s, 0, 6, 5);
    assert_int_equal(publish_to(&s, "s.a", "", "6", &w), 0);
    assert_int_equal(w.op.seq, 6);
    stop_streams(&s);
}

static void age_drops_the_oldest(void **state)
{
    struct test_streams s;
    struct waited w;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_age_ns = 100 * INT64_C(1000000)});
    assert_int_equal(publish_to(&s, "s.a", "", "1", &w), 0);
    for (int i = 0; i < 100 && stream_state(s.stream).messages; i++) io_turn(s.t.io, 10);
    count(&s, 0, 2, 1);
    stop_streams(&s);
}

struct got {
    bool done;
    int result;
    char text[64];
};

static struct got got;

static void got_done(struct stream_get *get, int result, const struct stream_message *message)
{
    got = (struct got){.done = true, .result = result};
    if (!message) return;
    snprintf(got.text, sizeof got.text, "%d %.*s %.*s", (int)message->seq,
             BYTES_ARG(message->message.subject), BYTES_ARG(message->message.payload));
}

static const char *get_text(struct test_streams *s, struct stream_get *get, uint64_t seq)
{
    got.done = false;
    stream_get(s->stream, get, seq, got_done);
    assert_false(got.done); /* never inside the call */
    turn_until(s, &got.done);
    return got.result == 0 ? got.text : err_name(got.result);
}

static void gets_content(void **state)
{
    struct test_streams s;
    struct waited w;
    struct stream_get get;
    start_streams(&s);
    add_stream(&s, (struct stream_config){0});
    for (int i = 1; i <= 20; i++) {
        char text[16];
        snprintf(text, sizeof text, "body %d", i);
        assert_int_equal(publish_to(&s, "s.a", "", text, &w), 0);
    }
    stream_get_init(&get);
    get.ahead_bytes = 300;
    assert_string_equal(get_text(&s, &get, 2), "2 s.a body 2");
    assert_string_equal(get_text(&s, &get, 3), "3 s.a body 3"); /* read ahead */
    assert_string_equal(get_text(&s, &get, 19), "19 s.a body 19");
    assert_string_equal(get_text(&s, &get, 1), "1 s.a body 1");
    assert_string_equal(get_text(&s, &get, 21), "NOT_FOUND");
    stream_get_release(&get);
    stop_streams(&s);
}

static void configurations_are_checked_and_kept(void **state)
{
    static const char *const overlapping[] = {"s.*"}, *const other[] = {"t.>"};
    struct test_streams s;
    struct stream *stream;
    struct api_error refusal;
    start_streams(&s);
    add_stream(&s, (struct stream_config){.max_msgs = 7});
    struct stream_config config = {.name = "T", .subjects = overlapping, .subject_count = 1};
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_CONFLICT);
    config.name = "a.b";
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_INVALID);
    config = (struct stream_config){.name = "S", .subjects = other, .subject_count = 1};
    assert_int_equal(streams_add(s.streams, &config, &stream, &refusal), ERR_EXISTS);
    assert_null(streams_capturing(s.streams, BYTES("t.x")));
    struct waited u = {0};
    stream_update(s.stream, &u.op, &config, waited_done);
    turn_until(&s, &u.done);
    assert_int_equal(u.result, 0);
    close_streams(&s);
    open_streams(&s);
    s.stream = streams_find(s.streams, BYTES("S"));
    assert_ptr_equal(streams_capturing(s.streams, BYTES("t.x")), s.stream);
    assert_int_equal(stream_config(s.stream)->max_msgs, -1);
    s.closed = false;
    streams_remove(s.streams, s.stream, stream_was_removed, &s);
    turn_until(&s, &s.closed);
    assert_null(streams_find(s.streams, BYTES("S")));
    close_streams(&s);
    open_streams(&s);
    assert_null(streams_find(s.streams, BYTES("S")));
    stop_streams(&s);
}

/* Many streams, and patterns that begin with a wildcard: the server's own subjects stay its own. */
static void each_subject_finds_its_stream(void **state)
{
    struct test_streams s;
    start_streams(&s);
    for (int i = 0; i < 100; i++) {
        char name[16], subject[32];
        struct stream *stream;
        const char *subjects[] = {subject};
        snprintf(name, sizeof name, "S%d", i);
        snprintf(subject, sizeof subject, i == 99 ? "*.wild" : "n%d.>", i);
        const struct stream_config config = {
            .name = name,
            .subjects = subjects,
            .subject_count = 1,
            .storage = STREAM_STORAGE_MEMORY,
        };
        assert_int_equal(streams_add(s.streams, &config, &stream, NULL),
                         i == 99 ? ERR_CONFLICT : 0);
    }
    static const char *const wild[] = {"*.*.*.wild"};
    struct stream *all;
    const struct stream_config config = {.name = "W", .subjects = wild, .subject_count = 1};
    assert_int_equal(streams_add(s.streams, &config, &all, NULL), ERR_CONFLICT);
    struct bytes name = BYTES("n42.x.y");
    assert_ptr_equal(streams_capturing(s.streams, name), streams_find(s.streams, BYTES("S42")));
    assert_null(streams_capturing(s.streams, BYTES("n100.x")));
    assert_true(streams_metrics(s.streams)->memory == 0);
    stop_streams(&s);
}

static void the_servers_subjects_stay_its_own(void **state)
{
    static const char *const wild[] = {"*.API.x", "$JS.EVENT.>"};
    struct test_streams s;
    struct stream *stream;
    start_streams(&s);
    const struct stream_config config = {.name = "W", .subjects = wild, .subject_count = 1};
    assert_int_equal(streams_add(s.streams, &config, &stream, NULL), 0);
    assert_ptr_equal(streams_capturing(s.streams, BYTES("a.API.x")), stream);
    assert_null(streams_capturing(s.streams, BYTES("$JS.API.x")));
    stop_streams(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_jetstream),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(limits_drop_the_oldest),
        cmocka_unit_test(age_drops_the_oldest),
        cmocka_unit_test(gets_content),
        cmocka_unit_test(configurations_are_checked_and_kept),
        cmocka_unit_test(each_subject_finds_its_stream),
        cmocka_unit_test(the_servers_subjects_stay_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
