/* client: a connection to one of several NATS servers, over io, so it runs in the simulation too.
 * It connects by itself, and again when the connection is lost: to the next of the servers that it
 * was given or has learned of, with growing and jittered waits. Subscriptions are restored; durable
 * publishes that were not acknowledged are sent again with the same Nats-Msg-Id, so that within the
 * stream's duplicate window each is stored once.
 *
 *     DOWN -> CONNECTING -> GREETING (INFO) -> JOINING (CONNECT, SUBs, PING) -> UP (PONG) -> DOWN
 *
 * Owned by whoever made it, until the `done` of client_close() has run. Nothing is called back
 * inside the call that causes it. While it is not UP, what would have to wait for the server is
 * refused at once with ERR_UNREACHABLE; durable publishes alone wait, within their own time. */
#ifndef DURE_CLIENT_CLIENT_H
#define DURE_CLIENT_CLIENT_H

#include "base/log.h"
#include "base/metric.h"
#include "bus/message.h"
#include "io/io.h"
#include "wire/puback.h"

struct client;

enum {
    CLIENT_SERVERS_MAX = 64,  /* given and learned */
    CLIENT_SERVER_TEXT = 280, /* "host:port" of one */
    CLIENT_REASON_TEXT = 160
};

/* Who we are. All may be NULL; what stands in a URL before its '@' comes first. The texts are
 * copied. */
struct client_identity {
    const char *user, *password, *token;
    const char *creds; /* the text of a credentials file: a user's JWT and seed, or a seed alone */
};

struct client_options {
    const char *urls; /* "nats://a:4222,nats://user:password@b,tls://c,unix:/path"; port 4222 */
    const char *name; /* CONNECT's name; NULL: "dure" */
    struct client_identity identity;
    const struct client_tls *tls;    /* given: every connection is encrypted; NULL: those of tls:
                                      * URLs and of servers that demand it, with the machine's
                                      * certificates and none of our own */
    uint32_t connect_timeout_ms;     /* until it is UP; 0: 3 s */
    uint32_t ping_interval_ms;       /* 0: 5 s; two left without an answer: lost */
    uint32_t backoff_min_ms;         /* after the first round of failures; 0: 50 ms */
    uint32_t backoff_max_ms;         /* 0: 2 s */
    size_t max_pending;              /* bytes that wait to be sent; 0: 64 MiB */
    size_t max_unacknowledged;       /* durable publishes under way; 0: 65536 */
    size_t max_unacknowledged_bytes; /* of them together; 0: 64 MiB */
};

/* Files of PEM; all may be NULL. */
struct client_tls {
    const char *ca, *cert, *key;
};

/* Begins to connect. options->urls that cannot be read are ERR_INVALID; `error` (may be NULL) then
 * says why. log may be NULL. */
int client_new(struct io *io, const struct client_options *options, struct log *log,
               struct client **ret_client, struct error *error);

/* Sends what waits, closes the connection, fails what is under way (ERR_CLOSED), frees the client
 * with its subscriptions, and calls done(context) (may be NULL). NULL is allowed: done at once. */
void client_close(struct client *client, void (*done)(void *context), void *context);

/* Frees memory without any I/O, for a simulated host that has crashed. NULL is allowed. */
void client_free(struct client *client);

/* Ends the subscriptions, waits until what they had was delivered and every durable publish is
 * acknowledged, at most `timeout_ms`, then calls done(context, 0 or ERR_TIMEOUT). The client stays:
 * close it. */
void client_drain(struct client *client, uint32_t timeout_ms,
                  void (*done)(void *context, int result), void *context);

/* ---- the connection -------------------------------------------------------------------------- */

enum client_state { CLIENT_DOWN, CLIENT_CONNECTING, CLIENT_GREETING, CLIENT_JOINING, CLIENT_UP };

struct client_status {
    enum client_state state;
    const char *server;    /* "host:port": where it is, or tries to be */
    const char *cluster;   /* the cluster's name; "": a single server */
    const char *version;   /* the server's */
    const char *reason;    /* why it is not UP; "" */
    size_t servers;        /* that it knows of, of this cluster, itself among them */
    uint64_t connects;     /* how often it came UP */
    uint64_t since_ns;     /* io_now_ns of the last change between UP and not */
    size_t unacknowledged; /* durable publishes */
    uint64_t max_payload;
};

/* The texts are good until the loop turns. */
struct client_status client_status(const struct client *client);

/* "connected", "connecting", "not connected" */
const char *client_state_name(enum client_state state);

/* Embedded in its owner. `changed` runs when the connection comes UP (again), and when it is lost;
 * at UP the subscriptions are restored already. */
struct client_watch {
    void (*changed)(struct client_watch *watch, bool up);
    struct list link; /* private */
};
void client_watch(struct client *client, struct client_watch *watch,
                  void (*changed)(struct client_watch *watch, bool up));
void client_unwatch(struct client_watch *watch);

/* ---- publish and subscribe --------------------------------------------------------------------*/

/* On its way when it returns 0; lost when the connection is lost before the server has it.
 * ERR_INVALID (subject), ERR_TOO_BIG, ERR_UNREACHABLE, ERR_FULL (max_pending), ERR_CLOSED. */
int client_publish(struct client *client, struct message *message);

struct client_subscription;

/* The message is the callee's for the call; message_ref() to keep it. */
typedef void client_message_fn(void *context, struct message *message);

/* Holds through reconnects; may be made at any time. queue: empty: none. ERR_INVALID, ERR_NOMEM,
 * ERR_CLOSED. */
int client_subscribe(struct client *client, struct bytes pattern, struct bytes queue,
                     client_message_fn *deliver, void *context, struct client_subscription **ret);

/* After this `deliver` will not run again. May be called from `deliver`. NULL is allowed. */
void client_unsubscribe(struct client_subscription *subscription);

/* A subject "_INBOX.x.y" that nobody else has, in `text`. Returns its length. */
enum { CLIENT_INBOX_TEXT = 64 };
size_t client_inbox(struct client *client, char *text);

/* ---- request and reply ------------------------------------------------------------------------*/

/* Embedded in its owner; must not move or go until done has run or client_request_cancel(). */
struct client_request {
    /* result 0: `reply` is the first answer. ERR_UNAVAILABLE: nobody listens; ERR_TIMEOUT;
     * ERR_RESET: the connection was lost, the answer with it; ERR_CLOSED: reply is NULL. */
    void (*done)(struct client_request *request, int result, struct message *reply);

    /* private */
    struct client *client;
    uint64_t number;
    struct io_timer timer;
    struct list link;
};

/* message->reply must be empty. Errors of client_publish are returned; then done will not run. */
int client_request(struct client *client, struct client_request *request, struct message *message,
                   uint32_t timeout_ms,
                   void (*done)(struct client_request *request, int result, struct message *reply));

/* After this `done` will not run. Harmless when it has run. */
void client_request_cancel(struct client_request *request);

/* ---- durable publish --------------------------------------------------------------------------*/

/* Embedded in its owner; must not move or go until done has run or client_durable_cancel(). */
struct client_durable {
    /* result 0: a stream has it: `ack` says where. ERR_CONFLICT, ERR_TOO_BIG, ERR_FULL,
     * ERR_DENIED, ERR_INVALID, ERR_IO: the stream refused it; `ack` has the words.
     * ERR_UNAVAILABLE: no stream takes this subject, or none of its servers answers; ERR_TIMEOUT,
     * ERR_UNREACHABLE, ERR_CLOSED: nobody knows whether it is stored. */
    void (*done)(struct client_durable *durable, int result);
    struct puback ack;

    /* private */
    struct client *client;
    struct message *message;
    uint64_t number, again_ns, deadline_ns;
    uint32_t sends;
    bool nobody; /* the last answer was "no responders" */
    struct list link;
};

/* Stores the message in the stream that takes its subject. A message without Nats-Msg-Id gets one.
 * It is sent again after a reconnect and when no acknowledgement comes, until `timeout_ms` are over
 * (0: 10 s). Publishes are sent in the order of the calls; one that has to be sent again may come
 * behind later ones. ERR_INVALID, ERR_TOO_BIG, ERR_FULL, ERR_NOMEM, ERR_CLOSED. */
int client_durable(struct client *client, struct client_durable *durable, struct message *message,
                   uint32_t timeout_ms, void (*done)(struct client_durable *durable, int result));

/* After this `done` will not run; the message may be stored nevertheless. */
void client_durable_cancel(struct client_durable *durable);

/* ---- metrics
 * -----------------------------------------------------------------------------------*/

struct client_metrics {
#define METRICS "client/metrics.def"
#include "base/metric_fields.h"
};

/* As of now; good until the next call. */
const struct client_metrics *client_metrics(struct client *client);

extern const struct metric client_metric_table[];
extern const size_t client_metric_count;

#endif
