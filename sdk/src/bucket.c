#include "sdk/src/bucket.h"

#include "sdk/src/api.h"

#include <stdio.h>

bool bucket_char_valid(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_' || c == '-';
}

bool bucket_name_valid(const char *bucket)
{
    size_t len = bucket ? strlen(bucket) : 0;
    for (size_t i = 0; i < len; i++)
        if (!bucket_char_valid(bucket[i])) return false;
    return len && len <= BUCKET_NAME_MAX;
}

json_t *bucket_stream_config(const char *stream, const struct bucket_config *config)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(stream));
    if (config->description)
        json_object_set_new(json, "description", json_string(config->description));
    if (config->ttl_ms)
        json_object_set_new(json, "max_age", json_integer(config->ttl_ms * 1000000));
    json_object_set_new(json, "max_bytes",
                        json_integer(config->max_bytes ? config->max_bytes : -1));
    json_object_set_new(json, "storage", json_string(config->memory ? "memory" : "file"));
    json_object_set_new(json, "num_replicas",
                        json_integer(config->replicas ? config->replicas : 1));
    json_object_set_new(json, "retention", json_string("limits"));
    json_object_set_new(json, "discard", json_string("new"));
    json_object_set_new(json, "allow_rollup_hdrs", json_true());
    json_object_set_new(json, "allow_direct", json_true());
    return json;
}

int bucket_failed(struct dure_ctx *ctx, int err)
{
    enum { NO_STREAM = 10059, IN_USE = 10058 };
    int code = dure_reason_code(ctx);
    if (code == NO_STREAM) return ctx_fail(ctx, err, code, "bucket not found");
    if (code == IN_USE) return ctx_fail(ctx, err, code, "the bucket is there, with other settings");
    return err;
}

int bucket_request(struct dure_ctx *ctx, const char *verb, const char *stream, json_t *request,
                   json_t **ret_answer)
{
    char what[BUCKET_STREAM + 32];
    snprintf(what, sizeof what, "STREAM.%s.%s", verb, stream);
    int err = api_request(ctx, what, request, 0, ret_answer);
    return err ? bucket_failed(ctx, err) : 0;
}

int bucket_watch_open(struct dure_ctx *ctx, const struct dure_reader_options *options,
                      struct bucket_watch *ret_watch)
{
    *ret_watch = (struct bucket_watch){0};
    int err = dure_reader_open(ctx, options, &ret_watch->reader);
    if (err) return bucket_failed(ctx, err);
    ret_watch->caught_up =
        options->from == DURE_FROM_NEW || dure_reader_initial(ret_watch->reader) == 0;
    return 0;
}

int bucket_watch_next(struct bucket_watch *watch, int64_t timeout_ms,
                      struct dure_message *ret_message)
{
    if (watch->caught_up && !watch->told) {
        watch->told = true;
        return 0;
    }
    int err = dure_reader_next(watch->reader, timeout_ms, ret_message);
    if (err) return err;
    if (!ret_message->pending) watch->caught_up = true;
    return 1;
}
