#include "monitor/monitor.h"

#include "monitor/page.h"

#include <stdlib.h>

const struct page_path page_paths[PAGE_PATHS] = {
    {"/", NULL},
    {"/varz", page_varz},
    {"/connz", page_connz},
    {"/subsz", page_subsz},
    {"/subscriptionsz", page_subsz},
    {"/jsz", page_jsz},
    {"/healthz", page_healthz},
    {"/accountz", page_accountz},
    {"/accstatz", page_accstatz},
    {"/routez", page_routez},
    {"/gatewayz", page_gatewayz},
    {"/leafz", page_leafz},
};

/* ---- answering ------------------------------------------------------------------------------- */

/* For people: what there is to ask for. */
static void answer_list(struct http_exchange *x)
{
    struct buf out;
    buf_init(&out, 4096);
    buf_append_str(&out, "<!DOCTYPE html>\n<title>dure bus</title>\n<h1>dure bus</h1>\n<ul>\n");
    for (size_t i = 1; i < PAGE_PATHS; i++)
        buf_append_format(&out, "<li><a href=\".%s\">%s</a>\n", page_paths[i].path,
                          page_paths[i].path + 1);
    buf_append_str(&out, "</ul>\n");
    http_respond(x, 200, BYTES("text/html; charset=utf-8"), buf_bytes(&out));
    buf_release(&out);
}

static void answer_page(struct http_exchange *x, struct monitor *monitor, page_fn *fill)
{
    struct page page = {.monitor = monitor, .query = x->in.query, .status = 200};
    buf_init(&page.out, PAGE_MAX);
    jsonw_init(&page.json, &page.out);
    jsonw_object(&page.json, NULL);
    fill(&page);
    jsonw_object_end(&page.json);
    buf_append_char(&page.out, '\n');
    if (page.status == 400)
        http_respond(x, 400, BYTES("text/plain; charset=utf-8"), bytes_str(page.problem));
    else if (page.out.failed)
        http_problem(x, 503, NULL, BYTES("the answer is too long"), (struct bytes){0});
    else
        http_respond(x, page.status, BYTES("application/json"), buf_bytes(&page.out));
    buf_release(&page.out);
}

static void request(struct http_exchange *x)
{
    struct monitor *monitor = http_server_context(http_exchange_server(x));
    if (x->in.method != HTTP1_GET && x->in.method != HTTP1_HEAD) {
        http_problem(x, 405, NULL, BYTES("only GET is possible here"), (struct bytes){0});
        return;
    }
    for (size_t i = 0; i < PAGE_PATHS; i++) {
        if (!bytes_eq(x->in.path, bytes_str(page_paths[i].path))) continue;
        monitor->requests[i]++;
        if (page_paths[i].fill)
            answer_page(x, monitor, page_paths[i].fill);
        else
            answer_list(x);
        return;
    }
    http_problem(x, 404, NULL, BYTES("see / for what there is"), (struct bytes){0});
}

/* ---- life ------------------------------------------------------------------------------------ */

static void monitor_free(struct monitor *monitor)
{
    free(monitor->accounts);
    free(monitor->store_dir);
    free(monitor);
}

static int copy_options(struct monitor *monitor, const struct monitor_options *options)
{
    size_t size = options->account_count * sizeof *options->accounts;
    monitor->options = *options;
    monitor->accounts = malloc(size + 1);
    if (!monitor->accounts) return ERR_NOMEM;
    if (size) memcpy(monitor->accounts, options->accounts, size);
    monitor->options.accounts = monitor->accounts;
    if (options->store_dir) monitor->store_dir = strdup(options->store_dir);
    monitor->options.store_dir = monitor->store_dir;
    return options->store_dir && !monitor->store_dir ? ERR_NOMEM : 0;
}

int monitor_open(struct http *http, const struct io_addr *addr,
                 const struct monitor_options *options, struct monitor **ret_monitor)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (!monitor) return ERR_NOMEM;
    struct http_server_options server = {
        .request = request, .context = monitor, .body_max = 1, .connections_max = 256};
    monitor->http = http;
    int r = copy_options(monitor, options);
    if (!r) r = http_server_open(http, addr, &server, &monitor->server);
    if (r)
        monitor_free(monitor);
    else
        *ret_monitor = monitor;
    return r;
}

static void server_closed(void *context)
{
    struct monitor *monitor = context;
    void (*closed)(void *) = monitor->closed;
    void *closed_context = monitor->closed_context;
    monitor_free(monitor);
    if (closed) closed(closed_context);
}

void monitor_close(struct monitor *monitor, void (*done)(void *context), void *context)
{
    if (!monitor) {
        if (done) done(context);
        return;
    }
    monitor->closed = done;
    monitor->closed_context = context;
    http_server_close(monitor->server, 0, server_closed);
}

const struct io_addr *monitor_addr(const struct monitor *monitor)
{
    return http_server_addr(monitor->server);
}
