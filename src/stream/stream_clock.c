#include "stream/stream_clock.h"

#include <stdlib.h>

static void swap(struct stream_due *a, struct stream_due *b)
{
    struct stream_due c = *a;
    *a = *b;
    *b = c;
}

/* By time, then by sequence, so that the order is the same after a restart. */
static bool before(const struct stream_due *a, const struct stream_due *b)
{
    return a->time_ns != b->time_ns ? a->time_ns < b->time_ns : a->seq < b->seq;
}

static void sink(struct stream_clock *clock, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= clock->count) return;
        if (child + 1 < clock->count && before(&clock->heap[child + 1], &clock->heap[child])) {
            child++;
        }
        if (!before(&clock->heap[child], &clock->heap[at])) return;
        swap(&clock->heap[child], &clock->heap[at]);
        at = child;
    }
}

int stream_clock_add(struct stream_clock *clock, uint64_t time_ns, uint64_t seq)
{
    if (clock->count == clock->room) {
        size_t room = clock->room ? clock->room * 2 : 16;
        struct stream_due *heap = realloc(clock->heap, room * sizeof *heap);
        if (!heap) return ERR_NOMEM;
        clock->heap = heap;
        clock->room = room;
    }
    size_t at = clock->count++;
    clock->heap[at] = (struct stream_due){time_ns, seq};
    while (at > 0 && before(&clock->heap[at], &clock->heap[(at - 1) / 2])) {
        swap(&clock->heap[at], &clock->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    return 0;
}

const struct stream_due *stream_clock_first(const struct stream_clock *clock)
{
    return clock->count ? &clock->heap[0] : NULL;
}

void stream_clock_pop(struct stream_clock *clock)
{
    clock->heap[0] = clock->heap[--clock->count];
    sink(clock, 0);
}

void stream_clock_release(struct stream_clock *clock)
{
    free(clock->heap);
    *clock = (struct stream_clock){0};
}

void stream_clock_sift(struct stream_clock *clock, bool (*keep)(void *context, uint64_t seq),
                       void *context)
{
    size_t kept = 0;
    for (size_t i = 0; i < clock->count; i++) {
        if (keep(context, clock->heap[i].seq)) clock->heap[kept++] = clock->heap[i];
    }
    clock->count = kept;
    for (size_t at = kept / 2; at > 0; at--) sink(clock, at - 1);
}
