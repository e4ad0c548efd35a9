#include "base/map.h"

#include "base/err.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum { MAP_FIRST_SIZE = 16 };

void map_init(struct map *map, size_t max)
{
    *map = (struct map){.max = max};
}

void map_release(struct map *map)
{
    if (!map) return;
    free(map->entries);
    map_init(map, map->max);
}

uint64_t map_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.len);
}

/* The entry of `key`, or the free slot where it would go. There is always a free slot. */
static struct map_entry *slot(const struct map *map, uint64_t hash, struct bytes key)
{
    size_t mask = map->size - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_entry *entry = &map->entries[i];
        if (!entry->value) return entry;
        if (entry->hash == hash && bytes_eq(entry->key, key)) return entry;
    }
}

void *map_get(const struct map *map, struct bytes key)
{
    return map->size ? slot(map, map_hash(key), key)->value : NULL;
}

static int grow(struct map *map)
{
    size_t size = map->size ? map->size * 2 : MAP_FIRST_SIZE;
    struct map bigger = {.size = size, .count = map->count, .max = map->max};
    bigger.entries = calloc(size, sizeof *bigger.entries);
    if (!bigger.entries) return ERR_NOMEM;
    for (size_t i = 0; i < map->size; i++) {
        struct map_entry *entry = &map->entries[i];
        if (entry->value) *slot(&bigger, entry->hash, entry->key) = *entry;
    }
    free(map->entries);
    *map = bigger;
    return 0;
}

int map_put(struct map *map, struct bytes key, void *value, void **ret_old)
{
    if (ret_old) *ret_old = NULL;
    uint64_t hash = map_hash(key);
    struct map_entry *entry = map->size ? slot(map, hash, key) : NULL;
    if (entry && entry->value) {
        if (ret_old) *ret_old = entry->value;
    } else {
        if (map->count >= map->max) return ERR_FULL;
        if (4 * (map->count + 1) > 3 * map->size) {
            int err = grow(map);
            if (err) return err;
        }
        entry = slot(map, hash, key);
        map->count++;
    }
    *entry = (struct map_entry){hash, key, value};
    return 0;
}

/* Closes the gap at `hole` by moving back every later entry of the run that may live there. */
static void close_gap(struct map *map, size_t hole)
{
    size_t mask = map->size - 1;
    for (size_t i = (hole + 1) & mask; map->entries[i].value; i = (i + 1) & mask) {
        size_t home = map->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        map->entries[hole] = map->entries[i];
        hole = i;
    }
    map->entries[hole] = (struct map_entry){0};
}

void *map_remove(struct map *map, struct bytes key)
{
    if (!map->size) return NULL;
    struct map_entry *entry = slot(map, map_hash(key), key);
    void *value = entry->value;
    if (value) {
        map->count--;
        close_gap(map, (size_t)(entry - map->entries));
    }
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->size) {
        void *value = map->entries[(*cursor)++].value;
        if (value) return value;
    }
    return NULL;
}
