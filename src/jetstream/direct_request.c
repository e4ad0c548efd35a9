#include "jetstream/direct_request.h"

#include "base/timestamp.h"
#include "jetstream/api.h"

#include <stdlib.h>

enum { PREFIX_LEN = sizeof "$JS.API.DIRECT.GET." - 1 };

struct bytes direct_request_stream(struct bytes subject)
{
    struct bytes rest = bytes_skip(subject, PREFIX_LEN);
    return bytes_cut(&rest, '.');
}

/* Each reads one member, which may be missing or null; false: it has the wrong type. */

static bool read_number(json_t *body, const char *key, uint64_t *ret)
{
    json_t *value = json_object_get(body, key);
    *ret = 0;
    if (!value || json_is_null(value)) return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool read_text(json_t *body, const char *key, struct bytes *ret)
{
    json_t *value = json_object_get(body, key);
    *ret = bytes_make(json_string_value(value), json_string_length(value));
    return !value || json_is_null(value) || json_is_string(value);
}

static bool read_time(json_t *body, const char *key, bool *ret_given, uint64_t *ret_ns)
{
    struct bytes text;
    *ret_given = false;
    if (!read_text(body, key, &text)) return false;
    if (!text.len) return true;
    *ret_given = true;
    return timestamp_parse(text, ret_ns) == 0;
}

static bool read_many(json_t *body, struct direct_request *request)
{
    json_t *array = json_object_get(body, "multi_last");
    size_t count = json_array_size(array);
    if (array && !json_is_null(array) && !json_is_array(array)) return false;
    if (!count) return true;
    request->many = calloc(count, sizeof *request->many);
    if (!request->many) return false;
    for (size_t i = 0; i < count; i++) {
        json_t *value = json_array_get(array, i);
        if (!json_is_string(value)) return false;
        request->many[i] = bytes_make(json_string_value(value), json_string_length(value));
    }
    request->many_count = count;
    return true;
}

static bool read_body(json_t *body, struct direct_request *request)
{
    uint64_t batch, max_bytes;
    json_t *no_headers = json_object_get(body, "no_hdr");
    bool right = json_is_object(body) && read_number(body, "seq", &request->seq) &&
                 read_text(body, "last_by_subj", &request->last) &&
                 read_text(body, "next_by_subj", &request->next) &&
                 read_time(body, "start_time", &request->by_time, &request->start_ns) &&
                 read_number(body, "batch", &batch) && read_number(body, "max_bytes", &max_bytes) &&
                 read_number(body, "up_to_seq", &request->up_to_seq) &&
                 read_time(body, "up_to_time", &request->by_up_to_time, &request->up_to_ns) &&
                 read_many(body, request);
    if (!right) return false;
    request->no_headers = json_is_true(no_headers);
    request->batch = batch;
    request->max_bytes = max_bytes;
    return true;
}

static bool asks_nothing(const struct direct_request *r)
{
    return !r->seq && !r->last.len && !r->next.len && !r->many_count && !r->by_time;
}

static bool contradicts(const struct direct_request *r)
{
    if (r->seq && (r->last.len || r->by_time)) return true;
    if (r->last.len && (r->by_time || r->next.len || r->batch || r->many_count)) return true;
    return (r->next.len && r->many_count) || (r->up_to_seq && r->by_up_to_time);
}

/* Behind a subject only how the answer looks may be said. */
static bool says_more(const struct direct_request *r)
{
    return !asks_nothing(r) || r->batch || r->up_to_seq || r->by_up_to_time;
}

const char *direct_request_read(struct direct_request *request, const struct message *message,
                                int *ret_status)
{
    struct bytes subject = bytes_skip(message->subject, PREFIX_LEN);
    *request = (struct direct_request){.stream = bytes_cut(&subject, '.')};
    *ret_status = 412;
    if (!api_level_is_there(message->headers)) return "Required Api Level";
    *ret_status = 408;
    bool by_subject = subject.len != 0;
    if (message->payload.len) {
        request->body = json_loadb(message->payload.data, message->payload.len, 0, NULL);
        if (!read_body(request->body, request)) return "Malformed Request";
    }
    if (by_subject) {
        if (says_more(request)) return "Bad Request";
        request->last = subject;
        return NULL;
    }
    if (asks_nothing(request)) return "Empty Request";
    return contradicts(request) ? "Bad Request" : NULL;
}

void direct_request_release(struct direct_request *request)
{
    json_decref(request->body);
    free(request->many);
    *request = (struct direct_request){0};
}
