/* sim_memory: memory or the end of the program. A test whose world has run short of memory has
 * nothing to say about the program in it. */
#ifndef DURE_IO_SIM_MEMORY_H
#define DURE_IO_SIM_MEMORY_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Zeroed. */
static inline void *sim_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    assert(memory);
    return memory;
}

static inline void *sim_realloc(void *memory, size_t count, size_t size)
{
    assert(count && size && count <= SIZE_MAX / size);
    memory = realloc(memory, count * size);
    assert(memory);
    return memory;
}

static inline char *sim_strdup(const char *text)
{
    char *copy = strdup(text);
    assert(copy);
    return copy;
}

#endif
