#include "app/status.h"

#include <stdio.h>

static struct service_traffic *traffic_of(struct status *status, struct bytes name)
{
    for (size_t i = 0; i < status->traffic_count; i++)
        if (bytes_eq(bytes_str(status->traffic[i].name), name)) return &status->traffic[i];
    if (status->traffic_count == STATUS_SERVICES_MAX) return NULL;
    struct service_traffic *traffic = &status->traffic[status->traffic_count++];
    *traffic = (struct service_traffic){0};
    snprintf(traffic->name, sizeof traffic->name, "%.*s", BYTES_ARG(name));
    return traffic;
}

/* What was counted between two states of a histogram that only grows. */
static uint64_t window_p99_us(const struct histogram *before, const struct histogram *after)
{
    struct histogram window = {.count = after->count - before->count};
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        window.buckets[i] = after->buckets[i] - before->buckets[i];
    return histogram_quantile_us(&window, 0.99);
}

static void tick_service(struct status *status, struct bytes name, double seconds)
{
    struct service_traffic *traffic = traffic_of(status, name);
    const struct traffic_metrics *metrics = proxy_service_metrics(status->proxy, name);
    if (!traffic || !metrics) return;
    /* A service that was away and is back counts from zero again. */
    if (metrics->requests < traffic->requests ||
        metrics->duration.count < traffic->duration.count) {
        traffic->requests = 0;
        traffic->duration = (struct histogram){0};
    }
    traffic->rps = (double)(metrics->requests - traffic->requests) / seconds;
    traffic->p99_us = window_p99_us(&traffic->duration, &metrics->duration);
    traffic->requests = metrics->requests;
    traffic->duration = metrics->duration;
}

void status_tick(struct status *status, uint64_t now_ns)
{
    const struct deployment *deployment = supervisor_deployment(status->supervisor);
    double seconds = (double)(now_ns - status->window_ns) / 1e9;
    if (!deployment || seconds <= 0) return;
    for (size_t i = 0; i < deployment->manifest.service_count; i++)
        tick_service(status, deployment->manifest.services[i]->name, seconds);
    status->window_ns = now_ns;
}

static void write_address(struct jsonw *json, const char *key, const struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    io_addr_format(addr, text, sizeof text);
    jsonw_cstr(json, key, text);
}

static void write_service(const struct status *status, size_t index, struct jsonw *json)
{
    struct service_status service;
    supervisor_service_status(status->supervisor, index, &service);
    const struct traffic_metrics *metrics = proxy_service_metrics(status->proxy, service.name);
    const struct service_traffic *traffic = NULL;
    for (size_t i = 0; i < status->traffic_count && !traffic; i++)
        if (bytes_eq(bytes_str(status->traffic[i].name), service.name))
            traffic = &status->traffic[i];
    jsonw_object(json, NULL);
    jsonw_str(json, "service", service.name);
    jsonw_str(json, "version", service.version);
    jsonw_str(json, "placement", service.placement);
    jsonw_u64(json, "wanted", service.wanted);
    jsonw_u64(json, "up", service.up);
    jsonw_cstr(json, "health", service.health);
    jsonw_cstr(json, "reason", service.reason);
    jsonw_u64(json, "restarts", service.restarts);
    jsonw_double(json, "rps", traffic ? traffic->rps : 0);
    jsonw_u64(json, "p99_us", traffic ? traffic->p99_us : 0);
    jsonw_u64(json, "requests", metrics ? metrics->requests : 0);
    jsonw_u64(json, "errors", metrics ? metrics->errors : 0);
    jsonw_object_end(json);
}

/* URLs without what stands before an '@'. */
static void write_bus_url(struct jsonw *json, const char *urls)
{
    struct bytes rest = bytes_str(urls);
    struct buf text;
    buf_init(&text, 4096);
    while (rest.data) {
        struct bytes url = bytes_cut(&rest, ',');
        size_t scheme = bytes_find(url, '/') < url.len ? bytes_find(url, '/') + 2 : 0;
        size_t at = bytes_find(url, '@');
        if (buf_len(&text)) buf_append_char(&text, ',');
        buf_append(&text, bytes_head(url, scheme));
        buf_append(&text, bytes_skip(url, at < url.len ? at + 1 : scheme));
    }
    jsonw_str(json, "bus", buf_bytes(&text));
    buf_release(&text);
}

static void write_bus(const struct status *status, struct jsonw *json)
{
    struct messaging_status bus = messaging_status(status->messaging);
    write_bus_url(json, status->bus);
    if (bus.embedded) return;
    jsonw_object(json, "cluster");
    jsonw_cstr(json, "state", client_state_name(bus.client.state));
    jsonw_cstr(json, "server", bus.client.server);
    jsonw_cstr(json, "name", bus.client.cluster);
    jsonw_cstr(json, "version", bus.client.version);
    jsonw_u64(json, "servers", bus.client.servers);
    jsonw_u64(json, "replicas", bus.replicas);
    jsonw_u64(json, "connects", bus.client.connects);
    jsonw_u64(json, "unacknowledged", bus.client.unacknowledged);
    jsonw_cstr(json, "reason", bus.client.reason);
    jsonw_object_end(json);
}

/* While the bus is not there, there is nothing else. */
static void write_beginning(const struct status *status, struct jsonw *json)
{
    jsonw_bool(json, "deploying", true);
    jsonw_bool(json, "starting", true);
    jsonw_array(json, "services");
    jsonw_array_end(json);
}

static void write_running(const struct status *status, struct jsonw *json)
{
    const struct deployment *deployment = supervisor_deployment(status->supervisor);
    write_address(json, "gateway", &status->gateway);
    write_address(json, "internal", &status->internal);
    jsonw_bool(json, "deploying", supervisor_busy(status->supervisor));
    jsonw_array(json, "services");
    for (size_t i = 0; deployment && i < deployment->manifest.service_count; i++)
        write_service(status, i, json);
    jsonw_array_end(json);
}

void status_write(const struct status *status, struct buf *out)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "system", status->system);
    write_bus(status, &json);
    if (status->supervisor)
        write_running(status, &json);
    else
        write_beginning(status, &json);
    jsonw_object_end(&json);
}
