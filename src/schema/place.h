/* place: where a walk through a JSON document is, as a chain from the leaf to the root that lives
 * on the stack of the walk, and the words for what is wrong there. Nothing is written until
 * something is wrong. */
#ifndef DURE_SCHEMA_PLACE_H
#define DURE_SCHEMA_PLACE_H

#include "base/bytes.h"

/* Room for what is wrong, with its NUL: a place, what was found, what was expected. */
enum { SCHEMA_WHY = 190 };

/* The root of a document is a place without `up`. */
struct schema_place {
    const struct schema_place *up;
    struct bytes name; /* of a member; data NULL: an item of an array */
    size_t index;
};

static inline struct schema_place schema_place_member(const struct schema_place *up,
                                                      struct bytes name)
{
    return (struct schema_place){.up = up, .name = name};
}

static inline struct schema_place schema_place_item(const struct schema_place *up, size_t index)
{
    return (struct schema_place){.up = up, .index = index};
}

/* Writes "at POINTER: " and the formatted words to why[SCHEMA_WHY]; a NULL `why` takes nothing. The
 * pointer is that of RFC 6901, "/" for the root, its middle left out when it is long. Returns
 * ERR_INVALID, for the caller to return. */
int schema_place_wrong(const struct schema_place *place, char *why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
