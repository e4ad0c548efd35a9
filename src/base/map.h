/* map: a hash table from byte strings to pointers. Open addressing, linear probing, grown at 3/4.
 * Owns neither keys nor values: the key's bytes must live as long as the entry (usually they are a
 * member of the value). Values are never NULL. */
#ifndef DURE_BASE_MAP_H
#define DURE_BASE_MAP_H

#include "base/bytes.h"

struct map_entry {
    uint64_t hash;
    struct bytes key;
    void *value; /* NULL: free slot */
};

struct map {
    struct map_entry *entries;
    size_t count, size; /* size: 0 or a power of two */
    size_t max;         /* limit of count */
};

/* An empty map for at most `max` entries. Allocates nothing yet. */
void map_init(struct map *map, size_t max);
void map_release(struct map *map);

/* The value, or NULL. */
void *map_get(const struct map *map, struct bytes key);

/* Adds or replaces. 0, ERR_FULL at the limit, ERR_NOMEM. On replacement the key's bytes are
 * replaced too, and the old value is returned through `ret_old` (may be NULL; else NULL is stored
 * when the key is new). */
int map_put(struct map *map, struct bytes key, void *value, void **ret_old);

/* Removes and returns the value, or NULL when there is none. */
void *map_remove(struct map *map, struct bytes key);

/* Walks the entries in no order: start with *cursor = 0; NULL at the end. The map must not change
 * during the walk. */
void *map_next(const struct map *map, size_t *cursor);

/* The hash used here (XXH3, 64 bits). */
uint64_t map_hash(struct bytes key);

#endif
