/* engine: what stands behind the port. Private to src/messaging: messaging.c, queue.c and bucket.c
 * call through this table, embedded.c and cluster.c fill it. An engine embeds `struct messaging` as
 * its first member, its queues and buckets `struct queue` and `struct bucket`. */
#ifndef DURE_MESSAGING_ENGINE_H
#define DURE_MESSAGING_ENGINE_H

#include "messaging/bucket.h"
#include "messaging/messaging.h"
#include "messaging/queue.h"

/* The functions are those of the port, with the same meanings. */
struct messaging_engine {
    void (*close)(struct messaging *messaging, void (*done)(void *context), void *context);
    void (*free)(struct messaging *messaging);
    void (*when_ready)(struct messaging *messaging, void (*ready)(void *context), void *context);
    void (*status)(struct messaging *messaging, struct messaging_status *ret_status);
    int (*publish)(struct messaging *messaging, struct message *message);
    int (*subscribe)(struct messaging *messaging, struct bytes pattern, struct bytes queue,
                     bus_message_fn *deliver, void *context, void **ret_subscription);
    void (*unsubscribe)(void *subscription);
    int (*ask)(struct messaging *messaging, struct messaging_request *request,
               struct message *message, uint32_t timeout_ms);
    void (*request_cancel)(struct messaging_request *request);
    int (*store)(struct messaging *messaging, struct messaging_store *store,
                 struct message *message, uint32_t timeout_ms);
    void (*store_cancel)(struct messaging_store *store);
    int (*keep_stream)(struct messaging *messaging, struct messaging_setup *setup,
                       const struct messaging_stream *stream);
    void (*setup_cancel)(struct messaging_setup *setup);
    int (*queue_open)(struct messaging *messaging, const struct queue_config *config,
                      queue_deliver *deliver, void *context, struct queue **ret_queue,
                      struct error *error);
    int (*bucket_open)(struct messaging *messaging, const struct bucket_config *config,
                       struct bucket **ret_bucket, struct error *error);
};

struct messaging {
    const struct messaging_engine *engine;
    struct io *io;
};

struct queue_engine {
    void (*close)(struct queue *queue, void (*done)(void *context), void *context);
    void (*free)(struct queue *queue);
    void (*want)(struct queue *queue, uint32_t count);
    int (*ack)(struct queue *queue, uint64_t seq);
    int (*nak)(struct queue *queue, uint64_t seq, uint32_t delay_ms);
    int (*term)(struct queue *queue, uint64_t seq, struct bytes reason);
    int (*progress)(struct queue *queue, uint64_t seq);
};

struct queue {
    const struct queue_engine *engine;
    bool open;
    void (*opened)(void *context); /* NULL: nobody waits */
    void *opened_context;
};

/* For engines: it exists. */
void queue_is_open(struct queue *queue);

struct bucket_engine {
    void (*close)(struct bucket *bucket);
    int (*get)(struct bucket *bucket, struct bytes key, struct kv_entry *ret_entry);
    void (*each)(struct bucket *bucket, void (*each)(void *context, const struct kv_entry *entry),
                 void *context);
    /* revision BUCKET_ANY_REVISION: whatever it is; 0: the key has no value. */
    void (*change)(struct bucket *bucket, struct bucket_op *op, enum kv_operation operation,
                   struct bytes key, struct bytes value, uint64_t revision);
};

struct bucket {
    const struct bucket_engine *engine;
    struct messaging *messaging;
    kv_changed *changed; /* NULL: nobody watches */
    void *changed_context;
    void (*opened)(void *context); /* NULL: it is told */
    void *opened_context;
};

#define BUCKET_ANY_REVISION UINT64_MAX

int embedded_queue_open(struct messaging *messaging, const struct queue_config *config,
                        queue_deliver *deliver, void *context, struct queue **ret_queue,
                        struct error *error);
int embedded_bucket_open(struct messaging *messaging, const struct bucket_config *config,
                         struct bucket **ret_bucket, struct error *error);
int cluster_queue_open(struct messaging *messaging, const struct queue_config *config,
                       queue_deliver *deliver, void *context, struct queue **ret_queue,
                       struct error *error);
int cluster_bucket_open(struct messaging *messaging, const struct bucket_config *config,
                        struct bucket **ret_bucket, struct error *error);

#endif
