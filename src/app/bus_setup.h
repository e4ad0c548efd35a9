/* bus_setup: the bus that a configuration describes (wire/manifest_bus.h): its server with limits,
 * TLS and users, and the accounts besides the default one, each with streams of its own. */
#ifndef DURE_APP_BUS_SETUP_H
#define DURE_APP_BUS_SETUP_H

#include "bus/bus_server.h"
#include "jetstream/jetstream.h"
#include "monitor/monitor.h"
#include "stream/streams.h"
#include "wire/manifest_bus.h"

/* One account besides the default one. */
struct bus_setup_account {
    struct bus *bus;
    struct streams *streams;     /* NULL: has none */
    struct jetstream *jetstream; /* says so, when there are no streams */
};

struct bus_setup {
    struct io *io;
    struct log *log;
    struct bus_setup_account *accounts; /* as many as the configuration has, in its order */
    size_t account_count;
    struct bus_server *server;
    struct io_addr websocket_addr; /* port 0: there is none */

    /* private: what is left to be closed */
    size_t closing;
    void (*closed)(void *context);
    void *closed_context;
};

struct bus_setup_options {
    const struct manifest_bus *config;
    struct bus *bus;  /* the default account */
    const char *name; /* the server's, when the configuration gives none */
    const char *base; /* what file names in the configuration are relative to; NULL: here */
    const char *data; /* where the default account's streams are; NULL: nobody has streams */
};

/* Makes the server, not yet listening, and the accounts. BLOCKS (files). When it fails, `error`
 * says why, and what was made is to be closed all the same. */
int bus_setup_open(struct bus_setup *setup, struct io *io, struct log *log,
                   const struct bus_setup_options *options, struct error *error);

/* Reads the files that `tls` names, if it is given; done by bus_setup_open, and again to put new
 * ones in force, for connections that come from then on. BLOCKS. On an error nothing has changed.
 */
int bus_setup_use_tls(struct bus_setup *setup, const struct bus_setup_options *options,
                      struct error *error);

/* A file that a configuration names, as a path from here: relative to `base` (NULL or "": here), in
 * `path`, which holds PATH_MAX bytes. NULL for an empty name. */
const char *bus_setup_path(const char *base, struct bytes name, char *path);

/* Listens on the Unix socket and for WebSocket where the configuration says so. */
int bus_setup_listen(struct bus_setup *setup, const struct bus_setup_options *options,
                     struct error *error);

/* Answers operators where the configuration says so; else *ret_monitor is left alone. `own`: the
 * default account. To be closed before any account's JetStream. */
int bus_setup_monitor(struct bus_setup *setup, const struct bus_setup_options *options,
                      struct http *http, const struct monitor_account *own,
                      struct monitor **ret_monitor, struct error *error);

/* Closes the accounts' streams, the server, the accounts; then calls done(context). The streams of
 * the default account must be closed before, its bus after. */
void bus_setup_close(struct bus_setup *setup, void (*done)(void *context), void *context);

#endif
