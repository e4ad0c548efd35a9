/* /subsz, /accountz, /accstatz: subscriptions and accounts. */
#include "monitor/page.h"

#include "bus/subject.h"

static void add_facts(struct bus_interest_facts *sum, struct bus *bus)
{
    struct bus_interest_facts facts;
    bus_interest_facts(bus, &facts);
    sum->subscriptions += facts.subscriptions;
    sum->routes += facts.routes;
    sum->inserts += facts.inserts;
    sum->removes += facts.removes;
    sum->matches += facts.matches;
    sum->hits += facts.hits;
    sum->fanout += facts.fanout;
    if (facts.max_fanout > sum->max_fanout) sum->max_fanout = facts.max_fanout;
}

static void put_facts(struct jsonw *json, const struct bus_interest_facts *facts)
{
    jsonw_u64(json, "num_subscriptions", facts->subscriptions);
    jsonw_u64(json, "num_cache", facts->routes);
    jsonw_u64(json, "num_inserts", facts->inserts);
    jsonw_u64(json, "num_removes", facts->removes);
    jsonw_u64(json, "num_matches", facts->matches);
    jsonw_double(json, "cache_hit_rate",
                 facts->matches ? (double)facts->hits / (double)facts->matches : 0);
    jsonw_u64(json, "max_fanout", facts->max_fanout);
    jsonw_double(json, "avg_fanout",
                 facts->routes ? (double)facts->fanout / (double)facts->routes : 0);
}

struct listing {
    struct jsonw *json;
    uint64_t offset, limit, seen; /* from offset on at most limit are written */
};

static void list_one(void *context, const struct bus_interest *interest)
{
    struct listing *listing = context;
    struct jsonw *json = listing->json;
    uint64_t at = listing->seen++;
    if (!json || at < listing->offset || at - listing->offset >= listing->limit) return;
    page_interest(json, interest->account, interest);
}

static void list_all(struct page *page, struct listing *listing, const char *account,
                     const char *subject)
{
    for (size_t i = 0; i < page->monitor->options.account_count; i++) {
        struct bus *bus = page->monitor->accounts[i].bus;
        if (!*account || strcmp(bus_name(bus), account) == 0)
            bus_interests(bus, bytes_str(subject), list_one, listing);
    }
}

void page_subsz(struct page *page)
{
    char subject[QUERY_TEXT_MAX + 1], account[QUERY_TEXT_MAX + 1];
    bool list;
    struct listing listing = {0}, counting = {0};
    if (!page_bool(page, "subs", &list) || !page_text(page, "test", subject) ||
        !page_text(page, "acc", account) || !page_u64(page, "offset", 0, &listing.offset) ||
        !page_u64(page, "limit", PAGE_LIMIT, &listing.limit))
        return;
    if (*subject && !subject_is_literal(bytes_str(subject))) {
        page_refuse(page, "invalid test subject, must be valid publish subject: %s", subject);
        return;
    }
    struct bus_interest_facts sum = {0};
    for (size_t i = 0; i < page->monitor->options.account_count; i++)
        add_facts(&sum, page->monitor->accounts[i].bus);
    if (!listing.limit) listing.limit = PAGE_LIMIT;
    page_begin(page);
    put_facts(&page->json, &sum);
    if (!list && !*subject) return;
    list_all(page, &counting, account, subject);
    jsonw_u64(&page->json, "total", counting.seen);
    jsonw_u64(&page->json, "offset", listing.offset);
    jsonw_u64(&page->json, "limit", listing.limit);
    jsonw_array(&page->json, "subscriptions_list");
    listing.json = &page->json;
    list_all(page, &listing, account, subject);
    jsonw_array_end(&page->json);
}

/* ---- accounts -------------------------------------------------------------------------------- */

static const struct monitor_account *account_find(const struct page *page, const char *name)
{
    for (size_t i = 0; i < page->monitor->options.account_count; i++)
        if (strcmp(bus_name(page->monitor->accounts[i].bus), name) == 0)
            return &page->monitor->accounts[i];
    return NULL;
}

static void put_account(struct page *page, const struct monitor_account *account)
{
    struct bus_interest_facts facts;
    struct bus_server_facts server;
    struct jsonw *json = &page->json;
    bus_interest_facts(account->bus, &facts);
    bus_server_facts(page->monitor->options.server, &server);
    jsonw_object(json, "account_detail");
    jsonw_cstr(json, "account_name", bus_name(account->bus));
    page_time(page, "update_time", server.began_ns);
    jsonw_bool(json, "expired", false);
    jsonw_bool(json, "complete", true);
    jsonw_bool(json, "jetstream_enabled", account->jetstream);
    jsonw_u64(json, "leafnode_connections", 0);
    jsonw_u64(json, "client_connections", bus_client_count(account->bus));
    jsonw_u64(json, "subscriptions", facts.subscriptions);
    jsonw_object(json, "sublist_stats");
    put_facts(json, &facts);
    jsonw_object_end(json);
    jsonw_object_end(json);
}

void page_accountz(struct page *page)
{
    char name[QUERY_TEXT_MAX + 1];
    if (!page_text(page, "acc", name)) return;
    const struct monitor_account *account = account_find(page, name);
    page_begin(page);
    if (account) {
        put_account(page, account);
        return;
    }
    jsonw_array(&page->json, "accounts");
    for (size_t i = 0; !*name && i < page->monitor->options.account_count; i++)
        jsonw_cstr(&page->json, NULL, bus_name(page->monitor->accounts[i].bus));
    jsonw_array_end(&page->json);
}

void page_accstatz(struct page *page)
{
    struct jsonw *json = &page->json;
    page_begin(page);
    jsonw_array(json, "account_statz");
    for (size_t i = 0; i < page->monitor->options.account_count; i++) {
        const struct monitor_account *account = &page->monitor->accounts[i];
        jsonw_object(json, NULL);
        jsonw_cstr(json, "acc", bus_name(account->bus));
        jsonw_cstr(json, "name", bus_name(account->bus));
        jsonw_u64(json, "conns", bus_client_count(account->bus));
        jsonw_u64(json, "leafnodes", 0);
        jsonw_u64(json, "total_conns", bus_client_count(account->bus));
        jsonw_u64(json, "num_subscriptions", bus_metrics(account->bus)->subscriptions);
        page_traffic(page, account);
        jsonw_object_end(json);
    }
    jsonw_array_end(json);
}
