#include "sdk/src/object.h"

#include "sdk/src/api.h"
#include "sdk/src/buslink.h"

#include "base/base64.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names -------------------------------------------------------------------------------- */

bool object_name_valid(const char *name)
{
    return name && *name && strlen(name) <= OBJECT_NAME_MAX;
}

void object_stream(const char *bucket, char ret_stream[BUCKET_STREAM])
{
    snprintf(ret_stream, BUCKET_STREAM, "OBJ_%.*s", BUCKET_NAME_MAX, bucket);
}

void object_chunk_subject(const char *bucket, const char *id, char ret_subject[OBJECT_SUBJECT])
{
    snprintf(ret_subject, OBJECT_SUBJECT, "$O.%s.C.%s", bucket, id);
}

void object_meta_subject(const char *bucket, const char *name, char ret_subject[OBJECT_SUBJECT])
{
    struct buf text;
    buf_init(&text, OBJECT_SUBJECT);
    base64url_append(&text, bytes_str(name), true);
    snprintf(ret_subject, OBJECT_SUBJECT, "$O.%s.M.%.*s", bucket, BYTES_ARG(buf_bytes(&text)));
    buf_release(&text);
}

void object_digest(const uint8_t hash[32], char ret_text[OBJECT_DIGEST])
{
    struct buf text;
    buf_init(&text, OBJECT_DIGEST);
    base64url_append(&text, bytes_make(hash, 32), true);
    snprintf(ret_text, OBJECT_DIGEST, "SHA-256=%.*s", BYTES_ARG(buf_bytes(&text)));
    buf_release(&text);
}

/* ---- buckets ------------------------------------------------------------------------------ */

int dure_object_open(struct dure_ctx *ctx, const char *bucket,
                     const struct dure_object_config *config)
{
    static const struct dure_object_config defaults;
    char stream[BUCKET_STREAM], chunks[OBJECT_SUBJECT], metas[OBJECT_SUBJECT];
    if (!config) config = &defaults;
    if (!bucket_name_valid(bucket) || config->ttl_ms < 0 || config->replicas < 0)
        return DURE_EINVALID;
    const struct bucket_config common = {config->description, config->ttl_ms, config->max_bytes,
                                         config->replicas, config->memory};
    object_stream(bucket, stream);
    object_chunk_subject(bucket, ">", chunks);
    snprintf(metas, sizeof metas, "$O.%s.M.>", bucket);
    json_t *request = bucket_stream_config(stream, &common);
    json_object_set_new(request, "subjects", json_pack("[s,s]", chunks, metas));
    return bucket_request(ctx, "CREATE", stream, request, NULL);
}

int dure_object_drop(struct dure_ctx *ctx, const char *bucket)
{
    char stream[BUCKET_STREAM];
    if (!bucket_name_valid(bucket)) return DURE_EINVALID;
    object_stream(bucket, stream);
    return bucket_request(ctx, "DELETE", stream, NULL, NULL);
}

int dure_object_seal(struct dure_ctx *ctx, const char *bucket)
{
    char stream[BUCKET_STREAM];
    json_t *answer;
    if (!bucket_name_valid(bucket)) return DURE_EINVALID;
    object_stream(bucket, stream);
    int err = bucket_request(ctx, "INFO", stream, NULL, &answer);
    if (err) return err;
    json_t *config = json_incref(json_object_get(answer, "config"));
    json_decref(answer);
    json_object_set_new(config, "sealed", json_true());
    return bucket_request(ctx, "UPDATE", stream, config, NULL);
}

/* ---- descriptions ------------------------------------------------------------------------- */

static const char *copy(struct arena *arena, const char *text)
{
    return text ? arena_copy(arena, bytes_str(text)) : NULL;
}

static int take(struct arena *arena, const json_t *json, struct dure_object *object)
{
    const json_t *options = json_object_get(json, "options");
    const json_t *link = json_object_get(options, "link");
    object->bucket = copy(arena, api_text(json, "bucket"));
    object->name = copy(arena, api_text(json, "name"));
    object->description = copy(arena, api_text(json, "description"));
    object->id = copy(arena, api_text(json, "nuid"));
    object->digest = copy(arena, api_text(json, "digest"));
    object->size = api_u64(json, "size");
    object->chunks = api_u64(json, "chunks");
    object->chunk_size = api_u64(options, "max_chunk_size");
    object->deleted = json_is_true(json_object_get(json, "deleted"));
    object->link_bucket = copy(arena, json_string_value(json_object_get(link, "bucket")));
    object->link_name = copy(arena, json_string_value(json_object_get(link, "name")));
    return arena->failed ? DURE_ENOMEM : *object->name ? 0 : DURE_EPROTOCOL;
}

int object_take(struct arena *arena, const struct dure_message *message,
                struct dure_object *ret_object)
{
    json_t *json = json_loadb(message->body, message->len, 0, NULL);
    *ret_object = (struct dure_object){.time_ns = message->time_ns, .pending = message->pending};
    int err = json_is_object(json) ? take(arena, json, ret_object) : DURE_EPROTOCOL;
    json_decref(json);
    return err;
}

int object_lookup(struct dure_ctx *ctx, const char *bucket, const char *name,
                  struct dure_object *ret_object)
{
    char stream[BUCKET_STREAM], subject[OBJECT_SUBJECT];
    struct dure_message message;
    *ret_object = (struct dure_object){0};
    if (!bucket_name_valid(bucket) || !object_name_valid(name)) return DURE_EINVALID;
    object_stream(bucket, stream);
    object_meta_subject(bucket, name, subject);
    int err = api_get_message(ctx, stream, 0, false, subject, &message);
    if (err == DURE_ENOTFOUND && dure_reason_code(ctx) == 10037)
        return ctx_fail(ctx, DURE_ENOTFOUND, 10037, "object not found");
    if (err) return bucket_failed(ctx, err);
    return object_take(&ctx->arena, &message, ret_object);
}

int dure_object_info(struct dure_ctx *ctx, const char *bucket, const char *name,
                     struct dure_object *ret_object)
{
    int err = object_lookup(ctx, bucket, name, ret_object);
    if (err || !ret_object->deleted) return err;
    return ctx_fail(ctx, DURE_ENOTFOUND, 0, "the object was deleted");
}

int object_describe(struct dure_ctx *ctx, const struct dure_object *object)
{
    static const char *const headers[] = {"Nats-Rollup", "sub", NULL};
    char subject[OBJECT_SUBJECT];
    json_t *json = json_pack("{s:s,s:s,s:s,s:I,s:I,s:s,s:b}", "name", object->name, "bucket",
                             object->bucket, "nuid", object->id, "size", (json_int_t)object->size,
                             "chunks", (json_int_t)object->chunks, "digest",
                             object->digest ? object->digest : "", "deleted", (int)object->deleted);
    if (!json) return DURE_EINVALID; /* a name that is not UTF-8 */
    if (object->description && *object->description)
        json_object_set_new(json, "description", json_string(object->description));
    if (!object->deleted) json_object_del(json, "deleted");
    if (object->chunk_size)
        json_object_set_new(json, "options",
                            json_pack("{s:I}", "max_chunk_size", (json_int_t)object->chunk_size));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    if (!text) return DURE_ENOMEM;
    object_meta_subject(object->bucket, object->name, subject);
    const struct dure_publication publication = {
        .subject = subject, .headers = headers, .body = text, .len = strlen(text)};
    int err = dure_tell_message(ctx, &publication, 0, NULL);
    free(text);
    return err;
}

void object_drop_chunks(struct dure_ctx *ctx, const char *bucket, const char *id)
{
    char stream[BUCKET_STREAM], chunks[OBJECT_SUBJECT], subject[BUCKET_STREAM + 32];
    char request[OBJECT_SUBJECT + 16];
    object_stream(bucket, stream);
    object_chunk_subject(bucket, id, chunks);
    snprintf(subject, sizeof subject, "$JS.API.STREAM.PURGE.%s", stream);
    snprintf(request, sizeof request, "{\"filter\":\"%s\"}", chunks);
    buslink_publish(ctx->tenant->host->bus, subject, bytes_str(request));
}

int dure_object_delete(struct dure_ctx *ctx, const char *bucket, const char *name)
{
    struct dure_object object;
    int err = dure_object_info(ctx, bucket, name, &object);
    if (err) return err;
    const struct dure_object gone = {.bucket = bucket,
                                     .name = name,
                                     .description = object.description,
                                     .id = object.id,
                                     .chunk_size = object.chunk_size,
                                     .deleted = true};
    err = object_describe(ctx, &gone);
    if (!err) object_drop_chunks(ctx, bucket, object.id);
    return err;
}
