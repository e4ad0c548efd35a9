/* Putting and getting the bytes of objects: chunk by chunk, with their digest. */
#include "sdk/src/object.h"
#include "sdk/src/secure.h"

#include <stdlib.h>

enum {
    PUT_WINDOW = 8, /* chunks without acknowledgement */
    GET_AHEAD = 16,
    LINKS_MAX = 8,
    CHUNK_MAX = 32 << 20
};

/* ---- putting ------------------------------------------------------------------------------ */

struct put {
    struct dure_ctx *ctx;
    struct dure_object object;
    dure_source *source;
    void *argument;
    char *chunk;
    struct dure_publisher *publisher;
    struct secure_digest *digest;
};

/* Fills a chunk as far as the source has bytes. */
static int64_t fill_chunk(struct put *put)
{
    size_t len = 0;
    while (len < put->object.chunk_size) {
        int64_t got = put->source(put->argument, put->chunk + len, put->object.chunk_size - len);
        if (got < 0) return got;
        if (!got) break;
        len += (size_t)got;
    }
    return (int64_t)len;
}

static int put_chunks(struct put *put)
{
    char subject[OBJECT_SUBJECT];
    object_chunk_subject(put->object.bucket, put->object.id, subject);
    for (;;) {
        int64_t len = fill_chunk(put);
        if (len < 0) return (int)len;
        if (!len) break;
        dure_secure.digest_add(put->digest, bytes_make(put->chunk, (size_t)len));
        const struct dure_publication publication = {
            .subject = subject, .body = put->chunk, .len = (size_t)len};
        int err = dure_publisher_put(put->publisher, &publication, 0);
        if (err) return err;
        put->object.size += (uint64_t)len;
        put->object.chunks++;
        if ((size_t)len < put->object.chunk_size) break;
    }
    return dure_publisher_flush(put->publisher);
}

static void note_reason(void *argument, uint64_t tag, const struct dure_stored *stored)
{
    if (stored->err) ctx_fail(argument, stored->err, stored->code, stored->reason);
}

static int put_object(struct put *put)
{
    const struct dure_publisher_options options = {
        .window = PUT_WINDOW, .stored = note_reason, .argument = put->ctx};
    uint8_t hash[SECURE_SHA256];
    char digest[OBJECT_DIGEST];
    put->digest = dure_secure.digest_new();
    put->chunk = malloc(put->object.chunk_size);
    int err = put->digest && put->chunk ? 0 : DURE_ENOMEM;
    if (!err) err = dure_publisher_open(put->ctx, &options, &put->publisher);
    if (!err) err = put_chunks(put);
    dure_publisher_close(put->publisher);
    free(put->chunk);
    if (put->digest) dure_secure.digest_end(put->digest, hash);
    if (err) return err;
    object_digest(hash, digest);
    put->object.digest = arena_copy(&put->ctx->arena, bytes_str(digest));
    put->object.time_ns = dure_wall_ns();
    return put->object.digest ? object_describe(put->ctx, &put->object) : DURE_ENOMEM;
}

static size_t chunk_size(struct dure_ctx *ctx, const struct dure_object_options *options)
{
    enum { HEADERS = 4096 }; /* what a chunk needs besides its bytes */
    struct dure_server server;
    size_t size = options && options->chunk_size ? options->chunk_size : DURE_OBJECT_CHUNK;
    dure_server(ctx, &server);
    size_t most = server.max_payload > 2 * HEADERS ? server.max_payload - HEADERS : CHUNK_MAX;
    if (most > CHUNK_MAX) most = CHUNK_MAX;
    return size < most ? size : most;
}

int dure_object_put(struct dure_ctx *ctx, const char *bucket, const char *name,
                    const struct dure_object_options *options, dure_source *source, void *argument,
                    struct dure_object *ret_object)
{
    struct dure_object old;
    if (!source) return DURE_EINVALID;
    if (!&dure_secure) return DURE_EUNSUPPORTED;
    int err = object_lookup(ctx, bucket, name, &old);
    if (err && !(err == DURE_ENOTFOUND && dure_reason_code(ctx) == 10037)) return err;
    struct put put = {.ctx = ctx, .source = source, .argument = argument};
    put.object = (struct dure_object){.bucket = arena_copy(&ctx->arena, bytes_str(bucket)),
                                      .name = arena_copy(&ctx->arena, bytes_str(name)),
                                      .description = options ? options->description : NULL,
                                      .id = dure_new_id(ctx),
                                      .chunk_size = chunk_size(ctx, options)};
    if (!put.object.bucket || !put.object.name || !put.object.id) return DURE_ENOMEM;
    err = put_object(&put);
    if (err)
        object_drop_chunks(ctx, bucket, put.object.id);
    else if (old.id && *old.id)
        object_drop_chunks(ctx, bucket, old.id);
    if (!err && ret_object) *ret_object = put.object;
    return err;
}

/* ---- getting ------------------------------------------------------------------------------ */

static int check(struct dure_ctx *ctx, const struct dure_object *object, uint64_t size,
                 const uint8_t hash[SECURE_SHA256])
{
    char digest[OBJECT_DIGEST];
    object_digest(hash, digest);
    if (size != object->size)
        return ctx_fail(ctx, DURE_EPROTOCOL, 0, "the object has not the size that it says");
    struct bytes ours = bytes_str(digest), theirs = bytes_str(object->digest);
    while (bytes_ends(ours, BYTES("="))) ours = bytes_head(ours, ours.len - 1);
    while (bytes_ends(theirs, BYTES("="))) theirs = bytes_head(theirs, theirs.len - 1);
    if (!bytes_eq(ours, theirs))
        return ctx_fail(ctx, DURE_EPROTOCOL, 0, "the object's digest differs: it is damaged");
    return 0;
}

static int get_chunks(struct dure_ctx *ctx, const struct dure_object *object, dure_sink *sink,
                      void *argument, struct secure_digest *digest, uint64_t *ret_size)
{
    char stream[BUCKET_STREAM], subject[OBJECT_SUBJECT];
    struct dure_reader *reader;
    struct dure_message message;
    object_stream(object->bucket, stream);
    object_chunk_subject(object->bucket, object->id, subject);
    const struct dure_reader_options options = {
        .stream = stream, .filter = subject, .ahead = GET_AHEAD};
    if (!object->chunks) return 0;
    int err = dure_reader_open(ctx, &options, &reader);
    if (err) return err;
    if (dure_reader_initial(reader) < object->chunks)
        err = ctx_fail(ctx, DURE_EPROTOCOL, 0, "chunks of the object are missing");
    for (uint64_t i = 0; i < object->chunks && !err; i++) {
        err = dure_reader_next(reader, 0, &message);
        if (err) break;
        dure_secure.digest_add(digest, bytes_make(message.body, message.len));
        *ret_size += message.len;
        err = sink(argument, message.body, message.len);
    }
    dure_reader_close(reader);
    return err;
}

/* The object behind a chain of links. */
static int resolve(struct dure_ctx *ctx, const char *bucket, const char *name,
                   struct dure_object *ret_object)
{
    int err = dure_object_info(ctx, bucket, name, ret_object);
    for (int i = 0; !err && ret_object->link_bucket; i++) {
        if (!ret_object->link_name || !*ret_object->link_name)
            return ctx_fail(ctx, DURE_EINVALID, 0, "this is a link to a bucket");
        if (i == LINKS_MAX) return ctx_fail(ctx, DURE_EINVALID, 0, "too many links in a row");
        err = dure_object_info(ctx, ret_object->link_bucket, ret_object->link_name, ret_object);
    }
    return err;
}

int dure_object_get(struct dure_ctx *ctx, const char *bucket, const char *name, dure_sink *sink,
                    void *argument, struct dure_object *ret_object)
{
    uint8_t hash[SECURE_SHA256];
    struct dure_object object;
    uint64_t size = 0;
    if (!sink) return DURE_EINVALID;
    if (!&dure_secure) return DURE_EUNSUPPORTED;
    int err = resolve(ctx, bucket, name, &object);
    if (err) return err;
    struct secure_digest *digest = dure_secure.digest_new();
    if (!digest) return DURE_ENOMEM;
    err = get_chunks(ctx, &object, sink, argument, digest, &size);
    dure_secure.digest_end(digest, hash);
    if (!err) err = check(ctx, &object, size, hash);
    if (!err && ret_object) *ret_object = object;
    return err;
}
