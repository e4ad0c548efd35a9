/* bus: one account of the message bus: who is subscribed to what, and how a message gets to them.
 * The parts of this program use it directly, without sockets; its clients over the network come
 * through a server (bus/bus_server.h), which serves one or more of these. What is published in one
 * account is seen in that account only. One loop.
 *
 * Owned by whoever made it, until the `done` of bus_close() has run. Nothing here is called back
 * inside the call that causes it: a delivery, a reply or a failure comes from the loop. */
#ifndef DURE_BUS_BUS_H
#define DURE_BUS_BUS_H

#include "base/metric.h"
#include "bus/message.h"
#include "io/io.h"

struct bus;
struct log;

/* The account of those who need not say who they are. */
#define BUS_DEFAULT_ACCOUNT "$G"

struct bus_options {
    const char *name;   /* of the account; NULL: BUS_DEFAULT_ACCOUNT. Copied, at most 63 bytes */
    size_t max_payload; /* headers and body; 0: 1 MiB */
    size_t max_pending; /* bytes that wait for one subscription of this program; 0: 64 MiB */
};

/* options may be NULL; log may be NULL. ERR_NOMEM. */
int bus_new(struct io *io, const struct bus_options *options, struct log *log,
            struct bus **ret_bus);

/* Fails what is waiting (ERR_CLOSED), frees the bus with the subscriptions that are left, and calls
 * done(context) (may be NULL). A server that serves it must have closed before. NULL is allowed,
 * and is done at once. */
void bus_close(struct bus *bus, void (*done)(void *context), void *context);

/* Frees the bus without any I/O and without calling anybody: for a simulated host that has crashed
 * (io/sim.h). NULL is allowed. */
void bus_free(struct bus *bus);

/* "$G", or what it was given. */
const char *bus_name(const struct bus *bus);

/* ---- publish and subscribe ----------------------------------------------------------------- */

/* Routes the message to all who are subscribed now, one member of each queue group, and to the
 * capture. Returns how many have taken it (a capture counts as one), or ERR_INVALID for a subject
 * that is no literal subject, ERR_TOO_BIG beyond max_payload. */
int bus_publish(struct bus *bus, struct message *message);

struct bus_subscription;

/* The message is the callee's for the call; message_ref() to keep it. */
typedef void bus_message_fn(void *context, struct message *message);

/* Messages to subjects that match the pattern, in the order in which they were published. queue:
 * empty, or the name of a group of which one member gets each message. At most max_pending bytes
 * wait for one subscription; what is beyond is dropped and counted. ERR_INVALID, ERR_NOMEM. */
int bus_subscribe(struct bus *bus, struct bytes pattern, struct bytes queue,
                  bus_message_fn *deliver, void *context, struct bus_subscription **ret);

/* After this `deliver` will not run again; what is waiting is dropped. May be called from
 * `deliver`. NULL is allowed. */
void bus_unsubscribe(struct bus_subscription *subscription);

/* Whether somebody (a subscriber, a service or the capture) would take a message with this subject
 * now. */
bool bus_has_interest(struct bus *bus, struct bytes subject);

/* ---- request and reply ---------------------------------------------------------------------- */

/* Embedded in its owner; must not move or go until done has run or bus_request_cancel(). */
struct bus_request {
    /* result 0: `reply` is the first answer, the callee's for the call. ERR_UNAVAILABLE: nobody
     * listens (at once, or told by a no-responders reply), ERR_TIMEOUT, ERR_CLOSED: reply is NULL.
     */
    void (*done)(struct bus_request *request, int result, struct message *reply);

    /* private */
    struct bus *bus;
    uint64_t number;
    int result;
    struct io_timer timer;
    struct list link;
};

/* Publishes with a reply subject of its own (message->reply must be empty) and waits for the first
 * answer. Errors of bus_publish, ERR_FULL (too many wait) and ERR_CLOSED are returned; then done
 * will not run. */
int bus_request(struct bus *bus, struct bus_request *request, struct message *message,
                uint32_t timeout_ms,
                void (*done)(struct bus_request *request, int result, struct message *reply));

/* After this `done` will not run. Harmless when it has run. */
void bus_request_cancel(struct bus_request *request);

/* ---- capture: durable streams ---------------------------------------------------------------- */

/* The port through which streams get what is published. Embedded in its owner, who fills in the
 * functions. */
struct bus_capture {
    /* What messages with this literal subject are to be stored in; NULL: nothing. The bus remembers
     * the answer and hands it to append; when it changes, call bus_capture_changed(). */
    void *(*captures)(struct bus_capture *capture, struct bytes subject);

    /* Runs inside the publish, in the order of publishing; must not publish from inside. Keep the
     * message with message_ref(). When message->reply is not empty, answer there with bus_publish()
     * when the data is safe (PubAck), in the order of appending. Returns whether the same message
     * also goes to subscribers now. */
    bool (*append)(struct bus_capture *capture, void *target, struct message *message);

    /* Set by append: much waits for the disk, and the client that published is not read from for a
     * moment. So publishers are held back before anything must be refused. */
    bool busy;
};

/* As bus_publish, past the capture: for what is stored already, and is to be seen now. */
int bus_publish_stored(struct bus *bus, struct message *message);

/* One capture at most; NULL takes it away. */
void bus_set_capture(struct bus *bus, struct bus_capture *capture);
void bus_capture_changed(struct bus *bus);

/* ---- services of this program ------------------------------------------------------------------
 */

/* Answers for all subjects with a prefix, at once: nothing is queued or copied, as a subscription
 * of this program would. Embedded in its owner. */
struct bus_service {
    const char *prefix; /* whole tokens and a dot behind: "$JS.ACK."; begins with '$' */
    size_t prefix_len;  /* the bus measures it */

    /* Takes the message; false: nobody is there for this subject. Runs inside the publish, in the
     * order of publishing; must not publish, subscribe or unsubscribe from inside. Keep the message
     * with message_ref(). Ordinary subscribers get it too. */
    bool (*take)(struct bus_service *service, struct message *message);

    /* private */
    struct list link;
    uint64_t generation; /* of the router, for which `tapped` holds */
    bool tapped;         /* somebody may be subscribed there */
};

/* The longest prefix wins. */
void bus_add_service(struct bus *bus, struct bus_service *service);
void bus_remove_service(struct bus_service *service);

/* ---- deliveries to an inbox --------------------------------------------------------------------
 */

/* Who listens to a subject, looked up once for a run of deliveries whose messages bear subjects of
 * their own, as a stream's do. Good until the caller returns to the loop; must not be used from
 * inside a publish, nor may anything be published, subscribed or unsubscribed between two puts. */
struct bus_inbox {
    struct bus *bus;
    struct route *route;
};

/* False: nobody listens. */
bool bus_inbox_find(struct bus *bus, struct bytes subject, struct bus_inbox *ret_inbox);

/* Whether somebody has subscribed to exactly this subject, without wildcards: what JetStream calls
 * interest in a deliver subject. `queue`: as a member of this queue group; empty: however. */
bool bus_inbox_is_bound(struct bus *bus, struct bytes subject, struct bytes queue);

/* Hands the message, under its own subject, to those who listen: all of them, and one of each
 * queue group. Returns how many have taken it; 0: they have gone meanwhile. */
unsigned bus_inbox_put(struct bus_inbox *inbox, struct message *message);

/* Tells when somebody has subscribed to exactly a subject. Embedded in its owner, zeroed before its
 * first use. */
struct bus_watch {
    /* Runs inside the subscribing; must not publish, subscribe or unsubscribe from inside. */
    void (*came)(struct bus_watch *watch);

    /* private */
    struct bus *bus;
    struct bus_watched *watched;
    struct list link;
};

/* The subject (literal) is copied. ERR_NOMEM: nobody is told. */
int bus_watch_interest(struct bus *bus, struct bus_watch *watch, struct bytes subject,
                       void (*came)(struct bus_watch *watch));

/* Harmless when it is not watched. */
void bus_unwatch_interest(struct bus_watch *watch);

/* ---- telemetry ---------------------------------------------------------------------------- */

enum bus_event_kind { BUS_EVENT_PUBLISH, BUS_EVENT_REQUEST, BUS_EVENT_REPLY };

/* What was published. The views are good for the call only. A reply is what goes to an "_INBOX."
 * subject; its request is the one whose reply was this subject. */
struct bus_event {
    enum bus_event_kind kind;
    struct bytes subject, reply;
    struct bytes trace; /* traceparent of the headers, or empty */
    size_t bytes;       /* headers and payload */
    unsigned deliveries;
    uint64_t connection; /* client id of the publisher; 0: this program */
};

struct bus_observer {
    /* Runs inside the publish; must not publish or unsubscribe from inside. */
    void (*published)(struct bus_observer *observer, const struct bus_event *event);
};

/* Without an observer nothing is gathered. NULL takes it away. */
void bus_set_observer(struct bus *bus, struct bus_observer *observer);

/* ---- metrics ------------------------------------------------------------------------------ */

struct bus_metrics {
#define METRICS "bus/metrics.def"
#include "base/metric_fields.h"
};

/* As of now; good until the next call. */
const struct bus_metrics *bus_metrics(struct bus *bus);

extern const struct metric bus_metric_table[];
extern const size_t bus_metric_count;

#endif
