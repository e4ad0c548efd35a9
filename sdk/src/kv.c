#include "sdk/src/kv.h"

#include "sdk/src/api.h"
#include "sdk/src/buslink.h"
#include "sdk/src/json.h"

#include "base/timestamp.h"

#include <stdio.h>
#include <strings.h>

/* ---- names -------------------------------------------------------------------------------- */

bool kv_key_valid(const char *key, bool wildcards)
{
    size_t len = key ? strlen(key) : 0;
    for (size_t i = 0; i < len; i++) {
        bool wild = wildcards && (key[i] == '*' || key[i] == '>');
        if (!bucket_char_valid(key[i]) && !strchr("./=", key[i]) && !wild) return false;
    }
    return len && len <= 800 && busname_valid(key, wildcards);
}

void kv_subject(const char *bucket, const char *key, char ret_subject[KV_SUBJECT])
{
    snprintf(ret_subject, KV_SUBJECT, "$KV.%s.%s", bucket, key);
}

void kv_stream(const char *bucket, char ret_stream[BUCKET_STREAM])
{
    snprintf(ret_stream, BUCKET_STREAM, "KV_%.*s", BUCKET_NAME_MAX, bucket);
}

/* ---- buckets ------------------------------------------------------------------------------ */

int dure_kv_open(struct dure_ctx *ctx, const char *bucket, const struct dure_kv_config *config)
{
    static const struct dure_kv_config defaults;
    char stream[BUCKET_STREAM], subject[KV_SUBJECT];
    if (!config) config = &defaults;
    if (!bucket_name_valid(bucket) || config->history < 0 || config->history > 64)
        return DURE_EINVALID;
    if (config->ttl_ms < 0 || config->replicas < 0) return DURE_EINVALID;
    const struct bucket_config common = {config->description, config->ttl_ms, config->max_bytes,
                                         config->replicas, config->memory};
    kv_stream(bucket, stream);
    kv_subject(bucket, ">", subject);
    json_t *request = bucket_stream_config(stream, &common);
    json_object_set_new(request, "subjects", json_pack("[s]", subject));
    json_object_set_new(request, "max_msgs_per_subject",
                        json_integer(config->history ? config->history : 1));
    json_object_set_new(request, "max_msg_size",
                        json_integer(config->max_value ? config->max_value : -1));
    json_object_set_new(request, "deny_delete", json_true());
    return bucket_request(ctx, "CREATE", stream, request, NULL);
}

int dure_kv_drop(struct dure_ctx *ctx, const char *bucket)
{
    char stream[BUCKET_STREAM];
    if (!bucket_name_valid(bucket)) return DURE_EINVALID;
    kv_stream(bucket, stream);
    return bucket_request(ctx, "DELETE", stream, NULL, NULL);
}

int dure_kv_status(struct dure_ctx *ctx, const char *bucket, struct dure_kv_status *ret_status)
{
    char stream[BUCKET_STREAM];
    json_t *answer;
    *ret_status = (struct dure_kv_status){.bucket = "", .description = ""};
    if (!bucket_name_valid(bucket)) return DURE_EINVALID;
    kv_stream(bucket, stream);
    int err = bucket_request(ctx, "INFO", stream, NULL, &answer);
    if (err) return err;
    const struct dure_json *json = json_hold(ctx, answer); /* the texts are in it */
    if (!json) return DURE_ENOMEM;
    const json_t *config = json_object_get(answer, "config");
    const json_t *state = json_object_get(answer, "state");
    *ret_status = (struct dure_kv_status){
        .bucket = arena_copy(&ctx->arena, bytes_str(bucket)),
        .description = api_text(config, "description"),
        .values = api_u64(state, "messages"),
        .bytes = api_u64(state, "bytes"),
        .history = (int)api_u64(config, "max_msgs_per_subject"),
        .ttl_ms = (int64_t)(api_u64(config, "max_age") / 1000000),
        .max_bytes = json_integer_value(json_object_get(config, "max_bytes")),
        .max_value = json_integer_value(json_object_get(config, "max_msg_size")),
        .replicas = (int)api_u64(config, "num_replicas"),
        .memory = strcmp(api_text(config, "storage"), "memory") == 0,
        .json = json,
    };
    return ret_status->bucket ? 0 : DURE_ENOMEM;
}

/* ---- reading ------------------------------------------------------------------------------ */

static enum dure_kv_operation operation_of(const struct dure_headers *headers)
{
    const char *operation = headers_find(headers, "KV-Operation");
    const char *marker = headers_find(headers, "Nats-Marker-Reason"); /* ADR-43 */
    if (marker) return strcmp(marker, "Remove") == 0 ? DURE_KV_DELETE : DURE_KV_PURGE;
    if (!operation) return DURE_KV_PUT;
    return strcasecmp(operation, "PURGE") == 0 ? DURE_KV_PURGE : DURE_KV_DELETE;
}

void kv_entry_take(const char *bucket, const struct dure_message *message,
                   struct dure_kv_entry *ret_entry)
{
    size_t prefix = strlen("$KV.") + strlen(bucket) + 1;
    bool whole = strlen(message->subject) > prefix;
    *ret_entry = (struct dure_kv_entry){
        .key = whole ? message->subject + prefix : "",
        .value = message->body,
        .len = message->len,
        .revision = message->sequence,
        .time_ns = message->time_ns,
        .pending = message->pending,
        .operation = operation_of(message->headers),
    };
}

/* Straight from the stream's memory (ADR-31). DURE_ENOBODY: this stream does not offer it. */
static int get_directly(struct dure_ctx *ctx, const char *stream, const char *subject,
                        struct dure_message *ret_message)
{
    char where[KV_SUBJECT + BUCKET_STREAM + 32];
    struct dure_answer answer;
    snprintf(where, sizeof where, "$JS.API.DIRECT.GET.%s.%s", stream, subject);
    int err = dure_ask(ctx, where, NULL, 0, &answer);
    if (err) return err;
    const char *sequence = dure_answer_header(&answer, "Nats-Sequence");
    const char *time = dure_answer_header(&answer, "Nats-Time-Stamp");
    if (!sequence) return ctx_fail(ctx, DURE_ENOTFOUND, 10037, "no message found");
    *ret_message = (struct dure_message){
        .subject = arena_copy(&ctx->arena, bytes_str(subject)),
        .reply = "",
        .body = answer.body,
        .len = answer.len,
        .headers = answer.headers,
    };
    if (!ret_message->subject) return DURE_ENOMEM;
    if (bytes_to_u64(bytes_str(sequence), UINT64_MAX, &ret_message->sequence) != 0 || !time ||
        timestamp_parse(bytes_str(time), &ret_message->time_ns) != 0)
        return DURE_EPROTOCOL;
    return 0;
}

/* The newest message of a key, whatever it is. Before 2.10 a server does not answer at all when it
 * is asked directly for what it has not. */
static int get_last(struct dure_ctx *ctx, const char *bucket, const char *key,
                    struct dure_message *ret_message)
{
    char stream[BUCKET_STREAM], subject[KV_SUBJECT];
    kv_stream(bucket, stream);
    kv_subject(bucket, key, subject);
    ctx_fail(ctx, 0, 0, NULL);
    bool directly = buslink_version(ctx->tenant->host->bus) >= 2010000;
    int err = directly ? get_directly(ctx, stream, subject, ret_message) : DURE_ENOBODY;
    if (err == DURE_ENOBODY || err == DURE_EPROTOCOL)
        err = api_get_message(ctx, stream, 0, false, subject, ret_message);
    return err;
}

int dure_kv_get(struct dure_ctx *ctx, const char *bucket, const char *key, uint64_t revision,
                struct dure_kv_entry *ret_entry)
{
    char stream[BUCKET_STREAM], subject[KV_SUBJECT];
    struct dure_message message = {.subject = ""};
    *ret_entry = (struct dure_kv_entry){.key = "", .value = ""};
    if (!bucket_name_valid(bucket) || !kv_key_valid(key, false)) return DURE_EINVALID;
    int err;
    if (revision) {
        kv_stream(bucket, stream);
        kv_subject(bucket, key, subject);
        err = api_get_message(ctx, stream, revision, false, NULL, &message);
        if (!err && strcmp(message.subject, subject) != 0)
            err = ctx_fail(ctx, DURE_ENOTFOUND, 0, "that revision is of another key");
    } else {
        err = get_last(ctx, bucket, key, &message);
    }
    if (err == DURE_ENOTFOUND && dure_reason_code(ctx) == 10037)
        return ctx_fail(ctx, err, 10037, "key not found");
    if (err) return bucket_failed(ctx, err);
    kv_entry_take(bucket, &message, ret_entry);
    if (ret_entry->operation == DURE_KV_PUT) return 0;
    return ctx_fail(ctx, DURE_ENOTFOUND, 0, "the key was deleted");
}

/* ---- writing ------------------------------------------------------------------------------ */

/* What a write says besides its value. */
struct change {
    const char *operation; /* NULL: a value */
    bool rollup;           /* forget what was before */
    bool expects;          /* only if the key's revision is `revision` (0: there is none) */
    uint64_t revision;
};

static int write_key(struct dure_ctx *ctx, const char *bucket, const char *key, struct bytes value,
                     const struct change *change, const char *id, uint64_t *ret_revision)
{
    const char *headers[7] = {NULL};
    char subject[KV_SUBJECT], expected[24];
    struct dure_stored stored;
    size_t n = 0;
    if (change->operation) {
        headers[n++] = "KV-Operation";
        headers[n++] = change->operation;
    }
    if (change->rollup) {
        headers[n++] = "Nats-Rollup";
        headers[n++] = "sub";
    }
    if (change->expects) {
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)change->revision);
        headers[n++] = "Nats-Expected-Last-Subject-Sequence";
        headers[n++] = expected;
    }
    kv_subject(bucket, key, subject);
    const struct dure_publication publication = {
        .subject = subject, .headers = headers, .body = value.data, .len = value.len, .id = id};
    int err = dure_tell_message(ctx, &publication, 0, &stored);
    if (err == DURE_ENOSTREAM) err = ctx_fail(ctx, DURE_ENOTFOUND, 0, "bucket not found");
    if (!err && ret_revision) *ret_revision = stored.sequence;
    return err;
}

/* A conflict with ourselves: the write was stored, its acknowledgement lost, and it was sent again
 * (a wrong expectation is noticed before a message id that is there already). */
static bool was_ours(const struct dure_message *last, const char *id)
{
    const char *other = headers_find(last->headers, "Nats-Msg-Id");
    return other && strcmp(other, id) == 0;
}

static int change_key(struct dure_ctx *ctx, const char *bucket, const char *key, const void *value,
                      size_t len, const struct change *change, uint64_t *ret_revision)
{
    struct dure_message last = {.subject = ""};
    const char *id = dure_new_id(ctx);
    if (!bucket_name_valid(bucket) || !kv_key_valid(key, false) || (len && !value))
        return DURE_EINVALID;
    if (!id) return DURE_ENOMEM;
    struct bytes bytes = bytes_make(value ? value : "", len);
    int err = write_key(ctx, bucket, key, bytes, change, id, ret_revision);
    if (err != DURE_ECONFLICT) return err;
    if (get_last(ctx, bucket, key, &last) != 0 || !was_ours(&last, id))
        return ctx_fail(ctx, DURE_ECONFLICT, 10071, "the key has another revision");
    if (ret_revision) *ret_revision = last.sequence;
    return 0;
}

int dure_kv_put(struct dure_ctx *ctx, const char *bucket, const char *key, const void *value,
                size_t len, uint64_t *ret_revision)
{
    return change_key(ctx, bucket, key, value, len, &(struct change){0}, ret_revision);
}

int dure_kv_update(struct dure_ctx *ctx, const char *bucket, const char *key, const void *value,
                   size_t len, uint64_t revision, uint64_t *ret_revision)
{
    const struct change change = {.expects = true, .revision = revision};
    return change_key(ctx, bucket, key, value, len, &change, ret_revision);
}

int dure_kv_create(struct dure_ctx *ctx, const char *bucket, const char *key, const void *value,
                   size_t len, uint64_t *ret_revision)
{
    struct dure_message last = {.subject = ""};
    struct dure_kv_entry entry;
    int err = dure_kv_update(ctx, bucket, key, value, len, 0, ret_revision);
    if (err != DURE_ECONFLICT) return err;
    err = get_last(ctx, bucket, key, &last);
    if (err) return err;
    kv_entry_take(bucket, &last, &entry);
    if (entry.operation != DURE_KV_PUT) /* deleted: its marker is what we replace */
        err = dure_kv_update(ctx, bucket, key, value, len, entry.revision, ret_revision);
    else
        err = DURE_ECONFLICT;
    return err == DURE_ECONFLICT ? ctx_fail(ctx, DURE_EEXISTS, 10071, "the key exists") : err;
}

int dure_kv_delete(struct dure_ctx *ctx, const char *bucket, const char *key, uint64_t revision)
{
    const struct change change = {
        .operation = "DEL", .expects = revision != 0, .revision = revision};
    return change_key(ctx, bucket, key, NULL, 0, &change, NULL);
}

int dure_kv_purge(struct dure_ctx *ctx, const char *bucket, const char *key, uint64_t revision)
{
    const struct change change = {
        .operation = "PURGE", .rollup = true, .expects = revision != 0, .revision = revision};
    return change_key(ctx, bucket, key, NULL, 0, &change, NULL);
}
