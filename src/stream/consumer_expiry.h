/* consumer_expiry: when what is pending comes again: a heap of times with the sequences they are
 * of. Its owner knows the true time of each sequence; an entry that no longer says the same is
 * stale, and passed over when it comes up. So settling and extending cost nothing here; stale
 * entries are swept out when they are most of the heap. Pure. */
#ifndef DURE_STREAM_CONSUMER_EXPIRY_H
#define DURE_STREAM_CONSUMER_EXPIRY_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct expiry {
    uint64_t due_ns, seq;
};

struct consumer_expiry {
    struct expiry *at; /* a binary heap, the earliest first; equal times by sequence */
    size_t count, room;
};

void consumer_expiry_init(struct consumer_expiry *expiry);
void consumer_expiry_release(struct consumer_expiry *expiry);

/* ERR_NOMEM. */
int consumer_expiry_add(struct consumer_expiry *expiry, uint64_t due_ns, uint64_t seq);

/* The earliest; NULL: none. Good until something changes. */
const struct expiry *consumer_expiry_first(const struct consumer_expiry *expiry);
void consumer_expiry_pop(struct consumer_expiry *expiry);

/* Whether it has become worth sweeping when so many entries are true. */
bool consumer_expiry_is_stale(const struct consumer_expiry *expiry, size_t live);

/* Drops every entry for which `is_live` is false. */
void consumer_expiry_sweep(struct consumer_expiry *expiry,
                           bool (*is_live)(void *context, const struct expiry *entry),
                           void *context);

void consumer_expiry_clear(struct consumer_expiry *expiry);

#endif
