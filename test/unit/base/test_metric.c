#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/metric.h"

struct values {
    uint64_t requests, open;
    struct histogram latency;
};

static const struct metric table[] = {
    {"t_requests_total", "Requests.", METRIC_COUNTER, offsetof(struct values, requests)},
    {"t_open", "Open now.", METRIC_GAUGE, offsetof(struct values, open)},
};

static const struct metric latency_table[] = {
    {"t_seconds", "Time.", METRIC_HISTOGRAM, offsetof(struct values, latency)},
};

static struct values one = {.requests = 7, .open = 2}, two = {.requests = UINT64_MAX};

static const struct metric_set sets[] = {{"", &one}, {"route=\"x\"", &two}};

static const char exposition[] = "# HELP t_requests_total Requests.\n"
                                 "# TYPE t_requests_total counter\n"
                                 "t_requests_total 7\n"
                                 "t_requests_total{route=\"x\"} 18446744073709551615\n"
                                 "# HELP t_open Open now.\n"
                                 "# TYPE t_open gauge\n"
                                 "t_open 2\n"
                                 "t_open{route=\"x\"} 0\n";

static void test_families_once_samples_for_each_set(void **state)
{
    struct buf out;
    buf_init(&out, 10000);
    metric_expose(&out, table, 2, sets, 2);
    assert_int_equal(buf_len(&out), sizeof exposition - 1);
    assert_memory_equal(buf_bytes(&out).data, exposition, buf_len(&out));
    buf_clear(&out);
    metric_expose(&out, table, 2, sets, 0);
    metric_expose(&out, table, 0, sets, 2);
    assert_int_equal(buf_len(&out), 0);
    buf_release(&out);
}

static void test_every_limit(void **state)
{
    for (size_t max = 0; max <= sizeof exposition; max++) {
        struct buf out;
        buf_init(&out, max);
        metric_expose(&out, table, 2, sets, 2);
        assert_int_equal(out.failed, max < sizeof exposition - 1);
        buf_release(&out);
    }
}

static void expect_line(const struct buf *out, const char *line)
{
    assert_non_null(strstr(buf_bytes(out).data, line));
}

static void test_histogram(void **state)
{
    static struct values values;
    histogram_add(&values.latency, 90);
    histogram_add(&values.latency, 3000);
    histogram_add(&values.latency, 40000000);
    const struct metric_set labelled = {"a=\"b\"", &values}, plain = {"", &values};
    struct buf out;
    buf_init(&out, 10000);
    metric_expose(&out, latency_table, 1, &labelled, 1);
    buf_append_char(&out, '\0');
    expect_line(&out, "# TYPE t_seconds histogram\n");
    expect_line(&out, "\nt_seconds_bucket{a=\"b\",le=\"0.0001\"} 1\n");
    expect_line(&out, "\nt_seconds_bucket{a=\"b\",le=\"0.0025\"} 1\n");
    expect_line(&out, "\nt_seconds_bucket{a=\"b\",le=\"0.005\"} 2\n");
    expect_line(&out, "\nt_seconds_bucket{a=\"b\",le=\"30\"} 2\n");
    expect_line(&out, "\nt_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n");
    expect_line(&out, "\nt_seconds_sum{a=\"b\"} 40.003090\n");
    expect_line(&out, "\nt_seconds_count{a=\"b\"} 3\n");
    buf_clear(&out);
    metric_expose(&out, latency_table, 1, &plain, 1);
    buf_append_char(&out, '\0');
    expect_line(&out, "\nt_seconds_bucket{le=\"+Inf\"} 3\n");
    expect_line(&out, "\nt_seconds_sum 40.003090\n");
    buf_release(&out);
}

static void test_label_escapes(void **state)
{
    struct buf out;
    buf_init(&out, 100);
    metric_escape_label(&out, BYTES("a\\b\"c\nd"));
    assert_true(bytes_eq(buf_bytes(&out), BYTES("a\\\\b\\\"c\\nd")));
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_once_samples_for_each_set),
        cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_label_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
