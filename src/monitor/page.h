/* page: one answer of the monitor while it is written. Private to src/monitor. */
#ifndef DURE_MONITOR_PAGE_H
#define DURE_MONITOR_PAGE_H

#include "base/jsonw.h"
#include "bus/bus_report.h"
#include "http/server.h"
#include "monitor/monitor.h"
#include "monitor/query.h"

enum {
    PAGE_MAX = 64 << 20,
    PAGE_LIMIT = 1024, /* items of a list, where the query says nothing else */
    PAGE_PATHS = 12
};

struct monitor {
    struct http *http;
    struct http_server *server;
    struct monitor_options options;
    struct monitor_account *accounts;
    char *store_dir;
    uint64_t requests[PAGE_PATHS]; /* for each path */
    struct io_usage usage;         /* at usage_ns: what `cpu` is reckoned from */
    uint64_t usage_ns;
    double cpu; /* per cent of one core */
    void (*closed)(void *context);
    void *closed_context;
};

struct page {
    struct monitor *monitor;
    struct bytes query;
    int status; /* 200, unless it is set */
    struct buf out;
    struct jsonw json;
    char problem[QUERY_TEXT_MAX + 128]; /* of a status 400, as text */
};

/* One for each path: writes a whole object, or sets status and problem. */
typedef void page_fn(struct page *page);
page_fn page_varz, page_connz, page_subsz, page_jsz, page_healthz, page_accountz, page_accstatz,
    page_routez, page_gatewayz, page_leafz;

/* The paths by name, with how often each was asked for. */
struct page_path {
    const char *path;
    page_fn *fill; /* NULL: the list of paths */
};
extern const struct page_path page_paths[PAGE_PATHS];

/* ---- for pages --------------------------------------------------------------------------------
 */

/* "server_id" and "now". */
void page_begin(struct page *page);

/* 400, with what is wrong. */
void page_refuse(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The query's values; false: refused. */
bool page_bool(struct page *page, const char *name, bool *ret);
bool page_u64(struct page *page, const char *name, uint64_t otherwise, uint64_t *ret);
bool page_text(struct page *page, const char *name, char ret_text[QUERY_TEXT_MAX + 1]);

/* A time as RFC 3339 tells it; a span as nats-server does: "1d2h3m4s", and as Go does: "611µs". */
void page_time(struct page *page, const char *key, uint64_t wall_ns);
void page_span(struct page *page, const char *key, uint64_t ns);
void page_short_span(struct page *page, const char *key, uint64_t ns);

/* The IP address of an address, without its port. */
void page_ip(struct page *page, const char *key, const struct io_addr *addr);

/* A subscription, as an object; `account` NULL: is left out. */
void page_interest(struct jsonw *json, const char *account, const struct bus_interest *interest);

uint64_t page_now_ns(const struct page *page);

/* What is sent and received in an account, "sent": {...}, "received": {...}. */
void page_traffic(struct page *page, const struct monitor_account *account);

/* ---- JetStream, in jsz.c ----------------------------------------------------------------------
 */

/* What is stored in some accounts. */
struct page_usage {
    uint64_t memory, storage, reserved_memory, reserved_storage;
    uint64_t streams, consumers, messages, bytes, api_total, api_errors;
};

void page_usage_add(struct page_usage *usage, const struct monitor_account *account);
void page_usage_all(const struct page *page, struct page_usage *ret_usage, size_t *ret_accounts);

/* "memory" .. "api". */
void page_usage_put(struct page *page, const struct page_usage *usage, size_t accounts);

/* "config". */
void page_jetstream_config(struct page *page);

#endif
