#include "telemetry/telemetry.h"

#include "base/timestamp.h"
#include "telemetry/line_file.h"

#include <stdio.h>
#include <stdlib.h>

enum { ACCESS_LINE_MAX = 32 * 1024 };

struct telemetry {
    struct io *io;
    struct spans *spans;
    struct bus_spans *bus_spans;
    struct line_file access;
    bool writes;
    struct buf line;
    void (*done)(void *context);
    void *context;
};

static void add_span(struct telemetry *telemetry, const struct access_event *event)
{
    struct span span = {
        .trace = event->trace.id,
        .id = event->trace.span,
        .parent = event->trace.parent,
        .start_wall_ns = event->begin_wall_ns,
        .duration_ns = event->duration_ns,
        .kind = SPAN_SERVER,
        .status = event->status,
        .attempts = event->attempts,
        .failed = event->error != 0 || event->status >= 500,
    };
    /* More of the path than the field holds, so that the cut is made there, between characters. */
    char name[2 * sizeof span.name];
    int len = snprintf(name, sizeof name, "%.*s %.*s",
                       BYTES_ARG(bytes_head(event->method, sizeof span.name - 2)),
                       BYTES_ARG(bytes_head(event->path, sizeof span.name)));
    SPAN_TEXT(span.name, bytes_make(name, (size_t)len));
    SPAN_TEXT(span.service, event->service.len ? event->service : BYTES("gateway"));
    SPAN_TEXT(span.instance, event->instance);
    if (event->error) SPAN_TEXT(span.error, bytes_str(err_name(event->error)));
    spans_add(telemetry->spans, &span);
}

static void add_line(struct telemetry *telemetry, const struct access_event *event)
{
    char time[TIMESTAMP_TEXT], trace[33] = {0}, span[17] = {0};
    timestamp_format(event->begin_wall_ns, time);
    trace_id_format(&event->trace.id, trace);
    span_id_format(&event->trace.span, span);
    struct jsonw json;
    buf_clear(&telemetry->line);
    jsonw_init(&json, &telemetry->line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "time", time);
    jsonw_cstr(&json, "side", event->side == PROXY_EDGE ? "edge" : "internal");
    jsonw_str(&json, "method", event->method);
    jsonw_str(&json, "host", event->host);
    jsonw_str(&json, "path", event->path);
    jsonw_str(&json, "route", event->route);
    jsonw_str(&json, "service", event->service);
    jsonw_str(&json, "version", event->version);
    jsonw_str(&json, "instance", event->instance);
    jsonw_str(&json, "caller", event->caller);
    jsonw_i64(&json, "status", event->status);
    jsonw_cstr(&json, "error", event->error ? err_name(event->error) : NULL);
    jsonw_u64(&json, "attempts", event->attempts);
    jsonw_u64(&json, "bytes_in", event->bytes_in);
    jsonw_u64(&json, "bytes_out", event->bytes_out);
    jsonw_u64(&json, "duration_us", event->duration_ns / 1000);
    jsonw_u64(&json, "upstream_us", event->upstream_ns / 1000);
    jsonw_cstr(&json, "trace", trace);
    jsonw_cstr(&json, "span", span);
    jsonw_object_end(&json);
    buf_append_char(&telemetry->line, '\n');
    if (telemetry->line.failed)
        telemetry->access.dropped++;
    else
        line_file_add(&telemetry->access, buf_bytes(&telemetry->line));
}

void telemetry_access(void *context, const struct access_event *event)
{
    struct telemetry *telemetry = context;
    add_span(telemetry, event);
    if (telemetry->writes) add_line(telemetry, event);
}

const struct spans *telemetry_spans(const struct telemetry *telemetry)
{
    return telemetry->spans;
}

uint64_t telemetry_dropped(const struct telemetry *telemetry)
{
    return telemetry->access.dropped;
}

static void release(void *context)
{
    struct telemetry *telemetry = context;
    void (*done)(void *) = telemetry->done;
    void *done_context = telemetry->context;
    buf_release(&telemetry->line);
    spans_free(telemetry->spans);
    free(telemetry);
    if (done) done(done_context);
}

int telemetry_new(struct io *io, struct messaging *messaging, const char *access_path,
                  struct telemetry **ret_telemetry)
{
    struct telemetry *telemetry = calloc(1, sizeof *telemetry);
    if (!telemetry) return ERR_NOMEM;
    telemetry->io = io;
    buf_init(&telemetry->line, ACCESS_LINE_MAX);
    telemetry->spans = spans_new(TELEMETRY_SPANS);
    int err = telemetry->spans ? 0 : ERR_NOMEM;
    if (!err && access_path) err = line_file_init(&telemetry->access, io, access_path);
    telemetry->writes = !err && access_path;
    if (!err) err = bus_spans_new(io, messaging, telemetry->spans, &telemetry->bus_spans);
    if (err) {
        spans_free(telemetry->spans);
        free(telemetry);
        return err;
    }
    *ret_telemetry = telemetry;
    return 0;
}

void telemetry_close(struct telemetry *telemetry, void (*done)(void *context), void *context)
{
    if (!telemetry) {
        if (done) done(context);
        return;
    }
    telemetry->done = done;
    telemetry->context = context;
    bus_spans_free(telemetry->bus_spans);
    telemetry->bus_spans = NULL;
    if (telemetry->writes)
        line_file_close(&telemetry->access, release, telemetry);
    else
        release(telemetry);
}
