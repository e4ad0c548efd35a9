/* bus_tls: how clients' connections to the bus are encrypted. Over io/tls.h.
 *
 *   - The usual way: INFO goes out in clear text and says tls_required (or tls_available); the
 *     client then begins the handshake, and sends CONNECT behind it.
 *   - Handshake first: TLS from the first byte, INFO is encrypted too.
 *   - Both: INFO is held back for a short time; a client that wants the handshake first has begun
 *     it by then, others get their INFO. */
#ifndef DURE_BUS_BUS_TLS_H
#define DURE_BUS_BUS_TLS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct bus_server;

enum bus_tls_first {
    BUS_TLS_INFO_FIRST,
    BUS_TLS_HANDSHAKE_FIRST,
    BUS_TLS_EITHER /* waits for first_ms */
};

struct bus_tls_options {
    const char *certificate_file, *key_file; /* PEM, both needed */
    const char *ca_file;                     /* PEM: who has signed the certificates of clients */
    bool verify;                             /* clients must show a good certificate */
    bool verify_and_map; /* and the first of its names that is a user's says who they are */
    bool optional;       /* clients may also stay in clear text */
    enum bus_tls_first first;
    uint32_t first_ms;   /* BUS_TLS_EITHER; 0: 50 ms */
    uint32_t timeout_ms; /* for the handshake; 0: 2 s */
    bool tls13_only;
    const char *ciphers, *cipher_suites, *groups; /* as in io/tls.h; NULL: its defaults */
};

/* Encrypts from now on what comes in over TCP (a Unix socket never is). Reads the files (blocking);
 * when something is wrong, `error` says what, and nothing has changed. Again, to read new files:
 * connections that exist keep what they have. The strings are not kept. */
int bus_server_use_tls(struct bus_server *server, const struct bus_tls_options *options,
                       struct error *error);

#endif
