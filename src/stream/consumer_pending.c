#include "stream/consumer_pending.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

void consumer_pending_init(struct consumer_pending *pending)
{
    *pending = (struct consumer_pending){0};
}

void consumer_pending_release(struct consumer_pending *pending)
{
    free(pending->at);
    consumer_pending_init(pending);
}

void consumer_pending_clear(struct consumer_pending *pending)
{
    pending->start = pending->end = pending->count = pending->again = 0;
}

/* A sequence stands no further from the first than the difference of the two, and exactly that far
 * when there are no gaps. */
struct pending *consumer_pending_find(const struct consumer_pending *pending, uint64_t seq)
{
    size_t low = pending->start, high = pending->end;
    if (low == high || seq < pending->at[low].seq) return NULL;
    uint64_t distance = seq - pending->at[low].seq;
    if (distance < high - low) {
        struct pending *guess = &pending->at[low + (size_t)distance];
        if (guess->seq == seq) return guess->attempts ? guess : NULL;
        high = low + (size_t)distance;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct pending *one = &pending->at[middle];
        if (one->seq == seq) return one->attempts ? one : NULL;
        if (one->seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static struct pending *live_from(const struct consumer_pending *pending, size_t at)
{
    while (at < pending->end && pending->at[at].attempts == 0) at++;
    return at < pending->end ? &pending->at[at] : NULL;
}

struct pending *consumer_pending_first(const struct consumer_pending *pending)
{
    return live_from(pending, pending->start);
}

struct pending *consumer_pending_after(const struct consumer_pending *pending,
                                       const struct pending *after)
{
    return live_from(pending, (size_t)(after - pending->at) + 1);
}

/* Closes the holes. */
static void squeeze(struct consumer_pending *pending)
{
    size_t end = 0;
    for (size_t i = pending->start; i < pending->end; i++) {
        if (pending->at[i].attempts) pending->at[end++] = pending->at[i];
    }
    pending->start = 0;
    pending->end = end;
}

static int make_room(struct consumer_pending *pending)
{
    if (pending->end < pending->room) return 0;
    if (pending->room && pending->count <= pending->room / 2) {
        squeeze(pending);
        return 0;
    }
    size_t room = pending->room ? pending->room * 2 : FIRST_ROOM;
    struct pending *bigger = realloc(pending->at, room * sizeof *bigger);
    if (!bigger) return ERR_NOMEM;
    pending->at = bigger;
    pending->room = room;
    return 0;
}

struct pending *consumer_pending_add(struct consumer_pending *pending, uint64_t seq,
                                     uint64_t consumer_seq)
{
    if (make_room(pending) < 0) return NULL;
    struct pending *one = &pending->at[pending->end++];
    *one = (struct pending){.seq = seq, .consumer_seq = consumer_seq, .attempts = 1};
    pending->count++;
    return one;
}

void consumer_pending_attempts(struct consumer_pending *pending, struct pending *one,
                               uint32_t attempts)
{
    pending->again -= one->attempts > 1;
    one->attempts = attempts;
    pending->again += attempts > 1;
}

void consumer_pending_remove(struct consumer_pending *pending, struct pending *one)
{
    pending->again -= one->attempts > 1;
    one->attempts = 0;
    pending->count--;
    while (pending->start < pending->end && pending->at[pending->start].attempts == 0)
        pending->start++;
    while (pending->start < pending->end && pending->at[pending->end - 1].attempts == 0)
        pending->end--;
    if (pending->start == pending->end) pending->start = pending->end = 0;
}
