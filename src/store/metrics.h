/* The store's metrics: one struct for each loop, shared by all its journals. */
#ifndef DURE_STORE_METRICS_H
#define DURE_STORE_METRICS_H

#include "base/metric.h"

struct store_metrics {
#define METRICS "store/metrics.def"
#include "base/metric_fields.h"
};

extern const struct metric store_metric_table[];
extern const size_t store_metric_count;

#endif
