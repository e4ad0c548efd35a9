#include "registry/registry.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_MAX = 160, VALUE_MAX = 2048, CHANGES_MAX = 2 * REGISTRY_MAX };

static const struct bytes key_prefix = {"instance.", 9};
static const struct bytes owner_key = {"system", 6};

/* A change on its way to the bucket. */
struct change {
    struct bucket_op op;
    struct registry *registry; /* NULL: closed in the meantime */
    struct list link;
    bool adds; /* counts as an instance already */
    bool removes;
    struct instance instance; /* of a removal only the id */
};

struct registry {
    struct bucket *bucket;
    void (*opened)(void *context);
    void *opened_context;
    struct log *log;
    struct map instances; /* id -> struct instance, the projection */
    char owner[128];
    struct list watchers, changes;
    size_t change_count, adding;
};

static void notify(struct registry *registry, const struct instance *before,
                   const struct instance *after)
{
    LIST_EACH(&registry->watchers, struct registry_watch, link, watch)
        watch->changed(watch, before, after);
}

static bool same(const struct instance *a, const struct instance *b)
{
    struct buf texts[2];
    for (int i = 0; i < 2; i++) {
        buf_init(&texts[i], VALUE_MAX);
        instance_encode(i ? b : a, &texts[i]);
    }
    bool equal = bytes_eq(buf_bytes(&texts[0]), buf_bytes(&texts[1]));
    buf_release(&texts[0]);
    buf_release(&texts[1]);
    return equal;
}

static void forget(struct registry *registry, struct bytes id)
{
    struct instance *before = map_remove(&registry->instances, id);
    if (!before) return;
    notify(registry, before, NULL);
    free(before);
}

static void learn(struct registry *registry, struct bytes id, struct bytes value)
{
    struct instance *after = malloc(sizeof *after);
    int err = after ? instance_decode(value, after) : ERR_NOMEM;
    void *before = NULL;
    if (!err && !bytes_eq(bytes_str(after->id), id)) err = ERR_INVALID;
    if (!err) err = map_put(&registry->instances, bytes_str(after->id), after, &before);
    if (err) {
        LOG(registry->log, LOG_ERROR, "registry_entry_unusable", LOG_B("value", value),
            LOG_ERR(err));
        free(after);
        return;
    }
    if (!before || !same(before, after)) notify(registry, before, after);
    free(before);
}

static void project(struct registry *registry, const struct kv_entry *entry)
{
    if (bytes_eq(entry->key, owner_key) && entry->operation == KV_PUT)
        snprintf(registry->owner, sizeof registry->owner, "%.*s", BYTES_ARG(entry->value));
    if (!bytes_starts(entry->key, key_prefix)) return;
    struct bytes id = bytes_skip(entry->key, key_prefix.len);
    if (entry->operation == KV_PUT)
        learn(registry, id, entry->value);
    else
        forget(registry, id);
}

static void take_present(void *context, const struct kv_entry *entry)
{
    project(context, entry);
}

static void entry_changed(void *context, const struct kv_entry *entry)
{
    project(context, entry);
}

static void bucket_opened(void *context)
{
    struct registry *registry = context;
    bucket_each(registry->bucket, take_present, registry);
    bucket_watch(registry->bucket, entry_changed, registry);
    registry->opened(registry->opened_context);
}

int registry_open(struct messaging *messaging, struct log *log, void (*opened)(void *context),
                  void *context, struct registry **ret_registry, struct error *error)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry) return error_set(error, ERR_NOMEM, "out of memory for the registry");
    registry->log = log;
    registry->opened = opened;
    registry->opened_context = context;
    list_init(&registry->watchers);
    list_init(&registry->changes);
    map_init(&registry->instances, REGISTRY_MAX);
    struct bucket_config config = {.bucket = REGISTRY_BUCKET, .max_value_bytes = VALUE_MAX};
    int err = bucket_open(messaging, &config, bucket_opened, registry, &registry->bucket, error);
    if (err)
        registry_close(registry);
    else
        *ret_registry = registry;
    return err;
}

void registry_close(struct registry *registry)
{
    if (!registry) return;
    LIST_EACH(&registry->watchers, struct registry_watch, link, watch) list_remove(&watch->link);
    LIST_EACH(&registry->changes, struct change, link, change) {
        list_remove(&change->link);
        change->registry = NULL; /* the bucket still tells its end */
    }
    registry_free(registry);
}

void registry_free(struct registry *registry)
{
    if (!registry) return;
    bucket_close(registry->bucket);
    LIST_EACH(&registry->changes, struct change, link, change) {
        list_remove(&change->link);
        free(change);
    }
    size_t cursor = 0;
    for (void *instance; (instance = map_next(&registry->instances, &cursor));) free(instance);
    map_release(&registry->instances);
    free(registry);
}

/* ---- whose it is ---- */

const char *registry_owner(const struct registry *registry)
{
    return registry->owner;
}

static void claimed(struct bucket_op *op, int result)
{
    free(op);
}

int registry_claim(struct registry *registry, const char *system)
{
    struct bucket_op *op = calloc(1, sizeof *op);
    if (!op) return ERR_NOMEM;
    bucket_put(registry->bucket, op, owner_key, bytes_str(system), claimed);
    return 0;
}

/* ---- changes ---- */

static size_t key_of(struct bytes id, char ret_key[static KEY_MAX])
{
    return (size_t)snprintf(ret_key, KEY_MAX, "%.*s%.*s", BYTES_ARG(key_prefix), BYTES_ARG(id));
}

static void change_done(struct bucket_op *op, int result);

static void submit(struct change *change)
{
    struct registry *registry = change->registry;
    char key[KEY_MAX];
    struct bytes name = bytes_make(key, key_of(bytes_str(change->instance.id), key));
    if (change->removes) {
        /* A purge leaves no history of instances that never come back. */
        bucket_purge(registry->bucket, &change->op, name, change_done);
        return;
    }
    struct buf value;
    buf_init(&value, VALUE_MAX);
    instance_encode(&change->instance, &value);
    bucket_put(registry->bucket, &change->op, name, buf_bytes(&value), change_done);
    buf_release(&value);
}

static bool is_last(const struct change *change)
{
    for (struct list *link = change->link.next; link != &change->registry->changes;
         link = link->next) {
        const struct change *later = CONTAINER_OF(link, struct change, link);
        if (bytes_eq(bytes_str(later->instance.id), bytes_str(change->instance.id))) return false;
    }
    return true;
}

/* A cluster that could not be told is told again, unless there is newer to tell. */
static bool is_told_again(const struct change *change, int result)
{
    bool passes = result == ERR_UNREACHABLE || result == ERR_UNAVAILABLE || result == ERR_TIMEOUT;
    return passes && is_last(change);
}

static void change_done(struct bucket_op *op, int result)
{
    struct change *change = CONTAINER_OF(op, struct change, op);
    struct registry *registry = change->registry;
    if (registry && result && result != ERR_NOT_FOUND)
        LOG(registry->log, LOG_ERROR, "registry_change_failed",
            LOG_S("instance", change->instance.id), LOG_ERR(result));
    if (registry && is_told_again(change, result)) {
        submit(change);
        return;
    }
    if (registry) {
        list_remove(&change->link);
        registry->change_count--;
        registry->adding -= change->adds;
    }
    free(change);
}

static struct change *change_new(struct registry *registry, struct bytes id)
{
    struct change *change = calloc(1, sizeof *change);
    if (!change) return NULL;
    change->registry = registry;
    list_push(&registry->changes, &change->link);
    registry->change_count++;
    snprintf(change->instance.id, sizeof change->instance.id, "%.*s", BYTES_ARG(id));
    return change;
}

/* Whether a change of this instance is still on its way: the projection is then behind. */
static bool changing(const struct registry *registry, struct bytes id)
{
    LIST_EACH(&registry->changes, struct change, link, change)
        if (bytes_eq(bytes_str(change->instance.id), id)) return true;
    return false;
}

int registry_put(struct registry *registry, const struct instance *instance)
{
    struct bytes id = bytes_str(instance->id);
    const struct instance *known = registry_find(registry, id);
    bool unsettled = changing(registry, id);
    if (known && !unsettled && same(known, instance)) return 0;
    bool adds = !known && !unsettled;
    if (adds && registry->instances.count + registry->adding >= REGISTRY_MAX) return ERR_FULL;
    if (registry->change_count >= CHANGES_MAX) return ERR_FULL;
    struct change *change = change_new(registry, id);
    if (!change) return ERR_NOMEM;
    change->adds = adds;
    change->instance = *instance;
    registry->adding += adds;
    submit(change);
    return 0;
}

int registry_remove(struct registry *registry, struct bytes id)
{
    if (!registry_find(registry, id) && !changing(registry, id)) return 0;
    if (registry->change_count >= CHANGES_MAX) return ERR_FULL;
    struct change *change = change_new(registry, id);
    if (!change) return ERR_NOMEM;
    change->removes = true;
    submit(change);
    return 0;
}

const struct instance *registry_find(const struct registry *registry, struct bytes id)
{
    return map_get(&registry->instances, id);
}

static int by_id(const void *a, const void *b)
{
    const struct instance *const *left = a, *const *right = b;
    return bytes_cmp(bytes_str((*left)->id), bytes_str((*right)->id));
}

void registry_each(const struct registry *registry,
                   void (*each)(void *context, const struct instance *instance), void *context)
{
    const struct instance *sorted[REGISTRY_MAX];
    size_t count = 0, cursor = 0;
    for (void *instance; (instance = map_next(&registry->instances, &cursor));)
        sorted[count++] = instance;
    qsort(sorted, count, sizeof *sorted, by_id);
    for (size_t i = 0; i < count; i++) each(context, sorted[i]);
}

void registry_watch(struct registry *registry, struct registry_watch *watch,
                    void (*changed)(struct registry_watch *watch, const struct instance *before,
                                    const struct instance *after))
{
    watch->changed = changed;
    list_push(&registry->watchers, &watch->link);
}

void registry_unwatch(struct registry_watch *watch)
{
    list_remove(&watch->link);
}
