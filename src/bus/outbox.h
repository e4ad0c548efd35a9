/* outbox: what waits to be written to one client, in order. Small texts are copied into chunks,
 * large bodies stay in their (counted) message. Gathered in batches, each one send; a batch ends
 * where a message ends, so what is behind the batch in flight can be dropped without leaving half a
 * message. An empty outbox holds no memory: chunks and batches come from the bus's pool and go back
 * to it when they are sent.
 *
 * What has just been received need not be counted: outboxes may point into the receive buffer for
 * as long as it is being decoded (struct lender), and are asked to send before that ends. */
#ifndef DURE_BUS_OUTBOX_H
#define DURE_BUS_OUTBOX_H

#include "bus/message.h"

#include <sys/uio.h>

struct outbox_chunk;
struct outbox_batch;

/* Bytes that outboxes may point into for a while: what one receive has brought, in a buffer that
 * will be used for the next one. Who has not sent them by then keeps a copy. */
struct lender {
    struct bytes bytes;   /* empty: nothing is lent */
    struct message *copy; /* of them all, for those that keep much; NULL: not made */
};

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

/* The same with a view of lent bytes: to be sent or kept before they are gone. */
void outbox_put_lent(struct outbox *outbox, struct bytes view);

/* The lent bytes are about to go: what is still to be sent of them is copied, alone when it is
 * little, so that a slow client does not hold much for a few bytes; else it shares the one copy of
 * all. `taken`: the batch in flight will not be looked at again. False: out of memory. */
bool outbox_keep(struct outbox *outbox, struct lender *lender, bool taken);

/* Nobody points into the lent bytes any more. */
void lender_end(struct lender *lender);

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
