#include "app/admin.h"

#include "app/worker.h"
#include "mesh/publish.h"

#include <stdlib.h>

enum { ANSWER_MAX = 16 * 1024 * 1024, TRACES_DEFAULT = 10, GRACE_MS = 1000 };

static void respond(struct http_exchange *x, struct buf *body, const char *type)
{
    if (body->failed)
        http_problem(x, 503, NULL, BYTES("out of memory for the answer"), BYTES(""));
    else
        http_respond(x, 200, bytes_str(type), buf_bytes(body));
    buf_release(body);
}

static void get_status(struct worker *worker, struct http_exchange *x)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    status_write(&worker->status, &body);
    respond(x, &body, "application/json");
}

static void get_metrics(struct worker *worker, struct http_exchange *x)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    worker_expose(worker, &body);
    respond(x, &body, "text/plain; version=0.0.4; charset=utf-8");
}

/* The value of `key` in a query; {NULL, 0}: it is not there. */
static struct bytes query_value(struct bytes query, struct bytes key)
{
    while (query.len) {
        struct bytes value = bytes_cut(&query, '&');
        if (bytes_eq(bytes_cut(&value, '='), key)) return value;
    }
    return (struct bytes){NULL, 0};
}

static void get_trace(struct worker *worker, struct http_exchange *x)
{
    struct bytes last = query_value(x->in.query, BYTES("last"));
    struct bytes id = query_value(x->in.query, BYTES("id"));
    uint64_t limit = TRACES_DEFAULT;
    struct trace_id only;
    if (last.data && (bytes_to_u64(last, 200, &limit) != 0 || !limit)) {
        http_problem(x, 400, NULL, BYTES("last must be a number from 1 to 200"), BYTES(""));
        return;
    }
    if (id.data && trace_id_parse(id, &only) != 0) {
        http_problem(x, 400, NULL, BYTES("id must be 32 hexadecimal digits, lower case"),
                     BYTES(""));
        return;
    }
    struct buf body;
    struct jsonw json;
    buf_init(&body, ANSWER_MAX);
    jsonw_init(&json, &body);
    jsonw_object(&json, NULL);
    jsonw_array(&json, "traces");
    spans_write_traces(telemetry_spans(worker->telemetry), (size_t)limit, id.data ? &only : NULL,
                       &json);
    jsonw_array_end(&json);
    jsonw_object_end(&json);
    respond(x, &body, "application/json");
}

static void post_apply(struct worker *worker, struct http_exchange *x)
{
    worker_apply(worker, x);
}

static void post_stop(struct worker *worker, struct http_exchange *x)
{
    http_respond(x, 202, BYTES("application/json"), BYTES("{\"stopping\":true}"));
    worker_ask_stop(worker);
}

static const struct {
    struct bytes method, path;
    void (*run)(struct worker *worker, struct http_exchange *x);
    bool early; /* also before the bus is there */
} routes[] = {
    {{"GET", 3}, {"/status", 7}, get_status, true}, {{"GET", 3}, {"/metrics", 8}, get_metrics},
    {{"GET", 3}, {"/trace", 6}, get_trace},         {{"POST", 4}, {"/apply", 6}, post_apply},
    {{"POST", 4}, {"/stop", 5}, post_stop, true},
};

static void request(struct http_exchange *x)
{
    struct worker *worker = http_server_context(http_exchange_server(x));
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (!bytes_eq(x->in.path, routes[i].path)) continue;
        if (!worker->supervisor && !routes[i].early)
            http_problem(x, 503, NULL, BYTES("the system is starting: it waits for its bus"),
                         BYTES(""));
        else if (bytes_eq(x->in.method_name, routes[i].method))
            routes[i].run(worker, x);
        else
            http_problem(x, 405, NULL, BYTES("this is not the method for it"), BYTES(""));
        return;
    }
    http_problem(x, 404, NULL, BYTES("there is nothing of that name here"), BYTES(""));
}

void admin_metrics(void *context, struct http_exchange *x)
{
    get_metrics(context, x);
}

int admin_open(struct worker *worker, int fd)
{
    struct http_server_options options = {.request = request, .context = worker};
    return http_server_adopt(&worker->http, fd, &options, &worker->admin);
}

void admin_close(struct worker *worker, void (*closed)(void *context))
{
    struct http_server *admin = worker->admin;
    worker->admin = NULL;
    if (admin)
        http_server_close(admin, GRACE_MS, closed);
    else
        closed(worker);
}
