#include "schema/schema_impl.h"

#include "base/err.h"
#include "schema/value.h"

#include <stdlib.h>

struct hashed {
    uint64_t hash;
    size_t index;
};

static int by_hash(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int say_same(struct check *check, const struct hashed *a, const struct hashed *b,
                    const struct schema_place *place)
{
    return CHECK_WRONG(check, place, "items %zu and %zu are the same", a->index, b->index);
}

/* Sorted by hash, so that only equal hashes are compared. */
static int check_unique(struct check *check, const json_t *value, const struct schema_place *place)
{
    size_t count = json_array_size(value);
    int r = 0;
    if (count < 2) return 0;
    struct hashed *items = malloc(count * sizeof *items);
    if (!items) return check->failure = ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct hashed){schema_value_hash(json_array_get(value, i)), i};
    qsort(items, count, sizeof *items, by_hash);
    for (size_t i = 0; r == 0 && i < count; i++) {
        for (size_t k = i + 1; r == 0 && k < count && items[k].hash == items[i].hash; k++) {
            if (!check_step(check, 1))
                r = check->failure;
            else if (schema_value_same(json_array_get(value, items[i].index),
                                       json_array_get(value, items[k].index)))
                r = say_same(check, &items[i], &items[k], place);
        }
    }
    free(items);
    return r;
}

static int check_contains(struct check *check, const struct schema_node *node, const json_t *value,
                          const struct schema_place *place, struct seen *seen)
{
    char *why = check->why;
    uint64_t count = 0;
    size_t i;
    json_t *item;
    check->why = NULL;
    json_array_foreach(value, i, item)
    {
        struct schema_place down = schema_place_item(place, i);
        if (check_node(check, node->contains, item, &down, NULL) < 0) continue;
        count++;
        if (seen) seen->marks[i] = true;
    }
    check->why = why;
    return check_range(check, &node->contains_count, count, "items of the kind of contains", place);
}

int check_array(struct check *check, const struct schema_node *node, const json_t *value,
                const struct schema_place *place, struct seen *seen)
{
    size_t i;
    json_t *item;
    int r = check_range(check, &node->items_count, json_array_size(value), "items", place);
    json_array_foreach(value, i, item)
    {
        const struct schema_node *own = i < node->prefix.count ? node->prefix.list[i] : node->items;
        if (r < 0 || !own) break;
        struct schema_place down = schema_place_item(place, i);
        r = check_node(check, own, item, &down, NULL);
        if (r == 0 && seen) seen->marks[i] = true;
    }
    if (r == 0 && node->contains) r = check_contains(check, node, value, place, seen);
    return r == 0 && node->unique ? check_unique(check, value, place) : r;
}
