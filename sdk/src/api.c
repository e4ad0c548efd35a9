#include "sdk/src/api.h"

#include "sdk/src/buslink.h"
#include "sdk/src/json.h"
#include "sdk/src/message.h"
#include "sdk/src/puback.h"

#include "base/base64.h"
#include "base/timestamp.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 255 };

bool api_name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (!len || len > NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == 0x7F || strchr(".*>/\\", name[i]))
            return false;
    return true;
}

uint64_t api_u64(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

const char *api_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- one request -------------------------------------------------------------------------- */

static int judge(struct dure_ctx *ctx, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    if (!json_is_object(answer)) return ctx_fail(ctx, DURE_EPROTOCOL, 0, "the answer is no JSON");
    if (!error) return 0;
    int err_code = (int)api_u64(error, "err_code");
    return ctx_fail(ctx, api_error_meaning((int)api_u64(error, "code"), err_code), err_code,
                    api_text(error, "description"));
}

static int send(struct dure_ctx *ctx, const char *what, json_t *request, int64_t timeout_ms,
                struct dure_answer *ret_answer)
{
    char subject[1100];
    if (snprintf(subject, sizeof subject, "$JS.API.%s", what) >= (int)sizeof subject)
        return DURE_EINVALID;
    if (!busname_valid(subject, false)) return DURE_EINVALID;
    char *body = request ? json_dumps(request, JSON_COMPACT) : NULL;
    if (request && !body) return DURE_EINVALID;
    const struct dure_publication publication = {
        .subject = subject, .body = body ? body : "", .len = body ? strlen(body) : 0};
    struct dure_pending *pending = buslink_ask(ctx, &publication, timeout_ms);
    free(body);
    int err = dure_wait(ctx, pending, ret_answer);
    if (err == DURE_ENOBODY)
        err = ctx_fail(ctx, DURE_ENOSTREAM, 0, "this server keeps no streams (no JetStream)");
    return err;
}

int api_request(struct dure_ctx *ctx, const char *what, json_t *request, int64_t timeout_ms,
                json_t **ret_answer)
{
    struct dure_answer answer;
    if (ret_answer) *ret_answer = NULL;
    ctx_fail(ctx, 0, 0, NULL);
    int err = send(ctx, what, request, timeout_ms, &answer);
    json_decref(request);
    if (err) return err;
    json_t *json = json_loadb(answer.body, answer.len, 0, NULL);
    err = judge(ctx, json);
    if (!err && ret_answer)
        *ret_answer = json;
    else
        json_decref(json);
    return err;
}

int dure_api(struct dure_ctx *ctx, const char *what, const struct dure_json *request,
             int64_t timeout_ms, struct dure_json **ret_json)
{
    json_t *answer;
    if (ret_json) *ret_json = NULL;
    if (!what || timeout_ms < 0) return DURE_EINVALID;
    int err = api_request(ctx, what, json_borrow(request), timeout_ms, &answer);
    if (err) return err;
    if (!ret_json) {
        json_decref(answer);
        return 0;
    }
    *ret_json = json_hold(ctx, answer);
    return *ret_json ? 0 : DURE_ENOMEM;
}

/* ---- stored messages ---------------------------------------------------------------------- */

/* Base64 text as bytes in the ctx's arena. */
static int decode(struct dure_ctx *ctx, const char *text, struct bytes *ret_bytes)
{
    size_t size = strlen(text) / 4 * 3 + 3, len = 0;
    char *bytes = arena_alloc(&ctx->arena, size + 1);
    if (!bytes) return DURE_ENOMEM;
    if (base64_decode(bytes_str(text), bytes, size, &len) != 0) return DURE_EPROTOCOL;
    bytes[len] = '\0';
    *ret_bytes = bytes_make(bytes, len);
    return 0;
}

/* {"message":{"subject":..,"seq":..,"hdrs":base64,"data":base64,"time":..}} */
static int take_message(struct dure_ctx *ctx, const char *stream, const json_t *stored,
                        struct dure_message *ret_message)
{
    struct bytes block = BYTES(""), body = BYTES("");
    struct dure_headers *headers = arena_alloc(&ctx->arena, sizeof *headers);
    int err = headers ? decode(ctx, api_text(stored, "data"), &body) : DURE_ENOMEM;
    if (!err) err = decode(ctx, api_text(stored, "hdrs"), &block);
    if (!err) err = headers_copy(block, &ctx->arena, headers);
    ret_message->subject = arena_copy(&ctx->arena, bytes_str(api_text(stored, "subject")));
    ret_message->stream = arena_copy(&ctx->arena, bytes_str(stream));
    ret_message->reply = "";
    ret_message->body = body.data;
    ret_message->len = body.len;
    ret_message->headers = headers;
    ret_message->sequence = api_u64(stored, "seq");
    if (!err && timestamp_parse(bytes_str(api_text(stored, "time")), &ret_message->time_ns) != 0)
        err = DURE_EPROTOCOL;
    return !err && ctx->arena.failed ? DURE_ENOMEM : err;
}

int api_get_message(struct dure_ctx *ctx, const char *stream, uint64_t sequence, bool next,
                    const char *subject, struct dure_message *ret_message)
{
    char what[NAME_MAX_BYTES + 32];
    json_t *answer, *request = json_object();
    *ret_message = (struct dure_message){.subject = "", .reply = "", .body = ""};
    if (!api_name_valid(stream)) {
        json_decref(request);
        return DURE_EINVALID;
    }
    if (sequence) json_object_set_new(request, "seq", json_integer((json_int_t)sequence));
    if (!sequence || next)
        json_object_set_new(request, next ? "next_by_subj" : "last_by_subj",
                            json_string(subject ? subject : ">"));
    snprintf(what, sizeof what, "STREAM.MSG.GET.%s", stream);
    int err = api_request(ctx, what, request, 0, &answer);
    if (err) return err;
    err = take_message(ctx, stream, json_object_get(answer, "message"), ret_message);
    json_decref(answer);
    return err;
}

int dure_stream_get(struct dure_ctx *ctx, const char *stream, uint64_t sequence,
                    const char *subject, struct dure_message *ret_message)
{
    if (!sequence && !busname_valid(subject, true)) return DURE_EINVALID;
    return api_get_message(ctx, stream, sequence, false, subject, ret_message);
}

int dure_stream_next(struct dure_ctx *ctx, const char *stream, uint64_t sequence,
                     const char *pattern, struct dure_message *ret_message)
{
    if (pattern && !busname_valid(pattern, true)) return DURE_EINVALID;
    return api_get_message(ctx, stream, sequence ? sequence : 1, true, pattern, ret_message);
}
