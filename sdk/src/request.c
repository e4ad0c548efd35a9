/* What a handler may know: the request at hand, its module, its time, its memory. */
#include "sdk/src/ctx.h"
#include "sdk/src/json.h"
#include "sdk/src/pending.h"
#include "sdk/src/route.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- the module --------------------------------------------------------------------------------
 */

void dure_set_state(struct dure_ctx *ctx, void *state)
{
    ctx->tenant->user = state;
}

void *dure_state(struct dure_ctx *ctx)
{
    return ctx->tenant->user;
}

const char *dure_env(struct dure_ctx *ctx, const char *name)
{
    return tenant_env(ctx->tenant, name);
}

const char *dure_service(struct dure_ctx *ctx)
{
    return ctx->tenant->name;
}

int dure_port(struct dure_ctx *ctx)
{
    return ctx->tenant->port;
}

char **dure_args(struct dure_ctx *ctx)
{
    return ctx->tenant->host->args;
}

/* ---- the request -------------------------------------------------------------------------------
 */

const char *dure_method(struct dure_ctx *ctx)
{
    return ctx->method;
}

const char *dure_path(struct dure_ctx *ctx)
{
    return ctx->path;
}

const char *dure_subject(struct dure_ctx *ctx)
{
    return ctx->subject;
}

const char *dure_param(struct dure_ctx *ctx, const char *name)
{
    for (size_t i = 0; i < ctx->param_count; i++)
        if (strcmp(ctx->params[i].name, name) == 0) return ctx->params[i].value;
    return NULL;
}

const char *dure_query(struct dure_ctx *ctx, const char *name)
{
    struct bytes rest = ctx->query ? bytes_str(ctx->query) : (struct bytes){NULL, 0};
    while (rest.data) {
        struct bytes value = bytes_cut(&rest, '&');
        struct bytes key = bytes_cut(&value, '=');
        const char *decoded = route_decode(&ctx->arena, key, true);
        if (decoded && strcmp(decoded, name) == 0)
            return value.data ? route_decode(&ctx->arena, value, true) : "";
    }
    return NULL;
}

const char *dure_header(struct dure_ctx *ctx, const char *name)
{
    return headers_find(&ctx->headers, name);
}

const char *dure_body(struct dure_ctx *ctx, size_t *ret_len)
{
    struct bytes body = buf_bytes(&ctx->body);
    if (ret_len) *ret_len = body.len;
    return ctx->body.data ? body.data : "";
}

int dure_body_json(struct dure_ctx *ctx, struct dure_json **ret_json)
{
    size_t len;
    const char *text = dure_body(ctx, &len);
    return json_read(ctx, text, len, DURE_EINVALID, ret_json);
}

int dure_answer_json(struct dure_ctx *ctx, const struct dure_answer *answer,
                     struct dure_json **ret_json)
{
    return json_read(ctx, answer->body ? answer->body : "", answer->len, DURE_EPROTOCOL, ret_json);
}

const char *dure_answer_header(const struct dure_answer *answer, const char *name)
{
    return headers_find(answer->headers, name);
}

bool dure_wants_reply(struct dure_ctx *ctx)
{
    return ctx->caller != NULL;
}

const char *dure_request_id(struct dure_ctx *ctx)
{
    static const char *const names[] = {"Nats-Msg-Id", "Ce-Id", "Idempotency-Key",
                                        "Dure-Request-Id"};
    for (size_t i = 0; !ctx->request_id && i < sizeof names / sizeof *names; i++)
        ctx->request_id = headers_find(&ctx->headers, names[i]);
    if (!ctx->request_id) ctx->request_id = dure_new_id(ctx);
    return ctx->request_id;
}

/* ---- time --------------------------------------------------------------------------------------
 */

int64_t dure_remaining_ms(struct dure_ctx *ctx)
{
    if (ctx_check(ctx)) return 0;
    if (!ctx->deadline_ns) return INT64_MAX;
    return (int64_t)((ctx->deadline_ns - loop_monotonic_ns() + 999999) / 1000000);
}

bool dure_cancelled(struct dure_ctx *ctx)
{
    return ctx_check(ctx) != 0;
}

uint64_t dure_wall_ns(void)
{
    return loop_wall_ns();
}

uint64_t dure_now_ns(void)
{
    return loop_monotonic_ns();
}

struct sleeper {
    struct dure_pending pending;
    struct loop_timer timer;
};

static void sleep_abandoned(struct dure_pending *pending)
{
    struct sleeper *sleeper = (struct sleeper *)pending;
    loop_timer_cancel(&pending->ctx->tenant->host->loop, &sleeper->timer);
}

static void slept(struct loop_timer *timer)
{
    pending_answer(&CONTAINER_OF(timer, struct sleeper, timer)->pending, 200, NULL, BYTES(""));
}

int dure_sleep(struct dure_ctx *ctx, int64_t delay_ms)
{
    struct dure_pending *failed;
    if (delay_ms < 0) return DURE_EINVALID;
    struct sleeper *sleeper =
        (struct sleeper *)pending_new(ctx, sizeof *sleeper, INT64_MAX, sleep_abandoned, &failed);
    if (!sleeper) return dure_wait(ctx, failed, NULL);
    sleeper->timer.fire = slept;
    loop_timer_at(&ctx->tenant->host->loop, &sleeper->timer,
                  loop_monotonic_ns() + (uint64_t)delay_ms * 1000000);
    return dure_wait(ctx, &sleeper->pending, NULL);
}

/* ---- memory, ids, trace -------------------------------------------------------------------------
 */

void *dure_alloc(struct dure_ctx *ctx, size_t size)
{
    return arena_alloc(&ctx->arena, size);
}

char *dure_copy(struct dure_ctx *ctx, const void *bytes, size_t len)
{
    return arena_copy(&ctx->arena, bytes_make(bytes, len));
}

char *dure_format(struct dure_ctx *ctx, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = len < 0 ? NULL : arena_alloc(&ctx->arena, (size_t)len + 1);
    if (!text) return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)len + 1, format, arguments);
    va_end(arguments);
    return text;
}

/* ULID (github.com/ulid/spec): 48 bits of milliseconds and 80 random ones in Crockford's base 32.
 */
const char *dure_new_id(struct dure_ctx *ctx)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[16];
    host_random(ctx->tenant->host, random, sizeof random);
    uint64_t ms = loop_wall_ns() / 1000000;
    char *id = arena_alloc(&ctx->arena, 27);
    if (!id) return NULL;
    for (int i = 9; i >= 0; i--, ms >>= 5) id[i] = digits[ms & 31];
    for (int i = 0; i < 16; i++) id[10 + i] = digits[random[i] & 31];
    return id;
}

const char *dure_trace_id(struct dure_ctx *ctx)
{
    trace_id_format(&ctx->trace.id, ctx->trace_text);
    return ctx->trace_text;
}

const char *dure_span_id(struct dure_ctx *ctx)
{
    span_id_format(&ctx->trace.span, ctx->span_text);
    return ctx->span_text;
}

const char *dure_traceparent(struct dure_ctx *ctx)
{
    trace_format(&ctx->trace, ctx->parent_text);
    return ctx->parent_text;
}
