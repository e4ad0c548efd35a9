/* Watching a bucket: a reader of its stream. */
#include "sdk/src/kv.h"

#include <stdio.h>
#include <stdlib.h>

struct dure_kv_watch {
    struct ctx_resource resource;
    struct bucket_watch watch;
    char bucket[BUCKET_NAME_MAX + 1];
    bool no_deletes;
};

static void release(struct ctx_resource *resource)
{
    free(CONTAINER_OF(resource, struct dure_kv_watch, resource));
}

int dure_kv_watch_open(struct dure_ctx *ctx, const char *bucket,
                       const struct dure_kv_watch_options *options,
                       struct dure_kv_watch **ret_watch)
{
    static const struct dure_kv_watch_options defaults;
    char stream[BUCKET_STREAM], filter[KV_SUBJECT];
    *ret_watch = NULL;
    if (!options) options = &defaults;
    const char *keys = options->keys ? options->keys : ">";
    if (!bucket_name_valid(bucket) || !kv_key_valid(keys, true)) return DURE_EINVALID;
    kv_stream(bucket, stream);
    kv_subject(bucket, keys, filter);
    const struct dure_reader_options reader = {
        .stream = stream,
        .filter = filter,
        .from = options->updates_only ? DURE_FROM_NEW
                : options->history    ? DURE_FROM_FIRST
                                      : DURE_FROM_LAST_PER_SUBJECT,
        .headers_only = options->no_values,
    };
    struct dure_kv_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return DURE_ENOMEM;
    int err = bucket_watch_open(ctx, &reader, &watch->watch);
    if (err) {
        free(watch);
        return err;
    }
    snprintf(watch->bucket, sizeof watch->bucket, "%s", bucket);
    watch->no_deletes = options->no_deletes;
    ctx_own(ctx, &watch->resource, release);
    *ret_watch = watch;
    return 0;
}

int dure_kv_watch_next(struct dure_kv_watch *watch, int64_t timeout_ms,
                       struct dure_kv_entry *ret_entry)
{
    struct dure_message message;
    *ret_entry = (struct dure_kv_entry){.key = "", .value = ""};
    for (;;) {
        int more = bucket_watch_next(&watch->watch, timeout_ms, &message);
        if (more <= 0) return more;
        kv_entry_take(watch->bucket, &message, ret_entry);
        if (ret_entry->operation == DURE_KV_PUT || !watch->no_deletes) return 1;
    }
}

void dure_kv_watch_close(struct dure_kv_watch *watch)
{
    if (!watch) return;
    dure_reader_close(watch->watch.reader);
    ctx_disown(&watch->resource);
    release(&watch->resource);
}
