/* consumer_pending: the messages that a consumer has delivered and that are not settled, in the
 * order of their sequences. One array, from the oldest on: a new delivery goes behind the last, a
 * settled one leaves a hole until it is the oldest or holes are half of the array. Where the
 * sequences have no gaps a message is found by subtraction, else by bisection. Pure.
 *
 * Both sequences rise along the array: of the stream, and of the first delivery. */
#ifndef DURE_STREAM_CONSUMER_PENDING_H
#define DURE_STREAM_CONSUMER_PENDING_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum pending_place {
    PENDING_OUT,   /* somebody has it, until due_ns */
    PENDING_NAKED, /* given back: comes again at due_ns */
    PENDING_READY, /* comes again as soon as somebody wants it */
};

struct pending {
    uint64_t seq;
    uint64_t consumer_seq; /* of the first delivery */
    uint64_t due_ns;       /* wall clock: when it comes again */
    uint32_t attempts;     /* deliveries so far; 0: a hole, whose sequence still keeps the order */
    enum pending_place place;
};

struct consumer_pending {
    struct pending *at; /* at[start .. end) */
    size_t start, end, room;
    size_t count; /* without holes */
    size_t again; /* of them those with more than one attempt */
};

void consumer_pending_init(struct consumer_pending *pending);
void consumer_pending_release(struct consumer_pending *pending);

/* NULL: it is not pending. Good until something is added or removed. */
struct pending *consumer_pending_find(const struct consumer_pending *pending, uint64_t seq);

/* The oldest, the next behind `after`; NULL: none. */
struct pending *consumer_pending_first(const struct consumer_pending *pending);
struct pending *consumer_pending_after(const struct consumer_pending *pending,
                                       const struct pending *after);

/* Adds one whose sequence is behind all others; NULL: no memory. */
struct pending *consumer_pending_add(struct consumer_pending *pending, uint64_t seq,
                                     uint64_t consumer_seq);

/* Sets the attempts of one of them. */
void consumer_pending_attempts(struct consumer_pending *pending, struct pending *one,
                               uint32_t attempts);

void consumer_pending_remove(struct consumer_pending *pending, struct pending *one);

void consumer_pending_clear(struct consumer_pending *pending);

#endif
