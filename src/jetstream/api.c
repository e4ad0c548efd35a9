#include "jetstream/api.h"

#include "base/timestamp.h"
#include "jetstream/jetstream_impl.h"
#include "wire/nats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_MAX = 64 << 20 };

static const char prefix[] = "$JS.API.";

/* ---- from the message to the call ------------------------------------------------------------ */

static unsigned count_tokens(struct bytes text)
{
    unsigned count = text.len != 0;
    for (size_t i = 0; i < text.len; i++) count += text.data[i] == '.';
    return count;
}

struct api_call *api_call_new(struct jetstream *js, const struct api_request *request,
                              struct message *message)
{
    size_t fixed = strlen(prefix) + strlen(request->subject) + 1;
    struct bytes tokens = bytes_skip(message->subject, fixed);
    unsigned count = count_tokens(tokens);
    if (count < request->min || count > request->max) return NULL;
    struct api_call *call = calloc(1, sizeof *call);
    if (!call) return NULL;
    call->js = js;
    call->request = request;
    call->message = message_ref(message);
    if (!call->message) {
        free(call);
        return NULL;
    }
    struct bytes rest = bytes_skip(call->message->subject, fixed);
    call->stream_name = bytes_cut(&rest, '.');
    call->consumer_name = bytes_cut(&rest, '.');
    call->rest = rest;
    buf_init(&call->text, ANSWER_MAX);
    stream_get_init(&call->get);
    list_init(&call->link);
    return call;
}

void api_call_free(struct api_call *call)
{
    stream_get_release(&call->get);
    json_decref(call->body);
    message_unref(call->message);
    buf_release(&call->text);
    free(call);
}

/* Whether the body is there and usable; false when the call has been failed. */
static bool read_body(struct api_call *call)
{
    struct bytes text = bytes_trim(call->message->payload);
    enum api_body kind = call->request->body;
    bool looks_like = text.len && (text.data[0] == '{' || text.data[0] == '[');
    if (!text.len || (kind == API_BODY_MAYBE && !looks_like)) {
        call->body = json_object();
    } else {
        json_error_t error;
        call->body = json_loadb(text.data, text.len, 0, &error);
        if (!call->body) {
            api_fail(call, API_INVALID_JSON, "%s at offset %d", error.text, error.position);
            return false;
        }
    }
    if (!json_is_object(call->body)) {
        api_fail(call, API_INVALID_JSON, "an object is expected");
        return false;
    }
    if (kind == API_BODY_NONE && json_object_size(call->body)) {
        api_fail(call, API_NOT_EMPTY, NULL);
        return false;
    }
    return true;
}

bool api_level_is_there(struct bytes headers)
{
    struct bytes value;
    uint64_t level;
    if (nats_headers_get(headers, BYTES("Nats-Required-Api-Level"), &value)) return true;
    return bytes_to_u64(value, UINT64_MAX, &level) == 0 && level <= JETSTREAM_API_LEVEL;
}

void api_call_run(struct api_call *call)
{
    if (!call->js->streams)
        api_fail(call, API_NOT_ENABLED_FOR_ACCOUNT, NULL);
    else if (!api_level_is_there(call->message->headers))
        api_fail(call, API_API_LEVEL, NULL);
    else if (read_body(call))
        call->request->run(call);
}

/* ---- the answer ------------------------------------------------------------------------------ */

void api_begin(struct api_call *call)
{
    char type[96];
    snprintf(type, sizeof type, "io.nats.jetstream.api.v1.%s", call->request->type);
    buf_clear(&call->text);
    jsonw_init(&call->json, &call->text);
    jsonw_object(&call->json, NULL);
    jsonw_cstr(&call->json, "type", type);
}

static void finish(struct api_call *call)
{
    struct jetstream *js = call->js;
    bool changes = call->request->changes;
    struct message answer =
        message_borrow(call->message->reply, BYTES(""), BYTES(""), buf_bytes(&call->text));
    advisory_request(&js->advisories, call->message, answer.payload);
    if (answer.subject.len) {
        int r = call->text.failed ? ERR_NOMEM : jetstream_send(js, &answer);
        if (r < 0)
            LOG(js->log, LOG_WARN, "answer_lost", LOG_S("request", call->request->subject),
                LOG_ERR(r));
    }
    list_remove(&call->link);
    api_call_free(call);
    jetstream_call_ended(js, changes);
}

void api_end(struct api_call *call)
{
    jsonw_object_end(&call->json);
    finish(call);
}

void api_fail_error(struct api_call *call, const struct api_error *error)
{
    call->js->metrics.errors++;
    api_begin(call);
    api_error_encode(error, &call->json);
    if (call->request->extra) buf_append_str(&call->text, call->request->extra);
    api_end(call);
}

void api_fail(struct api_call *call, enum api_error_kind kind, const char *format, ...)
{
    struct api_error error = {.kind = kind};
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error.details, sizeof error.details, format, arguments);
        va_end(arguments);
    }
    api_fail_error(call, &error);
}

void api_fail_result(struct api_call *call, int result, const struct api_error *refusal)
{
    struct api_error error = *refusal;
    if (error.kind == API_OK) api_error_of(&error, result);
    api_fail_error(call, &error);
}

void api_succeed(struct api_call *call)
{
    api_begin(call);
    jsonw_bool(&call->json, "success", true);
    api_end(call);
}

/* ---- what requests have in common ------------------------------------------------------------ */

struct stream *api_stream(struct api_call *call)
{
    struct stream *stream = streams_find(call->js->streams, call->stream_name);
    if (!stream) api_fail(call, API_STREAM_NOT_FOUND, NULL);
    return stream;
}

static bool wrong_type(struct api_call *call, const char *key, const char *expected)
{
    api_fail(call, API_INVALID_JSON, "%s must be %s", key, expected);
    return false;
}

bool api_get_i64(struct api_call *call, const char *key, int64_t *ret)
{
    json_t *value = json_object_get(call->body, key);
    *ret = json_integer_value(value);
    if (!value || json_is_null(value) || json_is_integer(value)) return true;
    return wrong_type(call, key, "an integer");
}

bool api_get_u64(struct api_call *call, const char *key, uint64_t *ret)
{
    int64_t value;
    *ret = 0;
    if (!api_get_i64(call, key, &value)) return false;
    if (value < 0) return wrong_type(call, key, "an integer from 0 on");
    *ret = (uint64_t)value;
    return true;
}

bool api_get_bool(struct api_call *call, const char *key, bool *ret)
{
    json_t *value = json_object_get(call->body, key);
    *ret = json_is_true(value);
    if (!value || json_is_null(value) || json_is_boolean(value)) return true;
    return wrong_type(call, key, "true or false");
}

bool api_get_string(struct api_call *call, const char *key, struct bytes *ret)
{
    json_t *value = json_object_get(call->body, key);
    *ret = bytes_make(json_string_value(value), json_string_length(value));
    if (!value || json_is_null(value) || json_is_string(value)) return true;
    return wrong_type(call, key, "a string");
}

bool api_get_time(struct api_call *call, const char *key, bool *ret_given, uint64_t *ret_ns)
{
    struct bytes text;
    *ret_given = false;
    *ret_ns = 0;
    if (!api_get_string(call, key, &text)) return false;
    if (!text.len) return true;
    if (timestamp_parse(text, ret_ns)) return wrong_type(call, key, "a time (RFC 3339)");
    *ret_given = !bytes_starts(text, BYTES("0001-01-01"));
    return true;
}

bool api_get_offset(struct api_call *call, size_t *ret_offset)
{
    int64_t offset;
    if (!api_get_i64(call, "offset", &offset)) return false;
    *ret_offset = offset > 0 ? (size_t)offset : 0;
    return true;
}

void api_put_page(struct api_call *call, size_t total, size_t offset, size_t limit)
{
    jsonw_u64(&call->json, "total", total);
    jsonw_u64(&call->json, "offset", offset);
    jsonw_u64(&call->json, "limit", limit);
}

void api_put_time(struct jsonw *json, const char *key, uint64_t wall_ns)
{
    char text[TIMESTAMP_TEXT];
    timestamp_format_ns(wall_ns, text);
    jsonw_cstr(json, key, text);
}
