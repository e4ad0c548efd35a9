#include "app/worker.h"

#include "stream/streams.h"
#include "store/metrics.h"

static void expose(struct buf *out, const struct metric *table, size_t count, const void *values)
{
    struct metric_set set = {"", values};
    metric_expose(out, table, count, &set, 1);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    struct metric metric = {name, help, METRIC_COUNTER, 0};
    expose(out, &metric, 1, &value);
}

static void expose_bus(const struct worker *worker, struct buf *out)
{
    expose(out, bus_metric_table, bus_metric_count, bus_metrics(worker->bus));
    expose(out, bus_server_metric_table, bus_server_metric_count,
           bus_server_metrics(worker->bus_setup.server));
    expose(out, stream_metric_table, stream_metric_count, streams_metrics(worker->streams));
    expose(out, jetstream_metric_table, jetstream_metric_count,
           jetstream_metrics(worker->jetstream));
    expose(out, store_metric_table, store_metric_count, streams_store_metrics(worker->streams));
}

void worker_expose(const struct worker *worker, struct buf *out)
{
    proxy_expose(worker->proxy, out);
    const struct metric_set http[] = {{"part=\"proxy\"", proxy_http_metrics(worker->proxy)},
                                      {"part=\"own\"", &worker->http.metrics}};
    metric_expose(out, http_metric_table, http_metric_count, http, 2);
    if (messaging_client(worker->messaging))
        expose(out, client_metric_table, client_metric_count,
               client_metrics(messaging_client(worker->messaging)));
    else
        expose_bus(worker, out);
    counter(out, "dure_access_events_dropped_total", "Access events that could not be written.",
            telemetry_dropped(worker->telemetry));
    counter(out, "dure_spans_total", "Spans taken in.",
            spans_added(telemetry_spans(worker->telemetry)));
    counter(out, "dure_log_dropped_total", "Events of this program that could not be logged.",
            worker->log.dropped);
}
