/* status: how the system is doing, as JSON for programs and as a table for people. */
#ifndef DURE_APP_STATUS_H
#define DURE_APP_STATUS_H

#include "base/histogram.h"
#include "base/jsonw.h"
#include "messaging/messaging.h"
#include "proxy/proxy.h"
#include "run/supervisor.h"

enum { STATUS_WINDOW_MS = 1000, STATUS_SERVICES_MAX = MANIFEST_SERVICES_MAX };

/* Traffic of one service in the last window. */
struct service_traffic {
    char name[64];
    uint64_t requests;         /* counted when the window began */
    struct histogram duration; /* the same */
    double rps;
    uint64_t p99_us; /* of the window; 0: no request */
};

struct status {
    struct supervisor *supervisor;
    const struct proxy *proxy;
    struct messaging *messaging;
    char system[64]; /* its name */
    const char *bus; /* its URLs; shown without who we are */
    struct io_addr gateway, internal;
    uint64_t window_ns; /* when it began; io_now_ns */
    size_t traffic_count;
    struct service_traffic traffic[STATUS_SERVICES_MAX];
};

/* Ends a window and begins the next; to be called every STATUS_WINDOW_MS. */
void status_tick(struct status *status, uint64_t now_ns);

/* Writes the whole status as a JSON object. */
void status_write(const struct status *status, struct buf *out);

/* Turns that JSON into a table of at most `columns` characters a line (0: as wide as need be), with
 * colours if `colour`. ERR_SYNTAX when it is no such JSON. */
int status_table(struct bytes json, unsigned columns, bool colour, struct buf *out);

#endif
