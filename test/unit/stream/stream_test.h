/* What the tests of streams share: a bus with streams on a simulated disk. Time is the
 * simulation's: it passes only while the tests wait, and no faster for what the machine has to do
 * beside. Those that need clients have a bus on loopback and streams in a temporary folder
 * (serve_streams). */
#ifndef DURE_TEST_STREAM_TEST_H
#define DURE_TEST_STREAM_TEST_H

#include "stream/consumer.h"
#include "stream/kv.h"
#include "stream/streams.h"
#include "bus/bus_test.h"
#include "io/sim.h"
#include "temp_dir.h"

struct test_streams {
    struct test_bus t;
    struct sim *sim;     /* NULL: on the machine itself */
    struct temp_dir dir; /* then */
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
    const struct streams_options options = {.dir = s->sim ? "/streams" : s->dir.path,
                                            .segment_bytes = 64 << 10};
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
    *s = (struct test_streams){.sim = sim_new(1, NULL)};
    s->t.io = sim_host_io(sim_host_new(s->sim, "bus"));
    assert_int_equal(bus_new(s->t.io, NULL, NULL, &s->t.bus), 0);
    open_streams(s);
}

static inline void serve_streams(struct test_streams *s)
{
    *s = (struct test_streams){0};
    temp_dir_make(&s->dir);
    start(&s->t, NULL);
    open_streams(s);
}

static inline void close_streams(struct test_streams *s)
{
    s->closed = false;
    streams_close(s->streams, streams_were_closed, s);
    turn_until(s, &s->closed);
}

static inline void stop_streams(struct test_streams *s)
{
    close_streams(s);
    if (!s->sim) {
        temp_dir_remove(&s->dir);
        stop(&s->t);
        return;
    }
    bus_close(s->t.bus, bus_was_closed, &s->t);
    turn_until(s, &s->t.closed);
    io_free(s->t.io);
    sim_free(s->sim);
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
