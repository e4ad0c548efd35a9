#include "base/metric.h"

/* Bounds shown to Prometheus; the histogram itself is finer. */
static const uint64_t bounds_us[] = {100,     250,     500,     1000,     2500,    5000,
                                     10000,   25000,   50000,   100000,   250000,  500000,
                                     1000000, 2500000, 5000000, 10000000, 30000000};
enum { BOUND_COUNT = sizeof bounds_us / sizeof *bounds_us };

void metric_escape_label(struct buf *out, struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\\' || c == '"') buf_append_char(out, '\\');
        if (c == '\n')
            buf_append(out, BYTES("\\n"));
        else
            buf_append_char(out, c);
    }
}

static void sample(struct buf *out, const char *name, const char *suffix, const char *labels,
                   const char *bound)
{
    buf_append_str(out, name);
    buf_append_str(out, suffix);
    if (*labels || bound) {
        buf_append_char(out, '{');
        buf_append_str(out, labels);
        if (bound) buf_append_format(out, "%sle=\"%s\"", *labels ? "," : "", bound);
        buf_append_char(out, '}');
    }
    buf_append_char(out, ' ');
}

static void expose_histogram(struct buf *out, const struct metric *metric,
                             const struct metric_set *set, const struct histogram *histogram)
{
    for (size_t i = 0; i < BOUND_COUNT; i++) {
        struct buf bound;
        buf_init(&bound, 64);
        buf_append_format(&bound, "%g", (double)bounds_us[i] / 1e6);
        buf_append_char(&bound, '\0');
        sample(out, metric->name, "_bucket", set->labels, bound.failed ? "" : bound.data);
        buf_append_format(out, "%llu\n",
                          (unsigned long long)histogram_count_to(histogram, bounds_us[i]));
        buf_release(&bound);
    }
    sample(out, metric->name, "_bucket", set->labels, "+Inf");
    buf_append_format(out, "%llu\n", (unsigned long long)histogram->count);
    sample(out, metric->name, "_sum", set->labels, NULL);
    buf_append_format(out, "%.6f\n", (double)histogram->sum_us / 1e6);
    sample(out, metric->name, "_count", set->labels, NULL);
    buf_append_format(out, "%llu\n", (unsigned long long)histogram->count);
}

void metric_expose(struct buf *out, const struct metric *table, size_t table_count,
                   const struct metric_set *sets, size_t set_count)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    for (size_t i = 0; i < table_count && set_count; i++) {
        const struct metric *metric = &table[i];
        buf_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                          metric->name, types[metric->type]);
        for (size_t j = 0; j < set_count; j++) {
            const void *value = (const char *)sets[j].values + metric->offset;
            if (metric->type == METRIC_HISTOGRAM) {
                expose_histogram(out, metric, &sets[j], value);
                continue;
            }
            sample(out, metric->name, "", sets[j].labels, NULL);
            buf_append_u64(out, *(const uint64_t *)value);
            buf_append_char(out, '\n');
        }
    }
}
