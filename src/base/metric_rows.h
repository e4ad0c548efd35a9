/* The rows of a folder's table of metrics. METRICS is its .def file, METRICS_OF the struct,
 * METRICS_PREFIX (which may be left out) what comes before each name; see metric.h. Included once
 * for each table, inside of it. */
#ifndef METRICS_PREFIX
#define METRICS_PREFIX
#endif
#define COUNTER(field, name, help) \
    {METRICS_PREFIX name, help, METRIC_COUNTER, offsetof(METRICS_OF, field)},
#define GAUGE(field, name, help) \
    {METRICS_PREFIX name, help, METRIC_GAUGE, offsetof(METRICS_OF, field)},
#define HISTOGRAM(field, name, help) \
    {METRICS_PREFIX name, help, METRIC_HISTOGRAM, offsetof(METRICS_OF, field)},
#include METRICS
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef METRICS
#undef METRICS_OF
#undef METRICS_PREFIX
