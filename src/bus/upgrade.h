/* upgrade: the opening handshake of WebSocket (RFC 6455 section 4.2) at the bus's door: which
 * requests are let in, and what they are answered. Pure. */
#ifndef DURE_BUS_UPGRADE_H
#define DURE_BUS_UPGRADE_H

#include "base/buf.h"
#include "wire/http1.h"

/* "https://shop.example:8443" taken apart; the port is always there. */
struct upgrade_origin {
    char scheme[8], host[256];
    uint16_t port;
};

/* ERR_SYNTAX when it is not scheme://host[:port], with http or https. */
int upgrade_origin_parse(struct bytes text, struct upgrade_origin *ret_origin);

struct upgrade_policy {
    bool encrypted;   /* over TLS: the port of a Host without one is 443 */
    bool same_origin; /* see bus_websocket.h */
    const struct upgrade_origin *origins;
    size_t origin_count; /* 0: all */
};

/* Appends the answer. 0: the connection is now a WebSocket; or the status of a refusal. */
int upgrade_answer(const struct http1_head *head, const struct upgrade_policy *policy,
                   struct buf *out);

/* The answer to what is no HTTP. */
void upgrade_refuse(struct buf *out, int status, const char *why);

#endif
