/* http: what all HTTP connections of one loop share: metrics and spare memory for exchanges. */
#ifndef DURE_HTTP_HTTP_H
#define DURE_HTTP_HTTP_H

#include "base/list.h"
#include "base/log.h"
#include "base/metric.h"
#include "io/io.h"

struct http_metrics {
#define METRICS "http/metrics.def"
#include "base/metric_fields.h"
};

extern const struct metric http_metric_table[];
extern const size_t http_metric_count;

struct http {
    struct io *io;
    struct log *log; /* may be NULL */
    struct http_metrics metrics;

    /* private */
    struct list spare; /* exchanges that are not in use */
    size_t spare_count;
    uint64_t date_second; /* what `date` says */
    char date[32];
};

/* One for each loop. Must outlive every server and client of it. */
void http_init(struct http *http, struct io *io, struct log *log);

/* When all servers and clients have been closed. NULL is allowed. */
void http_release(struct http *http);

/* Now, as a Date header has it (RFC 9110 section 5.6.7); valid until the next call. */
struct bytes http_date(struct http *http);

#endif
