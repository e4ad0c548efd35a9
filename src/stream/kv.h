/* kv: a bucket of keys and values with revisions, laid out on a stream as NATS clients do it
 * (ADR-8): stream KV_BUCKET, subject $KV.BUCKET.KEY, header KV-Operation for what is no put. So a
 * NATS client and this interface see the same bucket.
 *
 * The last value of each key is also held in memory (at most max_bytes), as a projection of the
 * stream: reads are immediate and show only what is durable. */
#ifndef DURE_BUS_KV_H
#define DURE_BUS_KV_H

#include "stream/stream.h"
#include "stream/streams.h"

struct kv;
struct kv_watch;

enum kv_operation { KV_PUT, KV_DELETE, KV_PURGE };

struct kv_config {
    const char *bucket;       /* [A-Za-z0-9_-]+ */
    uint32_t history;         /* values kept for each key, 1 to 64; 0: 1 */
    uint64_t max_bytes;       /* 0: 64 MiB */
    uint32_t max_value_bytes; /* 0: 1 MiB */
    uint64_t ttl_ms;          /* 0: for ever */
};

/* A value; the views are good until the loop turns, or the callback returns. */
struct kv_entry {
    struct bytes key, value;
    uint64_t revision; /* the stream's sequence */
    uint64_t time_ns;  /* wall clock */
    enum kv_operation operation;
};

/* Opens the bucket, or makes it; BLOCKS shortly (reads every value there is). The stream stays when
 * the bucket is closed. */
int kv_open(struct streams *streams, const struct kv_config *config, struct kv **ret_kv,
            struct error *error);

/* Watches end without a further call; operations under way still complete, but must not refer to
 * the bucket. NULL is allowed. Also right for a simulated host that has crashed. */
void kv_close(struct kv *kv);

struct stream *kv_stream(struct kv *kv);

/* 0, or ERR_NOT_FOUND (never put, deleted or purged). */
int kv_get(struct kv *kv, struct bytes key, struct kv_entry *ret_entry);

/* Calls `each` for every key that has a value and matches the pattern (as a subject's; empty: all),
 * in no order; the bucket must not be changed from inside. */
void kv_each(struct kv *kv, struct bytes pattern,
             void (*each)(void *context, const struct kv_entry *entry), void *context);

/* How many keys have a value. */
size_t kv_count(const struct kv *kv);

/* ---- changes: `done` runs from the loop when it is durable or has failed
 * ------------------------- */

struct kv_op {
    void (*done)(struct kv_op *op, int result);
    uint64_t revision; /* of the change, when the result is 0 */

    /* private */
    struct stream_op op;
    bool creates;
};

typedef void kv_done(struct kv_op *op, int result);

/* Results, all through `done`: 0, ERR_INVALID (key), ERR_TOO_BIG, ERR_FULL, ERR_NO_SPACE, ERR_IO.
 */
void kv_put(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value, kv_done *done);

/* Only if the key has no value: else ERR_EXISTS. */
void kv_create(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value,
               kv_done *done);

/* Only if the key's last revision (of a value or of its deletion) is this one: else ERR_CONFLICT.
 */
void kv_update(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value,
               uint64_t revision, kv_done *done);

/* Leaves a delete marker. revision 0: whatever the last one is; else as kv_update. */
void kv_delete(struct kv *kv, struct kv_op *op, struct bytes key, uint64_t revision, kv_done *done);

/* Deletes the key with its history; leaves a purge marker. */
void kv_purge(struct kv *kv, struct kv_op *op, struct bytes key, kv_done *done);

/* ---- watching ----------------------------------------------------------------------------------
 */

/* First every value there is whose key matches (as KV_PUT, in order of the revisions), then NULL
 * once: these were all; then every change, in order, deletions too. Runs from the loop. */
typedef void kv_changed(void *context, const struct kv_entry *entry);

/* pattern: as a subject's, empty: all keys. ERR_INVALID, ERR_NOMEM. */
int kv_watch(struct kv *kv, struct bytes pattern, kv_changed *changed, void *context,
             struct kv_watch **ret_watch);

/* After this `changed` does not run. May be called from inside `changed`. NULL is allowed. */
void kv_unwatch(struct kv_watch *watch);

#endif
