#include "telemetry/span.h"

#include <stdlib.h>

enum { TRACES_MAX = 200, TRACE_SPANS_MAX = 1000 };

struct spans {
    size_t capacity;
    uint64_t added;
    struct span ring[];
};

struct spans *spans_new(size_t capacity)
{
    struct spans *spans = calloc(1, sizeof *spans + capacity * sizeof *spans->ring);
    if (spans) spans->capacity = capacity;
    return spans;
}

void spans_free(struct spans *spans)
{
    free(spans);
}

void spans_add(struct spans *spans, const struct span *span)
{
    spans->ring[spans->added++ % spans->capacity] = *span;
}

uint64_t spans_added(const struct spans *spans)
{
    return spans->added;
}

void span_text(char *ret_field, size_t size, struct bytes text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len < text.len)
        while (len && ((unsigned char)text.data[len] & 0xC0) == 0x80) len--;
    if (len) memcpy(ret_field, text.data, len);
    ret_field[len] = 0;
}

/* The span that was added `age` spans before the newest. */
static const struct span *by_age(const struct spans *spans, size_t age)
{
    return &spans->ring[(spans->added - 1 - age) % spans->capacity];
}

static size_t held(const struct spans *spans)
{
    return spans->added < spans->capacity ? (size_t)spans->added : spans->capacity;
}

static bool same_trace(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static int by_start(const void *a, const void *b)
{
    const struct span *const *left = a, *const *right = b;
    uint64_t x = (*left)->start_wall_ns, y = (*right)->start_wall_ns;
    return (x > y) - (x < y);
}

static void write_span(struct jsonw *json, const struct span *span)
{
    static const char *const kinds[SPAN_KIND_COUNT] = {"server", "client", "ask", "event",
                                                       "internal"};
    char id[17] = {0}, parent[17] = {0};
    span_id_format(&span->id, id);
    span_id_format(&span->parent, parent);
    jsonw_object(json, NULL);
    jsonw_cstr(json, "span", id);
    jsonw_cstr(json, "parent", span_id_is_zero(&span->parent) ? NULL : parent);
    jsonw_cstr(json, "kind", kinds[span->kind]);
    jsonw_cstr(json, "name", span->name);
    jsonw_cstr(json, "service", span->service);
    jsonw_cstr(json, "instance", span->instance);
    jsonw_u64(json, "start_ns", span->start_wall_ns);
    jsonw_u64(json, "duration_us", span->duration_ns / 1000);
    jsonw_i64(json, "status", span->status);
    jsonw_u64(json, "attempts", span->attempts);
    jsonw_bool(json, "failed", span->failed);
    jsonw_cstr(json, "error", span->error);
    jsonw_object_end(json);
}

static void write_trace(const struct spans *spans, const struct trace_id *id, struct jsonw *json)
{
    const struct span *found[TRACE_SPANS_MAX];
    size_t count = 0;
    for (size_t age = 0; age < held(spans) && count < TRACE_SPANS_MAX; age++)
        if (same_trace(&by_age(spans, age)->trace, id)) found[count++] = by_age(spans, age);
    qsort(found, count, sizeof *found, by_start);
    uint64_t start = found[0]->start_wall_ns, end = start;
    for (size_t i = 0; i < count; i++) {
        uint64_t span_end = found[i]->start_wall_ns + found[i]->duration_ns;
        if (span_end > end) end = span_end;
    }
    char text[33] = {0};
    trace_id_format(id, text);
    jsonw_object(json, NULL);
    jsonw_cstr(json, "trace", text);
    jsonw_u64(json, "start_ns", start);
    jsonw_u64(json, "duration_us", (end - start) / 1000);
    jsonw_array(json, "spans");
    for (size_t i = 0; i < count; i++) write_span(json, found[i]);
    jsonw_array_end(json);
    jsonw_object_end(json);
}

void spans_write_traces(const struct spans *spans, size_t limit, const struct trace_id *only,
                        struct jsonw *json)
{
    struct trace_id traces[TRACES_MAX];
    size_t count = 0;
    if (limit > TRACES_MAX) limit = TRACES_MAX;
    for (size_t age = 0; age < held(spans) && count < limit; age++) {
        const struct trace_id *id = &by_age(spans, age)->trace;
        bool known = only && !same_trace(id, only);
        for (size_t i = 0; i < count && !known; i++) known = same_trace(id, &traces[i]);
        if (!known) traces[count++] = *id;
    }
    for (size_t i = 0; i < count; i++) write_trace(spans, &traces[i], json);
}
