#include "sdk/src/buslink_parts.h"

#include "sdk/src/logger.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LINK_READ_MORE = 64 * 1024,
    LINK_PING_MS = 10 * 1000,
    LINK_PINGS_MAX = 2, /* unanswered: the connection is dead */
    LINK_JOIN_MS = 5 * 1000,
    LINK_BACKOFF_MS = 25,
    LINK_BACKOFF_MAX_MS = 2000,
    LINK_LATE_MAX = 1 << 20
};

/* ---- coming and going --------------------------------------------------------------------- */

void buslink_wake(struct buslink *link)
{
    LIST_EACH(&link->waiters, struct await, link, await) ctx_wake(await->ctx);
    host_progress(link->host);
}

static uint64_t backoff_ms(struct buslink *link)
{
    uint64_t most = LINK_BACKOFF_MS, random;
    for (unsigned i = 0; i < link->failures && most < LINK_BACKOFF_MAX_MS; i++) most *= 2;
    if (most > LINK_BACKOFF_MAX_MS) most = LINK_BACKOFF_MAX_MS;
    host_random(link->host, &random, sizeof random);
    return most / 2 + random % (most / 2) + 1;
}

/* Gives the connection up and tries again later. Requests stay: they are sent again. */
void buslink_lose(struct buslink *link)
{
    if (link->state == BUSLINK_UP || link->failures == 0)
        LOGGER(link->host, NULL, DURE_WARN, "bus_lost", DURE_S("why", link->why),
               DURE_S("server", link->servers[link->server_at].shown));
    if (link->state == BUSLINK_UP) buslink_tell_event(link, DURE_BUS_LOST);
    buslink_close(link);
    buslink_stay(link);
    loop_task_cancel(&link->send);
    buf_release(&link->in);
    buf_release(&link->out);
    link->dropping = false;
    link->state = BUSLINK_DOWN;
    link->server_at = (link->server_at + 1) % link->server_count;
    loop_timer_in_ms(&link->host->loop, &link->timer, backoff_ms(link));
    link->failures++;
    buslink_wake(link);
}

static void lose(struct buslink *link, const char *why)
{
    snprintf(link->why, sizeof link->why, "%s", why);
    buslink_lose(link);
}

static const char *connection_name(const struct buslink *link)
{
    if (link->settings.name) return link->settings.name;
    if (list_empty(&link->host->tenants)) return "dure";
    return CONTAINER_OF(link->host->tenants.next, struct tenant, link)->name;
}

/* Everything that a new connection needs to hear, behind its INFO. False: it cannot be said. */
static bool join(struct buslink *link)
{
    const struct bus_hello hello = {.settings = &link->settings,
                                    .server = &link->servers[link->server_at],
                                    .name = connection_name(link),
                                    .info = &link->info,
                                    .tls = link->secure != NULL};
    buf_clear(&link->headers);
    if (bus_hello_write(&hello, &link->headers, link->why) != 0) return false;
    nats_put_connect(&link->out, buf_bytes(&link->headers));
    buslink_put_routes(link);
    nats_put_ping(&link->out);
    link->pings = 1;
    link->pongs = 0;
    link->drain_mark = link->flush_mark = 0;
    link->denied = false;
    link->state = BUSLINK_JOINING;
    buf_append(&link->out, buf_bytes(&link->late));
    buf_release(&link->late);
    buslink_resend(link);
    buslink_renew(link);
    loop_post(&link->host->loop, &link->send);
    return true;
}

static void came_up(struct buslink *link)
{
    link->state = BUSLINK_UP;
    link->failures = 0;
    link->connects++;
    link->up_since_ns = link->host->loop.now_ns;
    loop_timer_in_ms(&link->host->loop, &link->timer, LINK_PING_MS);
    LOGGER(link->host, NULL, link->connects > 1 ? DURE_WARN : DURE_INFO, "bus_connected",
           DURE_S("server", link->info.server_name), DURE_I("times", link->connects));
    buslink_tell_event(link, DURE_BUS_CONNECTED);
}

/* ---- what comes in ------------------------------------------------------------------------ */

static bool greet(struct buslink *link)
{
    const struct bus_server *server = &link->servers[link->server_at];
    bool wants_tls = server->tls || link->info.tls_required;
    if (wants_tls && !link->secure && buslink_secure(link) != 0) return false;
    return join(link);
}

/* The other servers of a cluster come behind those that we were told of. */
static void learn_servers(struct buslink *link)
{
    const struct bus_server *here = &link->servers[link->server_at];
    for (unsigned i = 0; i < link->info.connect_url_count; i++) {
        struct bus_server server;
        bool known = bus_server_learn(link->info.connect_urls[i], here, &server) != 0;
        for (size_t j = 0; j < link->server_count && !known; j++)
            known = bus_server_same(&link->servers[j], &server);
        if (!known && link->server_count < BUS_SERVERS_MAX)
            link->servers[link->server_count++] = server;
    }
}

static void take_info(struct buslink *link, struct bytes json)
{
    if (nats_info_parse(json, &link->info) != 0) {
        snprintf(link->why, sizeof link->why, "the server's greeting is not understood");
        link->dropping = true;
        return;
    }
    learn_servers(link);
    if (link->info.max_payload > NATS_PAYLOAD_CAP) link->info.max_payload = NATS_PAYLOAD_CAP;
    if (link->info.max_payload) link->decoder.max_payload = link->info.max_payload;
    if (link->state == BUSLINK_GREETING && !greet(link)) link->dropping = true;
    if (link->info.lame_duck) buslink_lame_duck(link);
}

/* The server says that something is wrong; before it has taken us that is about who we are. */
static void take_error(struct buslink *link, struct bytes text)
{
    snprintf(link->refusal, sizeof link->refusal, "%.*s", BYTES_ARG(bytes_head(text, BUS_WHY - 1)));
    LOGGER(link->host, NULL, DURE_WARN, "bus_error", DURE_S("text", link->refusal));
    link->refused = true;
    if (link->state != BUSLINK_UP) {
        link->denied = true;
        snprintf(link->why, sizeof link->why, "%s", link->refusal);
    }
    buslink_wake(link);
}

static void take_frame(struct buslink *link, const struct nats_frame *frame)
{
    switch (frame->op) {
    case NATS_INFO: take_info(link, frame->text); break;
    case NATS_PING:
        nats_put_pong(&link->out);
        loop_post(&link->host->loop, &link->send);
        break;
    case NATS_PONG:
        link->pongs++;
        if (link->state == BUSLINK_JOINING) came_up(link);
        if (buslink_left(link)) link->dropping = true;
        buslink_wake(link);
        break;
    case NATS_MSG:
    case NATS_HMSG: buslink_dispatch(link, frame); break;
    case NATS_ERR: take_error(link, frame->text); break;
    default: break;
    }
}

bool buslink_decode(struct buslink *link)
{
    struct nats_frame frame;
    int64_t len = 0;
    while (!link->dropping && buf_len(&link->in) &&
           (len = nats_decode(&link->decoder, buf_bytes(&link->in), &frame)) > 0) {
        take_frame(link, &frame);
        buf_consume(&link->in, (size_t)len);
    }
    if (len < 0) {
        snprintf(link->why, sizeof link->why, "the server broke the protocol");
        link->dropping = true;
    }
    return !link->dropping;
}

static void send_gathered(struct loop_task *task)
{
    struct buslink *link = CONTAINER_OF(task, struct buslink, send);
    if (link->state < BUSLINK_JOINING) return;
    if (link->dropping || !buslink_transmit(link)) buslink_lose(link);
}

/* ---- connecting --------------------------------------------------------------------------- */

static void connect_now(struct buslink *link)
{
    nats_decoder_init(&link->decoder, NATS_CLIENT);
    if (!buslink_open(link)) {
        buslink_lose(link);
        return;
    }
    link->state = BUSLINK_CONNECTING;
    loop_timer_in_ms(&link->host->loop, &link->timer, LINK_JOIN_MS);
}

void buslink_connected(struct buslink *link)
{
    link->state = BUSLINK_GREETING;
    link->denied = false;
    loop_watch_change(&link->host->loop, &link->watch, EPOLLIN);
    if (!link->settings.tls_first || !link->servers[link->server_at].port) return;
    if (buslink_secure(link) != 0 || !buslink_transmit(link)) buslink_lose(link);
}

static void timer_fired(struct loop_timer *timer)
{
    struct buslink *link = CONTAINER_OF(timer, struct buslink, timer);
    if (link->state == BUSLINK_DOWN) {
        connect_now(link);
    } else if (link->state != BUSLINK_UP) {
        lose(link, "no welcome in time");
    } else if (link->pings - link->pongs >= LINK_PINGS_MAX) {
        lose(link, "no answer to pings");
    } else {
        nats_put_ping(&link->out);
        link->pings++;
        loop_post(&link->host->loop, &link->send);
        loop_timer_in_ms(&link->host->loop, timer, LINK_PING_MS);
    }
}

/* ---- life --------------------------------------------------------------------------------- */

static void init_buffers(struct buslink *link)
{
    map_init(&link->by_token, DURE_MAX_PENDING);
    map_init(&link->by_sid, BUSLINK_ROUTES_MAX);
    buf_init(&link->in, NATS_PAYLOAD_CAP + LINK_READ_MORE);
    buf_init(&link->wire_in, NATS_PAYLOAD_CAP);
    buf_init(&link->wire_out, DURE_MAX_BUS_BUFFER + LINK_READ_MORE);
    buf_init(&link->out, DURE_MAX_BUS_BUFFER);
    buf_init(&link->headers, 64 * 1024);
    buf_init(&link->late, LINK_LATE_MAX);
}

static int add_own_routes(struct buslink *link)
{
    uint8_t random[11];
    char text[2 * sizeof random + 1] = "";
    host_random(link->host, random, sizeof random);
    bytes_hex(bytes_make(random, sizeof random), text);
    snprintf(link->inbox, sizeof link->inbox, "_INBOX.%s.", text);
    snprintf(link->answers_subject, sizeof link->answers_subject, "_INBOX.%s.*", text);
    link->answers =
        (struct bus_route){.subject = link->answers_subject, .deliver = buslink_answered};
    link->cancels =
        (struct bus_route){.subject = BUSLINK_CANCEL_SUBJECT, .deliver = buslink_cancelled};
    int err = buslink_route_add(link, &link->answers);
    return err ? err : buslink_route_add(link, &link->cancels);
}

int buslink_new(struct host *host, const struct bus_settings *settings, struct buslink **ret_link)
{
    *ret_link = NULL;
    if (!settings->urls || !*settings->urls) return 0;
    struct buslink *link = calloc(1, sizeof *link);
    if (!link) return ERR_NOMEM;
    link->host = host;
    link->settings = *settings;
    link->watch.fd = -1;
    link->timer.fire = timer_fired;
    link->leave.fire = buslink_leave_step;
    loop_task_init(&link->send, send_gathered);
    list_init(&link->requests);
    list_init(&link->routes);
    list_init(&link->waiters);
    init_buffers(link);
    int count = bus_servers_parse(settings->urls, link->servers);
    int err = count < 0 ? count : add_own_routes(link) ? ERR_NOMEM : 0;
    if (err) {
        buslink_free(link);
        return err;
    }
    link->server_count = link->servers_given = (size_t)count;
    loop_timer_in_ms(&host->loop, &link->timer, 0);
    *ret_link = link;
    return 0;
}

void buslink_free(struct buslink *link)
{
    if (!link) return;
    buslink_close(link);
    loop_timer_cancel(&link->host->loop, &link->timer);
    loop_timer_cancel(&link->host->loop, &link->leave);
    loop_task_cancel(&link->send);
    map_release(&link->by_token);
    map_release(&link->by_sid);
    buf_release(&link->in);
    buf_release(&link->out);
    buf_release(&link->headers);
    buf_release(&link->late);
    free(link);
}

const char *buslink_state_name(const struct buslink *link)
{
    if (!link) return "none";
    return link->state == BUSLINK_UP ? "connected" : "connecting";
}
