/* What the tests of deliveries share: stream S of s.>, consumer c of it, messages put into it, what
 * has come as answers, and what is said of those. */
#ifndef DURE_TEST_DELIVERY_TEST_H
#define DURE_TEST_DELIVERY_TEST_H

#include "jetstream_test.h"

#include "stream/consumer.h"

#define STREAM "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}"
#define NEXT "$JS.API.CONSUMER.MSG.NEXT.S.c"

static inline void make_stream(struct api_test *t)
{
    expect_part(answer_to(t, STREAM), "\"did_create\":true");
}

static inline void make_consumer(struct api_test *t, const char *more)
{
    char body[1024];
    snprintf(body, sizeof body,
             "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"c\",\"ack_policy\":"
             "\"explicit\"%s}}",
             more);
    expect_part(answer_to(t, "$JS.API.CONSUMER.DURABLE.CREATE.S.c", body), "\"name\":\"c\"");
    forget_answers(t);
}

static inline void put(struct api_test *t, const char *subject, const char *payload)
{
    struct message m = message_borrow(bytes_str(subject), BYTES(""), BYTES(""), bytes_str(payload));
    struct stream *stream = streams_find(t->streams, BYTES("S"));
    uint64_t last = stream_state(stream).last_seq;
    assert_true(bus_publish(t->bus, &m) > 0);
    for (int i = 0; i < TURNS_MAX && stream_state(stream).last_seq == last; i++) {
        io_turn(t->io, 10);
    }
}

static inline struct consumer_info info_of(struct api_test *t)
{
    return consumer_info(consumers_find(streams_find(t->streams, BYTES("S")), BYTES("c")));
}

static inline void turns(struct api_test *t, int count)
{
    for (int i = 0; i < count; i++) io_turn(t->io, 2);
}

/* The answer must have this subject, and this behind its headers. */
static inline void expect_message(struct api_test *t, size_t index, const char *subject,
                                  const char *payload)
{
    assert_true(index < t->count);
    const struct message *m = t->answers[index];
    if (!bytes_eq(m->subject, bytes_str(subject)) || !bytes_eq(m->payload, bytes_str(payload))) {
        fail_msg("%zu: %.*s %.*s %.*s", index, BYTES_ARG(m->subject), BYTES_ARG(m->headers),
                 BYTES_ARG(m->payload));
    }
}

static inline void expect_reply(struct api_test *t, size_t index, const char *start,
                                const char *end)
{
    const struct message *m = t->answers[index];
    if (!bytes_starts(m->reply, bytes_str(start)) || !bytes_ends(m->reply, bytes_str(end))) {
        fail_msg("%.*s", BYTES_ARG(m->reply));
    }
}

static inline void expect_status(struct api_test *t, size_t index, const char *line)
{
    assert_true(index < t->count);
    const struct message *m = t->answers[index];
    char text[512];
    snprintf(text, sizeof text, "%.*s", BYTES_ARG(m->headers));
    expect_part(text, line);
    assert_int_equal(m->payload.len, 0);
}

/* Says something to the reply subject of an answer; `reply` may be "". */
static inline void say_of(struct api_test *t, size_t index, const char *what, const char *reply)
{
    char subject[256];
    snprintf(subject, sizeof subject, "%.*s", BYTES_ARG(t->answers[index]->reply));
    struct message m =
        message_borrow(bytes_str(subject), bytes_str(reply), BYTES(""), bytes_str(what));
    assert_int_equal(bus_publish(t->bus, &m), 1);
}

#endif
