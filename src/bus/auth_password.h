/* auth_password: compares what was said with a bcrypt hash, on a thread: one hash takes 50 ms and
 * more, which no loop can wait for. One at a time for a server, so that those who guess passwords
 * do not keep the disk's threads from their work. */
#ifndef DURE_BUS_AUTH_PASSWORD_H
#define DURE_BUS_AUTH_PASSWORD_H

#include "io/io.h"

/* Those that wait, first in, first out. Owned by the server. */
struct auth_queue {
    struct io *io;
    struct list waiting;
    struct auth_password *running;
    void (*idle)(struct auth_queue *queue); /* no thread looks at one any more */
};

void auth_queue_init(struct auth_queue *queue, struct io *io,
                     void (*idle)(struct auth_queue *queue));

/* What waits is forgotten without a word, and so is what a thread would look at: none does any
 * more, because `idle` was waited for, or because the simulated host has crashed. */
void auth_queue_release(struct auth_queue *queue);

/* Heap-allocated; belongs to itself, so that a connection that dies need not wait for it. */
struct auth_password;

/* Copies both texts; done(context, whether they fit) is called from the loop. NULL without memory.
 */
struct auth_password *auth_password_check(struct auth_queue *queue, const char *said,
                                          const char *hash, void (*done)(void *context, bool fits),
                                          void *context);

/* After this `done` will not run. */
void auth_password_cancel(struct auth_password *password);

#endif
