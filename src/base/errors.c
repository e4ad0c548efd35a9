#include "base/errors.h"

#include <string.h>

void errors_init(struct errors *errors, struct arena *arena)
{
    *errors = (struct errors){.arena = arena};
}

struct error *errors_add(struct errors *errors)
{
    if (!errors->items && !errors->dropped)
        errors->items = arena_array(errors->arena, ERRORS_MAX, sizeof *errors->items);
    if (!errors->items || errors->count == ERRORS_MAX) {
        errors->dropped++;
        errors->spare = (struct error){0};
        return &errors->spare;
    }
    return &errors->items[errors->count++];
}

/* The rank of a file is the index of the first error that is in it. */
static size_t file_rank(const struct error *items, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(items[i].file, items[index].file) == 0) return i;
    return index;
}

static bool reads_before(const struct error *a, size_t rank_a, const struct error *b, size_t rank_b)
{
    if (rank_a != rank_b) return rank_a < rank_b;
    if (a->line != b->line) return a->line < b->line;
    return a->column < b->column;
}

void errors_sort(struct errors *errors)
{
    size_t ranks[ERRORS_MAX];
    for (size_t i = 0; i < errors->count; i++) ranks[i] = file_rank(errors->items, i);
    for (size_t i = 1; i < errors->count; i++) {
        struct error moved = errors->items[i];
        size_t rank = ranks[i], to = i;
        for (; to > 0 && reads_before(&moved, rank, &errors->items[to - 1], ranks[to - 1]); to--) {
            errors->items[to] = errors->items[to - 1];
            ranks[to] = ranks[to - 1];
        }
        errors->items[to] = moved;
        ranks[to] = rank;
    }
}

void errors_format(const struct errors *errors, struct buf *out)
{
    char text[sizeof(struct error)];
    for (size_t i = 0; i < errors->count; i++) {
        error_format(&errors->items[i], text, sizeof text);
        buf_append_str(out, text);
        buf_append_char(out, '\n');
    }
    if (errors->dropped) buf_append_format(out, "... and %zu more\n", errors->dropped);
}
