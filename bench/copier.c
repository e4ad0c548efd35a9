/* copier: the least that a server can cost which receives messages and sends them on by copying. It
 * answers enough of the NATS protocol for one publisher of messages of one shape and one
 * subscriber; from the publisher's first message on it reads nothing any more: it counts what came,
 * and sends as many messages that it has made beforehand.
 *
 * Usage: copier PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 256 << 10, MADE_SIZE = 2 << 20, CONNECTIONS = 64 };

static const char INFO[] = "INFO "
                           "{\"server_id\":\"copier\",\"version\":\"2.10.0\",\"headers\":true,"
                           "\"max_payload\":1048576}\r\n";

static char
    data[READ_SIZE + 1]; /* what one connection has sent before it publishes, or a piece of bulk */
static size_t length;
static int publisher = -1, subscriber = -1;
static char sid[32];
static char made[MADE_SIZE]; /* messages, one behind the other */
static size_t comes, goes;   /* bytes of a message as it comes and as it goes */
static size_t begun;         /* bytes of a message that is not whole */

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) give_up("copier: send");
        if (n < 0) {
            struct pollfd room = {fd, POLLOUT, 0};
            poll(&room, 1, 1000);
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
}

static void copy(size_t len)
{
    begun += len;
    size_t count = begun / comes;
    begun %= comes;
    if (count && subscriber >= 0) send_all(subscriber, made, count * goes);
}

/* The publisher's first message stands at `line`; false: it is not whole yet. */
static bool learn(int fd, const char *line, const char *end)
{
    char subject[128];
    size_t size;
    if (sscanf(line, "PUB %127s %zu\r\n", subject, &size) != 2) give_up("copier: PUB");
    size_t len = (size_t)(data + length - line);
    comes = (size_t)(end + 2 - line) + size + 2;
    if (len < comes) return false;
    char head[256];
    int n = snprintf(head, sizeof head, "MSG %s %s %zu\r\n", subject, sid, size);
    goes = (size_t)n + size + 2;
    for (size_t at = 0; at + goes <= sizeof made; at += goes) {
        memcpy(made + at, head, (size_t)n);
        memcpy(made + at + n, end + 2, size + 2);
    }
    publisher = fd;
    begun = 0;
    copy(len);
    return true;
}

/* Lines of a connection that is none of the bulk's; returns how much of them is done with. */
static size_t read_lines(int fd)
{
    char *line = data, *end;
    while ((end = strstr(line, "\r\n"))) {
        if (strncmp(line, "PING", 4) == 0) send_all(fd, "PONG\r\n", 6);
        if (sscanf(line, "SUB %*s %31s", sid) == 1) subscriber = fd;
        if (strncmp(line, "PUB ", 4) == 0)
            return learn(fd, line, end) ? length : (size_t)(line - data);
        line = end + 2;
    }
    return (size_t)(line - data);
}

static void closed(int fd)
{
    if (fd == publisher) publisher = -1;
    if (fd == subscriber) subscriber = -1;
    close(fd);
}

static void readable(int fd)
{
    static char rest[CONNECTIONS][READ_SIZE]; /* of lines that were not whole */
    static size_t rest_len[CONNECTIONS];
    if (fd >= CONNECTIONS) give_up("copier: too many connections");
    length = fd == publisher ? 0 : rest_len[fd];
    memcpy(data, rest[fd], length);
    ssize_t n = recv(fd, data + length, READ_SIZE - length, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        rest_len[fd] = 0;
        closed(fd);
        return;
    }
    if (fd == publisher) {
        copy((size_t)n);
        return;
    }
    length += (size_t)n;
    data[length] = 0;
    size_t done = read_lines(fd);
    rest_len[fd] = length - done;
    memcpy(rest[fd], data + done, rest_len[fd]);
}

static int listen_on(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* connections inherit it */
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0) {
        give_up("copier: listen");
    }
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: copier PORT\n");
        return 2;
    }
    int listener = listen_on(argv[1]), epoll = epoll_create1(0);
    struct epoll_event ready, event = {EPOLLIN, {.fd = listener}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    while (epoll_wait(epoll, &ready, 1, -1) >= 0 || errno == EINTR) {
        if (ready.data.fd != listener) {
            readable(ready.data.fd);
            continue;
        }
        event.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (event.data.fd < 0) give_up("copier: accept");
        send_all(event.data.fd, INFO, sizeof INFO - 1);
        epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
    }
    give_up("copier: epoll_wait");
}
