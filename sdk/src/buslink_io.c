/* The bus link's socket: connecting, TLS, reading and writing. */
#include "sdk/src/buslink_parts.h"

#include "sdk/src/http_text.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINK_READ = 64 * 1024 };

static void broken(struct buslink *link, const char *what, int error)
{
    snprintf(link->why, sizeof link->why, "%s%s%s", what, error ? ": " : "",
             error ? err_text(err_from_errno(error)) : "");
}

/* ---- reading and writing ------------------------------------------------------------------ */

/* Moves bytes through TLS, if there is any. */
static bool pump(struct buslink *link)
{
    char why[SECURE_WHY];
    if (!link->secure) return true;
    if (dure_secure.step(link->secure, &link->wire_in, &link->in, &link->out, &link->wire_out,
                         why) == 0)
        return true;
    snprintf(link->why, sizeof link->why, "%s", why);
    return false;
}

static bool receive(struct buslink *link)
{
    for (;;) {
        struct buf *to = link->secure ? &link->wire_in : &link->in;
        char *room = buf_reserve(to, LINK_READ);
        ssize_t got = room ? recv(link->watch.fd, room, LINK_READ, 0) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return true;
        if (got <= 0) {
            if (!link->denied) broken(link, room ? "closed by the server" : "out of memory", 0);
            return false;
        }
        buf_commit(to, (size_t)got);
        if (!pump(link) || !buslink_decode(link)) return false;
        if (link->secure && buf_len(&link->wire_out) && !buslink_transmit(link)) return false;
        if (got < LINK_READ) return true;
    }
}

bool buslink_transmit(struct buslink *link)
{
    if (!pump(link)) return false;
    struct buf *from = link->secure ? &link->wire_out : &link->out;
    while (buf_len(from)) {
        struct bytes rest = buf_bytes(from);
        ssize_t sent = send(link->watch.fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) {
            broken(link, "broken while writing", errno);
            return false;
        }
        buf_consume(from, (size_t)sent);
    }
    loop_watch_change(&link->host->loop, &link->watch,
                      buf_len(from) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (buf_len(&link->out) < BUSLINK_BUSY / 2 && !list_empty(&link->waiters)) buslink_wake(link);
    return true;
}

static void ready(struct loop_watch *watch, uint32_t events)
{
    struct buslink *link = CONTAINER_OF(watch, struct buslink, watch);
    if (link->state == BUSLINK_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error || (events & (EPOLLERR | EPOLLHUP))) {
            broken(link, "cannot connect", error);
            buslink_lose(link);
            return;
        }
        buslink_connected(link);
        return;
    }
    bool well = !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || receive(link);
    if (well && (events & EPOLLOUT)) well = buslink_transmit(link);
    if (!well) buslink_lose(link);
}

/* ---- connecting --------------------------------------------------------------------------- */

int buslink_secure(struct buslink *link)
{
    const struct bus_settings *settings = &link->settings;
    const struct secure_files files = {settings->ca, settings->cert, settings->key};
    char why[SECURE_WHY];
    if (!&dure_secure) {
        broken(link, "the server wants TLS and this program was linked without OpenSSL", 0);
        return ERR_UNSUPPORTED;
    }
    const struct bus_server *server = &link->servers[link->server_at];
    const char *name = server->tls_name[0] ? server->tls_name : server->host;
    int err = dure_secure.session_new(&files, name, &link->secure, why);
    if (err) snprintf(link->why, sizeof link->why, "%s", why);
    return err;
}

static socklen_t unix_address(const char *path, struct sockaddr_storage *ret_address)
{
    struct sockaddr_un *at = (struct sockaddr_un *)ret_address;
    if (strlen(path) >= sizeof at->sun_path) return 0;
    memset(ret_address, 0, sizeof *ret_address);
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path, path, strlen(path) + 1);
    return sizeof *at;
}

/* 0: its name is not known. */
static socklen_t server_address(const struct bus_server *server,
                                struct sockaddr_storage *ret_address)
{
    if (!server->port) return unix_address(server->host, ret_address);
    socklen_t len = http_address(server->host, server->port, ret_address);
    if (len) return len;
    char port[8];
    snprintf(port, sizeof port, "%d", server->port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(server->host, port, &hints, &found) != 0) return 0;
    len = found->ai_addrlen;
    memcpy(ret_address, found->ai_addr, len);
    freeaddrinfo(found);
    return len;
}

bool buslink_open(struct buslink *link)
{
    struct sockaddr_storage address;
    socklen_t len = server_address(&link->servers[link->server_at], &address);
    int fd = len ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        broken(link, len ? "no socket" : "unknown host name", len ? errno : 0);
        return false;
    }
    int on = 1;
    if (address.ss_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int failed = connect(fd, (struct sockaddr *)&address, len);
    if (failed && errno != EINPROGRESS) {
        broken(link, "cannot connect", errno);
        close(fd);
        return false;
    }
    link->watch.ready = ready;
    int err = loop_watch(&link->host->loop, &link->watch, fd, EPOLLOUT);
    if (err) {
        snprintf(link->why, sizeof link->why, "%s", err_text(err));
        close(fd);
        return false;
    }
    return true;
}

void buslink_close(struct buslink *link)
{
    int fd = link->watch.fd;
    loop_unwatch(&link->host->loop, &link->watch);
    if (fd >= 0) close(fd);
    if (link->secure) dure_secure.session_free(link->secure);
    link->secure = NULL;
    buf_release(&link->wire_in);
    buf_release(&link->wire_out);
}
