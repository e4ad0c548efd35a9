#include "bus/report.h"

#include "base/buf.h"
#include "bus/session.h"
#include "io/tls.h"

#include <stdlib.h>

/* ---- a connection -------------------------------------------------------------------------- */

void report_begin(struct session *session)
{
    struct io_addr peer;
    session->began_ns = session->active_ns = io_wall_ns(session->server->io);
    if (session->is_local || io_stream_peer(&session->stream, &peer)) return;
    memcpy(session->peer_ip, peer.ip, sizeof peer.ip);
    session->peer_port = peer.port;
    session->peer_is_ipv6 = peer.family == IO_IPV6;
}

/* name, lang and version behind each other, each ended by NUL. */
void report_introduce(struct session *session, const struct nats_connect *connect)
{
    const char *texts[] = {connect->name, connect->lang, connect->version};
    struct buf about;
    buf_init(&about, 3 * NATS_NAME_MAX);
    for (size_t i = 0; i < 3; i++) buf_append(&about, bytes_make(texts[i], strlen(texts[i]) + 1));
    free(session->about);
    session->about = NULL;
    if (buf_len(&about) > 3 && !about.failed) session->about = malloc(buf_len(&about));
    if (session->about) memcpy(session->about, buf_bytes(&about).data, buf_len(&about));
    buf_release(&about);
}

void report_reason(struct session *session, const char *text)
{
    static const struct {
        const char *text, *reason; /* the words of the reference server for both */
    } reasons[] = {
        {"Slow Consumer", "Slow Consumer (Pending Bytes)"},
        {"Stale Connection", "Stale Connection"},
        {"Authorization Violation", "Authentication Failure"},
        {"Authentication Timeout", "Authentication Timeout"},
        {"User Authentication Expired", "Authentication Expired"},
        {"maximum connections exceeded", "Maximum Connections Exceeded"},
        {"maximum account active connections exceeded", "Maximum Account Connections Exceeded"},
        {"maximum subscriptions exceeded", "Maximum Subscriptions Exceeded"},
        {"Maximum Payload Violation", "Maximum Message Payload Exceeded"},
        {"maximum control line exceeded", "Maximum Control Line Exceeded"},
        {"invalid client protocol", "Bad Client Protocol Version"},
        {"TLS", "TLS Handshake Failure"},
    };
    if (session->reason) return;
    session->reason = "Protocol Violation";
    if (session->server->closing) session->reason = "Server Shutdown";
    if (!text) return;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(reasons[i].text, text) == 0) session->reason = reasons[i].reason;
}

static enum bus_transport transport_of(const struct session *session)
{
    if (session->is_local) return BUS_TRANSPORT_UNIX;
    return session->listener->websocket ? BUS_TRANSPORT_WEBSOCKET : BUS_TRANSPORT_TCP;
}

static void describe(const struct session *session, struct bus_connection *ret)
{
    struct io_tls_info tls;
    const char *about = session->about ? session->about : "\0\0";
    *ret = (struct bus_connection){
        .id = session->id,
        .transport = transport_of(session),
        .began_ns = session->began_ns,
        .active_ns = session->active_ns,
        .rtt_ns = session->rtt_ns,
        .pending_bytes = session->out.pending,
        .traffic = session->traffic,
        .subscriptions = session->subscriptions.count,
        .account = session->bus ? session->bus->name : "",
        .user = session->user ? session->user : "",
        .tls_version = "",
        .tls_cipher = "",
    };
    ret->name = about;
    ret->lang = ret->name + strlen(ret->name) + 1;
    ret->version = ret->lang + strlen(ret->lang) + 1;
    ret->peer.family = session->peer_is_ipv6 ? IO_IPV6 : IO_IPV4;
    ret->peer.port = session->peer_port;
    memcpy(ret->peer.ip, session->peer_ip, sizeof session->peer_ip);
    if (session->state >= SESSION_CLOSING || io_tls_info(&session->stream, &tls)) return;
    ret->tls_version = tls.version;
    ret->tls_cipher = tls.cipher;
}

void bus_server_connections(struct bus_server *server, bus_connection_fn *each, void *context)
{
    struct bus_connection connection;
    LIST_EACH(&server->sessions, struct session, link, session) {
        describe(session, &connection);
        each(context, &connection);
    }
}

/* ---- connections that have ended ----------------------------------------------------------- */

struct ended_connection {
    struct bus_connection connection; /* its texts point behind it */
    char texts[];
};

static char *keep(const char **text, char *room)
{
    size_t size = strlen(*text) + 1;
    memcpy(room, *text, size);
    *text = room;
    return room + size;
}

void report_end(struct session *session)
{
    struct ended_connections *ended = &session->server->ended;
    struct bus_connection connection;
    describe(session, &connection);
    connection.ended_ns = io_wall_ns(session->server->io);
    connection.reason = session->reason ? session->reason : "Client Closed";
    connection.subscriptions = session->ended_subscriptions;
    connection.tls_version = connection.tls_cipher = "";
    const char **texts[] = {&connection.name, &connection.lang, &connection.version,
                            &connection.account, &connection.user};
    size_t size = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) size += strlen(*texts[i]) + 1;
    if (!ended->items) ended->items = calloc(BUS_ENDED_MAX, sizeof(void *));
    struct ended_connection *kept = ended->items ? malloc(sizeof *kept + size) : NULL;
    if (!kept) return;
    char *room = kept->texts;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) room = keep(texts[i], room);
    kept->connection = connection;
    struct ended_connection **place = &ended->items[ended->count++ % BUS_ENDED_MAX];
    free(*place);
    *place = kept;
}

void report_release(struct ended_connections *ended)
{
    for (size_t i = 0; ended->items && i < BUS_ENDED_MAX; i++) free(ended->items[i]);
    free(ended->items);
    *ended = (struct ended_connections){0};
}

void bus_server_ended_connections(struct bus_server *server, bus_connection_fn *each, void *context)
{
    const struct ended_connections *ended = &server->ended;
    if (!ended->items) return;
    for (size_t i = 0; i < BUS_ENDED_MAX; i++) {
        struct ended_connection *one = ended->items[(ended->count + i) % BUS_ENDED_MAX];
        if (one) each(context, &one->connection);
    }
}

/* ---- subscriptions ------------------------------------------------------------------------- */

struct teller {
    struct bus *bus;
    bus_interest_fn *each;
    void *context;
};

static void tell(const struct teller *teller, const struct subscription *subscription)
{
    struct buf pattern;
    if (subscription->gone) return;
    buf_init(&pattern, 2 * NATS_LINE_MAX);
    trie_pattern(&subscription->entry, &pattern);
    struct bus_interest interest = {
        .connection = subscription->session ? subscription->session->id : 0,
        .account = teller->bus->name,
        .subject = buf_bytes(&pattern),
        .queue = subscription->queue,
        .sid = subscription->sid,
        .delivered = subscription->delivered,
        .max = subscription->max,
    };
    if (!pattern.failed) teller->each(teller->context, &interest);
    buf_release(&pattern);
}

void bus_connection_interests(struct bus_server *server, uint64_t connection, bus_interest_fn *each,
                              void *context)
{
    LIST_EACH(&server->sessions, struct session, link, session) {
        size_t cursor = 0;
        struct client_subscription *s;
        struct teller teller = {session->bus, each, context};
        if (session->id != connection || !session->bus) continue;
        while ((s = map_next(&session->subscriptions, &cursor))) tell(&teller, &s->subscription);
    }
}

static void tell_entry(void *context, struct trie_entry *entry)
{
    tell(context, CONTAINER_OF(entry, struct subscription, entry));
}

void bus_interests(struct bus *bus, struct bytes subject, bus_interest_fn *each, void *context)
{
    struct teller teller = {bus, each, context};
    if (subject.len)
        trie_match(&bus->router.trie, subject, tell_entry, &teller);
    else
        trie_each(&bus->router.trie, tell_entry, &teller);
}

void bus_interest_facts(struct bus *bus, struct bus_interest_facts *ret_facts)
{
    const struct router *router = &bus->router;
    *ret_facts = (struct bus_interest_facts){
        .subscriptions = router->count,
        .inserts = router->next_id,
        .removes = router->next_id - router->count,
        .matches = router->hits + router->misses,
        .hits = router->hits,
    };
    router_fanout(router, &ret_facts->routes, &ret_facts->max_fanout, &ret_facts->fanout);
}

unsigned bus_client_count(const struct bus *bus)
{
    return bus->session_count;
}

/* ---- the server ---------------------------------------------------------------------------- */

static void first_addr(const struct bus_server *server, bool websocket, struct io_addr *ret_addr)
{
    LIST_EACH(&server->listeners, struct bus_listener, link, listener) {
        const struct io_addr *addr = &listener->listener.addr;
        if (addr->family == IO_UNIX || !!listener->websocket != websocket || ret_addr->port)
            continue;
        *ret_addr = *addr;
    }
}

void bus_server_facts(const struct bus_server *server, struct bus_server_facts *ret_facts)
{
    const struct bus_tls *tls = server->tls;
    *ret_facts = (struct bus_server_facts){
        .id = server->id,
        .name = server->name,
        .began_ns = server->began_ns,
        .auth_required = server->auth && !auth_has_anybody(server->auth),
        .tls = tls,
        .tls_required = tls && !tls->options.optional,
        .tls_verify = tls && (tls->options.verify || tls->options.verify_and_map),
        .lame_duck = server->lame_duck,
        .auth_timeout_ms = server->auth ? server->auth->timeout_ms : 2000,
        .tls_timeout_ms = tls ? tls->options.timeout_ms : 2000,
        .options = server->options,
    };
    first_addr(server, false, &ret_facts->addr);
    first_addr(server, true, &ret_facts->websocket_addr);
}
