/* core: the inside of a bus and of its server, shared by the files that make them up: bus.c (an
 * account), deliver.c (a message to all who want it), local.c (this program's subscriptions and
 * requests), bus_server.c (life, listeners), session.c and commands.c (one client). Nobody else
 * includes this. */
#ifndef DURE_BUS_CORE_H
#define DURE_BUS_CORE_H

#include "base/log.h"
#include "base/map.h"
#include "bus/auth.h"
#include "bus/auth_password.h"
#include "bus/bus_report.h"
#include "bus/bus_server.h"
#include "bus/bus_tls.h"
#include "bus/outbox.h"
#include "bus/router.h"
#include "bus/upgrade.h"

struct bus {
    struct io *io;
    struct log *log;
    struct bus_options options; /* every 0 replaced by its default */
    char id[24];                /* the middle of our inboxes */
    char name[64];

    struct router router;
    struct buf tails[2]; /* what a publish writes for its subscribers; see deliver.c */
    struct buf prefix;   /* the same, of a delivery to an inbox */
    struct bus_capture *capture;
    struct list services; /* of struct bus_service; longer prefixes first */
    struct bus_observer *observer;
    struct map watched; /* of struct bus_watched; see interest.c */
    struct bus_metrics metrics;
    bool delivering;        /* a route is being walked: no subscription may go */
    unsigned session_count; /* clients of this account */

    struct list local_subscriptions;
    struct list local_queue; /* deliveries to this program */
    size_t local_pending;    /* bytes in it */
    struct io_task local_task;
    struct map requests;
    uint64_t next_request;
    struct bus_subscription *inbox;

    bool closing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* What holds for the clients of a listener for WebSocket. */
struct bus_websocket {
    bool clear_text;
    struct upgrade_policy policy;
    struct upgrade_origin origins[];
};

struct ended_connection;

/* The last connections that have ended; see report.c. */
struct ended_connections {
    struct ended_connection **items; /* BUS_ENDED_MAX; NULL: none yet */
    uint64_t count;                  /* ever */
};

struct bus_listener {
    struct io_listener listener;
    struct bus_server *server;
    struct bus_websocket *websocket; /* NULL: clients speak at once */
    struct list link;
    bool closed; /* takes no more; is kept for the sessions that came by it */
};

struct io_tls_context;

struct bus_tls {
    struct io_tls_context *context;
    struct bus_tls_options options; /* every 0 replaced by its default; without the strings */
};

struct bus_server {
    struct io *io;
    struct log *log;
    struct bus_server_options options; /* every 0 replaced by its default */
    char id[24];                       /* INFO.server_id */
    char name[64];
    struct bus *bus; /* whose those are who need not say who they are */

    struct bus_tls *tls;   /* NULL: clear text only */
    struct bus_auth *auth; /* NULL: nobody is asked */
    struct auth_queue passwords;

    struct outbox_pool pool;
    struct ended_connections ended;
    uint64_t began_ns; /* wall clock */
    struct bus_server_metrics metrics;
    struct list listeners, sessions;
    unsigned session_count;
    uint64_t next_client_id;
    struct list dirty; /* sessions with something to send */
    struct io_task flush;
    struct lender lender;  /* what is being decoded, when it is much */
    struct list borrowers; /* sessions whose outboxes point into it */
    struct list stalled;   /* sessions that are not read from for a while */
    struct io_timer resume;
    struct list finished; /* subscriptions of clients that have had their last message */
    bool congested;       /* what is published now goes to a client that reads too slowly */
    struct list sending;  /* sessions that have not yet taken what was sent, oldest first */
    struct io_timer write_deadline;
    char advertise[NATS_URLS_MAX][NATS_NAME_MAX];
    unsigned advertise_count;

    bool lame_duck;
    struct io_timer lame_duck_step;
    uint32_t lame_duck_every_ms; /* one session after the other is sent away */
    void (*deserted)(void *context);
    void *deserted_context;

    bool closing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- deliver.c ---- */

struct nats_frame;

/* Routes one message. `from` NULL: of this program. `tail` as in nats_frame, or empty. Returns how
 * many have taken it. */
unsigned deliver(struct bus *bus, struct message *message, struct bytes tail, struct session *from);

/* ---- run.c ---- */

/* Messages that a client published in a row, as they stand in its input: one subject, no reply, no
 * headers, all of one size. */
struct run {
    struct bytes subject;
    const char *first_tail;       /* as in nats_frame, of the first message */
    size_t tail_len, payload_len; /* of each */
    size_t stride;                /* from one message's tail to the next one's */
    size_t count;
};

/* Routes them all: what deliver() does for one after the other, but each client's are written in
 * one go. */
void deliver_run(struct bus *bus, const struct run *run, struct session *from);

/* Writes `count` messages, whose first tail is given, each behind the prefix. */
void run_write(char *out, struct bytes prefix, const struct run *run, const char *tail,
               size_t count);

/* ---- session.c ---- */

/* How a message is written to clients: behind the prefix of each, then the same for all. */
struct wire_form {
    struct bytes tail;    /* " reply 5\r\n", and the body when that is not sent by reference */
    size_t size;          /* of headers and payload */
    bool by_reference;    /* the body is sent from where it is: */
    struct bytes lent;    /* where it was received; empty: it may not be sent from there */
    struct bytes body;    /* in `held` */
    struct message *held; /* the counted message; NULL: nobody has needed it */
    bool with_headers;    /* HMSG */
};

/* Whether a message may go there; false while it dies or when it is its own and has echo off. */
bool session_takes(const struct session *session, const struct session *from);
bool session_wants_headers(const struct session *session);

/* Whether the subscription's client may receive messages with this subject. */
bool session_admits(const struct subscription *subscription, struct bytes subject);

/* Whether what was received may be sent to it from where it is. */
bool session_borrows(const struct session *session);

/* Puts one message into the session's outbox. False when it could not be taken: out of memory. */
bool session_put(struct session *session, const struct route_target *target,
                 const struct wire_form *form);

/* What a turn has gathered for a client, from where on it is sent at once. */
struct early {
    uint64_t messages;
    size_t bytes;
};

/* Sends what has been put, if it is much, instead of waiting for the end of the turn. */
void session_send_early(struct session *session, const struct early *early);

/* session_put for a run of messages: copied, or (with their prefix) shared with others. */
bool session_put_run(struct session *session, struct bytes prefix, const struct run *run);
bool session_put_block(struct session *session, struct message *block, const struct run *run);

/* The same with the tails where they are: one behind the other in `tails`, or (NULL) as they were
 * received, which are lent and which the session borrows. */
bool session_put_tails(struct session *session, struct bytes prefix, struct message *tails,
                       const struct run *run);

uint64_t session_id(const struct session *session);

/* The client's subscription has had its last message. */
void session_finish_subscription(struct subscription *subscription);

/* ---- interest.c ---- */

void interest_init(struct bus *bus);
void interest_release(struct bus *bus);

/* ---- local.c ---- */

int local_init(struct bus *bus);

/* Queues a message for a subscription of this program. False: dropped. */
bool local_put(struct subscription *subscription, struct message *message);

/* Fails every request with ERR_CLOSED. */
void local_close(struct bus *bus);

/* Frees what is left. */
void local_release(struct bus *bus);

/* ---- bus.c ---- */

/* 22 random characters, as the names that clients make for themselves, and a NUL. */
void bus_make_id(struct io *io, char ret_id[24]);

/* ---- bus_tls.c ---- */

void bus_tls_free(struct bus_tls *tls);

/* ---- bus_server.c ---- */

/* bus_server_listen, for clients that come as `websocket` says (NULL: speak at once). Takes it over
 * when that succeeds. */
int bus_server_listen_for(struct bus_server *server, const struct io_addr *addr,
                          const struct io_listen_options *options, struct bus_websocket *websocket,
                          struct io_addr *ret_addr);

/* A session has gone; when it was the last one of a closing server, the server goes too. */
void bus_server_session_gone(struct bus_server *server);

#endif
