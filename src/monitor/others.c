/* /healthz, and what belongs to a cluster, of which there is none here: the pages are there,
 * because tools ask for them, and are empty. */
#include "monitor/page.h"

/* Who goes (lame duck) should get no new clients. */
void page_healthz(struct page *page)
{
    struct bus_server_facts facts;
    struct page_usage usage;
    size_t accounts;
    bool js_only, js_enabled;
    if (!page_bool(page, "js-enabled-only", &js_only) ||
        !page_bool(page, "js-enabled", &js_enabled))
        return;
    bus_server_facts(page->monitor->options.server, &facts);
    page_usage_all(page, &usage, &accounts);
    bool missing = (js_only || js_enabled) && !accounts;
    if (missing || facts.lame_duck) page->status = 503;
    jsonw_cstr(&page->json, "status", page->status == 200 ? "ok" : "unavailable");
    if (page->status == 200) return;
    jsonw_u64(&page->json, "status_code", 503);
    jsonw_cstr(&page->json, "error",
               missing ? "JetStream not enabled" : "server is in lame duck mode");
}

void page_routez(struct page *page)
{
    page_begin(page);
    jsonw_u64(&page->json, "num_routes", 0);
    jsonw_array(&page->json, "routes");
    jsonw_array_end(&page->json);
}

void page_gatewayz(struct page *page)
{
    page_begin(page);
    jsonw_object(&page->json, "outbound_gateways");
    jsonw_object_end(&page->json);
    jsonw_object(&page->json, "inbound_gateways");
    jsonw_object_end(&page->json);
}

void page_leafz(struct page *page)
{
    page_begin(page);
    jsonw_u64(&page->json, "leafnodes", 0);
    jsonw_array(&page->json, "leafs");
    jsonw_array_end(&page->json);
}
