#include "registry/registry.h"

#include "base/map.h"
#include "stream/kv.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_MAX = 160, VALUE_MAX = 2048, CHANGES_MAX = 2 * REGISTRY_MAX };

static const struct bytes key_prefix = {"instance.", 9};

/* A change on its way to the bucket. */
struct change {
    struct kv_op op;
    struct registry *registry; /* NULL: closed in the meantime */
    struct list link;
    bool adds; /* counts as an instance already */
    char id[sizeof((struct instance *)0)->id];
};

struct registry {
    struct kv *kv;
    struct kv_watch *watch;
    struct log *log;
    struct map instances; /* id -> struct instance, the projection */
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
    /* The bucket's watch begins with what is known since registry_open. */
    if (!before || !same(before, after)) notify(registry, before, after);
    free(before);
}

static void project(struct registry *registry, const struct kv_entry *entry)
{
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
    if (entry) project(context, entry);
}

int registry_open(struct streams *streams, struct log *log, struct registry **ret_registry,
                  struct error *error)
{
    struct registry *registry = calloc(1, sizeof *registry);
    if (!registry) return error_set(error, ERR_NOMEM, "out of memory for the registry");
    registry->log = log;
    list_init(&registry->watchers);
    list_init(&registry->changes);
    map_init(&registry->instances, REGISTRY_MAX);
    struct kv_config config = {.bucket = REGISTRY_BUCKET, .max_value_bytes = VALUE_MAX};
    int err = kv_open(streams, &config, &registry->kv, error);
    if (!err) {
        kv_each(registry->kv, BYTES(""), take_present, registry);
        err = kv_watch(registry->kv, BYTES(""), entry_changed, registry, &registry->watch);
        if (err) error_set(error, err, "cannot watch the registry's bucket: %s", err_text(err));
    }
    if (err) {
        registry_close(registry);
        return err;
    }
    *ret_registry = registry;
    return 0;
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
    kv_unwatch(registry->watch);
    kv_close(registry->kv);
    LIST_EACH(&registry->changes, struct change, link, change) {
        list_remove(&change->link);
        free(change);
    }
    size_t cursor = 0;
    for (void *instance; (instance = map_next(&registry->instances, &cursor));) free(instance);
    map_release(&registry->instances);
    free(registry);
}

static void change_done(struct kv_op *op, int result)
{
    struct change *change = CONTAINER_OF(op, struct change, op);
    struct registry *registry = change->registry;
    if (registry) {
        list_remove(&change->link);
        registry->change_count--;
        registry->adding -= change->adds;
        if (result && result != ERR_NOT_FOUND)
            LOG(registry->log, LOG_ERROR, "registry_change_failed", LOG_S("instance", change->id),
                LOG_ERR(result));
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
    snprintf(change->id, sizeof change->id, "%.*s", BYTES_ARG(id));
    return change;
}

static size_t key_of(struct bytes id, char ret_key[static KEY_MAX])
{
    return (size_t)snprintf(ret_key, KEY_MAX, "%.*s%.*s", BYTES_ARG(key_prefix), BYTES_ARG(id));
}

/* Whether a change of this instance is still on its way: the projection is then behind. */
static bool changing(const struct registry *registry, struct bytes id)
{
    LIST_EACH(&registry->changes, struct change, link, change)
        if (bytes_eq(bytes_str(change->id), id)) return true;
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
    registry->adding += adds;
    char key[KEY_MAX];
    size_t key_len = key_of(id, key);
    struct buf value;
    buf_init(&value, VALUE_MAX);
    instance_encode(instance, &value);
    kv_put(registry->kv, &change->op, bytes_make(key, key_len), buf_bytes(&value), change_done);
    buf_release(&value);
    return 0;
}

int registry_remove(struct registry *registry, struct bytes id)
{
    if (!registry_find(registry, id) && !changing(registry, id)) return 0;
    if (registry->change_count >= CHANGES_MAX) return ERR_FULL;
    struct change *change = change_new(registry, id);
    if (!change) return ERR_NOMEM;
    char key[KEY_MAX];
    /* A purge leaves no history of instances that never come back. */
    kv_purge(registry->kv, &change->op, bytes_make(key, key_of(id, key)), change_done);
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
