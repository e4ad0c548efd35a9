/* metric: a folder's metrics, declared once in a .def file:
 *
 *     COUNTER(messages_in, "dure_bus_messages_in_total", "Messages received from publishers.")
 *     GAUGE(connections, "dure_bus_connections", "Client connections open now.")
 *     HISTOGRAM(latency, "dure_request_duration_seconds", "Time from request to response.")
 *
 * metric_fields.h turns it into a struct of plain integers (an increment is `m.messages_in++`),
 * metric_rows.h into the table that the exposition and the documentation are made from:
 *
 *     struct bus_metrics {
 *     #define METRICS "bus/metrics.def"
 *     #include "base/metric_fields.h"
 *     };
 *
 *     const struct metric bus_metric_table[] = {
 *     #define METRICS "bus/metrics.def"
 *     #define METRICS_OF struct bus_metrics
 *     #include "base/metric_rows.h"
 *     }; */
#ifndef DURE_BASE_METRIC_H
#define DURE_BASE_METRIC_H

#include "base/buf.h"
#include "base/histogram.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
    const char *name, *help;
    enum metric_type type;
    size_t offset; /* of the value in its struct: uint64_t, or struct histogram */
};

/* One instance of such a struct, with its labels: `service="order",route="x"` already escaped, or
 * "" for none. */
struct metric_set {
    const char *labels;
    const void *values;
};

/* Appends all families of `table` for all sets in the Prometheus text format 0.0.4; each family's
 * HELP and TYPE come once, then one sample (or histogram) for each set. */
void metric_expose(struct buf *out, const struct metric *table, size_t table_count,
                   const struct metric_set *sets, size_t set_count);

/* Appends `value` as the inside of a label value: backslash, quote and newline escaped. */
void metric_escape_label(struct buf *out, struct bytes value);

#endif
