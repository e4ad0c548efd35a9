/* object.h: files of any size on the bus, in chunks, each checked by its SHA-256 when it is read.
 * Compatible with every NATS client's object store (ADR-20). Part of dure.h: [waits], memory and
 * errors are as there. Memory is bounded whatever an object's size.
 *
 * A bucket's name is letters, digits, _ and -; an object's name is any text that is not empty.
 * All of these: INVALID (name), NOTFOUND, UNREACHABLE, TIMEOUT, CLOSED, CANCELLED, NOSTREAM,
 * UNSUPPORTED (a program built without OpenSSL), and dure_reason() in the server's words. */
#ifndef DURE_OBJECT_H
#define DURE_OBJECT_H

#include "dure/bus.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DURE_OBJECT_CHUNK = 128 << 10 };

struct dure_object_config {
    const char *description;
    int64_t ttl_ms;    /* how long an object lives; 0: for ever */
    int64_t max_bytes; /* of all; 0: no limit */
    int replicas;      /* 0: 1 */
    bool memory;       /* not on disk */
};

/* [waits] Makes a bucket (EXISTS: it is there with other settings); removes one and all in it;
 * forbids every change from now on. */
DURE_EXPORT int dure_object_open(struct dure_ctx *ctx, const char *bucket,
                                 const struct dure_object_config *config);
DURE_EXPORT int dure_object_drop(struct dure_ctx *ctx, const char *bucket);
DURE_EXPORT int dure_object_seal(struct dure_ctx *ctx, const char *bucket);

struct dure_object {
    const char *bucket, *name, *description;
    const char *id; /* of this content */
    uint64_t size, chunks;
    size_t chunk_size;
    uint64_t time_ns;   /* when it was put; since 1970-01-01 UTC */
    const char *digest; /* "SHA-256=...", base64url */
    bool deleted;
    const char *link_bucket, *link_name; /* of a link; else NULL */
    uint64_t pending;                    /* watch: how many follow that were there already */
};

/* [waits] INVALID for a link to a bucket where an object is needed. */
DURE_EXPORT int dure_object_info(struct dure_ctx *ctx, const char *bucket, const char *name,
                                 struct dure_object *ret_object);

/* Gives the next bytes: how many it put into `buffer`, 0 at the end, or a negative enum
 * dure_error, with which the put ends. May wait. */
typedef int64_t dure_source(void *argument, void *buffer, size_t size);

/* Takes the next bytes: 0, or a negative enum dure_error, with which the get ends. May wait. */
typedef int dure_sink(void *argument, const void *data, size_t len);

struct dure_object_options {
    const char *description;
    size_t chunk_size; /* 0: DURE_OBJECT_CHUNK, or less when the server takes less */
};

/* [waits] Puts an object; one of the same name is replaced when all of the new one is stored.
 * `options` and `ret_object` may be NULL. When it fails the bucket is as it was. */
DURE_EXPORT int dure_object_put(struct dure_ctx *ctx, const char *bucket, const char *name,
                                const struct dure_object_options *options, dure_source *source,
                                void *argument, struct dure_object *ret_object);

/* [waits] Gets an object, chunk by chunk. PROTOCOL: it is not what was put (a chunk is missing or
 * the digest differs); what `sink` has taken by then is to be thrown away. Links are followed. */
DURE_EXPORT int dure_object_get(struct dure_ctx *ctx, const char *bucket, const char *name,
                                dure_sink *sink, void *argument, struct dure_object *ret_object);

/* [waits] */
DURE_EXPORT int dure_object_delete(struct dure_ctx *ctx, const char *bucket, const char *name);

/* Tells what is there and what changes. */
struct dure_object_watch;

/* [waits] `updates_only`: nothing of what is there already. */
DURE_EXPORT int dure_object_watch_open(struct dure_ctx *ctx, const char *bucket, bool updates_only,
                                       struct dure_object_watch **ret_watch);

/* [waits] As dure_kv_watch_next(): 1: an object, 0, once: all that was there has been told. Deleted
 * ones are told too. */
DURE_EXPORT int dure_object_watch_next(struct dure_object_watch *watch, int64_t timeout_ms,
                                       struct dure_object *ret_object);
DURE_EXPORT void dure_object_watch_close(struct dure_object_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
