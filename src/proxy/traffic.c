#include "proxy/traffic.h"

#include <assert.h>
#include <stdlib.h>

enum { LABELS_MAX = 8192 };

static char *make_labels(const char *label, struct bytes name)
{
    struct buf buf;
    buf_init(&buf, LABELS_MAX);
    buf_append_str(&buf, label);
    buf_append_str(&buf, "=\"");
    metric_escape_label(&buf, name);
    buf_append(&buf, BYTES("\"\0"));
    char *labels = buf.failed ? NULL : strdup(buf_bytes(&buf).data);
    buf_release(&buf);
    return labels;
}

static struct traffic *traffic_new(struct map *map, struct bytes name, const char *label)
{
    struct traffic *traffic = calloc(1, sizeof *traffic + name.len);
    if (!traffic) return NULL;
    char *text = (char *)(traffic + 1);
    if (name.len) memcpy(text, name.data, name.len);
    traffic->map = map;
    traffic->refs = 1;
    traffic->name = bytes_make(text, name.len);
    traffic->labels = make_labels(label, name);
    list_init(&traffic->waiters);
    if (traffic->labels && map_put(map, traffic->name, traffic, NULL) == 0) return traffic;
    free(traffic->labels);
    free(traffic);
    return NULL;
}

int traffic_get(struct map *map, struct bytes name, const char *label, struct traffic **ret_traffic)
{
    struct traffic *traffic = map_get(map, name);
    if (traffic) {
        traffic_ref(traffic);
    } else {
        traffic = traffic_new(map, name, label);
        if (!traffic) return ERR_NOMEM;
    }
    *ret_traffic = traffic;
    return 0;
}

void traffic_ref(struct traffic *traffic)
{
    traffic->refs++;
}

void traffic_unref(struct traffic *traffic)
{
    if (!traffic || --traffic->refs > 0) return;
    assert(list_empty(&traffic->waiters) && !traffic->retrying);
    map_remove(traffic->map, traffic->name);
    free(traffic->labels);
    free(traffic);
}

void traffic_count(struct traffic *traffic, const struct access_event *event)
{
    struct traffic_metrics *metrics = &traffic->metrics;
    metrics->requests++;
    metrics->errors += event->error != 0;
    metrics->bytes_in += event->bytes_in;
    metrics->bytes_out += event->bytes_out;
    if (event->attempts > 1) metrics->retries += event->attempts - 1;
    switch (event->status / 100) {
    case 0: break;
    case 1:
    case 2: metrics->class_2xx++; break;
    case 3: metrics->class_3xx++; break;
    case 4: metrics->class_4xx++; break;
    default: metrics->class_5xx++; break;
    }
    histogram_add(&metrics->duration, event->duration_ns / 1000);
}
