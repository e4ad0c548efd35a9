/* messaging: the bus as the rest of this program uses it, whatever engine is behind it: the
 * embedded bus with its streams, or a NATS cluster. Publish, subscribe, ask, store; durable queues
 * (messaging/queue.h) and buckets of keys and values (messaging/bucket.h) stand on it.
 *
 * Owned by whoever made it, until the `done` of messaging_close() has run; queues and buckets are
 * closed before. Nothing is called back inside the call that causes it. While the cluster cannot be
 * reached, calls fail at once with ERR_UNREACHABLE, and what is wanted to last (streams, queues,
 * subscriptions, buckets) waits and goes on by itself. */
#ifndef DURE_MESSAGING_MESSAGING_H
#define DURE_MESSAGING_MESSAGING_H

#include "base/log.h"
#include "bus/bus.h"
#include "client/client.h"
#include "client/jsapi.h"
#include "stream/streams.h"

struct messaging;

/* Over a bus and its streams, both of which must outlive it. ERR_NOMEM. */
int messaging_embed(struct io *io, struct bus *bus, struct streams *streams,
                    struct messaging **ret_messaging);

struct messaging_cluster_options {
    struct client_options client;
    unsigned replicas; /* of streams; 0: 3 when the cluster has three servers or more, else 1 */
};

/* Over a NATS cluster. ERR_INVALID (with words in `error`), ERR_NOMEM. */
int messaging_connect(struct io *io, const struct messaging_cluster_options *options,
                      struct log *log, struct messaging **ret_messaging, struct error *error);

/* Ends subscriptions, fails requests (ERR_CLOSED). The engine's bus and streams stay. NULL is
 * allowed: done at once. */
void messaging_close(struct messaging *messaging, void (*done)(void *context), void *context);

/* Frees memory without any I/O, for a simulated host that has crashed. NULL is allowed. */
void messaging_free(struct messaging *messaging);

/* `ready` runs, once, when streams, queues and buckets can be made: soon (embedded), or when the
 * cluster answers with JetStream. One waits at a time. */
void messaging_when_ready(struct messaging *messaging, void (*ready)(void *context), void *context);

/* For people. The texts are good until the loop turns. */
struct messaging_status {
    bool embedded, reachable;
    struct client_status client; /* of a cluster */
    unsigned replicas;           /* of a cluster's streams */
};
struct messaging_status messaging_status(struct messaging *messaging);

/* NULL: embedded. For metrics. */
struct client *messaging_client(struct messaging *messaging);

/* ---- what does not last ------------------------------------------------------------------------
 */

/* To those who listen now. Returns how many have taken it, where the engine knows; else 0.
 * ERR_INVALID, ERR_TOO_BIG, ERR_UNREACHABLE, ERR_FULL. */
int messaging_publish(struct messaging *messaging, struct message *message);

struct messaging_subscription;

/* As bus_subscribe(). ERR_INVALID, ERR_NOMEM. */
int messaging_subscribe(struct messaging *messaging, struct bytes pattern, struct bytes queue,
                        bus_message_fn *deliver, void *context,
                        struct messaging_subscription **ret);
void messaging_unsubscribe(struct messaging_subscription *subscription);

/* Embedded in its owner; must not move or go until done has run or messaging_request_cancel(). */
struct messaging_request {
    /* result 0: `reply` is the first answer. ERR_UNAVAILABLE: nobody listens; ERR_TIMEOUT;
     * ERR_RESET; ERR_CLOSED: reply is NULL. */
    void (*done)(struct messaging_request *request, int result, struct message *reply);

    /* private */
    struct messaging *messaging;
    union {
        struct bus_request bus;
        struct client_request client;
    };
};

/* Errors are returned; then done will not run. */
int messaging_ask(struct messaging *messaging, struct messaging_request *request,
                  struct message *message, uint32_t timeout_ms,
                  void (*done)(struct messaging_request *request, int result,
                               struct message *reply));
void messaging_request_cancel(struct messaging_request *request);

/* ---- what lasts --------------------------------------------------------------------------------
 */

/* Embedded in its owner; must not move or go until done has run or messaging_store_cancel(). */
struct messaging_store {
    /* result 0: the stream ack.stream has it. ERR_NOT_FOUND: no stream takes this subject, and
     * nothing was sent. Refusals of the stream: ack.code and ack.description say why. */
    void (*done)(struct messaging_store *store, int result);
    struct puback ack;

    /* private */
    struct messaging *messaging;
    struct message *message;
    uint64_t deadline_ns;
    enum { STORE_IDLE, STORE_NOWHERE, STORE_ASKS, STORE_WAITS } state;
    struct io_task task;
    struct jsapi api;
    union {
        struct bus_request bus;
        struct client_durable client;
    };
};

/* Publishes the message to be stored: done when it is durable. With the header Nats-Msg-Id it is
 * stored once, however often it is sent. ERR_INVALID, ERR_TOO_BIG, ERR_FULL, ERR_NOMEM. */
int messaging_store(struct messaging *messaging, struct messaging_store *store,
                    struct message *message, uint32_t timeout_ms,
                    void (*done)(struct messaging_store *store, int result));
void messaging_store_cancel(struct messaging_store *store);

/* A stream, as this program wants it. */
struct messaging_stream {
    const char *name;
    const char *const *subjects;
    size_t subject_count;
    int64_t max_age_ns, duplicate_window_ns; /* 0: none; the engine's default */
};

/* Embedded in its owner; must not move or go until done has run or messaging_setup_cancel(). */
struct messaging_setup {
    void (*done)(struct messaging_setup *setup, int result, const struct error *error);

    /* private */
    struct messaging *messaging;
    void *of_engine;
};

/* Makes the stream, or changes the one there is, to what `stream` says; what that does not speak of
 * stays. A cluster that cannot be reached is waited for. ERR_NOMEM; then done will not run. */
int messaging_keep_stream(struct messaging *messaging, struct messaging_setup *setup,
                          const struct messaging_stream *stream,
                          void (*done)(struct messaging_setup *setup, int result,
                                       const struct error *error));
void messaging_setup_cancel(struct messaging_setup *setup);

/* ---- watching ----------------------------------------------------------------------------------
 */

/* Sees everything that is published, where the engine is in this program; a cluster shows nothing:
 * false. NULL takes it away. */
bool messaging_observe(struct messaging *messaging, struct bus_observer *observer);

#endif
