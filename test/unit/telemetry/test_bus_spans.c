#include "telemetry/bus_spans.h"

#include "io/sim.h"
#include "traces.h"
#include "wire/nats.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"
#define HEADERS "NATS/1.0\r\ntraceparent: 00-" TRACE "-" PARENT "-01\r\n\r\n"

static struct sim *sim;
static struct io *io;
static struct bus *bus;
static struct messaging *messaging;
static struct spans *spans;
static struct bus_spans *bus_spans;
static struct bus_subscription *service;
static int answers;

static void answer(void *context, struct message *message)
{
    struct message reply = message_borrow(message->reply, BYTES(""), BYTES(""), BYTES("yes"));
    bus_publish(bus, &reply);
    bus_publish(bus, &reply); /* one too many: it counts for nothing */
    message_done(&reply);
}

static int setup(void **state)
{
    sim = sim_new(1, NULL);
    io = sim_host_io(sim_host_new(sim, "a"));
    spans = spans_new(256);
    answers = 0;
    if (bus_new(io, NULL, NULL, &bus) != 0) return -1;
    if (messaging_embed(io, bus, NULL, &messaging) != 0) return -1;
    if (bus_spans_new(io, messaging, spans, &bus_spans) != 0) return -1;
    return bus_subscribe(bus, BYTES("payment.charge"), BYTES(""), answer, NULL, &service);
}

static int teardown(void **state)
{
    bus_spans_free(bus_spans);
    messaging_close(messaging, NULL, NULL);
    bus_unsubscribe(service);
    bus_close(bus, NULL, NULL);
    sim_run_ms(sim, 1000);
    spans_free(spans);
    sim_free(sim);
    return 0;
}

static void asked(struct bus_request *request, int result, struct message *reply)
{
    answers++;
}

static void publish(const char *subject, const char *headers, const char *payload)
{
    struct message message =
        message_borrow(bytes_str(subject), BYTES(""), bytes_str(headers), bytes_str(payload));
    assert_true(bus_publish(bus, &message) >= 0);
    message_done(&message);
    sim_run_ms(sim, 10);
}

static void ask(struct bus_request *request, const char *subject, const char *headers)
{
    struct message message =
        message_borrow(bytes_str(subject), BYTES(""), bytes_str(headers), BYTES("{}"));
    assert_int_equal(bus_request(bus, request, &message, 1000, asked), 0);
    message_done(&message);
}

static void a_request_and_its_reply_are_one_span(void **state)
{
    struct bus_request request;
    ask(&request, "payment.charge", HEADERS);
    sim_run_ms(sim, 10);
    assert_int_equal(answers, 1);
    assert_int_equal(spans_added(spans), 1);
    json_t *traces = read_traces(spans, 10, NULL);
    json_t *span = span_at(traces, 0, 0);
    assert_string_equal(text_at(json_array_get(traces, 0), "trace"), TRACE);
    assert_string_equal(text_at(span, "parent"), PARENT);
    assert_string_equal(text_at(span, "kind"), "ask");
    assert_string_equal(text_at(span, "name"), "payment.charge");
    assert_string_equal(text_at(span, "service"), "bus");
    json_decref(traces);
}

static void without_a_trace_or_a_reply_there_is_no_span(void **state)
{
    struct bus_request requests[3];
    ask(&requests[0], "payment.charge", "");
    ask(&requests[1], "payment.charge", "NATS/1.0\r\ntraceparent: nonsense\r\n\r\n");
    ask(&requests[2], "nobody.listens", HEADERS);
    publish("payment.done", HEADERS, "");
    sim_run_ms(sim, 2000);
    assert_int_equal(answers, 3);
    assert_int_equal(spans_added(spans), 0);
}

static void leave(void *context, struct message *message)
{
}

static void the_oldest_unanswered_is_forgotten_for_a_new_one(void **state)
{
    struct bus_subscription *silent;
    static struct bus_request requests[BUS_SPANS_PENDING + 1];
    assert_int_equal(bus_subscribe(bus, BYTES("silent"), BYTES(""), leave, NULL, &silent), 0);
    struct bus_request first;
    ask(&first, "payment.charge", HEADERS); /* its reply comes after all the others were asked */
    for (size_t i = 0; i < BUS_SPANS_PENDING; i++) ask(&requests[i], "silent", HEADERS);
    sim_run_ms(sim, 100);
    assert_int_equal(answers, 1);
    assert_int_equal(spans_added(spans), 0);
    ask(&requests[BUS_SPANS_PENDING], "payment.charge", HEADERS);
    sim_run_ms(sim, 5000);
    assert_int_equal(answers, BUS_SPANS_PENDING + 2);
    assert_int_equal(spans_added(spans), 1);
    bus_unsubscribe(silent);
}

static void services_report_spans_of_their_own(void **state)
{
    publish("_DURE.SPANS", "",
            "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\",\"parent\":\"" PARENT
            "\",\"name\":\"SELECT\",\"service\":\"order\",\"kind\":\"client\",\"start_ns\":5000,"
            "\"duration_us\":7,\"status\":503},"
            "{\"trace\":\"" TRACE "\",\"span\":\"2222222222222222\"}]");
    assert_int_equal(spans_added(spans), 2);
    json_t *traces = read_traces(spans, 10, NULL);
    json_t *span = span_at(traces, 0, 1);
    assert_string_equal(text_at(span, "name"), "SELECT");
    assert_string_equal(text_at(span, "service"), "order");
    assert_string_equal(text_at(span, "kind"), "client");
    assert_int_equal(number_at(span, "duration_us"), 7);
    assert_true(json_is_true(json_object_get(span, "failed")));
    json_decref(traces);
}

/* Whoever reports garbage must not spoil what `dure trace` shows of the others. */
static void garbage_is_left_out(void **state)
{
    static const char *const reports[] = {
        "",
        "nonsense",
        "{}",
        "[1, null, [], {}]",
        "[{\"trace\":\"" TRACE "\"}]",
        "[{\"trace\":\"00000000000000000000000000000000\",\"span\":\"1111111111111111\"}]",
        "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\",\"start_ns\":-1}]",
        "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\",\"duration_us\":-5}]",
        "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\","
        "\"duration_us\":9223372036854775807}]",
        "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\",\"status\":-200}]",
        "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\",\"start_ns\":9223372036854775807,"
        "\"duration_us\":9000000000000}]",
    };
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        publish("_DURE.SPANS", "", reports[i]);
    assert_int_equal(spans_added(spans), 0);
    /* The largest that is taken is still one that every reader of JSON takes. */
    publish("_DURE.SPANS", "",
            "[{\"trace\":\"" TRACE "\",\"span\":\"1111111111111111\","
            "\"start_ns\":4611686018427387903,\"duration_us\":4611686018427387,"
            "\"name\":\"\\u0000\\ud83d\\ude00\"}]");
    json_t *traces = read_traces(spans, 10, NULL);
    assert_int_equal(json_array_size(traces), spans_added(spans));
    json_decref(traces);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_and_its_reply_are_one_span),
        TEST(without_a_trace_or_a_reply_there_is_no_span),
        TEST(the_oldest_unanswered_is_forgotten_for_a_new_one),
        TEST(services_report_spans_of_their_own),
        TEST(garbage_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
