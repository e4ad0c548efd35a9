/* bucket: keys and values with revisions, as NATS clients lay them out (ADR-8), with the last value
 * of each key held in memory as a projection: reads are immediate, show only what is durable, and
 * stay when the cluster cannot be reached.
 *
 * Owned by its opener until bucket_close(). */
#ifndef DURE_MESSAGING_BUCKET_H
#define DURE_MESSAGING_BUCKET_H

#include "messaging/messaging.h"
#include "stream/kv.h"

struct bucket;

struct bucket_config {
    const char *bucket; /* [A-Za-z0-9_-]+ */
    uint32_t max_value_bytes;
};

/* Opens the bucket, or makes it. `opened` runs once when what it holds is known. Embedded: BLOCKS
 * shortly. ERR_INVALID, ERR_NOMEM, ERR_CORRUPT. */
int bucket_open(struct messaging *messaging, const struct bucket_config *config,
                void (*opened)(void *context), void *context, struct bucket **ret_bucket,
                struct error *error);

/* The watch ends; operations under way still complete, but must not refer to the bucket. NULL is
 * allowed. Also right for a simulated host that has crashed. */
void bucket_close(struct bucket *bucket);

/* 0, or ERR_NOT_FOUND. */
int bucket_get(struct bucket *bucket, struct bytes key, struct kv_entry *ret_entry);

/* Calls `each` for every key that has a value, in no order; nothing may be changed from inside. */
void bucket_each(struct bucket *bucket, void (*each)(void *context, const struct kv_entry *entry),
                 void *context);

/* Every change from now on, in order, deletions too (a cluster: those of a key that came while it
 * could not be reached become one). One watches at a time. */
void bucket_watch(struct bucket *bucket, kv_changed *changed, void *context);

struct bucket_op {
    void (*done)(struct bucket_op *op, int result);
    uint64_t revision; /* of the change, when the result is 0 */

    /* private */
    struct bucket *bucket; /* NULL: closed in the meantime */
    struct list link;
    struct message *message;
    struct io *io;
    union {
        struct kv_op kv;
        struct client_durable client;
    };
    struct io_task task;
    int result;
};

typedef void bucket_done(struct bucket_op *op, int result);

/* Changes of one key take effect in the order of the calls. `done` runs from the loop when it is
 * durable or has failed: ERR_INVALID (key), ERR_TOO_BIG,
 * ERR_FULL, ERR_NO_SPACE, ERR_IO, ERR_UNREACHABLE, ERR_TIMEOUT. */
void bucket_put(struct bucket *bucket, struct bucket_op *op, struct bytes key, struct bytes value,
                bucket_done *done);

/* Only if the key's last revision is this one (0: it has no value): else ERR_CONFLICT. */
void bucket_update(struct bucket *bucket, struct bucket_op *op, struct bytes key,
                   struct bytes value, uint64_t revision, bucket_done *done);

/* Removes the key with its history; leaves a marker. */
void bucket_purge(struct bucket *bucket, struct bucket_op *op, struct bytes key, bucket_done *done);

#endif
