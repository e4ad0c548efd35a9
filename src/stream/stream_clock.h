/* stream_clock: what is due when: the sequences of those messages that have a time of their own (to
 * expire, or to be seen), the earliest first. A heap, so messages without such a time cost nothing.
 * Removed messages may stay in it until their time; the owner passes over them. */
#ifndef DURE_STREAM_STREAM_CLOCK_H
#define DURE_STREAM_STREAM_CLOCK_H

#include "base/err.h"

#include <stdint.h>

struct stream_due {
    uint64_t time_ns, seq;
};

struct stream_clock {
    struct stream_due *heap;
    size_t count, room;
};

/* ERR_NOMEM. */
int stream_clock_add(struct stream_clock *clock, uint64_t time_ns, uint64_t seq);

/* The earliest, or NULL. */
const struct stream_due *stream_clock_first(const struct stream_clock *clock);
void stream_clock_pop(struct stream_clock *clock);
void stream_clock_release(struct stream_clock *clock);

/* Takes out all that `keep` does not want. */
void stream_clock_sift(struct stream_clock *clock, bool (*keep)(void *context, uint64_t seq),
                       void *context);

#endif
