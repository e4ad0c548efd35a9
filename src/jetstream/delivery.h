/* delivery: what consumers deliver to clients over the wire, and what clients say of it. Takes
 * `$JS.ACK.>`, the requests for messages (`$JS.API.CONSUMER.MSG.NEXT.>`) and the answers to flow
 * control (`$JS.FC.>`) as they are published; gives every consumer that no part of this program has
 * the outlet that its configuration asks for: pull.h or push.h. */
#ifndef DURE_JETSTREAM_DELIVERY_H
#define DURE_JETSTREAM_DELIVERY_H

#include "base/digits.h"
#include "bus/bus.h"
#include "stream/consumer.h"

struct advisories;
struct deliveries;
struct pull_request;

/* What a consumer delivers into. */
struct outlet {
    struct consumer_outlet outlet;
    struct deliveries *deliveries;
    struct consumer *consumer;
    const struct outlet_kind *kind;
    char *ack_prefix; /* "$JS.ACK.S.C." */
    size_t ack_prefix_len;
    struct outlet_numbers {
        struct digits_last attempt, seq, consumer_seq, time, pending;
    } numbers;          /* as they stood in the last acknowledgement subject */
    uint64_t active_ns; /* monotonic: when somebody last used it */
    struct io_timer inactive;
    struct io_task end;   /* it was not used for too long */
    struct list requests; /* of struct pull_request: to be looked at from the loop */
    struct io_task look;
    struct list link; /* of deliveries.outlets */
};

struct outlet_kind {
    /* Whether somebody uses it now. */
    bool (*is_used)(const struct outlet *outlet);
    /* A request for messages, owned. */
    void (*request)(struct outlet *outlet, struct pull_request *request);
    /* Those that came together have been handed over. May be NULL, as `updated`. */
    void (*requested)(struct outlet *outlet);
    void (*updated)(struct outlet *outlet);
    /* The answer to a flow control request. */
    void (*flow)(struct outlet *outlet, struct bytes subject);
    /* Says goodbye and frees what the kind has; the outlet is freed behind it. */
    void (*end)(struct outlet *outlet, enum consumer_end why);
};

struct deliveries {
    struct io *io;
    struct bus *bus;
    struct streams *streams;
    struct advisories *advisories;
    struct consumer_port port;
    struct bus_service ack, next, flow;
    struct list outlets;
    struct list replies; /* of struct ack_reply: acknowledgements that are to be answered */
    bool silent;         /* nobody is told anything any more */
    struct buf text;     /* of the delivery under way: its reply subject and further headers */

    /* The consumer that was acknowledged to last: most acknowledgements come in runs. */
    struct outlet *last;
};

void deliveries_open(struct deliveries *deliveries, struct io *io, struct bus *bus,
                     struct streams *streams, struct advisories *advisories);

/* Lets go of all consumers; those who wait are told. */
void deliveries_close(struct deliveries *deliveries);

/* The same without telling anybody: for a simulated host that has crashed. */
void deliveries_free(struct deliveries *deliveries);

/* The outlet of a consumer; NULL: it has none, or one of this program. */
struct outlet *outlet_of(const struct consumer *consumer);

/* ---- for the kinds ---- */

/* Fills in what all outlets have, and attaches. ERR_NOMEM. */
int outlet_init(struct outlet *outlet, const struct outlet_kind *kind,
                struct deliveries *deliveries, struct consumer *consumer);

/* Takes a request (owned), from inside a publish. NULL: there was no memory for it. */
void outlet_request(struct outlet *outlet, struct pull_request *request);

/* Somebody uses it. */
void outlet_touch(struct outlet *outlet);

/* The bytes of a delivery as they count for clients' limits. */
size_t outlet_size(const struct outlet *outlet, const struct stream_message *message);

/* Sends a message to who listens on the inbox; pin: empty, or a header Nats-Pin-Id. Returns how
 * many have taken it. */
unsigned outlet_send(struct outlet *outlet, struct bus_inbox *inbox,
                     const struct delivery *delivery, struct bytes pin);

/* Sends a status: "NATS/1.0 CODE TEXT" and further header lines (each with its CRLF). */
void outlet_status(struct outlet *outlet, struct bytes to, struct bytes reply, int code,
                   const char *text, const char *lines);

/* The same as a heartbeat: where the consumer is. `stalled`: the flow control reply that is
 * waited for; NULL: none. */
void outlet_heartbeat(struct outlet *outlet, struct bytes to, const char *stalled);

/* ---- ack.c ---- */

bool ack_take(struct bus_service *service, struct message *message);

/* Forgets whom to answer. */
void ack_release(struct deliveries *deliveries);

#endif
