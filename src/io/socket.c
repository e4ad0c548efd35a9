/* socket: addresses as the kernel wants them, and the options of sockets. */
#include "io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

socklen_t epoll_addr_to_sockaddr(const struct io_addr *addr, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof *ret);
    if (addr->family == IO_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)ret;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, addr->path, sizeof un->sun_path);
        return sizeof *un;
    }
    if (addr->family == IO_IPV6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)ret;
    in->sin_family = AF_INET;
    in->sin_port = htons(addr->port);
    memcpy(&in->sin_addr, addr->ip, 4);
    return sizeof *in;
}

int epoll_addr_from_sockaddr(const struct sockaddr_storage *from, socklen_t len,
                             struct io_addr *ret_addr)
{
    struct io_addr addr = {0};
    const struct sockaddr_un *un = (const struct sockaddr_un *)from;
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    switch (from->ss_family) {
    case AF_INET:
        addr.family = IO_IPV4;
        addr.port = ntohs(in->sin_port);
        memcpy(addr.ip, &in->sin_addr, 4);
        break;
    case AF_INET6:
        addr.family = IO_IPV6;
        addr.port = ntohs(in6->sin6_port);
        memcpy(addr.ip, &in6->sin6_addr, 16);
        break;
    case AF_UNIX:
        if (len <= offsetof(struct sockaddr_un, sun_path) || !un->sun_path[0])
            return ERR_UNSUPPORTED;
        addr.family = IO_UNIX;
        len -= (socklen_t)offsetof(struct sockaddr_un, sun_path);
        memcpy(addr.path, un->sun_path, len < sizeof addr.path ? len : sizeof addr.path - 1);
        break;
    default: return ERR_UNSUPPORTED;
    }
    *ret_addr = addr;
    return 0;
}

bool epoll_addr_is_loopback(const struct io_addr *addr)
{
    static const uint8_t loopback[16] = {[15] = 1};
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    if (addr->family == IO_IPV4) return addr->ip[0] == 127;
    if (addr->family != IO_IPV6) return false;
    return memcmp(addr->ip, loopback, sizeof loopback) == 0 ||
           memcmp(addr->ip, mapped, sizeof mapped) == 0;
}

/* The loopback has no bottleneck that BBR, where it is the default, could model: its pacing costs
 * bulk transfers a third. Every kernel has reno; should these fail, the socket works as it is. */
void epoll_tune_tcp(int fd, const struct io_addr *peer)
{
    if (peer->family == IO_UNIX) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (epoll_addr_is_loopback(peer))
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof "reno" - 1);
}

int epoll_set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return err_from_errno(errno);
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? err_from_errno(errno) : 0;
}
