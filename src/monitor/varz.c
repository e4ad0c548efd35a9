/* /varz: the server as a whole. */
#include "monitor/page.h"

#include "jetstream/jetstream.h"

enum { CPU_SPAN_NS = 200 * 1000 * 1000 };

/* Reckoned over the time since it was asked for last, if that is not too short. */
static void measure(struct monitor *monitor, struct io_usage *ret_usage)
{
    struct io *io = monitor->http->io;
    uint64_t now_ns = io_now_ns(io), span_ns = now_ns - monitor->usage_ns;
    io_usage(io, ret_usage);
    if (span_ns < CPU_SPAN_NS) return;
    uint64_t used_ns = ret_usage->cpu_ns - monitor->usage.cpu_ns;
    monitor->cpu = 100.0 * (double)used_ns / (double)span_ns;
    monitor->usage = *ret_usage;
    monitor->usage_ns = now_ns;
}

static void put_limits(struct page *page, const struct bus_server_facts *facts)
{
    const struct bus_server_options *options = &facts->options;
    struct jsonw *json = &page->json;
    jsonw_u64(json, "max_connections", options->max_connections);
    jsonw_u64(json, "max_subscriptions", options->max_subscriptions);
    jsonw_u64(json, "ping_interval", (uint64_t)options->ping_interval_ms * 1000000);
    jsonw_u64(json, "ping_max", options->max_pings);
    jsonw_cstr(json, "http_host", "");
    jsonw_u64(json, "http_port", monitor_addr(page->monitor)->port);
    jsonw_cstr(json, "http_base_path", "");
    jsonw_u64(json, "https_port", 0);
    jsonw_double(json, "auth_timeout", facts->auth_timeout_ms / 1000.0);
    jsonw_u64(json, "max_control_line", options->max_control_line);
    jsonw_u64(json, "max_payload", options->max_payload);
    jsonw_u64(json, "max_pending", options->max_pending);
}

static void put_empty(struct jsonw *json, const char *key)
{
    jsonw_object(json, key);
    jsonw_object_end(json);
}

static void put_websocket(struct page *page, const struct bus_server_facts *facts)
{
    jsonw_object(&page->json, "websocket");
    if (facts->websocket_addr.port) {
        page_ip(page, "host", &facts->websocket_addr);
        jsonw_u64(&page->json, "port", facts->websocket_addr.port);
    }
    jsonw_object_end(&page->json);
}

static void put_jetstream(struct page *page)
{
    struct page_usage usage;
    size_t accounts;
    page_usage_all(page, &usage, &accounts);
    jsonw_object(&page->json, "jetstream");
    if (accounts) {
        page_jetstream_config(page);
        jsonw_object(&page->json, "stats");
        page_usage_put(page, &usage, accounts);
        jsonw_object_end(&page->json);
    }
    jsonw_object_end(&page->json);
}

static void put_process(struct page *page, const struct bus_server_facts *facts)
{
    struct io_usage usage;
    measure(page->monitor, &usage);
    page_time(page, "start", facts->began_ns);
    page_time(page, "now", page_now_ns(page));
    page_span(page, "uptime", page_now_ns(page) - facts->began_ns);
    jsonw_u64(&page->json, "mem", usage.resident_bytes);
    jsonw_u64(&page->json, "cores", usage.cores);
    jsonw_u64(&page->json, "gomaxprocs", 1); /* one loop serves all */
    jsonw_double(&page->json, "cpu", page->monitor->cpu);
}

static void put_traffic(struct page *page)
{
    const struct bus_server_metrics *server = bus_server_metrics(page->monitor->options.server);
    struct bus_traffic traffic = {0};
    uint64_t subscriptions = 0;
    for (size_t i = 0; i < page->monitor->options.account_count; i++) {
        const struct bus_metrics *metrics = bus_metrics(page->monitor->accounts[i].bus);
        traffic.in_messages += metrics->messages_in;
        traffic.in_bytes += metrics->bytes_in;
        traffic.out_messages += metrics->messages_out;
        traffic.out_bytes += metrics->bytes_out;
        subscriptions += metrics->subscriptions;
    }
    jsonw_u64(&page->json, "connections", server->connections);
    jsonw_u64(&page->json, "total_connections", server->accepted);
    jsonw_u64(&page->json, "routes", 0);
    jsonw_u64(&page->json, "remotes", 0);
    jsonw_u64(&page->json, "leafnodes", 0);
    jsonw_u64(&page->json, "in_msgs", traffic.in_messages);
    jsonw_u64(&page->json, "out_msgs", traffic.out_messages);
    jsonw_u64(&page->json, "in_bytes", traffic.in_bytes);
    jsonw_u64(&page->json, "out_bytes", traffic.out_bytes);
    jsonw_u64(&page->json, "slow_consumers", server->slow_consumers);
    jsonw_u64(&page->json, "subscriptions", subscriptions);
}

static void put_requests(struct page *page)
{
    jsonw_object(&page->json, "http_req_stats");
    for (size_t i = 0; i < PAGE_PATHS; i++)
        if (page->monitor->requests[i])
            jsonw_u64(&page->json, page_paths[i].path, page->monitor->requests[i]);
    jsonw_object_end(&page->json);
}

void page_varz(struct page *page)
{
    static const char *const others[] = {"cluster", "gateway", "leaf", "mqtt"};
    struct bus_server_facts facts;
    struct jsonw *json = &page->json;
    bus_server_facts(page->monitor->options.server, &facts);
    jsonw_cstr(json, "server_id", facts.id);
    jsonw_cstr(json, "server_name", facts.name);
    jsonw_cstr(json, "version", BUS_NATS_VERSION);
    jsonw_u64(json, "proto", 1);
    page_ip(page, "host", &facts.addr);
    jsonw_u64(json, "port", facts.addr.port);
    if (facts.auth_required) jsonw_bool(json, "auth_required", true);
    if (facts.tls_required) jsonw_bool(json, "tls_required", true);
    if (facts.tls_verify) jsonw_bool(json, "tls_verify", true);
    put_limits(page, &facts);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) put_empty(json, others[i]);
    put_websocket(page, &facts);
    put_jetstream(page);
    jsonw_double(json, "tls_timeout", facts.tls_timeout_ms / 1000.0);
    jsonw_u64(json, "write_deadline", (uint64_t)facts.options.write_deadline_ms * 1000000);
    put_process(page, &facts);
    put_traffic(page);
    put_requests(page);
    page_time(page, "config_load_time", facts.began_ns);
}
