/* wheel: a hierarchical timing wheel with ticks of 1 ms, for the timers of one loop. Setting and
 * cancelling are O(1), finding the next thing to do looks at one word per level, nothing is
 * allocated and no tick is visited in vain.
 *
 * Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7, in the form where
 * the level is the highest base-64 digit in which the deadline differs from now. So the slots of a
 * level that are in use are all ahead of now, in order, and need no wrapping; eleven levels hold
 * every 64-bit deadline. */
#ifndef DURE_IO_WHEEL_H
#define DURE_IO_WHEEL_H

#include "io/io.h"

enum { WHEEL_BITS = 6, WHEEL_SLOTS = 1 << WHEEL_BITS, WHEEL_LEVELS = 11 };

struct wheel {
    uint64_t now_ms;             /* never goes back */
    uint64_t used[WHEEL_LEVELS]; /* bit s: slots[level][s] is not empty */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    struct list due; /* expired, to be taken by wheel_pop */
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Arms the timer, or moves it when it is armed. A deadline that is past counts as now. */
void wheel_set(struct wheel *wheel, struct io_timer *timer, uint64_t deadline_ms);

/* Harmless when the timer is not armed. */
void wheel_cancel(struct wheel *wheel, struct io_timer *timer);

/* When wheel_advance has something to do: no later than the first deadline (earlier when timers
 * must move to a finer level before). UINT64_MAX: no timer is armed. */
uint64_t wheel_next_ms(const struct wheel *wheel);

/* Moves the clock; timers with deadline_ms <= now_ms become due, in the order of their deadlines,
 * those of one deadline in an order that depends only on the calls made. */
void wheel_advance(struct wheel *wheel, uint64_t now_ms);

/* Takes out the first due timer, which is then not armed; NULL when there is none. */
struct io_timer *wheel_pop(struct wheel *wheel);

/* Takes out every timer; none of them is armed then. */
void wheel_clear(struct wheel *wheel);

#endif
