/* worker: everything but the parent, joined. Made when the parent says hello, ended when it says
 * stop, and built anew when it dies. */
#ifndef DURE_APP_WORKER_H
#define DURE_APP_WORKER_H

#include "app/paths.h"
#include "app/status.h"
#include "base/log.h"
#include "app/bus_setup.h"
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
    json_t *hello, *early;        /* the parent's; what came before the bus was open */
    struct deployment *beginning; /* to be begun with */

    struct http http;
    struct bus *bus;
    struct bus_setup bus_setup;
    struct streams *streams;
    struct jetstream *jetstream;
    struct monitor *monitor;
    struct messaging *messaging;
    char bus_url[2048]; /* as services are told */
    char bus_creds[PATH_MAX], bus_ca[PATH_MAX];
    struct io_timer patience; /* with a cluster that does not answer */
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

/* A line for the person at the terminal. */
void worker_say(struct worker *worker, const char *text);

/* Ends the process: it cannot begin. */
void worker_give_up(struct worker *worker, const struct error *error);

/* Opens what the manifest says, then the registry, and calls worker_bus_is_open when both are
 * there, which may take as long as a cluster takes. */
int worker_open_bus(struct worker *worker, const struct manifest *manifest, struct error *error);
void worker_bus_is_open(struct worker *worker);

/* Closes it in steps 0 to 5, each of which goes on with next(worker). */
void worker_close_bus(struct worker *worker, int step, void (*next)(void *context));

/* Asks the parent to end the system. */
void worker_ask_stop(struct worker *worker);

/* Appends all metrics of this worker in the Prometheus text format. */
void worker_expose(const struct worker *worker, struct buf *out);

/* `dure worker DIR`: for the parent only. Returns the process's exit status. */
int worker_main(int argc, char **argv);

#endif
