#include "stream/consumer_expiry.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

void consumer_expiry_init(struct consumer_expiry *expiry)
{
    *expiry = (struct consumer_expiry){0};
}

void consumer_expiry_release(struct consumer_expiry *expiry)
{
    free(expiry->at);
    consumer_expiry_init(expiry);
}

void consumer_expiry_clear(struct consumer_expiry *expiry)
{
    expiry->count = 0;
}

static bool before(const struct expiry *a, const struct expiry *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->seq < b->seq;
}

/* Lets the entry rise from the free place. */
static void rise(struct expiry *at, size_t place, struct expiry entry)
{
    while (place > 0 && before(&entry, &at[(place - 1) / 2])) {
        at[place] = at[(place - 1) / 2];
        place = (place - 1) / 2;
    }
    at[place] = entry;
}

static void sink(struct expiry *at, size_t count, size_t place, struct expiry entry)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= count) break;
        if (child + 1 < count && before(&at[child + 1], &at[child])) child++;
        if (!before(&at[child], &entry)) break;
        at[place] = at[child];
        place = child;
    }
    at[place] = entry;
}

int consumer_expiry_add(struct consumer_expiry *expiry, uint64_t due_ns, uint64_t seq)
{
    if (expiry->count == expiry->room) {
        size_t room = expiry->room ? expiry->room * 2 : FIRST_ROOM;
        struct expiry *bigger = realloc(expiry->at, room * sizeof *bigger);
        if (!bigger) return ERR_NOMEM;
        expiry->at = bigger;
        expiry->room = room;
    }
    rise(expiry->at, expiry->count++, (struct expiry){due_ns, seq});
    return 0;
}

const struct expiry *consumer_expiry_first(const struct consumer_expiry *expiry)
{
    return expiry->count ? expiry->at : NULL;
}

void consumer_expiry_pop(struct consumer_expiry *expiry)
{
    struct expiry last = expiry->at[--expiry->count];
    if (expiry->count) sink(expiry->at, expiry->count, 0, last);
}

bool consumer_expiry_is_stale(const struct consumer_expiry *expiry, size_t live)
{
    return expiry->count > 2 * live + FIRST_ROOM;
}

void consumer_expiry_sweep(struct consumer_expiry *expiry,
                           bool (*is_live)(void *context, const struct expiry *entry),
                           void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < expiry->count; i++) {
        if (is_live(context, &expiry->at[i])) expiry->at[count++] = expiry->at[i];
    }
    expiry->count = count;
    for (size_t i = count / 2; i-- > 0;) sink(expiry->at, count, i, expiry->at[i]);
}
