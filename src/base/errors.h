/* errors: everything that is wrong with what a person wrote, gathered so that it can be shown at
 * once. Bounded: past ERRORS_MAX further ones are counted, not kept. Lives in an arena. */
#ifndef DURE_BASE_ERRORS_H
#define DURE_BASE_ERRORS_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { ERRORS_MAX = 50 };

struct errors {
    struct arena *arena;
    struct error *items; /* the first `count` are filled */
    size_t count;
    size_t dropped;     /* how many more there were */
    struct error spare; /* where one is written that is not kept */
};

/* An empty list whose items will live in `arena`. */
void errors_init(struct errors *errors, struct arena *arena);

/* A fresh, empty error to fill; never NULL. Past the limit, and when the arena is full, it is one
 * that counts but is not kept. */
struct error *errors_add(struct errors *errors);

/* How many there were in all; 0: nothing is wrong. */
static inline size_t errors_total(const struct errors *errors)
{
    return errors->count + errors->dropped;
}

/* Orders them for reading: files in the order in which they first appear here, then by place. */
void errors_sort(struct errors *errors);

/* Appends them as a person reads them: each as error_format writes it, a line of its own, and at
 * the end how many were not kept. Nothing when there are none. */
void errors_format(const struct errors *errors, struct buf *out);

#endif
