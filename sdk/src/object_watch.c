/* Watching an object store: a reader of its descriptions. */
#include "sdk/src/object.h"

#include <stdio.h>
#include <stdlib.h>

struct dure_object_watch {
    struct ctx_resource resource;
    struct bucket_watch watch;
    struct arena arena; /* the texts of the object given last */
};

static void release(struct ctx_resource *resource)
{
    struct dure_object_watch *watch = CONTAINER_OF(resource, struct dure_object_watch, resource);
    arena_release(&watch->arena);
    free(watch);
}

int dure_object_watch_open(struct dure_ctx *ctx, const char *bucket, bool updates_only,
                           struct dure_object_watch **ret_watch)
{
    enum { DESCRIPTION_MAX = 1 << 20 };
    char stream[BUCKET_STREAM], filter[OBJECT_SUBJECT];
    *ret_watch = NULL;
    if (!bucket_name_valid(bucket)) return DURE_EINVALID;
    object_stream(bucket, stream);
    snprintf(filter, sizeof filter, "$O.%s.M.>", bucket);
    const struct dure_reader_options options = {
        .stream = stream,
        .filter = filter,
        .from = updates_only ? DURE_FROM_NEW : DURE_FROM_LAST_PER_SUBJECT,
    };
    struct dure_object_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return DURE_ENOMEM;
    int err = bucket_watch_open(ctx, &options, &watch->watch);
    if (err) {
        free(watch);
        return err;
    }
    arena_init(&watch->arena, DESCRIPTION_MAX);
    ctx_own(ctx, &watch->resource, release);
    *ret_watch = watch;
    return 0;
}

int dure_object_watch_next(struct dure_object_watch *watch, int64_t timeout_ms,
                           struct dure_object *ret_object)
{
    struct dure_message message;
    *ret_object = (struct dure_object){0};
    for (;;) {
        int more = bucket_watch_next(&watch->watch, timeout_ms, &message);
        if (more <= 0) return more;
        arena_release(&watch->arena);
        int err = object_take(&watch->arena, &message, ret_object);
        if (err != DURE_EPROTOCOL) return err ? err : 1; /* else it describes nothing: pass over */
    }
}

void dure_object_watch_close(struct dure_object_watch *watch)
{
    if (!watch) return;
    dure_reader_close(watch->watch.reader);
    ctx_disown(&watch->resource);
    release(&watch->resource);
}
