/* bus_websocket: clients of the bus that come over WebSocket (RFC 6455), as browsers do: the same
 * protocol in binary messages. The request may name any path. */
#ifndef DURE_BUS_BUS_WEBSOCKET_H
#define DURE_BUS_BUS_WEBSOCKET_H

#include "io/io.h"

struct bus_server;

struct bus_websocket_options {
    bool clear_text;  /* also where the server encrypts: somebody in front of it does */
    bool same_origin; /* pages of this host and port only */

    /* "https://shop.example": pages of these only; ended by NULL. NULL: of all. Copied. Clients
     * that are no browsers send no origin and may come in any case. */
    const char *const *origins;
};

/* Listens for them. With TLS (bus_tls.h) the handshake comes first. options may be NULL. ret_addr
 * as in bus_server_listen. ERR_SYNTAX: an origin that is none. */
int bus_server_listen_websocket(struct bus_server *server, const struct io_addr *addr,
                                const struct bus_websocket_options *options,
                                struct io_addr *ret_addr);

#endif
