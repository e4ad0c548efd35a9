#include "monitor/page.h"

#include "base/timestamp.h"

#include <stdarg.h>
#include <stdio.h>

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

uint64_t page_now_ns(const struct page *page)
{
    return io_wall_ns(page->monitor->http->io);
}

void page_begin(struct page *page)
{
    struct bus_server_facts facts;
    bus_server_facts(page->monitor->options.server, &facts);
    jsonw_cstr(&page->json, "server_id", facts.id);
    page_time(page, "now", page_now_ns(page));
}

void page_refuse(struct page *page, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(page->problem, sizeof page->problem, format, arguments);
    va_end(arguments);
    page->status = 400;
}

/* ---- the query ------------------------------------------------------------------------------- */

bool page_bool(struct page *page, const char *name, bool *ret)
{
    if (!query_bool(page->query, name, ret)) return true;
    page_refuse(page, "'%s' is neither true nor false", name);
    return false;
}

bool page_u64(struct page *page, const char *name, uint64_t otherwise, uint64_t *ret)
{
    if (!query_u64(page->query, name, otherwise, ret)) return true;
    page_refuse(page, "'%s' is no number", name);
    return false;
}

bool page_text(struct page *page, const char *name, char ret_text[QUERY_TEXT_MAX + 1])
{
    int r = query_text(page->query, name, ret_text);
    if (r == ERR_NOT_FOUND) *ret_text = '\0';
    if (!r || r == ERR_NOT_FOUND) return true;
    page_refuse(page, "'%s' is not well-formed", name);
    return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

void page_time(struct page *page, const char *key, uint64_t wall_ns)
{
    char text[TIMESTAMP_TEXT];
    timestamp_format_ns(wall_ns, text);
    jsonw_cstr(&page->json, key, text);
}

void page_span(struct page *page, const char *key, uint64_t ns)
{
    static const struct {
        uint64_t seconds;
        char letter;
    } units[] = {{365 * 86400, 'y'}, {86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
    char text[64];
    size_t len = 0;
    uint64_t left = ns / NS_PER_S;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        uint64_t count = left / units[i].seconds;
        left %= units[i].seconds;
        if (!count && !len && units[i].seconds > 1) continue;
        len += (size_t)snprintf(text + len, sizeof text - len, "%llu%c", (unsigned long long)count,
                                units[i].letter);
    }
    jsonw_cstr(&page->json, key, text);
}

void page_short_span(struct page *page, const char *key, uint64_t ns)
{
    char text[64];
    if (ns >= NS_PER_S)
        snprintf(text, sizeof text, "%.9gs", (double)ns / NS_PER_S);
    else if (ns >= NS_PER_MS)
        snprintf(text, sizeof text, "%.9gms", (double)ns / NS_PER_MS);
    else
        snprintf(text, sizeof text, "%.9g\u00b5s", (double)ns / NS_PER_US);
    jsonw_cstr(&page->json, key, text);
}

void page_ip(struct page *page, const char *key, const struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    size_t len = io_addr_format(addr, text, sizeof text);
    while (len && text[len - 1] != ':') len--;
    struct bytes ip = bytes_make(text, len ? len - 1 : 0);
    if (bytes_starts(ip, BYTES("["))) ip = bytes_make(ip.data + 1, ip.len - 2);
    jsonw_str(&page->json, key, ip);
}

void page_interest(struct jsonw *json, const char *account, const struct bus_interest *interest)
{
    jsonw_object(json, NULL);
    if (account) jsonw_cstr(json, "account", account);
    jsonw_str(json, "subject", interest->subject);
    if (interest->queue.len) jsonw_str(json, "qgroup", interest->queue);
    jsonw_str(json, "sid", interest->sid);
    jsonw_u64(json, "msgs", interest->delivered);
    if (interest->max) jsonw_u64(json, "max", interest->max);
    jsonw_u64(json, "cid", interest->connection);
    jsonw_object_end(json);
}

void page_traffic(struct page *page, const struct monitor_account *account)
{
    const struct bus_metrics *metrics = bus_metrics(account->bus);
    jsonw_object(&page->json, "sent");
    jsonw_u64(&page->json, "msgs", metrics->messages_out);
    jsonw_u64(&page->json, "bytes", metrics->bytes_out);
    jsonw_object_end(&page->json);
    jsonw_object(&page->json, "received");
    jsonw_u64(&page->json, "msgs", metrics->messages_in);
    jsonw_u64(&page->json, "bytes", metrics->bytes_in);
    jsonw_object_end(&page->json);
}
