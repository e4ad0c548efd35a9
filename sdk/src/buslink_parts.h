/* buslink_parts: what the three files of the bus link share: the connection (buslink.c), requests
 * that go out (buslink_request.c), messages that come in (buslink_message.c). */
#ifndef DURE_SDK_BUSLINK_PARTS_H
#define DURE_SDK_BUSLINK_PARTS_H

#include "sdk/src/buslink.h"

#include "base/map.h"
#include "wire/nats.h"

enum { BUSLINK_SERVERS_MAX = 8, BUSLINK_INBOX_TEXT = 40 };

/* Numbers of subscriptions: answers, cancellations, then those of the tenants. */
enum { BUSLINK_INBOX_SID = 1, BUSLINK_CANCEL_SID, BUSLINK_FIRST_SID };

/* Where an asker that gives up before its deadline says so: the body is the reply subject of its
 * request. Everybody hears it, because nobody but the bus knows who got the request. */
#define BUSLINK_CANCEL_SUBJECT "_DURE.CANCEL"

enum buslink_state {
    BUSLINK_DOWN,       /* waits to try again */
    BUSLINK_CONNECTING, /* the kernel connects */
    BUSLINK_GREETING,   /* waits for INFO */
    BUSLINK_JOINING,    /* CONNECT is sent; waits for the PONG behind it */
    BUSLINK_UP
};

struct buslink {
    struct host *host;
    char *urls; /* cut into servers[] */
    const char *servers[BUSLINK_SERVERS_MAX];
    size_t server_count, server_at;
    enum buslink_state state;
    struct loop_watch watch;
    struct loop_timer timer; /* DOWN: the next try; until UP: its limit; UP: the next ping */
    struct loop_task send;   /* writes what a turn has gathered */
    struct buf in, out, headers;
    struct buf late; /* replies made while there was no connection, for the next one */
    struct nats_decoder decoder;
    struct nats_info info;
    unsigned failures; /* tries in a row that did not come up */
    unsigned connects; /* how often it came up */
    uint64_t up_since_ns;
    uint64_t pings, pongs; /* of this connection */
    uint64_t drain_mark, flush_mark;
    bool draining, dropping; /* dropping: the connection is to be given up when the stack is back */
    char inbox[BUSLINK_INBOX_TEXT]; /* "_INBOX.<random>." */
    uint64_t next_token;
    struct list requests; /* in flight, oldest first */
    struct map by_token;
    struct subscription **subscriptions; /* by sid - BUSLINK_FIRST_SID */
    size_t subscription_count;
};

/* Whether what is appended to `out` now reaches the server. */
bool buslink_sends(const struct buslink *link);

/* One message into `out`: link->headers is its header block (may be empty). DURE_EUNREACHABLE,
 * DURE_ETOOBIG, DURE_EFULL: nothing was appended. */
int buslink_put(struct buslink *link, const char *subject, const char *reply, struct bytes body);

/* The same for a reply: without a connection it is kept for the next, because the asker may still
 * be connected. DURE_ETOOBIG, DURE_EFULL. */
int buslink_put_reply(struct buslink *link, const char *subject, struct bytes body);

/* buslink_request.c: the connection is up again; an answer has come; the link is going. */
void buslink_resend(struct buslink *link);
void buslink_answered(struct buslink *link, const struct nats_frame *frame);

/* buslink_message.c: a message for a subscription has come. */
void buslink_deliver(struct buslink *link, const struct nats_frame *frame);

/* An asker has given up. */
void buslink_cancelled(struct buslink *link, const struct nats_frame *frame);

/* Copies the fields of a NATS header block. DURE_EPROTOCOL, DURE_ENOMEM, DURE_EFULL. */
int buslink_copy_headers(struct bytes block, struct arena *arena, struct dure_headers *headers);

#endif
