/* nats_server: a real NATS server with JetStream for a test, and a bare client beside it. */
#ifndef DURE_TEST_SDK_NATS_SERVER_H
#define DURE_TEST_SDK_NATS_SERVER_H

#include "unit.h"

#include <stdbool.h>
#include <sys/types.h>

struct nats_server {
    pid_t pid;
    int port;
    char dir[64];       /* its store; gone after nats_server_release */
    const char *config; /* a file for nats-server; NULL: none */
};

/* Whether there is one on this machine. */
bool nats_server_exists(void);

/* Starts it, or starts it again on the same port and store, and waits until it answers. */
void nats_server_start(struct nats_server *server);
void nats_server_kill(struct nats_server *server); /* SIGKILL */
void nats_server_release(struct nats_server *server);

/* ---- a bare client ------------------------------------------------------------------------ */

int bare_connect(const struct nats_server *server);

/* Asks and returns the reply's whole frame, from "MSG" on; asserts that one comes. */
const char *bare_ask(int fd, const char *subject, const char *headers, const char *body);

void bare_publish(int fd, const char *subject, const char *body);
void bare_subscribe(int fd, const char *subject);

/* The next MSG or HMSG with its payload; asserts that one comes. */
const char *bare_next(int fd);

/* Makes a stream of this name for these subjects. False: this bus has no JetStream API. */
bool bare_make_stream(int fd, const char *name, const char *subject);

/* How many messages it has. */
int bare_stream_messages(int fd, const char *name);

#endif
