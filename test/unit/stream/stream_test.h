/* What the tests of streams share: a bus on loopback with streams in a temporary folder. */
#ifndef DURE_TEST_STREAM_TEST_H
#define DURE_TEST_STREAM_TEST_H

#include "stream/consumer.h"
#include "stream/kv.h"
#include "stream/streams.h"
#include "bus/bus_test.h"

#include <ftw.h>

struct test_streams {
    struct test_bus t;
    char dir[64];
    struct streams *streams;
    struct stream *stream;
    bool closed;
};

static inline void streams_were_closed(void *context)
{
    ((struct test_streams *)context)->closed = true;
}

static inline void stream_was_removed(void *context, int result)
{
    assert_int_equal(result, 0);
    ((struct test_streams *)context)->closed = true;
}

static inline void turn_until(struct test_streams *s, const bool *flag)
{
    for (int i = 0; i < TURNS_MAX && !*flag; i++) io_turn(s->t.io, 10);
    assert_true(*flag);
}

static inline void open_streams(struct test_streams *s)
{
    struct error error = {0};
    const struct streams_options options = {.dir = s->dir, .segment_bytes = 64 << 10};
    int r = streams_open(s->t.io, s->t.bus, &options, &s->streams, &error);
    if (r < 0) fail_msg("%s: %s", error.file, error.message);
}

/* ---- operations that are waited for ---- */

struct waited {
    struct stream_op op;
    bool done;
    int result;
};

static inline void waited_done(struct stream_op *op, int result)
{
    struct waited *w = CONTAINER_OF(op, struct waited, op);
    w->result = result;
    w->done = true;
}

static inline void add_stream(struct test_streams *s, struct stream_config config)
{
    static const char *const subjects[] = {"s.>"};
    struct api_error refusal = {0};
    config.name = "S";
    config.subjects = subjects;
    config.subject_count = 1;
    if (streams_add(s->streams, &config, &s->stream, &refusal) < 0) {
        fail_msg("refused: %d", api_error_number(refusal.kind));
    }
    struct waited made = {0};
    stream_when_durable(s->stream, &made.op, waited_done);
    turn_until(s, &made.done);
    assert_int_equal(made.result, 0);
}

static inline void start_streams(struct test_streams *s)
{
    *s = (struct test_streams){0};
    snprintf(s->dir, sizeof s->dir, "/tmp/dure-streams-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    start(&s->t, NULL);
    open_streams(s);
}

static inline void close_streams(struct test_streams *s)
{
    s->closed = false;
    streams_close(s->streams, streams_were_closed, s);
    turn_until(s, &s->closed);
}

static inline int remove_path(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

static inline void stop_streams(struct test_streams *s)
{
    close_streams(s);
    assert_int_equal(nftw(s->dir, remove_path, 16, FTW_DEPTH | FTW_PHYS), 0);
    stop(&s->t);
}

static inline int publish_to(struct test_streams *s, const char *subject, const char *headers,
                             const char *payload, struct waited *w)
{
    struct message m =
        message_borrow(bytes_str(subject), BYTES(""), bytes_str(headers), bytes_str(payload));
    *w = (struct waited){0};
    stream_publish(s->stream, &w->op, &m, NULL, waited_done);
    message_done(&m);
    turn_until(s, &w->done);
    return w->result;
}

#endif
