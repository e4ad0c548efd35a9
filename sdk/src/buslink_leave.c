/* A server in lame duck mode says so (INFO with ldm) and closes its connections a while later.
 * Whoever knows of another server goes there before: not all at once, with what it has asked
 * answered, and with the modules' subscriptions ended first, so that those who ask them ask
 * somebody else.
 *
 *   told -- a random moment --> waiting for answers -- UNSUB, PING --> leaving -- PONG --> lost
 *
 * From there on it is a lost connection like any other. */
#include "sdk/src/buslink_parts.h"

#include "sdk/src/logger.h"
#include "sdk/src/tenant.h"

#include <stdio.h>

enum { LEAVE_SPREAD_MS = 1000, LEAVE_ASKED_MS = 5000, LEAVE_AGAIN_MS = 20 };

void buslink_tell_event(struct buslink *link, enum dure_bus_event event)
{
    const char *server = link->servers[link->server_at].shown;
    LIST_EACH(&link->host->tenants, struct tenant, link, tenant)
        if (tenant->bus_event) tenant->bus_event(tenant->bus_event_argument, event, server);
}

void dure_on_bus_event(struct dure_ctx *ctx, dure_bus_happened *happened, void *argument)
{
    ctx->tenant->bus_event = happened;
    ctx->tenant->bus_event_argument = argument;
}

/* A lame duck names the others of its cluster only. */
static bool elsewhere(const struct buslink *link)
{
    return link->info.connect_url_count || link->servers_given > 1;
}

void buslink_lame_duck(struct buslink *link)
{
    uint64_t random;
    if (link->lame || link->state < BUSLINK_JOINING) return;
    link->lame = true;
    LOGGER(link->host, NULL, DURE_WARN, "bus_lame_duck", DURE_S("server", link->info.server_name));
    buslink_tell_event(link, DURE_BUS_LAME_DUCK);
    if (!elsewhere(link)) return;
    host_random(link->host, &random, sizeof random);
    link->leave_at_last_ns = loop_monotonic_ns() + LEAVE_ASKED_MS * UINT64_C(1000000);
    loop_timer_in_ms(&link->host->loop, &link->leave, 1 + random % LEAVE_SPREAD_MS);
}

void buslink_leave_step(struct loop_timer *timer)
{
    struct buslink *link = CONTAINER_OF(timer, struct buslink, leave);
    if (!list_empty(&link->requests) && loop_monotonic_ns() < link->leave_at_last_ns) {
        loop_timer_in_ms(&link->host->loop, timer, LEAVE_AGAIN_MS);
        return;
    }
    LIST_EACH(&link->routes, struct bus_route, link, route)
        if (route->service) buslink_route_end(link, route);
    link->leave_mark = buslink_mark(link);
}

/* One of the others that it named, by lot: they share its clients. */
static void choose(struct buslink *link)
{
    struct bus_server named;
    uint64_t random;
    const struct bus_server *here = &link->servers[link->server_at];
    if (!link->info.connect_url_count) return;
    host_random(link->host, &random, sizeof random);
    const char *url = link->info.connect_urls[random % link->info.connect_url_count];
    if (bus_server_learn(url, here, &named) != 0) return;
    for (size_t i = 0; i < link->server_count; i++)
        if (bus_server_same(&link->servers[i], &named))
            link->server_at = (i + link->server_count - 1) % link->server_count;
}

bool buslink_left(struct buslink *link)
{
    if (!link->leave_mark || link->pongs < link->leave_mark) return false;
    snprintf(link->why, sizeof link->why, "the server is about to close");
    choose(link);
    return true;
}

void buslink_stay(struct buslink *link)
{
    loop_timer_cancel(&link->host->loop, &link->leave);
    link->lame = false;
    link->leave_mark = 0;
}
