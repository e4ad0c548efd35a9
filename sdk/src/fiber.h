/* fiber: a function with a stack of its own, which can be put aside in the middle and taken up
 * again. One thread; the loop resumes a fiber, the fiber suspends back to the loop, never from one
 * fiber to another. Stacks are mapped with a guard page below, kept for the next run when a
 * function has returned, and given back when more than a few are idle. The sanitizers are told of
 * every switch, so that they follow the stacks. */
#ifndef DURE_SDK_FIBER_H
#define DURE_SDK_FIBER_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>

struct fiber;

struct fiber_pool {
    struct fiber *current; /* the one that runs now; NULL: the loop does */
    size_t count, max;     /* running or suspended, and their limit */
    size_t stack_size;
    /* private: */
    struct list idle;
    size_t idle_count;
    void *loop_sp;         /* where the loop stands while a fiber runs */
    void *loop_fake_stack; /* the loop's, as the sanitizers know it */
    const void *loop_bottom;
    size_t loop_size;
    void *loop_tsan;
};

/* `stack_size` is rounded up to pages. */
void fiber_pool_init(struct fiber_pool *pool, size_t max, size_t stack_size);

/* No fiber may be running or suspended. */
void fiber_pool_release(struct fiber_pool *pool);

/* Runs `run(argument)` on a fiber until it suspends or returns; called from the loop. 0; ERR_FULL
 * when `max` are in use; ERR_NOMEM when no stack can be mapped: `run` was not called then. When the
 * function has returned, its fiber must not be used any more. */
int fiber_start(struct fiber_pool *pool, void (*run)(void *argument), void *argument);

/* Puts the current fiber aside until it is resumed; called on a fiber. */
void fiber_suspend(struct fiber_pool *pool);

/* Takes `fiber`, which is suspended, up again until it suspends or returns; called from the loop.
 */
void fiber_resume(struct fiber_pool *pool, struct fiber *fiber);

#endif
