/* The inside of struct proxy, for the files of this folder. */
#ifndef DURE_PROXY_PROXY_IMPL_H
#define DURE_PROXY_PROXY_IMPL_H

#include "http/server.h"
#include "proxy/generation.h"
#include "proxy/proxy.h"

enum {
    PROXY_HANDLERS_MAX = 8,
    PROXY_NAMES_MAX = 4 * SNAPSHOT_ROUTES_MAX,
    PROXY_UPSTREAMS_MAX = 4 * SNAPSHOT_ENDPOINTS_MAX
};

struct entrance {
    struct list link;
    struct proxy *proxy;
    enum proxy_side side;
    struct http_server *server;
};

struct handler {
    struct bytes prefix;
    void (*handle)(void *context, struct http_exchange *x);
    void *context;
};

struct proxy_metrics {
#define METRICS "proxy/proxy_metrics.def"
#include "base/metric_fields.h"
};

struct proxy {
    struct io *io;
    struct log *log;
    struct proxy_options options; /* complete */
    struct bytes via, via_1_0;    /* "1.1 NAME", "1.0 NAME": views of via_text */
    char via_text[2][64];
    struct http http;
    struct list entrances;
    struct handler handlers[PROXY_HANDLERS_MAX];
    size_t handler_count;

    struct generation *generation; /* in force */
    struct map upstreams;          /* by address; those of the generations and with connections */
    struct map services, routes;   /* struct traffic, by name */

    struct list spare; /* memory for requests that come */
    size_t spare_count;
    struct proxy_metrics metrics;

    struct io_task freed; /* the end of proxy_close */
    bool closing;
    void (*closed)(void *context);
    void *closed_context;
};

/* Called when something that proxy_close waits for has gone. */
void proxy_check_closed(struct proxy *proxy);

#endif
