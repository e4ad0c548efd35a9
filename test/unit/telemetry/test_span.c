#include "traces.h"

static void add(struct spans *spans, unsigned trace, uint64_t start_ns, uint64_t duration_ns,
                const char *name)
{
    struct span span = {.trace = trace_number(trace),
                        .start_wall_ns = start_ns,
                        .duration_ns = duration_ns,
                        .status = 200};
    span.id.bytes[0] = 1;
    SPAN_TEXT(span.name, bytes_str(name));
    spans_add(spans, &span);
}

static void the_newest_trace_is_first_its_spans_by_start(void **state)
{
    struct spans *spans = spans_new(16);
    add(spans, 1, 1000000, 9000, "first");
    add(spans, 2, 2000000, 5000, "second");
    add(spans, 1, 1002000, 2000, "inner"); /* ends last, so it comes last */
    add(spans, 1, 900000, 500000, "outer");
    json_t *traces = read_traces(spans, 10, NULL);
    assert_int_equal(json_array_size(traces), 2);
    assert_string_equal(text_at(span_at(traces, 0, 0), "name"), "outer");
    assert_string_equal(text_at(span_at(traces, 0, 1), "name"), "first");
    assert_string_equal(text_at(span_at(traces, 0, 2), "name"), "inner");
    assert_int_equal(number_at(json_array_get(traces, 0), "start_ns"), 900000);
    assert_int_equal(number_at(json_array_get(traces, 0), "duration_us"), 500);
    assert_string_equal(text_at(span_at(traces, 1, 0), "name"), "second");
    json_decref(traces);
    spans_free(spans);
}

static void a_limit_counts_traces_not_spans(void **state)
{
    struct spans *spans = spans_new(64);
    for (unsigned i = 0; i < 30; i++) add(spans, i / 3, i, 1, "s");
    json_t *traces = read_traces(spans, 4, NULL);
    assert_int_equal(json_array_size(traces), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(json_array_size(json_object_get(json_array_get(traces, i), "spans")), 3);
    json_decref(traces);
    spans_free(spans);
}

static void one_trace_alone(void **state)
{
    struct spans *spans = spans_new(16);
    for (unsigned i = 0; i < 8; i++) add(spans, i % 4, i, 1, "s");
    struct trace_id only = trace_number(2), nobody = trace_number(99);
    json_t *traces = read_traces(spans, 10, &only);
    assert_int_equal(json_array_size(traces), 1);
    assert_non_null(span_at(traces, 0, 1));
    assert_null(span_at(traces, 0, 2));
    json_decref(traces);
    traces = read_traces(spans, 10, &nobody);
    assert_int_equal(json_array_size(traces), 0);
    json_decref(traces);
    spans_free(spans);
}

static void the_ring_keeps_the_newest(void **state)
{
    for (size_t capacity = 1; capacity < 6; capacity++) {
        struct spans *spans = spans_new(capacity);
        json_t *traces = read_traces(spans, 200, NULL);
        assert_int_equal(json_array_size(traces), 0);
        json_decref(traces);
        for (unsigned i = 0; i < 20; i++) {
            add(spans, i, i, 1, "s");
            traces = read_traces(spans, 200, NULL);
            assert_int_equal(json_array_size(traces), i + 1 < capacity ? i + 1 : capacity);
            assert_int_equal(number_at(span_at(traces, 0, 0), "start_ns"), i);
            json_decref(traces);
        }
        assert_int_equal(spans_added(spans), 20);
        spans_free(spans);
    }
}

static void a_trace_without_end_is_cut(void **state)
{
    struct spans *spans = spans_new(3000);
    for (unsigned i = 0; i < 3000; i++) add(spans, 7, i, 1, "s");
    json_t *traces = read_traces(spans, 10, NULL);
    assert_int_equal(json_array_size(json_object_get(json_array_get(traces, 0), "spans")), 1000);
    assert_int_equal(number_at(span_at(traces, 0, 999), "start_ns"), 2999); /* the newest */
    json_decref(traces);
    spans_free(spans);
}

static void text_is_cut_between_characters(void **state)
{
    char field[8];
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"1234567", "1234567"},
        {"12345678", "1234567"},
        {"12345\xc3\xa9", "12345\xc3\xa9"},
        {"123456\xc3\xa9", "123456"},
        {"12345\xe2\x82\xac", "12345"},
        {"1234\xe2\x82\xac", "1234\xe2\x82\xac"},
        {"1234\xf0\x9f\x98\x80", "1234"},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80", ""}, /* no text at all */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(field, 'x', sizeof field);
        SPAN_TEXT(field, bytes_str(cases[i].text));
        assert_string_equal(field, cases[i].expected);
    }
    span_text(field, sizeof field, (struct bytes){NULL, 0});
    assert_string_equal(field, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_trace_is_first_its_spans_by_start),
        cmocka_unit_test(a_limit_counts_traces_not_spans),
        cmocka_unit_test(one_trace_alone),
        cmocka_unit_test(the_ring_keeps_the_newest),
        cmocka_unit_test(a_trace_without_end_is_cut),
        cmocka_unit_test(text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
