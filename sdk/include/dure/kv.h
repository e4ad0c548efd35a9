/* kv.h: values by key, on the bus. A bucket keeps the last values of each key, tells who watches
 * it, and updates only what nobody else has changed. Compatible with every NATS client's key-value
 * store (ADR-8). Part of dure.h: [waits], memory and errors are as there.
 *
 * A bucket's name is letters, digits, _ and -; a key is those and . / = (no dot at an end).
 * All of these: INVALID (name), NOTFOUND (bucket or key), UNREACHABLE, TIMEOUT, CLOSED,
 * CANCELLED, NOSTREAM (the server keeps nothing), and dure_reason() in the server's words. */
#ifndef DURE_KV_H
#define DURE_KV_H

#include "dure/bus.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a new bucket is like. What is left zero has the default behind it. */
struct dure_kv_config {
    const char *description;
    int history;       /* values kept of each key, 1 to 64; 1 */
    int64_t ttl_ms;    /* how long a value lives; for ever */
    int64_t max_bytes; /* of all; no limit */
    int64_t max_value; /* bytes of one; no limit */
    int replicas;      /* 1 */
    bool memory;       /* not on disk */
};

/* [waits] Makes a bucket; one that is there already with the same settings is well, with others it
 * is DURE_EEXISTS. */
DURE_EXPORT int dure_kv_open(struct dure_ctx *ctx, const char *bucket,
                             const struct dure_kv_config *config);

/* [waits] Removes a bucket and all its values. */
DURE_EXPORT int dure_kv_drop(struct dure_ctx *ctx, const char *bucket);

struct dure_kv_status {
    const char *bucket, *description;
    uint64_t values; /* kept, of all keys and their history, with markers of deletion */
    uint64_t bytes;
    int history;
    int64_t ttl_ms;               /* 0: none */
    int64_t max_bytes, max_value; /* -1: none */
    int replicas;
    bool memory;
    const struct dure_json *json; /* STREAM.INFO of the stream below it */
};

/* [waits] */
DURE_EXPORT int dure_kv_status(struct dure_ctx *ctx, const char *bucket,
                               struct dure_kv_status *ret_status);

enum dure_kv_operation { DURE_KV_PUT, DURE_KV_DELETE, DURE_KV_PURGE };

struct dure_kv_entry {
    const char *key;
    const char *value; /* a NUL stands behind it; "" when it was deleted */
    size_t len;
    uint64_t revision;
    uint64_t time_ns; /* since 1970-01-01 UTC */
    uint64_t pending; /* watch, history: how many follow that were there already */
    enum dure_kv_operation operation;
};

/* [waits] The value now, or the one of a revision (0: now). NOTFOUND also for a deleted one. */
DURE_EXPORT int dure_kv_get(struct dure_ctx *ctx, const char *bucket, const char *key,
                            uint64_t revision, struct dure_kv_entry *ret_entry);

/* [waits] Sets it, whatever it was. `ret_revision` may be NULL, here and below. */
DURE_EXPORT int dure_kv_put(struct dure_ctx *ctx, const char *bucket, const char *key,
                            const void *value, size_t len, uint64_t *ret_revision);

/* [waits] Sets it if it is not there (or was deleted): else DURE_EEXISTS. */
DURE_EXPORT int dure_kv_create(struct dure_ctx *ctx, const char *bucket, const char *key,
                               const void *value, size_t len, uint64_t *ret_revision);

/* [waits] Sets it if its revision is still this one: else DURE_ECONFLICT. */
DURE_EXPORT int dure_kv_update(struct dure_ctx *ctx, const char *bucket, const char *key,
                               const void *value, size_t len, uint64_t revision,
                               uint64_t *ret_revision);

/* [waits] Deletes it and keeps the history (delete), or forgets that too (purge). `revision`: only
 * if it is still this one (else CONFLICT); 0: anyhow. A key that is not there is no error. */
DURE_EXPORT int dure_kv_delete(struct dure_ctx *ctx, const char *bucket, const char *key,
                               uint64_t revision);
DURE_EXPORT int dure_kv_purge(struct dure_ctx *ctx, const char *bucket, const char *key,
                              uint64_t revision);

/* What a watch tells. */
struct dure_kv_watch;
struct dure_kv_watch_options {
    const char *keys;  /* a key or pattern ("orders.*", ">"); NULL: all */
    bool history;      /* first all values that are kept, not only the last of each key */
    bool updates_only; /* nothing of what is there already */
    bool no_values;    /* keys, revisions and operations only */
    bool no_deletes;
};

/* [waits] */
DURE_EXPORT int dure_kv_watch_open(struct dure_ctx *ctx, const char *bucket,
                                   const struct dure_kv_watch_options *options,
                                   struct dure_kv_watch **ret_watch);

/* [waits] The next change, which lives until the one behind it. 1: an entry; 0, once: everything
 * that was there when the watch began has been told; or an error: TIMEOUT (none in timeout_ms; 0:
 * as long as the handler has). */
DURE_EXPORT int dure_kv_watch_next(struct dure_kv_watch *watch, int64_t timeout_ms,
                                   struct dure_kv_entry *ret_entry);
DURE_EXPORT void dure_kv_watch_close(struct dure_kv_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
