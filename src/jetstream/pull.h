/* pull: a pull consumer's outlet: the requests that wait for messages, in turn. Each message goes
 * to the first request, which then stands behind the others until it has had all it asked for. */
#ifndef DURE_JETSTREAM_PULL_H
#define DURE_JETSTREAM_PULL_H

#include "jetstream/delivery.h"
#include "jetstream/pull_request.h"

struct pull {
    struct outlet base;
    struct list waiting; /* of struct pull_request: in turn */
    size_t waiting_count;
    struct io_timer timer; /* requests expire, heartbeats are due */

    /* The request that takes the next message, and who listens for it. */
    struct pull_request *chosen;
    struct bus_inbox inbox;
    uint64_t told; /* statuses sent */

    /* Priority groups: who the pinned client is. */
    struct pin {
        char id[24];
        uint64_t since_ns, used_ns; /* wall clock; monotonic */
    } pin;
};

/* Makes the outlet of a pull consumer. ERR_NOMEM. */
int pull_open(struct deliveries *deliveries, struct consumer *consumer);

/* Takes the client away that a group is pinned to; ERR_NOT_FOUND: there is no such group. */
int pull_unpin(struct consumer *consumer, struct bytes group);

/* ---- pull_group.c ---- */

/* Why a request may not wait because of its group; NULL: it may. *ret_code: the status. */
const char *pull_group_refuses(struct pull *pull, const struct pull_request *request,
                               int *ret_code);

enum pull_turn { PULL_TAKE, PULL_SKIP, PULL_WRONG_PIN };

/* Whether it is the request's turn, as its group sees it. May pin its client. */
enum pull_turn pull_group_turn(struct pull *pull, struct pull_request *request);

/* Requests stand in the order of their priority. */
void pull_group_enqueue(struct pull *pull, struct pull_request *request);

/* The pinned client has been silent for too long. */
void pull_group_expire(struct pull *pull);

/* When that may be; monotonic, 0: never. */
uint64_t pull_group_deadline(const struct pull *pull);

#endif
