/* INFO: what a server says of itself, and to a client of it. */
#include "bus/session.h"

#include <stdio.h>

enum { INFO_MAX = 8192 };

/* The address without its port; "" for a Unix socket. */
static void ip_text(const struct io_addr *addr, char *text, size_t size)
{
    char full[IO_ADDR_TEXT];
    *text = '\0';
    if (addr->family == IO_UNIX) return;
    size_t len = io_addr_format(addr, full, sizeof full);
    while (len && full[len - 1] != ':') len--;
    struct bytes ip = bytes_make(full, len ? len - 1 : 0);
    if (bytes_starts(ip, BYTES("["))) ip = bytes_make(ip.data + 1, ip.len - 2);
    snprintf(text, size, "%.*s", BYTES_ARG(ip));
}

static void client_ip(const struct session *session, char *text, size_t size)
{
    struct io_addr addr;
    *text = '\0';
    if (io_stream_peer(&session->stream, &addr) == 0) ip_text(&addr, text, size);
}

/* Where the client has reached us. */
static void listener_text(const struct session *session, struct nats_info *info)
{
    const struct io_addr *addr = &session->listener->listener.addr;
    ip_text(addr, info->host, sizeof info->host);
    info->port = addr->family == IO_UNIX ? 0 : addr->port;
}

/* Where WebSocket is spoken. A listener on all addresses cannot say where it is reached. */
static void websocket_urls(const struct bus_server *server, struct nats_info *info)
{
    static const uint8_t any[16];
    LIST_EACH(&server->listeners, struct bus_listener, link, listener) {
        const struct io_addr *addr = &listener->listener.addr;
        if (!listener->websocket || info->ws_connect_url_count == NATS_URLS_MAX) continue;
        if (addr->family == IO_UNIX || memcmp(addr->ip, any, sizeof any) == 0) continue;
        io_addr_format(addr, info->ws_connect_urls[info->ws_connect_url_count++], NATS_NAME_MAX);
    }
}

void session_put_info(struct session *session, struct buf *out)
{
    struct bus_server *server = session->server;
    bool tls = session_may_encrypt(session);
    bool optional = tls && server->tls->options.optional && !session->listener->websocket;
    struct nats_info info = {.version = BUS_NATS_VERSION,
                             .proto = 1,
                             .max_payload = session->max_payload,
                             .client_id = session->id,
                             .headers = true,
                             .jetstream = server->options.jetstream,
                             .tls_required = tls && !optional,
                             .tls_available = tls,
                             .tls_verify = tls && server->tls->options.verify,
                             .auth_required = server->auth && !auth_has_anybody(server->auth),
                             .connect_info = session->told,
                             .lame_duck = server->lame_duck};
    memcpy(info.server_id, server->id, sizeof server->id);
    memcpy(info.server_name, server->name, sizeof server->name);
    client_ip(session, info.client_ip, sizeof info.client_ip);
    memcpy(info.nonce, session->nonce, sizeof session->nonce);
    if (session->told)
        snprintf(info.remote_account, sizeof info.remote_account, "%s", session->bus->name);
    listener_text(session, &info);
    websocket_urls(server, &info);
    memcpy(info.connect_urls, server->advertise, sizeof info.connect_urls);
    info.connect_url_count = server->advertise_count;
    struct buf json;
    buf_init(&json, INFO_MAX);
    nats_info_write(&json, &info);
    nats_put_info(out, buf_bytes(&json));
    out->failed |= json.failed;
    buf_release(&json);
}

void session_say_info(struct session *session)
{
    struct buf out;
    buf_init(&out, INFO_MAX + 16);
    session_put_info(session, &out);
    if (out.failed)
        session_close(session);
    else
        session_say(session, buf_bytes(&out));
    buf_release(&out);
}
