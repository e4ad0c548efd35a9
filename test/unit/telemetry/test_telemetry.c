#include "telemetry/telemetry.h"

#include "io/sim.h"
#include "traces.h"

static struct sim *sim;
static struct sim_host *host;
static struct bus *bus;
static struct messaging *messaging;
static struct telemetry *telemetry;
static bool closed;

static int setup(void **state)
{
    sim = sim_new(1, NULL);
    host = sim_host_new(sim, "a");
    closed = false;
    if (bus_new(sim_host_io(host), NULL, NULL, &bus) != 0) return -1;
    if (messaging_embed(sim_host_io(host), bus, NULL, &messaging) != 0) return -1;
    return telemetry_new(sim_host_io(host), messaging, "/access.jsonl", &telemetry);
}

static void on_closed(void *context)
{
    closed = true;
}

static int teardown(void **state)
{
    telemetry_close(telemetry, on_closed, NULL);
    sim_run_ms(sim, 1000);
    if (!closed) return -1;
    messaging_close(messaging, NULL, NULL);
    bus_close(bus, NULL, NULL);
    sim_run_ms(sim, 1000);
    sim_free(sim);
    return 0;
}

static struct access_event example(void)
{
    struct access_event event = {
        .side = PROXY_EDGE,
        .method = BYTES("POST"),
        .host = BYTES("shop.example"),
        .path = BYTES("/orders"),
        .route = BYTES("/orders"),
        .service = BYTES("order"),
        .version = BYTES("1.0.0"),
        .instance = BYTES("order-1-0"),
        .status = 201,
        .attempts = 1,
        .bytes_in = 10,
        .bytes_out = 20,
        .begin_wall_ns = UINT64_C(1795262400000000000),
        .duration_ns = 12345678,
        .upstream_ns = 9999999,
    };
    event.trace.id = trace_number(3);
    event.trace.span.bytes[7] = 9;
    return event;
}

/* The line of one event, parsed; the caller's. */
static json_t *line_of(const struct access_event *event)
{
    static uint64_t offset;
    static char text[64 * 1024];
    if (!event) return (void)(offset = 0), NULL;
    telemetry_access(telemetry, event);
    sim_run_ms(sim, 500);
    int64_t len = sim_disk_peek(host, "/access.jsonl", text, sizeof text, offset);
    assert_true(len > 0);
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(memchr(text, '\n', (size_t)len), &text[len - 1]); /* one line */
    offset += (uint64_t)len;
    json_error_t error;
    json_t *line = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!line) fail_msg("%s: %.*s", error.text, (int)len, text);
    return line;
}

static void an_event_is_a_line_and_a_span(void **state)
{
    line_of(NULL);
    struct access_event event = example();
    json_t *line = line_of(&event);
    assert_string_equal(text_at(line, "time"), "2026-11-21T12:00:00.000Z");
    assert_string_equal(text_at(line, "side"), "edge");
    assert_string_equal(text_at(line, "service"), "order");
    assert_int_equal(number_at(line, "status"), 201);
    assert_int_equal(number_at(line, "duration_us"), 12345);
    assert_true(json_is_null(json_object_get(line, "error")));
    assert_string_equal(text_at(line, "trace"), "01000000000000000300000000000000");
    json_decref(line);
    json_t *traces = read_traces(telemetry_spans(telemetry), 1, NULL);
    json_t *span = span_at(traces, 0, 0);
    assert_string_equal(text_at(span, "name"), "POST /orders");
    assert_string_equal(text_at(span, "instance"), "order-1-0");
    assert_false(json_is_true(json_object_get(span, "failed")));
    json_decref(traces);
}

static void a_failure_says_what(void **state)
{
    line_of(NULL);
    struct access_event event = example();
    event.status = 504;
    event.error = ERR_TIMEOUT;
    event.service = BYTES("");
    json_t *line = line_of(&event);
    assert_string_equal(text_at(line, "error"), "TIMEOUT");
    json_decref(line);
    json_t *traces = read_traces(telemetry_spans(telemetry), 1, NULL);
    json_t *span = span_at(traces, 0, 0);
    assert_string_equal(text_at(span, "service"), "gateway");
    assert_string_equal(text_at(span, "error"), "TIMEOUT");
    assert_true(json_is_true(json_object_get(span, "failed")));
    json_decref(traces);
}

/* What a client sends is anything. */
static void the_line_is_json_whatever_the_client_sent(void **state)
{
    line_of(NULL);
    char bytes[256], huge[8192];
    for (int i = 0; i < 256; i++) bytes[i] = (char)i;
    memset(huge, 'M', sizeof huge);
    struct access_event event = example();
    event.method = event.host = event.path = event.caller = bytes_make(bytes, sizeof bytes);
    json_decref(line_of(&event));
    event.method = bytes_make(huge, sizeof huge);
    event.path = BYTES("/\"\\\n\xff\xfe");
    json_decref(line_of(&event));
    json_t *traces = read_traces(telemetry_spans(telemetry), 1, NULL);
    assert_int_equal(json_array_size(traces), 1);
    json_decref(traces);
}

static void a_line_that_does_not_fit_is_counted(void **state)
{
    static char huge[64 * 1024];
    memset(huge, 'p', sizeof huge);
    struct access_event event = example();
    event.path = bytes_make(huge, sizeof huge);
    telemetry_access(telemetry, &event);
    assert_int_equal(telemetry_dropped(telemetry), 1);
    line_of(NULL);
    event = example();
    json_decref(line_of(&event)); /* the next one is whole again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_is_a_line_and_a_span),
        TEST(a_failure_says_what),
        TEST(the_line_is_json_whatever_the_client_sent),
        TEST(a_line_that_does_not_fit_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
