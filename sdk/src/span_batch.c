#include "sdk/src/span_batch.h"

#include "sdk/src/buslink.h"

#include "base/jsonw.h"

#include <stdlib.h>

enum { SPANS_BATCH = 64, SPANS_BYTES = 64 * 1024, SPANS_DELAY_MS = 250 };

struct span_batch {
    struct host *host;
    struct buf batch; /* "[{...},{...}" without its end */
    size_t count;
    struct loop_timer timer;
};

static void flush_later(struct loop_timer *timer)
{
    span_batch_flush(CONTAINER_OF(timer, struct span_batch, timer));
}

struct span_batch *span_batch_new(struct host *host)
{
    struct span_batch *spans = calloc(1, sizeof *spans);
    if (!spans) return NULL;
    spans->host = host;
    spans->timer.fire = flush_later;
    buf_init(&spans->batch, SPANS_BYTES);
    return spans;
}

void span_batch_free(struct span_batch *spans)
{
    if (!spans) return;
    loop_timer_cancel(&spans->host->loop, &spans->timer);
    buf_release(&spans->batch);
    free(spans);
}

static void put_span(struct jsonw *json, struct dure_ctx *ctx, int status)
{
    char trace[32], span[16], parent[16];
    trace_id_format(&ctx->trace.id, trace);
    span_id_format(&ctx->trace.span, span);
    span_id_format(&ctx->trace.parent, parent);
    jsonw_object(json, NULL);
    jsonw_str(json, "trace", bytes_make(trace, sizeof trace));
    jsonw_str(json, "span", bytes_make(span, sizeof span));
    if (!span_id_is_zero(&ctx->trace.parent))
        jsonw_str(json, "parent", bytes_make(parent, sizeof parent));
    jsonw_cstr(json, "name", ctx->span_name);
    jsonw_cstr(json, "service", ctx->tenant->name);
    jsonw_cstr(json, "kind", ctx->span_kind);
    jsonw_u64(json, "start_ns", ctx->started_wall_ns);
    jsonw_u64(json, "duration_us", (loop_monotonic_ns() - ctx->started_ns) / 1000);
    jsonw_u64(json, "status", (uint64_t)status);
    jsonw_object_end(json);
}

void span_batch_report(struct dure_ctx *ctx, int err)
{
    struct host *host = ctx->tenant->host;
    struct span_batch *spans = host->spans;
    if (!spans || !ctx->span_name || !(ctx->trace.flags & TRACE_FLAG_SAMPLED)) return;
    if (!host->bus) return;
    int status = ctx->replied ? ctx->replied_status : err < 0 ? dure_error_status(err) : 200;
    size_t before = buf_len(&spans->batch);
    buf_append_char(&spans->batch, before ? ',' : '[');
    struct jsonw json;
    jsonw_init(&json, &spans->batch);
    put_span(&json, ctx, status);
    spans->count++;
    if (spans->batch.failed || spans->count >= SPANS_BATCH)
        span_batch_flush(spans);
    else if (!spans->timer.at_ns)
        loop_timer_in_ms(&host->loop, &spans->timer, SPANS_DELAY_MS);
}

void span_batch_flush(struct span_batch *spans)
{
    if (!spans || !spans->count) return;
    buf_append_char(&spans->batch, ']');
    if (!spans->batch.failed)
        buslink_publish(spans->host->bus, SPANS_SUBJECT, buf_bytes(&spans->batch));
    buf_clear(&spans->batch);
    spans->count = 0;
    loop_timer_cancel(&spans->host->loop, &spans->timer);
}
