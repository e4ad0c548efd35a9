/* push: a push consumer's outlet: everything goes to the deliver subject as long as somebody
 * listens there, within the flow that the client confirms and the rate that was set. */
#ifndef DURE_JETSTREAM_PUSH_H
#define DURE_JETSTREAM_PUSH_H

#include "jetstream/delivery.h"

struct push {
    struct outlet base;
    struct bus_inbox inbox;
    struct bus_watch interest; /* in the deliver subject */
    struct io_timer beat;      /* an idle heartbeat is due */
    uint64_t sent_ns;          /* monotonic: the last that was sent */

    /* Flow control: bytes sent that the client has not confirmed, and how many may be. */
    uint64_t flow_bytes, flow_window;
    size_t flow_next;    /* of the message at hand */
    uint64_t flow_asked; /* of them, those that the confirmation that is waited for covers */
    char *flow_reply;    /* which it is; "": none */
    size_t flow_size;

    /* Rate limit: bytes that may go now, and when that was. */
    double rate_bytes;
    uint64_t rate_ns;
    struct io_timer rate;
};

/* Makes the outlet of a push consumer. ERR_NOMEM. */
int push_open(struct deliveries *deliveries, struct consumer *consumer);

#endif
