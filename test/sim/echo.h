/* echo: a small program for the network's tests. The server sends back what it receives; the client
 * sends a pattern in pieces of random size, checks what comes back, ends its direction and waits
 * for the end of the other. Knows nothing of simulation: it runs on any io. */
#ifndef DURE_TEST_SIM_ECHO_H
#define DURE_TEST_SIM_ECHO_H

#include "io/tls.h"

enum { ECHO_PIECE = 6000 };

struct echo_server {
    struct io *io;
    struct io_tls_context *tls; /* NULL: clear text; may be set behind echo_server_start */
    struct io_listener listener;
    struct list connections; /* of struct echo_connection */
    int accepted, errors, last_error;
    bool touches_disk; /* makes a file operation in every completion */
};

int echo_server_start(struct echo_server *server, struct io *io, const struct io_addr *addr);

/* Closes the listener; the connections end with their clients. */
void echo_server_stop(struct echo_server *server);

/* Frees what there is, without a word to the io: for a crashed host, and when all has ended. */
void echo_server_free(struct echo_server *server);

struct echo_client {
    struct io *io;
    struct io_tls_context *tls; /* NULL: clear text; may be set behind echo_client_start */
    struct io_stream stream;
    struct iovec iov;
    char out[ECHO_PIECE], in[ECHO_PIECE];
    uint64_t total, sent, received; /* bytes */
    uint8_t salt;                   /* makes the pattern its own */
    bool sends, receives, shut, closing;
    bool touches_disk; /* makes a file operation in every completion */
    bool idle;         /* does not start to send before echo_client_go */
    bool connected, mismatch, ended, done;
    int error; /* the first one */
};

/* With `idle` it connects and receives, but sends only after echo_client_go. */
void echo_client_start(struct echo_client *client, struct io *io, const struct io_addr *addr,
                       uint64_t total, bool idle);
void echo_client_go(struct echo_client *client);

#endif
