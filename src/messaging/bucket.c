#include "messaging/engine.h"

int bucket_open(struct messaging *messaging, const struct bucket_config *config,
                void (*opened)(void *context), void *context, struct bucket **ret_bucket,
                struct error *error)
{
    int err = messaging->engine->bucket_open(messaging, config, ret_bucket, error);
    if (err) return err;
    (*ret_bucket)->messaging = messaging;
    (*ret_bucket)->opened = opened;
    (*ret_bucket)->opened_context = context;
    return 0;
}

void bucket_close(struct bucket *bucket)
{
    if (bucket) bucket->engine->close(bucket);
}

int bucket_get(struct bucket *bucket, struct bytes key, struct kv_entry *ret_entry)
{
    return bucket->engine->get(bucket, key, ret_entry);
}

void bucket_each(struct bucket *bucket, void (*each)(void *context, const struct kv_entry *entry),
                 void *context)
{
    bucket->engine->each(bucket, each, context);
}

void bucket_watch(struct bucket *bucket, kv_changed *changed, void *context)
{
    bucket->changed = changed;
    bucket->changed_context = context;
}

static void change(struct bucket *bucket, struct bucket_op *op, enum kv_operation operation,
                   struct bytes key, struct bytes value, uint64_t revision, bucket_done *done)
{
    op->done = done;
    op->revision = 0;
    op->bucket = bucket;
    op->message = NULL;
    list_init(&op->link);
    bucket->engine->change(bucket, op, operation, key, value, revision);
}

void bucket_put(struct bucket *bucket, struct bucket_op *op, struct bytes key, struct bytes value,
                bucket_done *done)
{
    change(bucket, op, KV_PUT, key, value, BUCKET_ANY_REVISION, done);
}

void bucket_update(struct bucket *bucket, struct bucket_op *op, struct bytes key,
                   struct bytes value, uint64_t revision, bucket_done *done)
{
    change(bucket, op, KV_PUT, key, value, revision, done);
}

void bucket_purge(struct bucket *bucket, struct bucket_op *op, struct bytes key, bucket_done *done)
{
    change(bucket, op, KV_PURGE, key, BYTES(""), BUCKET_ANY_REVISION, done);
}
