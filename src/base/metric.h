/* metric: a folder's metrics, declared once in a .def file:
 *
 *     COUNTER(messages_in, "dure_bus_messages_in_total", "Messages received from publishers.")
 *     GAUGE(connections, "dure_bus_connections", "Client connections open now.")
 *     HISTOGRAM(latency, "dure_request_duration_seconds", "Time from request to response.")
 *
 * METRIC_STRUCT turns it into a struct of plain integers (an increment is `m.messages_in++`),
 * METRIC_TABLE into the table that the exposition and the documentation are made from. */
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

/* Use: struct bus_metrics {
 *      #define COUNTER METRIC_FIELD_U64
 *      #define GAUGE METRIC_FIELD_U64
 *      #define HISTOGRAM METRIC_FIELD_HISTOGRAM
 *      #include "bus/metrics.def"
 *      #undef COUNTER ... };
 * (the three macros are defined and undefined around the include). */
#define METRIC_FIELD_U64(field, name, help) uint64_t field;
#define METRIC_FIELD_HISTOGRAM(field, name, help) struct histogram field;

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
