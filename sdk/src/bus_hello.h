/* bus_hello: the CONNECT of this process: who it is and how it proves that. */
#ifndef DURE_SDK_BUS_HELLO_H
#define DURE_SDK_BUS_HELLO_H

#include "sdk/src/bus_address.h"

#include "wire/nats.h"

enum { BUS_WHY = 200 };

struct bus_hello {
    const struct bus_settings *settings;
    const struct bus_server *server;
    const char *name;             /* of this connection */
    const struct nats_info *info; /* the server's: its nonce is signed */
    bool tls;
};

/* Appends the JSON. ERR_NOT_FOUND, ERR_SYNTAX (a file of credentials), ERR_TOO_BIG, ERR_UNSUPPORTED
 * (no cryptography in this program); ret_why says what is wrong. */
int bus_hello_write(const struct bus_hello *hello, struct buf *out, char ret_why[BUS_WHY]);

#endif
