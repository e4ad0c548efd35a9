#include "sdk/src/ctx.h"

#include "sdk/src/json.h"
#include "sdk/src/pending.h"
#include "sdk/src/span_batch.h"

#include "wire/http1.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

enum { DEADLINE_MAX_MS = 24 * 3600 * 1000 };

/* ---- headers ------------------------------------------------------------------------------------
 */

const char *headers_find(const struct dure_headers *headers, const char *name)
{
    for (size_t i = 0; headers && i < headers->count; i++)
        if (strcasecmp(headers->fields[i].name, name) == 0) return headers->fields[i].value;
    return NULL;
}

int headers_add(struct dure_headers *headers, struct arena *arena, struct bytes name,
                struct bytes value)
{
    if (headers->count == DURE_MAX_HEADERS) return DURE_EFULL;
    if (headers->count == headers->size) {
        size_t size = headers->size ? headers->size * 2 : 16;
        struct header_field *fields = arena_array(arena, size, sizeof *fields);
        if (!fields) return DURE_ENOMEM;
        if (headers->count) memcpy(fields, headers->fields, headers->count * sizeof *fields);
        headers->fields = fields;
        headers->size = size;
    }
    struct header_field *field = &headers->fields[headers->count];
    field->name = arena_copy(arena, name);
    field->value = arena_copy(arena, value);
    if (!field->name || !field->value) return DURE_ENOMEM;
    headers->count++;
    return 0;
}

bool headers_field_valid(const char *name, const char *value)
{
    if (!name || !value || !*name) return false;
    for (const char *c = name; *c; c++) {
        bool alnum = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z');
        if (!alnum && !strchr("!#$%&'*+-.^_`|~", *c)) return false;
    }
    for (const unsigned char *c = (const unsigned char *)value; *c; c++)
        if ((*c < 0x20 && *c != '\t') || *c == 0x7F) return false;
    return true;
}

bool headers_is_framing(const char *name)
{
    switch (http1_name_find(bytes_str(name))) {
    case HTTP1_NAME_CONNECTION:
    case HTTP1_NAME_CONTENT_LENGTH:
    case HTTP1_NAME_CONTENT_TYPE:
    case HTTP1_NAME_DATE:
    case HTTP1_NAME_HOST:
    case HTTP1_NAME_KEEP_ALIVE:
    case HTTP1_NAME_TE:
    case HTTP1_NAME_TRAILER:
    case HTTP1_NAME_TRANSFER_ENCODING:
    case HTTP1_NAME_UPGRADE: return true;
    default: return false;
    }
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void start_now(struct loop_task *task);
static void resume_now(struct loop_task *task);
static void deadline_passed(struct loop_timer *timer);

struct dure_ctx *ctx_new(struct tenant *tenant, enum ctx_kind kind, dure_handler *handler)
{
    struct host *host = tenant->host;
    struct dure_ctx *ctx = calloc(1, sizeof *ctx);
    if (!ctx) return NULL;
    ctx->tenant = tenant;
    ctx->kind = kind;
    ctx->handler = handler;
    ctx->method = ctx->path = ctx->subject = "";
    arena_init(&ctx->arena, host->limits.memory);
    buf_init(&ctx->body, host->limits.body + 1);
    loop_task_init(&ctx->start, start_now);
    loop_task_init(&ctx->resume, resume_now);
    ctx->deadline.fire = deadline_passed;
    list_init(&ctx->pendings);
    list_init(&ctx->resources);
    list_init(&ctx->link);
    list_push(&tenant->runs, &ctx->link);
    tenant->run_count++;
    host->ctx_count++;
    uint8_t random[TRACE_RANDOM];
    host_random(host, random, sizeof random);
    trace_start(&ctx->trace, random);
    return ctx;
}

void ctx_free(struct dure_ctx *ctx)
{
    if (!ctx) return;
    struct host *host = ctx->tenant->host;
    loop_task_cancel(&ctx->start);
    loop_task_cancel(&ctx->resume);
    loop_timer_cancel(&host->loop, &ctx->deadline);
    while (!list_empty(&ctx->resources)) {
        struct ctx_resource *owned = CONTAINER_OF(ctx->resources.next, struct ctx_resource, link);
        list_remove(&owned->link);
        owned->close(owned);
    }
    pending_release_all(ctx);
    json_release_all(ctx);
    list_remove(&ctx->link);
    ctx->tenant->run_count--;
    host->ctx_count--;
    buf_release(&ctx->body);
    arena_release(&ctx->arena);
    free(ctx);
    host_progress(host);
}

void ctx_own(struct dure_ctx *ctx, struct ctx_resource *resource,
             void (*close)(struct ctx_resource *resource))
{
    list_init(&resource->link);
    resource->close = close;
    list_push(&ctx->resources, &resource->link);
}

void ctx_disown(struct ctx_resource *resource)
{
    list_remove(&resource->link);
}

int ctx_fail(struct dure_ctx *ctx, int err, int code, const char *reason)
{
    ctx->reason = reason ? arena_copy(&ctx->arena, bytes_str(reason)) : NULL;
    ctx->reason_code = code;
    return err;
}

/* What a handler's return value means to the one who waits. */
static void answer_result(struct dure_ctx *ctx, int err)
{
    if (ctx->replied || !ctx->caller) return;
    if (err >= 0)
        dure_reply(ctx, 204, NULL, NULL, 0);
    else
        dure_reply_problem(ctx, dure_error_status(err), "%s", dure_error_text(err));
}

static void finish(struct dure_ctx *ctx, int err)
{
    answer_result(ctx, err);
    if (ctx->report_span) span_batch_report(ctx, err);
    if (ctx->finished) ctx->finished(ctx, err);
    ctx_free(ctx);
}

static void run(void *argument)
{
    struct dure_ctx *ctx = argument;
    ctx->fiber = ctx->tenant->host->fibers.current;
    int err = ctx_check(ctx);
    finish(ctx, err ? err : ctx->handler(ctx));
}

static void start_now(struct loop_task *task)
{
    struct dure_ctx *ctx = CONTAINER_OF(task, struct dure_ctx, start);
    ctx->started_ns = loop_monotonic_ns();
    ctx->started_wall_ns = loop_wall_ns();
    int err = fiber_start(&ctx->tenant->host->fibers, run, ctx);
    if (err) finish(ctx, err == ERR_FULL ? DURE_EFULL : DURE_ENOMEM);
}

void ctx_refuse(struct dure_ctx *ctx, int err)
{
    ctx->started_ns = loop_monotonic_ns();
    ctx->started_wall_ns = loop_wall_ns();
    finish(ctx, err);
}

void ctx_start(struct dure_ctx *ctx)
{
    loop_post(&ctx->tenant->host->loop, &ctx->start);
}

/* ---- deadline and trace -------------------------------------------------------------------------
 */

void ctx_set_deadline(struct dure_ctx *ctx, const char *remaining)
{
    struct host *host = ctx->tenant->host;
    uint64_t ms = host->limits.timeout_ms;
    if (remaining && bytes_to_u64(bytes_str(remaining), DEADLINE_MAX_MS, &ms) != 0)
        ms = host->limits.timeout_ms;
    ctx->deadline_ns = loop_monotonic_ns() + ms * 1000000;
}

void ctx_take_trace(struct dure_ctx *ctx)
{
    struct trace_intake intake;
    trace_intake_init(&intake);
    for (size_t i = 0; i < ctx->headers.count; i++) {
        const struct header_field *field = &ctx->headers.fields[i];
        if (strcasecmp(field->name, "traceparent") == 0)
            trace_intake_parent(&intake, bytes_str(field->value));
        if (strcasecmp(field->name, "tracestate") == 0)
            trace_intake_state(&intake, bytes_str(field->value));
    }
    uint8_t random[TRACE_RANDOM];
    host_random(ctx->tenant->host, random, sizeof random);
    bool continued = trace_intake_finish(&intake, random, &ctx->trace);
    struct bytes state = trace_intake_state_out(&intake);
    if (state.len) ctx->trace_state = arena_copy(&ctx->arena, state);
    ctx->report_span = true;
    if (!continued || ctx->kind != CTX_HTTP) return;
    /* The proxy that sent it here has recorded this very piece of work: its span is ours. */
    ctx->trace.span = ctx->trace.parent;
    ctx->trace.parent = (struct span_id){0};
    ctx->report_span = false;
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

bool ctx_is_current(const struct dure_ctx *ctx)
{
    const struct fiber_pool *fibers = &ctx->tenant->host->fibers;
    return fibers->current && fibers->current == ctx->fiber;
}

void ctx_stop(struct dure_ctx *ctx, int err)
{
    if (ctx->stop) return;
    ctx->stop = err;
    pending_stop_all(ctx, err);
    ctx_wake(ctx);
}

void ctx_abandon(struct dure_ctx *ctx)
{
    ctx->caller = NULL;
    if (!ctx->replied) ctx_stop(ctx, DURE_ECANCELLED);
}

static void deadline_passed(struct loop_timer *timer)
{
    ctx_stop(CONTAINER_OF(timer, struct dure_ctx, deadline), DURE_ETIMEOUT);
}

int ctx_check(struct dure_ctx *ctx)
{
    if (!ctx->stop && ctx->deadline_ns && loop_monotonic_ns() >= ctx->deadline_ns)
        ctx_stop(ctx, DURE_ETIMEOUT);
    return ctx->stop;
}

void ctx_wait_uninterrupted(struct dure_ctx *ctx)
{
    assert(ctx_is_current(ctx));
    ctx->waiting = true;
    fiber_suspend(&ctx->tenant->host->fibers);
}

int ctx_wait(struct dure_ctx *ctx)
{
    struct host *host = ctx->tenant->host;
    if (ctx_check(ctx)) return ctx->stop;
    if (ctx->deadline_ns && !ctx->deadline.at_ns)
        loop_timer_at(&host->loop, &ctx->deadline, ctx->deadline_ns);
    ctx_wait_uninterrupted(ctx);
    return ctx->stop;
}

void ctx_wake(struct dure_ctx *ctx)
{
    if (!ctx->waiting) return;
    ctx->waiting = false;
    loop_post(&ctx->tenant->host->loop, &ctx->resume);
}

static void resume_now(struct loop_task *task)
{
    struct dure_ctx *ctx = CONTAINER_OF(task, struct dure_ctx, resume);
    fiber_resume(&ctx->tenant->host->fibers, ctx->fiber);
}
