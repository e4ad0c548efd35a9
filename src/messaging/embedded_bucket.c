#include "messaging/embedded.h"

#include <stdlib.h>

struct embedded_bucket {
    struct bucket bucket;
    struct kv *kv;
    struct kv_watch *watch;
    bool live; /* the watch has told what there is */
};

static struct embedded_bucket *embedded_of(struct bucket *bucket)
{
    return CONTAINER_OF(bucket, struct embedded_bucket, bucket);
}

/* What there is comes first, then NULL: both are known to whoever has opened the bucket. */
static void entry_changed(void *context, const struct kv_entry *entry)
{
    struct embedded_bucket *embedded = context;
    struct bucket *bucket = &embedded->bucket;
    if (embedded->live) {
        if (bucket->changed) bucket->changed(bucket->changed_context, entry);
        return;
    }
    if (entry) return;
    embedded->live = true;
    if (bucket->opened) bucket->opened(bucket->opened_context);
}

static void close_it(struct bucket *bucket)
{
    struct embedded_bucket *embedded = embedded_of(bucket);
    kv_unwatch(embedded->watch);
    kv_close(embedded->kv);
    free(embedded);
}

static int get(struct bucket *bucket, struct bytes key, struct kv_entry *ret_entry)
{
    return kv_get(embedded_of(bucket)->kv, key, ret_entry);
}

static void each_entry(struct bucket *bucket,
                       void (*each)(void *context, const struct kv_entry *entry), void *context)
{
    kv_each(embedded_of(bucket)->kv, BYTES(""), each, context);
}

static void change_done(struct kv_op *kv, int result)
{
    struct bucket_op *op = CONTAINER_OF(kv, struct bucket_op, kv);
    op->revision = kv->revision;
    op->done(op, result);
}

static void change(struct bucket *bucket, struct bucket_op *op, enum kv_operation operation,
                   struct bytes key, struct bytes value, uint64_t revision)
{
    struct kv *kv = embedded_of(bucket)->kv;
    if (operation == KV_PURGE)
        kv_purge(kv, &op->kv, key, change_done);
    else if (revision == BUCKET_ANY_REVISION)
        kv_put(kv, &op->kv, key, value, change_done);
    else if (revision == 0)
        kv_create(kv, &op->kv, key, value, change_done);
    else
        kv_update(kv, &op->kv, key, value, revision, change_done);
}

static const struct bucket_engine engine = {close_it, get, each_entry, change};

int embedded_bucket_open(struct messaging *messaging, const struct bucket_config *config,
                         struct bucket **ret_bucket, struct error *error)
{
    struct embedded *messages = CONTAINER_OF(messaging, struct embedded, messaging);
    struct embedded_bucket *embedded = calloc(1, sizeof *embedded);
    if (!embedded) return error_set(error, ERR_NOMEM, "out of memory");
    embedded->bucket.engine = &engine;
    const struct kv_config kv = {.bucket = config->bucket,
                                 .max_value_bytes = config->max_value_bytes};
    int err = kv_open(messages->streams, &kv, &embedded->kv, error);
    if (!err) {
        err = kv_watch(embedded->kv, BYTES(""), entry_changed, embedded, &embedded->watch);
        if (err) error_set(error, err, "cannot watch the bucket %s", config->bucket);
    }
    if (err) {
        kv_close(embedded->kv);
        free(embedded);
        return err;
    }
    *ret_bucket = &embedded->bucket;
    return 0;
}
