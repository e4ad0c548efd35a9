/* The store's metrics: one struct for each loop, shared by all its journals. */
#ifndef DURE_STORE_METRICS_H
#define DURE_STORE_METRICS_H

#include "base/metric.h"

struct store_metrics {
#define COUNTER METRIC_FIELD_U64
#define GAUGE METRIC_FIELD_U64
#define HISTOGRAM METRIC_FIELD_HISTOGRAM
#include "store/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};

extern const struct metric store_metric_table[];
extern const size_t store_metric_count;

#endif
