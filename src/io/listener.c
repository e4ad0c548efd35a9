/* listener: accepts connections on epoll. Edge-triggered, so a listener is asked until it has no
 * more, but at most ACCEPTS_MAX times per turn; then it waits in line with everything else. */
#include "io/epoll.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LISTENER_PAUSED = 1,
    LISTENER_MADE_FILE = 2, /* a Unix socket's file, to be removed at the end */
    LISTENER_ANY_PEER = 4,  /* not bound to one address: look at each peer */
};

enum { ACCEPTS_MAX = 64, STARVED_MS = 100 };

static void queue(struct epoll *epoll, struct io_listener *listener)
{
    if (listener->flags & LISTENER_PAUSED || list_linked(&listener->link)) return;
    list_push(&epoll->listeners, &listener->link);
}

/* ---- opening ----------------------------------------------------------------------------- */

static int bind_to(int fd, const struct io_addr *addr)
{
    struct sockaddr_storage address;
    socklen_t len = epoll_addr_to_sockaddr(addr, &address);
    return bind(fd, (struct sockaddr *)&address, len) ? err_from_errno(errno) : 0;
}

/* Whether somebody listens at this Unix socket; when nobody does its file is left from a process
 * that died. */
static bool is_alive(const struct io_addr *addr)
{
    struct sockaddr_storage address;
    socklen_t len = epoll_addr_to_sockaddr(addr, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return true;
    bool refused = connect(fd, (struct sockaddr *)&address, len) && errno == ECONNREFUSED;
    close(fd);
    return !refused;
}

static int bind_unix(int fd, const struct io_addr *addr, unsigned mode)
{
    struct stat status;
    fchmod(fd, mode); /* the file is made with it, so it is never open wider than that */
    int err = bind_to(fd, addr);
    if (err == ERR_IN_USE) {
        if (lstat(addr->path, &status)) return err;
        if (!S_ISSOCK(status.st_mode)) return ERR_EXISTS;
        if (is_alive(addr)) return err;
        unlink(addr->path);
        err = bind_to(fd, addr);
    }
    if (err) return err;
    if (chmod(addr->path, mode) == 0) return 0; /* what the umask took away */
    err = err_from_errno(errno);
    unlink(addr->path);
    return err;
}

static int bind_tcp(int fd, const struct io_addr *addr, bool reuse_port)
{
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int));
    if (addr->family == IO_IPV6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
    return bind_to(fd, addr);
}

/* Learns the real address, sets what connections inherit, and watches. */
static int watch(struct io_listener *listener, int fd)
{
    static const uint8_t any[16];
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len)) return err_from_errno(errno);
    int err = epoll_addr_from_sockaddr(&address, len, &listener->addr);
    if (err) return err;
    epoll_tune_tcp(fd, &listener->addr);
    if (listener->addr.family != IO_UNIX && memcmp(listener->addr.ip, any, sizeof any) == 0)
        listener->flags |= LISTENER_ANY_PEER;
    err = epoll_add(epoll_of(listener->io), fd, EPOLLIN | EPOLLET, listener, EPOLL_LISTENER);
    if (!err) listener->fd = fd;
    return err;
}

int epoll_listen(struct io_listener *listener, const struct io_listen_options *options)
{
    const struct io_addr addr = listener->addr;
    bool is_unix = addr.family == IO_UNIX;
    int family = is_unix ? AF_UNIX : addr.family == IO_IPV6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);
    int err = is_unix ? bind_unix(fd, &addr, options->unix_mode)
                      : bind_tcp(fd, &addr, options->reuse_port);
    if (err) goto fail;
    if (is_unix) listener->flags |= LISTENER_MADE_FILE;
    if (listen(fd, options->backlog)) err = err_from_errno(errno);
    if (!err) err = watch(listener, fd);
    if (!err) return 0;
    if (is_unix) unlink(addr.path);
fail:
    close(fd);
    return err;
}

int epoll_listener_adopt(struct io_listener *listener, int fd)
{
    int listens = 0;
    socklen_t len = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len)) return err_from_errno(errno);
    if (!listens) return ERR_INVALID;
    int err = epoll_set_nonblocking(fd);
    return err ? err : watch(listener, fd);
}

int epoll_listener_fd(const struct io_listener *listener)
{
    return listener->fd;
}

/* ---- accepting --------------------------------------------------------------------------- */

void epoll_listener_note(struct epoll *epoll, struct io_listener *listener)
{
    queue(epoll, listener);
}

void epoll_accept(struct io_listener *listener, struct io_stream *stream)
{
    struct epoll *epoll = epoll_of(listener->io);
    assert(epoll->accepting == listener && epoll->accepted_fd >= 0);
    int fd = epoll->accepted_fd;
    epoll->accepted_fd = -1;
    epoll_stream_open(stream, fd);
    struct io_addr peer;
    if (listener->flags & LISTENER_ANY_PEER && !epoll_stream_peer(stream, &peer) &&
        epoll_addr_is_loopback(&peer))
        epoll_tune_tcp(fd, &peer);
}

/* Out of descriptors or memory: trying again at once would only spin, and the edge is gone. */
static void starve(struct epoll *epoll, struct io_listener *listener)
{
    list_push(&epoll->starved, &listener->link);
    if (!epoll->starved_timer.armed) io_timer_set(&epoll->base, &epoll->starved_timer, STARVED_MS);
}

void epoll_starved_done(struct io_timer *timer)
{
    struct epoll *epoll = CONTAINER_OF(timer, struct epoll, starved_timer);
    list_splice(&epoll->listeners, &epoll->starved);
}

/* Offers one connection to the owner; false when the listener is gone afterwards. */
static bool offer(struct epoll *epoll, struct io_listener *listener, int fd)
{
    epoll->accepting = listener;
    epoll->accepted_fd = fd;
    listener->accepted(listener);
    if (epoll->accepted_fd >= 0) close(epoll->accepted_fd);
    epoll->accepted_fd = -1;
    bool alive = epoll->accepting == listener;
    epoll->accepting = NULL;
    return alive;
}

static int accept_some(struct epoll *epoll, struct io_listener *listener)
{
    int ran = 0;
    for (int tries = 0; tries < ACCEPTS_MAX; tries++) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* What befell one connection in the queue is no reason to leave the others. */
            if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ETIMEDOUT ||
                errno == EPERM || errno == EHOSTUNREACH || errno == ENETUNREACH)
                continue;
            if (errno != EAGAIN) starve(epoll, listener);
            return ran;
        }
        ran++;
        if (!offer(epoll, listener, fd) || listener->flags & LISTENER_PAUSED) return ran;
    }
    queue(epoll, listener);
    return ran;
}

int epoll_run_listeners(struct epoll *epoll)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &epoll->listeners);
    for (struct list *link; (link = list_pop(&now));)
        ran += accept_some(epoll, CONTAINER_OF(link, struct io_listener, link));
    return ran;
}

void epoll_listener_pause(struct io_listener *listener, bool pause)
{
    if (pause) {
        listener->flags |= LISTENER_PAUSED;
        list_remove(&listener->link);
        return;
    }
    listener->flags &= ~(uint32_t)LISTENER_PAUSED;
    queue(epoll_of(listener->io), listener); /* the edge may have come in the meantime */
}

void epoll_listener_close(struct io_listener *listener)
{
    struct epoll *epoll = epoll_of(listener->io);
    if (epoll->accepting == listener) epoll->accepting = NULL;
    list_remove(&listener->link);
    if (listener->flags & LISTENER_MADE_FILE) unlink(listener->addr.path);
    epoll_close(epoll, listener->fd);
    listener->fd = -1;
}
