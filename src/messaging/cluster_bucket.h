/* Private to src/messaging: a bucket in a cluster. */
#ifndef DURE_MESSAGING_CLUSTER_BUCKET_H
#define DURE_MESSAGING_CLUSTER_BUCKET_H

#include "messaging/cluster.h"

enum { BUCKET_NAME_MAX = 128, BUCKET_HEADERS_MAX = 512 };

/* The last change of a key; of one that was deleted the marker. */
struct item {
    struct kv_entry entry;
    uint64_t round; /* the last in which it was told */
    char bytes[];   /* key, value */
};

struct cluster_bucket {
    struct bucket bucket;
    struct cluster *cluster;
    struct list link; /* in the cluster's */
    char name[BUCKET_NAME_MAX];
    size_t prefix_len; /* of "$KV.NAME." */
    struct cluster_keep keep;
    bool kept; /* the stream is there */

    /* the consumer */
    struct client_subscription *subscription;
    struct jsapi api;
    bool asking, following; /* the consumer is being made; is there */
    uint64_t next_seq;      /* of the consumer: the next delivery's */
    uint64_t heard_ns, again_ns;
    uint64_t round; /* of telling everything; grows with each consumer */
    bool complete;  /* everything was told in this round */

    struct map items;
    uint64_t seen;         /* the last revision that the projection has */
    struct list waiting;   /* of struct bucket_op: behind another change of the same key */
    struct list under_way; /* published */
    struct list stored;    /* acknowledged, and not yet seen */
    unsigned waited;       /* ticks since it was seen to grow */
    struct io_timer timer;
};

static inline struct cluster_bucket *bucket_of(struct bucket *bucket)
{
    return CONTAINER_OF(bucket, struct cluster_bucket, bucket);
}

static inline struct io *bucket_io(const struct cluster_bucket *bucket)
{
    return bucket->cluster->messaging.io;
}

/* ---- cluster_bucket_change.c ---- */

void cluster_bucket_change(struct bucket *of, struct bucket_op *op, enum kv_operation operation,
                           struct bytes key, struct bytes value, uint64_t revision);

/* What was stored is told as done when it shows; with `all` also what does not: it is superseded.
 */
void cluster_bucket_tell_stored(struct cluster_bucket *bucket, bool all);

/* Those under way go on without the bucket. */
void cluster_bucket_let_go(struct cluster_bucket *bucket);

#endif
