/* outbox: what waits to be written to one client, in order. Small texts are copied into chunks,
 * large bodies stay in their (counted) message. Gathered in batches, each one send; a batch ends
 * where a message ends, so what is behind the batch in flight can be dropped without leaving half a
 * message. An empty outbox holds no memory: chunks and batches come from the bus's pool and go back
 * to it when they are sent. */
#ifndef DURE_BUS_OUTBOX_H
#define DURE_BUS_OUTBOX_H

#include "bus/message.h"

#include <sys/uio.h>

struct outbox_chunk;
struct outbox_batch;

/* Free chunks and batches, for all outboxes of a bus. Keeps a limited number of them. */
struct outbox_pool {
    struct outbox_chunk *small, *large;
    struct outbox_batch *batches;
    unsigned small_count, large_count, batch_count;
    uint64_t pending; /* bytes in all outboxes */
};

struct outbox {
    struct outbox_pool *pool;
    struct outbox_batch *first, *last; /* in the order of sending */
    struct outbox_chunk *fill;         /* where texts go */
    size_t pending;                    /* bytes, those in flight too */
    bool in_flight;                    /* the first batch is being sent */
};

/* The longest text that is put in one piece. */
enum { OUTBOX_TEXT_MAX = 16000 };

void outbox_pool_init(struct outbox_pool *pool);
void outbox_pool_release(struct outbox_pool *pool);

void outbox_init(struct outbox *outbox, struct outbox_pool *pool);

/* Drops everything; nothing may be in flight. */
void outbox_release(struct outbox *outbox);

static inline bool outbox_is_empty(const struct outbox *outbox)
{
    return outbox->pending == 0;
}

/* Room for a text of up to `len` bytes, to be filled and counted with outbox_commit before anything
 * else is done. NULL: longer than OUTBOX_TEXT_MAX, or out of memory. */
char *outbox_reserve(struct outbox *outbox, size_t len);
void outbox_commit(struct outbox *outbox, size_t len);

/* Adds a view into the message behind the text that was committed last (required: a message's
 * head). Takes a count of its own. */
void outbox_put_body(struct outbox *outbox, struct message *message, struct bytes body);

/* Adds the payload of a counted message as it is: whole messages of the protocol (message_block).
 * Takes a count of its own. False: out of memory. */
bool outbox_put_block(struct outbox *outbox, struct message *block);

/* The next batch, now in flight, or NULL when there is none. Then outbox_sent() when it has gone.
 */
const struct iovec *outbox_begin(struct outbox *outbox, int *ret_count);
void outbox_sent(struct outbox *outbox);

/* Drops what is not in flight. */
void outbox_cut(struct outbox *outbox);

#endif
