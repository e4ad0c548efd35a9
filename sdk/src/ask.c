/* Asking, telling, calling: which road a request takes, and the forms that wait. */
#include "sdk/src/buslink.h"
#include "sdk/src/call.h"
#include "sdk/src/json.h"
#include "sdk/src/local.h"

/* The encoded text of a JSON argument. False: there is none to send. */
static bool encode(struct dure_ctx *ctx, const struct dure_json *json, struct bytes *ret_text)
{
    size_t len;
    const char *text = dure_json_text(ctx, json, &len);
    if (text) *ret_text = bytes_make(text, len);
    return text != NULL;
}

static bool path_valid(const char *path)
{
    for (const char *c = path; c && *c; c++)
        if (*c <= ' ' || *c > '~') return false;
    return !path || *path == '/';
}

static bool call_valid(const struct dure_call *call)
{
    if (!call->service || !*call->service || !path_valid(call->path)) return false;
    if (call->len && !call->body) return false;
    if (call->content_type && !headers_field_valid("Content-Type", call->content_type))
        return false;
    for (const char *const *h = call->headers; h && h[0]; h += 2)
        if (!headers_field_valid(h[0], h[1]) || headers_is_framing(h[0])) return false;
    return true;
}

/* ---- the bus ------------------------------------------------------------------------------ */

struct dure_pending *dure_ask_start(struct dure_ctx *ctx, const char *subject, const void *body,
                                    size_t len, int64_t timeout_ms)
{
    if (!busname_valid(subject, false) || (len && !body)) return pending_failed(DURE_EINVALID);
    struct bytes bytes = bytes_make(body ? body : "", len);
    struct subscription *here = local_answers(ctx->tenant->host, subject);
    if (here) return local_ask(ctx, here, subject, bytes, timeout_ms);
    const struct dure_publication publication = {
        .subject = subject, .body = bytes.data, .len = len};
    return buslink_ask(ctx, &publication, timeout_ms);
}

int dure_ask_bytes(struct dure_ctx *ctx, const char *subject, const void *body, size_t len,
                   int64_t timeout_ms, struct dure_answer *ret_answer)
{
    return dure_wait(ctx, dure_ask_start(ctx, subject, body, len, timeout_ms), ret_answer);
}

int dure_ask(struct dure_ctx *ctx, const char *subject, const char *text, int64_t timeout_ms,
             struct dure_answer *ret_answer)
{
    size_t len = text ? strlen(text) : 0;
    return dure_ask_bytes(ctx, subject, text, len, timeout_ms, ret_answer);
}

int dure_ask_json(struct dure_ctx *ctx, const char *subject, const struct dure_json *json,
                  int64_t timeout_ms, struct dure_answer *ret_answer)
{
    struct bytes text;
    if (!encode(ctx, json, &text)) return dure_wait(ctx, pending_failed(DURE_EINVALID), ret_answer);
    return dure_ask_bytes(ctx, subject, text.data, text.len, timeout_ms, ret_answer);
}

struct dure_pending *dure_tell_start(struct dure_ctx *ctx, const char *subject, const char *id,
                                     const void *body, size_t len, int64_t timeout_ms)
{
    if (!busname_valid(subject, false) || (len && !body)) return pending_failed(DURE_EINVALID);
    if (id && !headers_field_valid("Nats-Msg-Id", id)) return pending_failed(DURE_EINVALID);
    const struct dure_publication publication = {
        .subject = subject, .body = body ? body : "", .len = len, .id = id};
    return buslink_tell(ctx, &publication, timeout_ms);
}

int dure_tell_bytes(struct dure_ctx *ctx, const char *subject, const char *id, const void *body,
                    size_t len, int64_t timeout_ms)
{
    return dure_wait(ctx, dure_tell_start(ctx, subject, id, body, len, timeout_ms), NULL);
}

int dure_tell(struct dure_ctx *ctx, const char *subject, const char *id, const char *text,
              int64_t timeout_ms)
{
    return dure_tell_bytes(ctx, subject, id, text, text ? strlen(text) : 0, timeout_ms);
}

int dure_tell_json(struct dure_ctx *ctx, const char *subject, const char *id,
                   const struct dure_json *json, int64_t timeout_ms)
{
    struct bytes text;
    if (!encode(ctx, json, &text)) return DURE_EINVALID;
    return dure_tell_bytes(ctx, subject, id, text.data, text.len, timeout_ms);
}

int dure_publish(struct dure_ctx *ctx, const char *subject, const void *body, size_t len)
{
    if (!busname_valid(subject, false) || (len && !body)) return DURE_EINVALID;
    return buslink_publish(ctx->tenant->host->bus, subject, bytes_make(body ? body : "", len));
}

/* ---- HTTP --------------------------------------------------------------------------------- */

struct dure_pending *dure_call_start(struct dure_ctx *ctx, const struct dure_call *call)
{
    if (!call_valid(call)) return pending_failed(DURE_EINVALID);
    struct bytes body = bytes_make(call->body ? call->body : "", call->len);
    if (call->json && !encode(ctx, call->json, &body)) return pending_failed(DURE_EINVALID);
    const char *method = call->method ? call->method : body.len ? "POST" : "GET";
    struct tenant *here = tenant_find(ctx->tenant->host, call->service);
    if (here) return local_call(ctx, here, call, method, body);
    return call_start(ctx, call, method, body);
}

int dure_call(struct dure_ctx *ctx, const struct dure_call *call, struct dure_answer *ret_answer)
{
    return dure_wait(ctx, dure_call_start(ctx, call), ret_answer);
}

int dure_get(struct dure_ctx *ctx, const char *service, const char *path,
             struct dure_answer *ret_answer)
{
    struct dure_call call = {.method = "GET", .service = service, .path = path};
    return dure_call(ctx, &call, ret_answer);
}

int dure_post(struct dure_ctx *ctx, const char *service, const char *path,
              const struct dure_json *json, struct dure_answer *ret_answer)
{
    struct dure_call call = {.method = "POST", .service = service, .path = path, .json = json};
    return dure_call(ctx, &call, ret_answer);
}
