/* bus_address: where the bus is and who we are there: what the environment and URLs say. Pure but
 * for getenv(). */
#ifndef DURE_SDK_BUS_ADDRESS_H
#define DURE_SDK_BUS_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

enum { BUS_SERVERS_MAX = 8, BUS_TEXT = 256 };

struct bus_settings {
    const char *name; /* NULL: the first tenant's */
    const char *urls; /* NULL or "": no bus */
    const char *user, *password, *token;
    const char *creds, *nkey;    /* files */
    const char *ca, *cert, *key; /* PEM files */
    bool tls_first;
};

struct bus_server {
    char host[BUS_TEXT]; /* or a path, when port is 0 */
    int port;
    bool tls;
    char user[BUS_TEXT], password[BUS_TEXT], token[BUS_TEXT]; /* of the URL; "": none */
    char shown[BUS_TEXT + 16];                                /* for people: without secrets */
    char tls_name[BUS_TEXT]; /* whose certificate is wanted; "": the host's */
};

/* $NATS_URL and the rest. */
void bus_settings_read(struct bus_settings *ret_settings);

/* "nats://user:pw@a:4222,tls://b,unix:/run/bus,[::1]:4333": how many, or ERR_INVALID. */
int bus_servers_parse(const char *urls, struct bus_server servers[BUS_SERVERS_MAX]);

/* Another server of the cluster that `known` belongs to, as its INFO names it ("host:port"): the
 * way in is the same. ERR_INVALID. */
int bus_server_learn(const char *address, const struct bus_server *known,
                     struct bus_server *ret_server);

/* Whether both are at the same place. */
bool bus_server_same(const struct bus_server *a, const struct bus_server *b);

#endif
