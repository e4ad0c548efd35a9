#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BLOCK_SIZE = 4096, ARENA_ALIGN = _Alignof(max_align_t) };

struct arena_block {
    struct arena_block *next;
    _Alignas(max_align_t) char room[];
};

void arena_init(struct arena *arena, size_t max)
{
    *arena = (struct arena){.max = max};
}

void arena_release(struct arena *arena)
{
    if (!arena) return;
    struct arena_block *next;
    for (struct arena_block *block = arena->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    arena_init(arena, arena->max);
}

void arena_rewind(struct arena *arena, const struct arena *mark)
{
    bool same = arena->blocks == mark->blocks;
    while (arena->blocks != mark->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    /* What is handed out is zeroed; of an older block all that was left may have been used. */
    char *used = same ? arena->at : mark->end;
    if (mark->at) memset(mark->at, 0, (size_t)(used - mark->at));
    *arena = *mark;
}

static void *fail(struct arena *arena)
{
    arena->failed = true;
    return NULL;
}

static bool add_block(struct arena *arena, size_t size)
{
    size_t total = sizeof(struct arena_block) + (size > ARENA_BLOCK_SIZE ? size : ARENA_BLOCK_SIZE);
    if (total > arena->max - arena->used) total = arena->max - arena->used;
    if (total < sizeof(struct arena_block) + size) return false;
    struct arena_block *block = calloc(1, total);
    if (!block) return false;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used += total;
    arena->at = block->room;
    arena->end = (char *)block + total;
    return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (arena->failed || size > arena->max || size > SIZE_MAX / 2) return fail(arena);
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (!arena->at || (size_t)(arena->end - arena->at) < size)
        if (!add_block(arena, size)) return fail(arena);
    void *memory = arena->at;
    arena->at += size;
    return memory;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return fail(arena);
    return arena_alloc(arena, total);
}

char *arena_copy(struct arena *arena, struct bytes bytes)
{
    char *copy = bytes.len < SIZE_MAX ? arena_alloc(arena, bytes.len + 1) : fail(arena);
    if (copy && bytes.len) memcpy(copy, bytes.data, bytes.len);
    return copy;
}

struct bytes arena_bytes(struct arena *arena, struct bytes bytes)
{
    const char *copy = arena_copy(arena, bytes);
    return copy ? bytes_make(copy, bytes.len) : BYTES("");
}

char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = len >= 0 ? arena_alloc(arena, (size_t)len + 1) : fail(arena);
    if (text) vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}
