/* The members of a folder's struct of metrics. METRICS is its .def file; see metric.h. Included
 * once for each struct, inside of it. */
#define COUNTER(field, name, help) uint64_t field;
#define GAUGE(field, name, help) uint64_t field;
#define HISTOGRAM(field, name, help) struct histogram field;
#include METRICS
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
#undef METRICS
