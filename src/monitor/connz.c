/* /connz: connections, those that are open and the last that have ended. */
#include "monitor/page.h"

#include <stdlib.h>

enum subscriptions { NO_SUBSCRIPTIONS, SUBJECTS, DETAIL };

struct connz {
    struct page *page;
    enum subscriptions subscriptions;
    bool open, ended, with_auth;
    uint64_t cid, limit, offset;
    char account[QUERY_TEXT_MAX + 1], user[QUERY_TEXT_MAX + 1], filter[QUERY_TEXT_MAX + 1];
    struct bus_connection *found;
    size_t count, size;
    bool out_of_memory;
};

/* ---- sorting --------------------------------------------------------------------------------- */

static uint64_t now_or_end(const struct bus_connection *c)
{
    return c->ended_ns ? c->ended_ns : UINT64_MAX / 2;
}

#define FIELD(name) offsetof(struct bus_connection, name)

static const struct order {
    const char *name;
    size_t field;
    enum { LARGEST_FIRST, SMALLEST_FIRST, LONGEST_FIRST } by;
} orders[] = {
    {"cid", FIELD(id), SMALLEST_FIRST},
    {"start", FIELD(began_ns), SMALLEST_FIRST},
    {"subs", FIELD(subscriptions), LARGEST_FIRST},
    {"pending", FIELD(pending_bytes), LARGEST_FIRST},
    {"msgs_to", FIELD(traffic.out_messages), LARGEST_FIRST},
    {"msgs_from", FIELD(traffic.in_messages), LARGEST_FIRST},
    {"bytes_to", FIELD(traffic.out_bytes), LARGEST_FIRST},
    {"bytes_from", FIELD(traffic.in_bytes), LARGEST_FIRST},
    {"last", FIELD(active_ns), LARGEST_FIRST},
    {"idle", FIELD(active_ns), LONGEST_FIRST},
    {"uptime", FIELD(began_ns), LONGEST_FIRST},
    {"stop", FIELD(ended_ns), LARGEST_FIRST},
    {"rtt", FIELD(rtt_ns), LARGEST_FIRST},
};

/* The largest comes first. */
static uint64_t rank(const struct order *order, const struct bus_connection *connection)
{
    uint64_t value;
    memcpy(&value, (const char *)connection + order->field, sizeof value);
    switch (order->by) {
    case SMALLEST_FIRST: return ~value;
    case LONGEST_FIRST: return now_or_end(connection) - value;
    case LARGEST_FIRST: break;
    }
    return value;
}

static const struct order *order_find(const char *name)
{
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (strcmp(orders[i].name, name) == 0) return &orders[i];
    return NULL;
}

static int compare(const void *a, const void *b, void *context)
{
    const struct order *order = context;
    const struct bus_connection *x = a, *y = b;
    uint64_t rank_x = rank(order, x), rank_y = rank(order, y);
    if (rank_x != rank_y) return rank_x > rank_y ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* ---- gathering ------------------------------------------------------------------------------- */

struct wanted {
    uint64_t connection;
    bool found;
};

static void is_of_connection(void *context, const struct bus_interest *interest)
{
    struct wanted *wanted = context;
    if (interest->connection == wanted->connection) wanted->found = true;
}

/* Whether the connection is subscribed to something that takes the subject of the query. */
static bool has_subject(const struct connz *connz, const struct bus_connection *connection)
{
    struct wanted wanted = {.connection = connection->id};
    const struct monitor *monitor = connz->page->monitor;
    for (size_t i = 0; i < monitor->options.account_count; i++)
        if (strcmp(bus_name(monitor->accounts[i].bus), connection->account) == 0)
            bus_interests(monitor->accounts[i].bus, bytes_str(connz->filter), is_of_connection,
                          &wanted);
    return wanted.found;
}

static void gather(void *context, const struct bus_connection *connection)
{
    struct connz *connz = context;
    if (connz->cid && connection->id != connz->cid) return;
    if (*connz->account && strcmp(connection->account, connz->account) != 0) return;
    if (*connz->user && strcmp(connection->user, connz->user) != 0) return;
    if (*connz->filter && !has_subject(connz, connection)) return;
    if (connz->count == connz->size) {
        size_t size = connz->size ? connz->size * 2 : 64;
        struct bus_connection *bigger = realloc(connz->found, size * sizeof *bigger);
        if (!bigger) {
            connz->out_of_memory = true;
            return;
        }
        connz->found = bigger;
        connz->size = size;
    }
    connz->found[connz->count++] = *connection;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_subject(void *context, const struct bus_interest *interest)
{
    jsonw_str(context, NULL, interest->subject);
}

static void put_detail(void *context, const struct bus_interest *interest)
{
    page_interest(context, NULL, interest);
}

static void put_some_text(struct jsonw *json, const char *key, const char *text)
{
    if (*text) jsonw_cstr(json, key, text);
}

static void put_subscriptions(struct connz *connz, const struct bus_connection *c)
{
    bool detail = connz->subscriptions == DETAIL;
    struct jsonw *json = &connz->page->json;
    if (!connz->subscriptions || c->ended_ns || !c->subscriptions) return;
    jsonw_array(json, detail ? "subscriptions_list_detail" : "subscriptions_list");
    bus_connection_interests(connz->page->monitor->options.server, c->id,
                             detail ? put_detail : put_subject, json);
    jsonw_array_end(json);
}

static void put_times(struct connz *connz, const struct bus_connection *c)
{
    struct page *page = connz->page;
    uint64_t end_ns = c->ended_ns ? c->ended_ns : page_now_ns(page);
    page_time(page, "start", c->began_ns);
    page_time(page, "last_activity", c->active_ns);
    if (c->ended_ns) page_time(page, "stop", c->ended_ns);
    if (c->ended_ns) jsonw_cstr(&page->json, "reason", c->reason);
    if (c->rtt_ns) page_short_span(page, "rtt", c->rtt_ns);
    page_span(page, "uptime", end_ns - c->began_ns);
    page_span(page, "idle", end_ns - c->active_ns);
}

static void put_connection(struct connz *connz, const struct bus_connection *c)
{
    static const char *const types[] = {[BUS_TRANSPORT_TCP] = "nats",
                                        [BUS_TRANSPORT_WEBSOCKET] = "websocket",
                                        [BUS_TRANSPORT_UNIX] = "nats"};
    struct page *page = connz->page;
    struct jsonw *json = &page->json;
    jsonw_object(json, NULL);
    jsonw_u64(json, "cid", c->id);
    jsonw_cstr(json, "kind", "Client");
    jsonw_cstr(json, "type", types[c->transport]);
    if (c->transport == BUS_TRANSPORT_UNIX)
        jsonw_cstr(json, "ip", "");
    else
        page_ip(page, "ip", &c->peer);
    jsonw_u64(json, "port", c->peer.port);
    put_times(connz, c);
    jsonw_u64(json, "pending_bytes", c->pending_bytes);
    jsonw_u64(json, "in_msgs", c->traffic.in_messages);
    jsonw_u64(json, "out_msgs", c->traffic.out_messages);
    jsonw_u64(json, "in_bytes", c->traffic.in_bytes);
    jsonw_u64(json, "out_bytes", c->traffic.out_bytes);
    jsonw_u64(json, "subscriptions", c->subscriptions);
    put_some_text(json, "name", c->name);
    put_some_text(json, "lang", c->lang);
    put_some_text(json, "version", c->version);
    if (bytes_starts(bytes_str(c->tls_version), BYTES("TLSv")))
        jsonw_cstr(json, "tls_version", c->tls_version + 4);
    put_some_text(json, "tls_cipher_suite", c->tls_cipher);
    if (connz->with_auth) put_some_text(json, "authorized_user", c->user);
    if (connz->with_auth) put_some_text(json, "account", c->account);
    put_subscriptions(connz, c);
    jsonw_object_end(json);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool read_state(struct connz *connz)
{
    char state[QUERY_TEXT_MAX + 1];
    if (!page_text(connz->page, "state", state)) return false;
    bool all = strcmp(state, "any") == 0 || strcmp(state, "all") == 0 || strcmp(state, "2") == 0;
    connz->ended = all || strcmp(state, "closed") == 0 || strcmp(state, "1") == 0;
    connz->open = all || !*state || strcmp(state, "open") == 0 || strcmp(state, "0") == 0;
    if (connz->open || connz->ended) return true;
    page_refuse(connz->page, "'state' is open, closed or any, not '%s'", state);
    return false;
}

static bool read_subscriptions(struct connz *connz)
{
    char text[QUERY_TEXT_MAX + 1];
    bool wanted = false;
    if (!page_text(connz->page, "subs", text)) return false;
    connz->subscriptions = DETAIL;
    if (strcmp(text, "detail") == 0) return true;
    if (!page_bool(connz->page, "subs", &wanted)) return false;
    connz->subscriptions = wanted ? SUBJECTS : NO_SUBSCRIPTIONS;
    return true;
}

static bool read_query(struct connz *connz, const struct order **ret_order)
{
    char name[QUERY_TEXT_MAX + 1];
    struct page *page = connz->page;
    if (!read_state(connz) || !read_subscriptions(connz)) return false;
    if (!page_bool(page, "auth", &connz->with_auth)) return false;
    if (!page_u64(page, "cid", 0, &connz->cid) || !page_u64(page, "offset", 0, &connz->offset) ||
        !page_u64(page, "limit", PAGE_LIMIT, &connz->limit))
        return false;
    if (!page_text(page, "acc", connz->account) || !page_text(page, "user", connz->user) ||
        !page_text(page, "filter_subject", connz->filter) || !page_text(page, "sort", name))
        return false;
    if (*connz->account || *connz->user) connz->with_auth = true;
    if (connz->cid) connz->open = connz->ended = true;
    if (connz->cid) connz->limit = 1;
    if (!connz->limit) connz->limit = PAGE_LIMIT;
    *ret_order = order_find(*name ? name : "cid");
    if (!*ret_order) page_refuse(page, "invalid sorting option: %s", name);
    if (*ret_order && (*ret_order)->field == FIELD(ended_ns) && connz->open) {
        page_refuse(page, "sort by stop only valid on closed connections");
        return false;
    }
    return *ret_order;
}

void page_connz(struct page *page)
{
    struct connz connz = {.page = page};
    const struct order *order;
    struct bus_server *server = page->monitor->options.server;
    if (!read_query(&connz, &order)) return;
    if (connz.open) bus_server_connections(server, gather, &connz);
    if (connz.ended) bus_server_ended_connections(server, gather, &connz);
    if (connz.out_of_memory) {
        free(connz.found);
        page->status = 503;
        return;
    }
    if (connz.count) qsort_r(connz.found, connz.count, sizeof *connz.found, compare, (void *)order);
    uint64_t left = connz.offset < connz.count ? connz.count - connz.offset : 0;
    if (left > connz.limit) left = connz.limit;
    page_begin(page);
    jsonw_u64(&page->json, "num_connections", left);
    jsonw_u64(&page->json, "total", connz.count);
    jsonw_u64(&page->json, "offset", connz.offset);
    jsonw_u64(&page->json, "limit", connz.limit);
    jsonw_array(&page->json, "connections");
    for (uint64_t i = 0; i < left; i++) put_connection(&connz, &connz.found[connz.offset + i]);
    jsonw_array_end(&page->json);
    free(connz.found);
}
