#include "jetstream/pull_request.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void wrong(struct pull_request *request, const char *what)
{
    if (!request->error[0]) snprintf(request->error, sizeof request->error, "%s", what);
}

static int64_t get_int(struct pull_request *request, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return 0;
    if (!json_is_integer(value)) wrong(request, "json: a field has the wrong type");
    return (int64_t)json_integer_value(value);
}

static bool get_bool(struct pull_request *request, json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return false;
    if (!json_is_boolean(value)) wrong(request, "json: a field has the wrong type");
    return json_is_true(value);
}

static bool get_text(struct pull_request *request, json_t *object, const char *key, char *text,
                     size_t size)
{
    json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return false;
    const char *string = json_string_value(value);
    if (!string || strlen(string) >= size) {
        wrong(request, "json: a field has the wrong type");
        return false;
    }
    memcpy(text, string, strlen(string) + 1);
    return true;
}

static void read_object(struct pull_request *request, json_t *object)
{
    request->batch = get_int(request, object, "batch");
    request->bytes = get_int(request, object, "max_bytes");
    request->expires_ns = get_int(request, object, "expires");
    request->heartbeat_ns = get_int(request, object, "idle_heartbeat");
    request->no_wait = get_bool(request, object, "no_wait");
    request->min_pending = get_int(request, object, "min_pending");
    request->min_ack_pending = get_int(request, object, "min_ack_pending");
    int64_t priority = get_int(request, object, "priority");
    request->has_group = get_text(request, object, "group", request->group, sizeof request->group);
    (void)get_text(request, object, "id", request->id, sizeof request->id);
    if (priority < 0 || priority > 9) wrong(request, "priority must be between 0 and 9");
    request->priority = priority > 0 ? (unsigned)priority : 0;
    if (request->heartbeat_ns > 0 && request->heartbeat_ns > request->expires_ns / 2) {
        wrong(request, "heartbeat value too large");
    }
}

static void read_json(struct pull_request *request, struct bytes payload)
{
    json_error_t error;
    json_t *object = json_loadb(payload.data, payload.len, 0, &error);
    if (object) {
        read_object(request, object);
    } else {
        bool cut = json_error_code(&error) == json_error_premature_end_of_input;
        wrong(request, cut ? "unexpected end of JSON input" : "invalid JSON");
    }
    json_decref(object);
}

struct pull_request *pull_request_read(struct bytes payload, struct bytes reply)
{
    struct pull_request *request = calloc(1, sizeof *request + reply.len + 1);
    uint64_t number;
    if (!request) return NULL;
    list_init(&request->link);
    request->reply_len = reply.len;
    if (reply.len) memcpy(request->reply, reply.data, reply.len);
    payload = bytes_trim(payload);
    while (payload.len && strchr("\r\n", payload.data[payload.len - 1])) payload.len--;
    request->formal = payload.len && payload.data[0] == '{';
    if (request->formal) {
        read_json(request, payload);
    } else if (payload.len && bytes_to_u64(payload, INT32_MAX, &number) == 0) {
        request->batch = (int64_t)number;
    }
    if (request->batch < 1) request->batch = 1;
    request->has_bytes = request->bytes > 0;
    if (request->bytes < 0) request->bytes = 0;
    request->is_over = request->expires_ns < 0;
    if (request->is_over) request->expires_ns = 0;
    if (request->heartbeat_ns < 0) request->heartbeat_ns = 0;
    return request;
}
