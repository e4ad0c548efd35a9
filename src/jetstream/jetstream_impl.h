/* What the parts of the JetStream API share. */
#ifndef DURE_JETSTREAM_IMPL_H
#define DURE_JETSTREAM_IMPL_H

#include "jetstream/advisory.h"
#include "jetstream/api.h"
#include "jetstream/delivery.h"

struct jetstream {
    struct io *io;
    struct bus *bus;
    struct streams *streams;
    struct log *log;
    unsigned max_requests;
    struct jetstream_metrics metrics;
    struct advisories advisories;
    struct deliveries deliveries;

    struct bus_service api, direct; /* "$JS.API." and, below it, "DIRECT.GET." */
    struct list waiting;            /* of struct api_call: their turn has not come */
    struct list running;            /* of struct api_call: those under way */
    unsigned reads;                 /* under way that change nothing */
    bool changing;                  /* one that changes something is under way */
    struct io_task turn;            /* starts calls */
    struct list gets;               /* of struct direct_get, under way */
    struct list snapshots, restores;
    unsigned get_count; /* of all three */

    bool closing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* A call has ended: the next may begin. */
void jetstream_call_ended(struct jetstream *js, bool changes);

/* Publishes an answer; one that is larger than what clients may publish goes out too. Returns how
 * many have taken it, or errors of bus_publish. */
int jetstream_send(struct jetstream *js, struct message *message);

/* ---- direct.c ---- */

/* Takes a request for a direct get; false: nobody answers for this subject. */
bool direct_take(struct bus_service *service, struct message *message);

/* Frees those under way, without I/O. */
void direct_free(struct jetstream *js);

/* A direct get, a snapshot or a restore has ended. */
void jetstream_get_ended(struct jetstream *js);

/* ---- snapshot.c, restore.c ---- */

/* Ends those under way, in the next turns. */
void snapshots_stop(struct jetstream *js);
void restores_stop(struct jetstream *js);

/* Frees those under way, without I/O. */
void snapshots_free(struct jetstream *js);
void restores_free(struct jetstream *js);

#endif
