/* /jsz and /healthz: what is durable. */
#include "monitor/page.h"

#include "jetstream/consumer_info.h"
#include "jetstream/jetstream.h"
#include "jetstream/stream_info.h"
#include "stream/streams.h"

/* ---- usage ----------------------------------------------------------------------------------- */

void page_usage_add(struct page_usage *usage, const struct monitor_account *account)
{
    size_t cursor = 0;
    if (account->jetstream) {
        const struct jetstream_metrics *metrics = jetstream_metrics(account->jetstream);
        usage->api_total += metrics->requests;
        usage->api_errors += metrics->errors;
    }
    for (struct stream *stream; (stream = streams_next(account->streams, &cursor));) {
        const struct stream_config *config = stream_config(stream);
        struct stream_state state = stream_state(stream);
        uint64_t reserved = config->max_bytes > 0 ? (uint64_t)config->max_bytes : 0;
        bool memory = config->storage == STREAM_STORAGE_MEMORY;
        *(memory ? &usage->memory : &usage->storage) += state.bytes;
        *(memory ? &usage->reserved_memory : &usage->reserved_storage) += reserved;
        usage->streams++;
        usage->consumers += state.consumers;
        usage->messages += state.messages;
        usage->bytes += state.bytes;
    }
}

void page_usage_all(const struct page *page, struct page_usage *ret_usage, size_t *ret_accounts)
{
    *ret_usage = (struct page_usage){0};
    *ret_accounts = 0;
    for (size_t i = 0; i < page->monitor->options.account_count; i++) {
        const struct monitor_account *account = &page->monitor->accounts[i];
        if (!account->streams) continue;
        page_usage_add(ret_usage, account);
        ++*ret_accounts;
    }
}

void page_usage_put(struct page *page, const struct page_usage *usage, size_t accounts)
{
    struct jsonw *json = &page->json;
    jsonw_u64(json, "memory", usage->memory);
    jsonw_u64(json, "storage", usage->storage);
    jsonw_u64(json, "reserved_memory", usage->reserved_memory);
    jsonw_u64(json, "reserved_storage", usage->reserved_storage);
    jsonw_u64(json, "accounts", accounts);
    jsonw_u64(json, "ha_assets", 0);
    jsonw_object(json, "api");
    jsonw_u64(json, "level", JETSTREAM_API_LEVEL);
    jsonw_u64(json, "total", usage->api_total);
    jsonw_u64(json, "errors", usage->api_errors);
    jsonw_object_end(json);
}

/* What may be stored is what the disk still has room for. */
void page_jetstream_config(struct page *page)
{
    struct monitor *monitor = page->monitor;
    uint64_t room = 0;
    if (monitor->store_dir) io_disk_free(monitor->http->io, monitor->store_dir, &room);
    jsonw_object(&page->json, "config");
    jsonw_i64(&page->json, "max_memory", -1);
    jsonw_u64(&page->json, "max_storage", room);
    if (monitor->store_dir) jsonw_cstr(&page->json, "store_dir", monitor->store_dir);
    jsonw_object_end(&page->json);
}

/* ---- /jsz ------------------------------------------------------------------------------------ */

struct jsz {
    struct page *page;
    bool accounts, streams, consumers;
    uint64_t limit, offset;
    char account[QUERY_TEXT_MAX + 1];
};

static void put_stream(struct jsz *jsz, struct stream *stream)
{
    struct jsonw *json = &jsz->page->json;
    uint64_t now_ns = page_now_ns(jsz->page);
    jsonw_object(json, NULL);
    jsonw_cstr(json, "name", stream_config(stream)->name);
    stream_info_encode(stream, NULL, now_ns, json);
    if (jsz->consumers) jsonw_array(json, "consumer_detail");
    for (size_t i = 0; jsz->consumers && i < consumers_count(stream); i++) {
        jsonw_object(json, NULL);
        consumer_info_encode(consumers_at(stream, i), now_ns, json);
        jsonw_object_end(json);
    }
    if (jsz->consumers) jsonw_array_end(json);
    jsonw_object_end(json);
}

static void put_account(struct jsz *jsz, const struct monitor_account *account)
{
    struct page_usage usage = {0};
    struct jsonw *json = &jsz->page->json;
    size_t cursor = 0;
    page_usage_add(&usage, account);
    jsonw_object(json, NULL);
    jsonw_cstr(json, "name", bus_name(account->bus));
    jsonw_cstr(json, "id", bus_name(account->bus));
    page_usage_put(jsz->page, &usage, 0);
    if (jsz->streams) {
        jsonw_array(json, "stream_detail");
        for (struct stream *stream; (stream = streams_next(account->streams, &cursor));)
            put_stream(jsz, stream);
        jsonw_array_end(json);
    }
    jsonw_object_end(json);
}

static bool read_query(struct jsz *jsz)
{
    struct page *page = jsz->page;
    if (!page_bool(page, "accounts", &jsz->accounts) ||
        !page_bool(page, "streams", &jsz->streams) ||
        !page_bool(page, "consumers", &jsz->consumers) || !page_text(page, "acc", jsz->account) ||
        !page_u64(page, "offset", 0, &jsz->offset) ||
        !page_u64(page, "limit", PAGE_LIMIT, &jsz->limit))
        return false;
    if (jsz->consumers) jsz->streams = true; /* each includes what it stands in */
    if (jsz->streams || *jsz->account) jsz->accounts = true;
    if (!jsz->limit) jsz->limit = PAGE_LIMIT;
    return true;
}

void page_jsz(struct page *page)
{
    struct jsz jsz = {.page = page};
    struct page_usage usage;
    size_t accounts;
    struct jsonw *json = &page->json;
    if (!read_query(&jsz)) return;
    page_usage_all(page, &usage, &accounts);
    page_begin(page);
    if (!accounts) jsonw_bool(json, "disabled", true);
    page_jetstream_config(page);
    page_usage_put(page, &usage, accounts);
    jsonw_u64(json, "streams", usage.streams);
    jsonw_u64(json, "consumers", usage.consumers);
    jsonw_u64(json, "messages", usage.messages);
    jsonw_u64(json, "bytes", usage.bytes);
    if (!jsz.accounts) return;
    uint64_t seen = 0;
    jsonw_array(json, "account_details");
    for (size_t i = 0; i < page->monitor->options.account_count; i++) {
        const struct monitor_account *account = &page->monitor->accounts[i];
        if (!account->streams) continue;
        if (*jsz.account && strcmp(bus_name(account->bus), jsz.account) != 0) continue;
        uint64_t at = seen++;
        if (at >= jsz.offset && at - jsz.offset < jsz.limit) put_account(&jsz, account);
    }
    jsonw_array_end(json);
}
