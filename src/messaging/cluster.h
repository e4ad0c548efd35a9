/* Private to src/messaging: what the parts of the cluster's engine share. */
#ifndef DURE_MESSAGING_CLUSTER_H
#define DURE_MESSAGING_CLUSTER_H

#include "base/map.h"
#include "messaging/engine.h"

enum {
    CLUSTER_API_MS = 5000,    /* patience with one request to JetStream */
    CLUSTER_AGAIN_MS = 250,   /* before what failed is tried anew */
    CLUSTER_SUBJECTS_MAX = 64 /* of the streams that this program keeps */
};

/* A stream that is to be as `config` says: found, and made or changed where it is not so, again and
 * again until the cluster has done it or refused it. Embedded in its owner. */
struct cluster_keep {
    void (*done)(struct cluster_keep *keep, int result, const struct error *error);

    /* private */
    struct cluster *cluster; /* NULL: it is not under way */
    struct jsapi api;
    struct io_timer timer;
    json_t *config; /* the members that we care for */
    char name[256];
    bool told; /* that it has to wait */
};

struct cluster {
    struct messaging messaging;
    struct client *client;
    struct log *log;
    unsigned replicas; /* wanted; 0: by the number of servers */

    /* until JetStream answers */
    struct jsapi probe;
    struct io_timer probe_timer;
    bool is_ready;
    void (*ready)(void *context);
    void *ready_context;

    /* which subjects are stored: those of streams kept here, and what the cluster said of others */
    struct list kept; /* of struct kept_subject */
    struct map asked; /* subject -> struct asked_subject */

    struct cluster_keep dead; /* the stream of dead letters */
    enum { DEAD_UNKNOWN, DEAD_KEEPING, DEAD_THERE } dead_state;
    struct list queues, buckets;
};

static inline struct cluster *cluster_of(struct messaging *messaging)
{
    return CONTAINER_OF(messaging, struct cluster, messaging);
}

/* How many servers are to hold each message. */
unsigned cluster_replicas(const struct cluster *cluster);

/* Whether trying it again may help: nobody answered, or not the one who can. */
bool cluster_passes(int err);

/* ---- cluster_keep.c ---- */

/* Takes over `config`; num_replicas is added. */
void cluster_keep(struct cluster *cluster, struct cluster_keep *keep, const char *name,
                  json_t *config,
                  void (*done)(struct cluster_keep *keep, int result, const struct error *error));
void cluster_keep_cancel(struct cluster_keep *keep);

/* The existing configuration with the wanted members in it; NULL: it has them already. */
json_t *cluster_merge(json_t *existing, json_t *wanted);

int cluster_keep_stream(struct messaging *messaging, struct messaging_setup *setup,
                        const struct messaging_stream *stream);
void cluster_setup_cancel(struct messaging_setup *setup);

/* Begins to make the stream of dead letters; true when it is there. */
bool cluster_keep_dead(struct cluster *cluster);

/* ---- cluster_store.c ---- */

int cluster_store(struct messaging *messaging, struct messaging_store *store,
                  struct message *message, uint32_t timeout_ms);
void cluster_store_cancel(struct messaging_store *store);

/* These subjects are stored, and no others of this stream. */
int cluster_learn_subjects(struct cluster *cluster, const struct messaging_stream *stream);
void cluster_forget_subjects(struct cluster *cluster);

/* ---- the connection has come up, or is lost ---- */

void cluster_queues_changed(struct cluster *cluster, bool up);
void cluster_buckets_changed(struct cluster *cluster, bool up);

#endif
