/* bus_server: speaks the NATS protocol to clients. Listeners, connections, limits, who may come in;
 * each connection belongs to the account (bus/bus.h) that its CONNECT proves to be its own. One
 * loop.
 *
 * Owned by whoever made it, until the `done` of bus_server_close() has run. */
#ifndef DURE_BUS_BUS_SERVER_H
#define DURE_BUS_BUS_SERVER_H

#include "bus/bus_auth.h"

struct bus_server;

/* What INFO tells as the server's version. Clients switch features on by it (nats.js: the consumer
 * API of 2.9 and 2.10, batched direct get from 2.11), so it names the server whose features we
 * have, not our own version. */
#define BUS_NATS_VERSION "2.11.0"

struct bus_server_options {
    const char *name;              /* INFO.server_name; NULL: the server's id */
    size_t max_payload;            /* headers and body; 0: 1 MiB */
    size_t max_pending;            /* bytes that wait for one client before it is cut; 0: 64 MiB */
    size_t max_control_line;       /* bytes of an operation's arguments; 0: 4096 */
    unsigned max_connections;      /* 0: 65536 */
    unsigned max_subscriptions;    /* of one connection; 0: 2 million */
    uint32_t ping_interval_ms;     /* 0: 2 minutes */
    unsigned max_pings;            /* left without an answer; 0: 2 */
    uint32_t write_deadline_ms;    /* for a client to take what is sent to it; 0: 10 s */
    const struct bytes *advertise; /* "host:port" that clients are told of; at most 16; copied */
    size_t advertise_count;
    bool jetstream; /* what INFO tells: some account answers the JetStream API */
};

/* Serves `bus`, to whom those belong who need not say who they are; it must outlive the server.
 * options may be NULL; log may be NULL. ERR_NOMEM. */
int bus_server_new(struct io *io, const struct bus_server_options *options, struct bus *bus,
                   struct log *log, struct bus_server **ret_server);

/* From now on connections must say who they are; to be called before the first listener is opened.
 * The server owns `auth`. */
void bus_server_set_auth(struct bus_server *server, struct bus_auth *auth);

/* Closes listeners and connections, frees the server, and calls done(context) (may be NULL). NULL
 * is allowed, and is done at once. */
void bus_server_close(struct bus_server *server, void (*done)(void *context), void *context);

/* Frees the server without any I/O and without calling anybody: for a simulated host that has
 * crashed (io/sim.h). NULL is allowed. */
void bus_server_free(struct bus_server *server);

/* Listens; may be called for several addresses (TCP and Unix). Port 0 becomes a free port, found in
 * ret_addr (may be NULL). */
int bus_server_listen(struct bus_server *server, const struct io_addr *addr,
                      struct io_addr *ret_addr);

/* The same on a Unix socket, whose file gets these permissions (0600, 0660 ...). A file that is
 * left from a process that died is replaced; see io_listen. */
int bus_server_listen_unix(struct bus_server *server, const struct io_addr *addr, unsigned mode);

/* The same with a listening socket that another process made; the server owns it from now on. */
int bus_server_adopt(struct bus_server *server, int fd, struct io_addr *ret_addr);

/* Lame duck: takes no more connections and tells every client (INFO with ldm) to go elsewhere.
 * After grace_ms those that are still there are disconnected, one by one over duration_ms. When
 * nobody is left, done(context) (may be NULL) is called, and the server is to be closed. Once. */
void bus_server_lame_duck(struct bus_server *server, uint32_t grace_ms, uint32_t duration_ms,
                          void (*done)(void *context), void *context);

/* ---- metrics ------------------------------------------------------------------------------ */

struct bus_server_metrics {
#define METRICS "bus/server_metrics.def"
#include "base/metric_fields.h"
};

/* As of now; good until the next call. */
const struct bus_server_metrics *bus_server_metrics(struct bus_server *server);

extern const struct metric bus_server_metric_table[];
extern const size_t bus_server_metric_count;

#endif
