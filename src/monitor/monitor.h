/* monitor: what operators and their tools ask a NATS server over HTTP: /varz, /connz, /subsz, /jsz,
 * /healthz and their kin, with the fields that nats-server gives them and real numbers. Reads only.
 *
 * One for a server. Owned by whoever opened it; to be closed before the server and its accounts. */
#ifndef DURE_MONITOR_MONITOR_H
#define DURE_MONITOR_MONITOR_H

#include "bus/bus_server.h"
#include "http/http.h"

struct jetstream;
struct monitor;
struct streams;

struct monitor_account {
    struct bus *bus;
    struct streams *streams;     /* NULL: nothing is durable there */
    struct jetstream *jetstream; /* NULL: nobody may ask for it over the wire */
};

struct monitor_options {
    struct bus_server *server;
    const struct monitor_account *accounts; /* copied */
    size_t account_count;
    const char *store_dir; /* NULL: nothing is durable. Copied */
};

/* Listens; ret_addr (may be NULL) as in bus_server_listen. `http` must outlive it. */
int monitor_open(struct http *http, const struct io_addr *addr,
                 const struct monitor_options *options, struct monitor **ret_monitor);

/* `done` (may be NULL) runs last. NULL is allowed, and is done at once. */
void monitor_close(struct monitor *monitor, void (*done)(void *context), void *context);

/* Where it listens. */
const struct io_addr *monitor_addr(const struct monitor *monitor);

#endif
