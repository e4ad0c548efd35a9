/* arena: memory for one request or one document, given back all at once. Capped: past `max` bytes
 * every allocation fails, and failure sticks, so it is checked once, at the end. */
#ifndef DURE_BASE_ARENA_H
#define DURE_BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at, *end;             /* free room in the newest block */
    size_t used, max;           /* bytes taken from the system, and their limit */
    bool failed;
};

/* An empty arena; allocates nothing yet. */
void arena_init(struct arena *arena, size_t max);

/* Gives everything back. The arena is empty and usable again. NULL is allowed. */
void arena_release(struct arena *arena);

/* Gives back what was taken since `mark`, a copy of this arena then. A failure is forgotten. */
void arena_rewind(struct arena *arena, const struct arena *mark);

/* Zeroed memory aligned for any type, or NULL (and failed). A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* Zeroed array; NULL also when count * size overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* A copy, ended by a NUL that is not counted; NULL on failure. */
char *arena_copy(struct arena *arena, struct bytes bytes);

/* A copy as a view; {"", 0} on failure, so that it is never NULL. */
struct bytes arena_bytes(struct arena *arena, struct bytes bytes);

/* A formatted string ended by NUL; NULL on failure. */
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
