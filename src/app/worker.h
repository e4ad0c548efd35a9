/* worker: everything but the parent, joined. Made when the parent says hello, ended when it says
 * stop, and built anew when it dies. */
#ifndef DURE_APP_WORKER_H
#define DURE_APP_WORKER_H

#include "app/paths.h"
#include "app/status.h"
#include "base/log.h"
#include "bus/bus_server.h"
#include "jetstream/jetstream.h"
#include "stream/streams.h"
#include "http/server.h"
#include "mesh/bridge.h"
#include "proxy/proxy.h"
#include "registry/registry.h"
#include "run/control.h"
#include "run/supervisor.h"
#include "telemetry/telemetry.h"

struct worker {
    struct io *io;
    struct log log;
    struct paths paths;
    char program[PATH_MAX];
    struct control control;
    bool greeted; /* the parent's hello has come */
    int exit_code;

    struct http http;
    struct bus *bus;
    struct bus_server *bus_server;
    struct streams *streams;
    struct jetstream *jetstream;
    struct registry *registry;
    struct registry_watch registry_watch;
    struct proxy *proxy;
    struct telemetry *telemetry;
    struct bridge *bridge;
    struct supervisor *supervisor;
    struct http_server *admin;
    struct status status;

    struct io_task compile;         /* a new snapshot is due */
    struct io_timer tick;           /* of status, once a second */
    struct io_timer table_due;      /* of the table, after a change */
    unsigned columns;               /* of the terminal; 0: there is none */
    struct http_exchange *applying; /* who waits for a deployment; NULL: nobody */
    int steps;                      /* of stopping, that are done */
};

/* Deploys the manifests as they are on the disk now, and answers `x` when that is done. */
void worker_apply(struct worker *worker, struct http_exchange *x);

/* Asks the parent to end the system. */
void worker_ask_stop(struct worker *worker);

/* Appends all metrics of this worker in the Prometheus text format. */
void worker_expose(const struct worker *worker, struct buf *out);

/* `dure worker DIR`: for the parent only. Returns the process's exit status. */
int worker_main(int argc, char **argv);

#endif
