/* buslink_parts: what the files of the bus link share: the connection's states (buslink.c), its
 * socket (buslink_io.c), what goes out and who is subscribed (buslink_route.c), requests
 * (buslink_request.c), messages for handlers (buslink_message.c). */
#ifndef DURE_SDK_BUSLINK_PARTS_H
#define DURE_SDK_BUSLINK_PARTS_H

#include "sdk/src/bus_hello.h"
#include "sdk/src/buslink.h"
#include "sdk/src/secure.h"

#include "base/map.h"

/* Where an asker that gives up before its deadline says so: the body is the reply subject of its
 * request. Everybody hears it, because nobody but the bus knows who got the request. */
#define BUSLINK_CANCEL_SUBJECT "_DURE.CANCEL"

enum {
    BUSLINK_FRAME_HEAD = 4096, /* more than the longest line before a payload */
    BUSLINK_BUSY = 128 * 1024, /* gathered bytes above which a polite sender waits */
    BUSLINK_ROUTES_MAX = DURE_MAX_SUBSCRIPTIONS + DURE_MAX_OPEN
};

enum buslink_state {
    BUSLINK_DOWN,       /* waits to try again */
    BUSLINK_CONNECTING, /* the kernel connects */
    BUSLINK_GREETING,   /* waits for INFO */
    BUSLINK_JOINING,    /* CONNECT is sent; waits for the PONG behind it */
    BUSLINK_UP
};

struct buslink {
    struct host *host;
    struct bus_settings settings;
    struct bus_server servers[BUS_SERVERS_MAX];
    size_t server_count, server_at, servers_given; /* given: by our settings */
    enum buslink_state state;
    struct loop_watch watch;
    struct loop_timer timer; /* DOWN: the next try; until UP: its limit; UP: the next ping */
    struct loop_task send;   /* writes what a turn has gathered */
    struct buf in, out, headers;
    struct buf late; /* replies made while there was no connection, for the next one */
    struct secure_session *secure; /* NULL: no TLS on this connection */
    struct buf wire_in, wire_out;  /* the bytes of TLS */
    struct nats_decoder decoder;
    struct nats_info info;
    unsigned failures; /* tries in a row that did not come up */
    unsigned connects; /* how often it came up */
    uint64_t up_since_ns;
    uint64_t pings, pongs; /* of this connection */
    uint64_t drain_mark, flush_mark;
    bool draining, dropping; /* dropping: the connection is to be given up when the stack is back */
    struct loop_timer leave; /* of a server in lame duck mode */
    uint64_t leave_at_last_ns, leave_mark;
    bool lame;                      /* this server has said that it is going to close */
    bool denied;                    /* the server would not have us at the last try */
    bool refused;                   /* it said -ERR since the last dure_flush() */
    char why[BUS_WHY];              /* of the last failure, for people */
    char refusal[BUS_WHY];          /* what it said */
    char inbox[BUSLINK_INBOX_TEXT]; /* "_INBOX.<random>." */
    char answers_subject[BUSLINK_INBOX_TEXT];
    uint64_t next_inbox, next_token, next_sid;
    struct list requests; /* in flight, oldest first */
    struct map by_token;
    struct list routes; /* in the order in which they were made */
    struct map by_sid;
    struct bus_route answers, cancels;
    struct list waiters; /* fibers that wait for something to change: struct await */
};

/* ---- the socket: buslink_io.c ---- */

/* Begins to connect; how it went comes as an event. False, and link->why: it cannot. */
bool buslink_open(struct buslink *link);
void buslink_close(struct buslink *link);

/* TLS from here on. 0 or a negative enum err, and link->why. */
int buslink_secure(struct buslink *link);

/* Writes what can be written; false, and link->why: the connection is broken. */
bool buslink_transmit(struct buslink *link);

/* ---- states: buslink.c ---- */

/* The connection is broken (link->why says how): another one later. */
void buslink_lose(struct buslink *link);

/* The kernel has connected; bytes have come: decodes them. False: to be given up. */
void buslink_connected(struct buslink *link);
bool buslink_decode(struct buslink *link);

/* Something changed that a fiber may wait for. */
void buslink_wake(struct buslink *link);

/* ---- lame duck mode and events: buslink_leave.c ---- */

/* The server is about to close. */
void buslink_lame_duck(struct buslink *link);
void buslink_leave_step(struct loop_timer *timer);

/* A pong has come: whether the connection is to be given up now for another server's. */
bool buslink_left(struct buslink *link);

/* The connection is gone: nothing is to be left any more. */
void buslink_stay(struct buslink *link);
void buslink_tell_event(struct buslink *link, enum dure_bus_event event);

/* ---- what goes out: buslink_route.c ---- */

/* A ping behind what was sent: with its pong link->pongs reaches what is returned, and the server
 * has it all. */
uint64_t buslink_mark(struct buslink *link);

/* Whether what is appended to `out` now reaches the server. */
bool buslink_sends(const struct buslink *link);

/* All subscriptions, for a new connection; and who wants to know of it. */
void buslink_put_routes(struct buslink *link);
void buslink_renew(struct buslink *link);

/* A message for a subscription has come. */
void buslink_dispatch(struct buslink *link, const struct nats_frame *frame);

/* One message into `out`: link->headers is its header block (may be empty). DURE_EUNREACHABLE,
 * DURE_ETOOBIG, DURE_EFULL: nothing was appended. */
int buslink_put(struct buslink *link, const char *subject, const char *reply, struct bytes body);

/* The same of a frame that is encoded already, with so many bytes of payload. */
int buslink_put_frame(struct buslink *link, struct bytes frame, size_t payload);

/* The same for a reply: without a connection it is kept for the next, because the asker may still
 * be connected. DURE_ETOOBIG, DURE_EFULL. */
int buslink_put_reply(struct buslink *link, const char *subject, struct bytes body);

/* ---- requests: buslink_request.c; messages: buslink_message.c ---- */

/* The connection is up again; an answer has come. */
void buslink_resend(struct buslink *link);
void buslink_answered(struct bus_route *route, const struct nats_frame *frame);

/* Runs the handler of a subscription; an asker has given up. */
void buslink_deliver(struct bus_route *route, const struct nats_frame *frame);
void buslink_cancelled(struct bus_route *route, const struct nats_frame *frame);

/* Fills a ctx with a message: subject, what the wildcards of `pattern` stood for, headers, body,
 * trace, delivery. DURE_ENOMEM, DURE_ETOOBIG, DURE_EPROTOCOL. */
int buslink_fill(struct dure_ctx *ctx, const struct nats_frame *frame, const char *pattern,
                 const char **ret_reply);

/* "+TERM", with the reason where the server takes one: before 2.10.4 it does not understand that.
 */
enum { BUSLINK_TERM = 512 };
void buslink_term(const struct buslink *link, const char *reason, char ret_word[BUSLINK_TERM]);

/* Tells the stream what became of ctx->delivery: `err` is what its handler returned, delay_ms the
 * pause before it comes again. */
void buslink_settle(struct dure_ctx *ctx, int err, int64_t delay_ms);

/* Shortly after a reconnect "no responders" means little: those who answer come back too. */
bool buslink_settling(const struct buslink *link);

#endif
