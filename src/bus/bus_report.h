/* bus_report: what a server tells of its connections and subscriptions to people and their tools
 * (src/monitor). Everything is as of now; views are good until something changes, and nothing may
 * be changed from inside a call. Times are wall clock. */
#ifndef DURE_BUS_BUS_REPORT_H
#define DURE_BUS_BUS_REPORT_H

#include "bus/bus_server.h"

struct buf;

struct bus_server_facts {
    const char *id, *name;
    uint64_t began_ns;
    struct io_addr addr;           /* of the first listener; port 0: there is none */
    struct io_addr websocket_addr; /* the same, for WebSocket */
    bool auth_required, tls, tls_required, tls_verify, lame_duck;
    uint32_t auth_timeout_ms, tls_timeout_ms;
    struct bus_server_options options; /* as they are in force */
};

void bus_server_facts(const struct bus_server *server, struct bus_server_facts *ret_facts);

enum bus_transport { BUS_TRANSPORT_TCP, BUS_TRANSPORT_WEBSOCKET, BUS_TRANSPORT_UNIX };

/* Messages that a client has sent us, and that we have sent it; bytes of headers and payload. */
struct bus_traffic {
    uint64_t in_messages, in_bytes, out_messages, out_bytes;
};

struct bus_connection {
    uint64_t id;
    enum bus_transport transport;
    struct io_addr peer; /* not of a Unix socket */
    uint64_t began_ns, active_ns;
    uint64_t ended_ns;  /* 0: it is open */
    const char *reason; /* why it has ended */
    uint64_t rtt_ns;    /* from our last PING to its PONG; 0: not known yet */
    uint64_t pending_bytes;
    struct bus_traffic traffic;
    uint64_t subscriptions;
    const char *name, *lang, *version;    /* what CONNECT said; "": nothing */
    const char *account, *user;           /* "": none */
    const char *tls_version, *tls_cipher; /* "": in clear text */
};

/* How many of them that have ended are remembered. */
enum { BUS_ENDED_MAX = 1024 };

typedef void bus_connection_fn(void *context, const struct bus_connection *connection);

/* Open ones in the order in which they came; those that have ended in the order in which they did.
 */
void bus_server_connections(struct bus_server *server, bus_connection_fn *each, void *context);
void bus_server_ended_connections(struct bus_server *server, bus_connection_fn *each,
                                  void *context);

struct bus_interest {
    uint64_t connection; /* 0: this program */
    const char *account;
    struct bytes subject, queue, sid;
    uint64_t delivered, max; /* max 0: no end */
};

typedef void bus_interest_fn(void *context, const struct bus_interest *interest);

/* The subscriptions of one open connection, in no order. */
void bus_connection_interests(struct bus_server *server, uint64_t connection, bus_interest_fn *each,
                              void *context);

/* All subscriptions of an account. `subject` not empty: those that match this literal subject. */
void bus_interests(struct bus *bus, struct bytes subject, bus_interest_fn *each, void *context);

struct bus_interest_facts {
    uint64_t subscriptions, routes, inserts, removes, matches, hits;
    uint64_t max_fanout,
        fanout; /* of the routes that are remembered: the largest, and all together */
};

void bus_interest_facts(struct bus *bus, struct bus_interest_facts *ret_facts);

/* Clients that are in this account. */
unsigned bus_client_count(const struct bus *bus);

#endif
