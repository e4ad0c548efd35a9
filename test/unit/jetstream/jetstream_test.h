/* What the tests of the JetStream API share: a bus with streams on a simulated disk, the API on it,
 * and requests that are waited for. Time is the simulation's: it passes only while the tests wait,
 * and no faster for what the machine has to do beside. */
#ifndef DURE_TEST_JETSTREAM_TEST_H
#define DURE_TEST_JETSTREAM_TEST_H

#include "jetstream/jetstream.h"
#include "bus/bus_test.h"
#include "io/sim.h"

enum { ANSWERS_MAX = 64 };

struct api_test {
    struct sim *sim;
    struct io *io;
    struct bus *bus;
    struct streams *streams;
    struct jetstream *js;
    struct bus_subscription *inbox;
    struct message *answers[ANSWERS_MAX]; /* to "answer" */
    size_t count;
    bool closed;
};

static inline void on_answer(void *context, struct message *message)
{
    struct api_test *t = context;
    assert_true(t->count < ANSWERS_MAX);
    t->answers[t->count++] = message_ref(message);
}

static inline void was_closed(void *context)
{
    ((struct api_test *)context)->closed = true;
}

static inline void until_closed(struct api_test *t)
{
    for (int i = 0; i < TURNS_MAX && !t->closed; i++) io_turn(t->io, 10);
    assert_true(t->closed);
    t->closed = false;
}

static inline void api_open(struct api_test *t)
{
    struct error error = {0};
    const struct streams_options options = {.dir = "/streams"};
    assert_int_equal(streams_open(t->io, t->bus, &options, &t->streams, &error), 0);
    assert_int_equal(jetstream_open(t->io, t->bus, t->streams, NULL, &t->js, &error), 0);
}

static inline void api_start(struct api_test *t)
{
    *t = (struct api_test){.sim = sim_new(1, NULL)};
    t->io = sim_host_io(sim_host_new(t->sim, "bus"));
    assert_int_equal(bus_new(t->io, NULL, NULL, &t->bus), 0);
    assert_int_equal(bus_subscribe(t->bus, BYTES("answer"), BYTES(""), on_answer, t, &t->inbox), 0);
    api_open(t);
}

static inline void forget_answers(struct api_test *t)
{
    while (t->count) message_unref(t->answers[--t->count]);
}

static inline void api_close(struct api_test *t)
{
    jetstream_close(t->js, was_closed, t);
    until_closed(t);
    streams_close(t->streams, was_closed, t);
    until_closed(t);
}

static inline void api_stop(struct api_test *t)
{
    api_close(t);
    forget_answers(t);
    bus_unsubscribe(t->inbox);
    bus_close(t->bus, was_closed, t);
    until_closed(t);
    io_free(t->io);
    sim_free(t->sim);
}

/* Publishes with "answer" as the reply subject. */
static inline int ask(struct api_test *t, const char *subject, const char *body)
{
    struct message message =
        message_borrow(bytes_str(subject), BYTES("answer"), BYTES(""), bytes_str(body));
    return bus_publish(t->bus, &message);
}

static inline void await(struct api_test *t, size_t count)
{
    for (int i = 0; i < TURNS_MAX && t->count < count; i++) io_turn(t->io, 10);
    assert_int_equal(t->count, count);
}

/* Asks, and gives the one answer as text that is good until the next call. */
static inline const char *answer_to(struct api_test *t, const char *subject, const char *body)
{
    static char text[1 << 16];
    forget_answers(t);
    assert_true(ask(t, subject, body) > 0);
    await(t, 1);
    struct message *m = t->answers[0];
    int len = snprintf(text, sizeof text, "%.*s%.*s", BYTES_ARG(m->headers), BYTES_ARG(m->payload));
    assert_in_range(len, 0, (int)sizeof text - 1);
    return text;
}

static inline void expect_part(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("\"%s\" is not in \"%s\"", part, text);
}

#endif
