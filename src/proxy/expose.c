/* The proxy's metrics as text, and by name. */
#include "proxy/proxy_impl.h"

#include <stdlib.h>

static const struct metric service_table[] = {
#define METRICS "proxy/metrics.def"
#define METRICS_OF struct traffic_metrics
#define METRICS_PREFIX "dure_service_"
#include "base/metric_rows.h"
};

static const struct metric route_table[] = {
#define METRICS "proxy/metrics.def"
#define METRICS_OF struct traffic_metrics
#define METRICS_PREFIX "dure_route_"
#include "base/metric_rows.h"
};

static const struct metric proxy_table[] = {
#define METRICS "proxy/proxy_metrics.def"
#define METRICS_OF struct proxy_metrics
#include "base/metric_rows.h"
};

static const size_t traffic_count_of = sizeof service_table / sizeof *service_table;

static int by_labels(const void *left, const void *right)
{
    const struct metric_set *a = left, *b = right;
    return strcmp(a->labels, b->labels);
}

/* In order of the names: two scrapes can be compared. */
static void expose_all(const struct map *map, const struct metric *table, struct buf *out)
{
    if (!map->count) return;
    struct metric_set *sets = calloc(map->count, sizeof *sets);
    if (!sets) {
        out->failed = true;
        return;
    }
    size_t cursor = 0, count = 0;
    const struct traffic *traffic;
    while ((traffic = map_next(map, &cursor)))
        sets[count++] = (struct metric_set){traffic->labels, &traffic->metrics};
    qsort(sets, count, sizeof *sets, by_labels);
    metric_expose(out, table, traffic_count_of, sets, count);
    free(sets);
}

void proxy_expose(const struct proxy *proxy, struct buf *out)
{
    struct metric_set whole = {"", &proxy->metrics};
    metric_expose(out, proxy_table, sizeof proxy_table / sizeof *proxy_table, &whole, 1);
    expose_all(&proxy->services, service_table, out);
    expose_all(&proxy->routes, route_table, out);
}

const struct http_metrics *proxy_http_metrics(const struct proxy *proxy)
{
    return &proxy->http.metrics;
}

static const struct traffic_metrics *find(const struct map *map, struct bytes name)
{
    const struct traffic *traffic = map_get(map, name);
    return traffic ? &traffic->metrics : NULL;
}

const struct traffic_metrics *proxy_service_metrics(const struct proxy *proxy, struct bytes name)
{
    return find(&proxy->services, name);
}

const struct traffic_metrics *proxy_route_metrics(const struct proxy *proxy, struct bytes name)
{
    return find(&proxy->routes, name);
}
