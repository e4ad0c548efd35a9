#include "sdk/src/ctx.h"
#include "sdk/src/http_text.h"

#include <stdarg.h>
#include <stdio.h>

static int reply_with(struct dure_ctx *ctx, int status, const char *content_type, const void *body,
                      size_t len, const char *problem)
{
    if (ctx->replied) return DURE_EEXISTS;
    if (status < 200 || status > 599 || (len && !body)) return DURE_EINVALID;
    if (content_type && !headers_field_valid("Content-Type", content_type)) return DURE_EINVALID;
    if (len > ctx->tenant->host->limits.answer) return DURE_ETOOBIG;
    ctx->replied = true;
    ctx->replied_status = status;
    struct ctx_caller *caller = ctx->caller;
    ctx->caller = NULL;
    struct reply reply = {status, content_type, bytes_make(body ? body : "", len),
                          &ctx->reply_headers, problem};
    if (caller) caller->answer(caller, &reply);
    return 0;
}

int dure_reply(struct dure_ctx *ctx, int status, const char *content_type, const void *body,
               size_t len)
{
    return reply_with(ctx, status, content_type, body, len, NULL);
}

int dure_reply_text(struct dure_ctx *ctx, int status, const char *format, ...)
{
    struct buf text;
    buf_init(&text, ctx->tenant->host->limits.answer);
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *room = len < 0 ? NULL : buf_reserve(&text, (size_t)len + 1);
    int err = len < 0 ? DURE_EINVALID : DURE_ETOOBIG;
    if (room) {
        va_start(arguments, format);
        vsnprintf(room, (size_t)len + 1, format, arguments);
        va_end(arguments);
        err = dure_reply(ctx, status, "text/plain; charset=utf-8", room, (size_t)len);
    }
    buf_release(&text);
    return err;
}

int dure_reply_json(struct dure_ctx *ctx, int status, const struct dure_json *json)
{
    size_t len;
    const char *text = dure_json_text(ctx, json, &len);
    if (!text) return DURE_EINTERNAL;
    return dure_reply(ctx, status, "application/json", text, len);
}

/* Uses none of the ctx's memory, so that "out of memory" can be said too. */
int dure_reply_problem(struct dure_ctx *ctx, int status, const char *format, ...)
{
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    struct buf body;
    buf_init(&body, 8192);
    http_problem(&body, status, detail);
    struct bytes text = body.failed ? BYTES("") : buf_bytes(&body);
    int err = reply_with(ctx, status, text.len ? "application/problem+json" : NULL, text.data,
                         text.len, detail);
    buf_release(&body);
    return err;
}

int dure_reply_header(struct dure_ctx *ctx, const char *name, const char *value)
{
    if (ctx->replied) return DURE_EEXISTS;
    if (!headers_field_valid(name, value) || headers_is_framing(name)) return DURE_EINVALID;
    return headers_add(&ctx->reply_headers, &ctx->arena, bytes_str(name), bytes_str(value));
}
