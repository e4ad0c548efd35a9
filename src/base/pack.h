/* pack: copies what a value points to into one block, so that one free() gives everything back. The
 * same function runs twice over the value: once to measure, once to lay out.
 *
 *     struct pack pack = {0};
 *     pack_all(&pack, from, &scratch);           measures
 *     char *block = malloc(pack.size);
 *     pack = (struct pack){.at = block};
 *     pack_all(&pack, from, to);                 lays out */
#ifndef DURE_BASE_PACK_H
#define DURE_BASE_PACK_H

#include "base/bytes.h"

struct pack {
    char *at; /* NULL: measuring; else aligned for any type */
    size_t size;
};

/* Room for `size` bytes, aligned for any pointer or number; NULL while measuring. */
static inline void *pack_take(struct pack *pack, size_t size)
{
    size_t aligned = (size + 7) & ~(size_t)7;
    char *at = pack->at;
    if (at) pack->at += aligned;
    pack->size += aligned;
    return at;
}

/* NULL for NULL, for what is empty, and while measuring. */
static inline const char *pack_str(struct pack *pack, const char *string)
{
    if (!string || !*string) return NULL;
    size_t size = strlen(string) + 1;
    char *at = pack_take(pack, size);
    return at ? memcpy(at, string, size) : NULL;
}

/* An array of strings. */
static inline const char *const *pack_strs(struct pack *pack, const char *const *strings,
                                           size_t count)
{
    if (count == 0) return NULL;
    const char **array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        const char *copy = pack_str(pack, strings[i]);
        if (array) array[i] = copy;
    }
    return array;
}

#endif
