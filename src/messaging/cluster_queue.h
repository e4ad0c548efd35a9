/* Private to src/messaging: a queue in a cluster. */
#ifndef DURE_MESSAGING_CLUSTER_QUEUE_H
#define DURE_MESSAGING_CLUSTER_QUEUE_H

#include "base/buf.h"
#include "messaging/cluster.h"

enum {
    QUEUE_NAME_MAX = 256,
    QUEUE_ACK_WAIT_MS = 30000, /* of the server: how soon it comes again when this program dies */
    QUEUE_TICK_MS = 250,
    QUEUE_CONFIRM_MS = 2000
};

/* What became of a delivery.
 *
 *     HELD -- ack, nak --> SETTLING -- confirmed --> gone
 *       '-- term, too many attempts --> DYING -- in DEAD --> SETTLING
 */
enum held_state { HELD, SETTLING, DYING };

struct held {
    struct cluster_queue *queue;
    struct list link;
    uint64_t seq, time_ns;
    uint32_t attempt;
    enum held_state state;
    uint64_t until_ns;    /* HELD: how long the owner may work at it */
    uint64_t progress_ns; /* HELD: when the server is told next that it is worked at */
    uint64_t again_ns;    /* else: when the next step is tried again, if nothing is under way */
    bool asking;          /* the request is under way */
    struct client_request request;
    bool publishing;
    struct client_durable durable;
    struct message *message;
    char word[48];    /* SETTLING: "+ACK", "+TERM", "-NAK {...}" */
    char reason[204]; /* DYING */
    size_t reply_len;
    char reply[]; /* where the server is told */
};

struct cluster_queue {
    struct queue queue;
    struct cluster *cluster;
    struct list link; /* in the cluster's */
    queue_deliver *deliver;
    void *context;

    char stream[QUEUE_NAME_MAX], name[QUEUE_NAME_MAX], filter[QUEUE_NAME_MAX];
    uint32_t ack_wait_ms, max_deliver, max_ack_pending;

    /* the consumer */
    enum { QUEUE_MAKING, QUEUE_THERE } state;
    struct jsapi api;
    bool asking, told;
    uint64_t again_ns;

    /* the pull request that is under way */
    struct client_subscription *subscription;
    char inbox[CLIENT_INBOX_TEXT];
    uint64_t pull;  /* its number */
    uint32_t asked; /* deliveries it may still bring; 0: there is none */
    uint64_t heard_ns;
    uint32_t wanted;

    struct map by_seq;
    struct list held;
    struct io_timer timer;

    bool closing;
    uint64_t closing_ns; /* when it stops waiting for confirmations */
    void (*done)(void *context);
    void *done_context;
};

/* ---- cluster_queue.c ---- */

/* The consumer is not what it was: looks for it, and makes it. */
void cluster_queue_make(struct cluster_queue *queue, uint64_t delay_ms);
void cluster_queue_pull(struct cluster_queue *queue);

/* ---- cluster_held.c ---- */

/* A message of the queue has come. */
void cluster_queue_take(struct cluster_queue *queue, struct message *message);
void cluster_held_tick(struct cluster_queue *queue, uint64_t now_ns);
void cluster_held_settle(struct held *held, const char *word);
void cluster_held_bury(struct held *held, struct bytes reason);
void cluster_held_free(struct held *held);
struct held *cluster_held_find(struct cluster_queue *queue, uint64_t seq);

#endif
