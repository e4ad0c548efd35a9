/* stream: connected byte streams on epoll. The set is told once per stream, edge-triggered for
 * everything; READABLE and WRITABLE remember the last edge. A receive that brings less than there
 * was room for, and a send that took less than there was, have emptied or filled the kernel's
 * buffer: that is the EAGAIN which need not be asked for. After the other side has hung up there
 * are no more edges, so READABLE then stays. */
#include "io/epoll.h"

#include <assert.h>
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    STREAM_READABLE = IO_STREAM_ENGINE,
    STREAM_WRITABLE = IO_STREAM_ENGINE << 1,
    STREAM_HUNG_UP = IO_STREAM_ENGINE << 2,
    STREAM_PIPE = IO_STREAM_ENGINE << 3, /* not a socket */
    STREAM_SENT = IO_STREAM_ENGINE << 4, /* the send has ended: send_result */
};

enum { RECV_MAX = 1 << 30 };

static const uint32_t stream_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static void queue(struct list *head, struct list *link)
{
    if (!list_linked(link)) list_push(head, link);
}

void epoll_stream_note(struct epoll *epoll, struct io_stream *stream, uint32_t events)
{
    const uint32_t hang_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (events & hang_up) stream->flags |= STREAM_HUNG_UP;
    if (events & (EPOLLIN | hang_up)) {
        stream->flags |= STREAM_READABLE;
        if (stream->recv_done) queue(&epoll->recvs, &stream->recv_link);
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        stream->flags |= STREAM_WRITABLE;
        if (stream->send_done || stream->connect_done) queue(&epoll->sends, &stream->send_link);
    }
}

/* ---- receiving --------------------------------------------------------------------------- */

void epoll_recv(struct io_stream *stream)
{
    if (stream->flags & STREAM_READABLE) queue(&epoll_of(stream->io)->recvs, &stream->recv_link);
}

void epoll_recv_cancel(struct io_stream *stream)
{
    list_remove(&stream->recv_link);
}

static int receive(struct epoll *epoll, struct io_stream *stream)
{
    size_t size = stream->recv_size;
    char *buf = stream->recv_buf;
    if (!buf) {
        buf = epoll->scratch + IO_RECV_ROOM;
        if (!size || size > epoll->scratch_size) size = epoll->scratch_size;
    }
    if (size > RECV_MAX) size = RECV_MAX;
    ssize_t got;
    do
        got = stream->flags & STREAM_PIPE ? read(stream->fd, buf, size)
                                          : recv(stream->fd, buf, size, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno == EAGAIN) {
        stream->flags &= ~(uint32_t)STREAM_READABLE;
        return 0;
    }
    if (got >= 0 && (size_t)got < size && !(stream->flags & STREAM_HUNG_UP))
        stream->flags &= ~(uint32_t)STREAM_READABLE;
    io_stream_done *done = stream->recv_done;
    stream->recv_done = NULL;
    stream->recv_data = buf;
    done(stream, got < 0 ? err_from_errno(errno) : (int)got);
    return 1;
}

int epoll_run_recvs(struct epoll *epoll)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &epoll->recvs);
    for (struct list *link; (link = list_pop(&now));)
        ran += receive(epoll, CONTAINER_OF(link, struct io_stream, recv_link));
    return ran;
}

/* ---- sending ----------------------------------------------------------------------------- */

/* The pieces up to the first that is in shared memory, which goes alone. */
static ssize_t write_some(const struct io_stream *stream, const struct iovec *iov, int count)
{
    const struct epoll *epoll = epoll_of(stream->io);
    int plain = stream->flags & STREAM_PIPE || !epoll->shared ? count : 0;
    while (plain < count && !epoll_is_shared(epoll, iov[plain].iov_base)) plain++;
    if (!plain) return epoll_send_shared(epoll, stream->fd, iov->iov_base, iov->iov_len);
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)plain};
    int flags = MSG_NOSIGNAL | (plain < count ? MSG_MORE : 0);
    ssize_t wrote;
    do {
        if (stream->flags & STREAM_PIPE)
            wrote = writev(stream->fd, iov, count);
        else if (plain == 1) /* the kernel has less to look at */
            wrote = send(stream->fd, iov->iov_base, iov->iov_len, flags);
        else
            wrote = sendmsg(stream->fd, &message, flags);
    } while (wrote < 0 && errno == EINTR);
    return wrote;
}

/* Writes from where the send stands. The owner's iovecs are not changed: when the first is half
 * sent, a copy of the rest is used. */
static ssize_t write_rest(const struct io_stream *stream)
{
    const struct iovec *iov = stream->send_iov + stream->send_index;
    int count = stream->send_count - stream->send_index;
    if (!stream->send_offset) return write_some(stream, iov, count);
    struct iovec rest[IO_SEND_IOV];
    memcpy(rest, iov, (size_t)count * sizeof *iov);
    rest[0].iov_base = (char *)rest[0].iov_base + stream->send_offset;
    rest[0].iov_len -= stream->send_offset;
    return write_some(stream, rest, count);
}

/* Counts `wrote` bytes as sent; true when that was all. */
static bool advance(struct io_stream *stream, size_t wrote)
{
    stream->send_offset += wrote;
    while (stream->send_index < stream->send_count) {
        size_t len = stream->send_iov[stream->send_index].iov_len;
        if (stream->send_offset < len) return false;
        stream->send_offset -= len;
        stream->send_index++;
    }
    return true;
}

static bool end_send(struct io_stream *stream, int result)
{
    stream->send_result = result;
    stream->flags |= STREAM_SENT;
    return true;
}

/* True when the send has ended, one way or the other. Where there is shared memory some calls may
 * be needed, and only EAGAIN says that the socket is full. */
static bool try_send(struct io_stream *stream)
{
    bool once = !epoll_of(stream->io)->shared;
    ssize_t wrote;
    do {
        wrote = stream->send_total ? write_rest(stream) : 0;
        if (wrote < 0 && errno != EAGAIN) return end_send(stream, err_from_errno(errno));
        if (wrote >= 0 && advance(stream, (size_t)wrote))
            return end_send(stream, (int)stream->send_total);
    } while (wrote >= 0 && !once);
    stream->flags &= ~(uint32_t)STREAM_WRITABLE;
    return false;
}

void epoll_send(struct io_stream *stream)
{
    stream->flags &= ~(uint32_t)STREAM_SENT;
    if ((stream->flags & STREAM_WRITABLE) && try_send(stream))
        list_push(&epoll_of(stream->io)->sends, &stream->send_link);
}

static int finish_connect(struct io_stream *stream)
{
    if (!(stream->flags & STREAM_SENT)) {
        int errnum = 0;
        socklen_t len = sizeof errnum;
        if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &errnum, &len)) errnum = errno;
        stream->send_result = err_from_errno(errnum);
    }
    io_stream_done *done = stream->connect_done;
    stream->connect_done = NULL;
    done(stream, stream->send_result);
    return 1;
}

static int finish_send(struct io_stream *stream)
{
    if (!(stream->flags & STREAM_SENT) && !try_send(stream)) return 0;
    io_stream_done *done = stream->send_done;
    stream->send_done = NULL;
    done(stream, stream->send_result);
    return 1;
}

int epoll_run_sends(struct epoll *epoll)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &epoll->sends);
    for (struct list *link; (link = list_pop(&now));) {
        struct io_stream *stream = CONTAINER_OF(link, struct io_stream, send_link);
        ran += stream->connect_done ? finish_connect(stream) : finish_send(stream);
    }
    return ran;
}

void epoll_shutdown(struct io_stream *stream)
{
    if (!(stream->flags & STREAM_PIPE)) {
        shutdown(stream->fd, SHUT_WR);
        return;
    }
    /* A pipe's end has one direction. */
    epoll_close(epoll_of(stream->io), stream->fd);
    stream->fd = -1;
}

/* ---- opening and closing ----------------------------------------------------------------- */

/* Nobody can be told here that the kernel has no room for the registration, so the stream is shown
 * to its owner as one that the peer has closed. */
void epoll_stream_open(struct io_stream *stream, int fd)
{
    stream->fd = fd;
    stream->flags |= STREAM_WRITABLE;
    if (!epoll_add(epoll_of(stream->io), fd, stream_events, stream, EPOLL_STREAM)) return;
    shutdown(fd, SHUT_RDWR);
    stream->flags |= STREAM_READABLE | STREAM_HUNG_UP;
}

static int start_connect(struct io_stream *stream, const struct io_addr *addr)
{
    static const int families[] = {[IO_IPV4] = AF_INET, [IO_IPV6] = AF_INET6, [IO_UNIX] = AF_UNIX};
    struct sockaddr_storage address;
    socklen_t len = epoll_addr_to_sockaddr(addr, &address);
    int fd = socket(families[addr->family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return err_from_errno(errno);
    epoll_tune_tcp(fd, addr);
    int err = 0;
    bool connected = connect(fd, (struct sockaddr *)&address, len) == 0;
    if (!connected && errno != EINPROGRESS && errno != EINTR) err = err_from_errno(errno);
    if (!err) err = epoll_add(epoll_of(stream->io), fd, stream_events, stream, EPOLL_STREAM);
    if (err) {
        close(fd);
        return err;
    }
    stream->fd = fd;
    return connected ? 1 : 0;
}

void epoll_connect(struct io_stream *stream, const struct io_addr *addr)
{
    int result = start_connect(stream, addr);
    if (!result) return;
    end_send(stream, result < 0 ? result : 0);
    if (result > 0) stream->flags |= STREAM_WRITABLE;
    list_push(&epoll_of(stream->io)->sends, &stream->send_link);
}

int epoll_stream_adopt(struct io_stream *stream, int fd)
{
    int type = 0;
    struct io_addr peer;
    socklen_t len = sizeof type;
    bool is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0;
    if (!is_socket && errno != ENOTSOCK) return err_from_errno(errno);
    if (is_socket && type != SOCK_STREAM) return ERR_UNSUPPORTED;
    int err = epoll_set_nonblocking(fd);
    if (err) return err;
    stream->fd = fd;
    stream->flags = STREAM_WRITABLE | (is_socket ? 0 : STREAM_PIPE);
    if (is_socket && !epoll_stream_peer(stream, &peer)) epoll_tune_tcp(fd, &peer);
    err = epoll_add(epoll_of(stream->io), fd, stream_events, stream, EPOLL_STREAM);
    if (!err) return 0;
    if (err == ERR_DENIED) err = ERR_UNSUPPORTED; /* EPERM: a regular file */
    stream->fd = -1;
    return err;
}

void epoll_stream_close(struct io_stream *stream)
{
    struct epoll *epoll = epoll_of(stream->io);
    list_remove(&stream->recv_link);
    list_remove(&stream->send_link);
    epoll_close(epoll, stream->fd);
    stream->fd = -1;
    if (stream->closed) list_push(&epoll->closing, &stream->close_link);
}

static int fail(struct io_stream *stream, io_stream_done **done_place)
{
    io_stream_done *done = *done_place;
    if (!done) return 0;
    *done_place = NULL;
    done(stream, ERR_CLOSED);
    return 1;
}

int epoll_run_closing(struct epoll *epoll)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &epoll->closing);
    for (struct list *link; (link = list_pop(&now)); ran++) {
        struct io_stream *stream = CONTAINER_OF(link, struct io_stream, close_link);
        ran += fail(stream, &stream->connect_done);
        ran += fail(stream, &stream->send_done);
        ran += fail(stream, &stream->recv_done);
        stream->closed(stream);
    }
    return ran;
}

int epoll_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (stream->flags & STREAM_PIPE) return ERR_UNSUPPORTED;
    if (getpeername(stream->fd, (struct sockaddr *)&address, &len)) return err_from_errno(errno);
    return epoll_addr_from_sockaddr(&address, len, ret_addr);
}
