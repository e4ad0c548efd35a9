/* servers: which servers a client may connect to, which of them is next, and how long to wait
 * before it. Pure; lives in the client. */
#ifndef DURE_CLIENT_SERVERS_H
#define DURE_CLIENT_SERVERS_H

#include "base/bytes.h"
#include "base/err.h"
#include "client/client.h"

enum { SERVER_HOST_MAX = 256, SERVER_SECRET_MAX = 256, SERVER_PORT = 4222 };

struct server {
    char host[SERVER_HOST_MAX]; /* a name, an address, or the path of a Unix socket */
    uint16_t port;
    bool is_unix, tls;
    bool learned; /* not given, but told by another server */
    char user[SERVER_SECRET_MAX], password[SERVER_SECRET_MAX]; /* password "": user is a token */
};

struct servers {
    struct server list[CLIENT_SERVERS_MAX];
    size_t count;
    size_t at;       /* the one in use, or tried last */
    size_t failures; /* attempts since one came up */
    uint32_t backoff_min_ms, backoff_max_ms;
};

/* Reads "nats://user:password@host:port,...". ERR_INVALID (with words in `error`), ERR_FULL. */
int servers_parse(struct servers *servers, const char *urls, struct error *error);

/* Begins at another place than others do; `random` decides where. */
void servers_shuffle(struct servers *servers, uint64_t random);

/* Goes on to the next server after a failure or a loss. Returns how long to wait before it: nothing
 * until all have been tried, then twice as long each round, of which `random` takes up to half. */
uint32_t servers_next(struct servers *servers, uint64_t random);

/* The one in use has come up. */
void servers_up(struct servers *servers);

/* The one in use has told of a server "host:port". Begin with servers_forget, which drops those
 * that were learned before, except the one in use. */
void servers_forget(struct servers *servers);
void servers_learn(struct servers *servers, struct bytes address);

static inline const struct server *servers_current(const struct servers *servers)
{
    return &servers->list[servers->at];
}

/* "host:port", without secrets. Returns the length. */
size_t server_format(const struct server *server, char *text, size_t size);

#endif
