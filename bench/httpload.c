/* httpload: clients and backend of an HTTP/1.1 proxy, in one loop, so that one core is enough for
 * both and the proxy on the other core is what is full.
 *
 *     httpload --proxy PORT --backend PORT --connections N --body BYTES [--close]
 *              [--warmup SECONDS] [--seconds SECONDS] --pids PID,PID
 *
 * Closed loop: each connection sends a request when the last one is answered. With --close it asks
 * for the end of the connection and makes a new one for each request. Counts responses that are
 * whole, have status 200 and the body's length; anything else is an error. */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 2048, READ_MAX = 256 * 1024, EVENTS_MAX = 512, STALL_MS = 5000 };

enum kind { LISTENER, CLIENT, BACKEND };

struct endpoint {
    enum kind kind;
    int fd;
    bool armed; /* EPOLLOUT is asked for */

    /* client */
    bool sent;          /* the request is out */
    bool in_body;       /* the head has been read, `body_left` of the body are to come */
    uint64_t body_left; /* meaningless before */
    uint64_t start_ns;
    size_t head_len;
    char head[HEAD_MAX]; /* what has come of a head in pieces */

    /* backend */
    unsigned owed;    /* responses */
    size_t written;   /* of the first of them */
    size_t line_left; /* bytes of the request's current line that came before */
};

static int epoll_fd;
static unsigned proxy_port, backend_port, connection_count = 64;
static size_t body_len = 128;
static bool close_each;
static char *response, request[256];
static size_t response_len, request_len;
static char input[READ_MAX];
static uint64_t done;
static struct measure measure;

static void watch(struct endpoint *end, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = end};
    if (epoll_ctl(epoll_fd, operation, end->fd, &event)) load_fail("epoll: %s", strerror(errno));
}

static void arm(struct endpoint *end, bool armed)
{
    if (end->armed == armed) return;
    end->armed = armed;
    watch(end, EPOLL_CTL_MOD, armed ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- clients ------------------------------------------------------------------------------- */

static void client_connect(struct endpoint *client);

static void client_again(struct endpoint *client, bool failed)
{
    measure.errors += failed;
    close(client->fd);
    client_connect(client);
}

static void client_send(struct endpoint *client)
{
    client->in_body = false;
    client->head_len = 0;
    ssize_t n = send(client->fd, request, request_len, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
        arm(client, true);
        return;
    }
    if (n != (ssize_t)request_len) load_fail("cannot send a request: %s", strerror(errno));
    client->sent = true;
    arm(client, false);
}

static void client_connect(struct endpoint *client)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)proxy_port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0) load_fail("socket: %s", strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client->start_ns = load_now_ns();
    client->sent = client->armed = false;
    if (connect(client->fd, (struct sockaddr *)&addr, sizeof addr) && errno != EINPROGRESS)
        load_fail("cannot connect to port %u: %s", proxy_port, strerror(errno));
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
    client_send(client);
}

/* The body's length, or -1: a head without it, or with another status than 200. */
static int64_t read_head(const char *head, const char *end)
{
    static const char field[] = "content-length:";
    if (end - head < 12 || memcmp(head, "HTTP/1.1 200", 12) != 0) return -1;
    for (const char *line = head; line < end; line++) {
        if ((*line | 0x20) == 'c' && strncasecmp(line, field, sizeof field - 1) == 0)
            return (int64_t)strtoull(line + sizeof field - 1, NULL, 10);
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line) break;
    }
    return -1;
}

/* Takes the head from `n` bytes of input, with what came before; false: the response is bad. */
static bool client_head(struct endpoint *client, size_t n)
{
    const char *text = input;
    size_t len = n;
    if (client->head_len) {
        size_t room = HEAD_MAX - client->head_len, take = n < room ? n : room;
        memcpy(client->head + client->head_len, input, take);
        text = client->head;
        len = client->head_len + take;
    }
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    if (!end) {
        if (len >= HEAD_MAX) return false;
        if (!client->head_len) memcpy(client->head, input, n);
        client->head_len = len;
        return true;
    }
    int64_t body = read_head(text, end + 2);
    size_t beyond = client->head_len + n - (size_t)(end + 4 - text);
    if (body != (int64_t)body_len || beyond > (size_t)body) return false;
    client->in_body = true;
    client->body_left = (uint64_t)body - beyond;
    return true;
}

static void client_done(struct endpoint *client)
{
    uint64_t now = load_now_ns();
    measure_latency(&measure, now - client->start_ns);
    done++;
    client->start_ns = now;
    client->sent = false;
    if (!close_each) client_send(client);
}

static void client_ready(struct endpoint *client, uint32_t events)
{
    if (client->armed && events & EPOLLOUT) {
        client_send(client);
        return;
    }
    ssize_t n = recv(client->fd, input, sizeof input, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        /* The server ends a connection that was for one request; any other end is an error. */
        client_again(client, client->sent || !close_each || n < 0);
        return;
    }
    bool good = client->sent;
    if (good && client->in_body && (size_t)n <= client->body_left)
        client->body_left -= (size_t)n;
    else
        good = good && !client->in_body && client_head(client, (size_t)n);
    if (!good)
        client_again(client, true);
    else if (client->in_body && !client->body_left)
        client_done(client);
}

/* ---- the backend --------------------------------------------------------------------------- */

static void backend_accept(struct endpoint *listener)
{
    int one = 1, fd;
    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct endpoint *end = load_alloc(sizeof *end);
        end->kind = BACKEND;
        end->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(end, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Requests have no bodies: an empty line ends each. */
static unsigned count_requests(struct endpoint *end, const char *text, size_t len)
{
    unsigned count = 0;
    size_t at = 0;
    for (;;) {
        const char *newline = memchr(text + at, '\n', len - at);
        if (!newline) break;
        size_t line = end->line_left + (size_t)(newline - text) - at;
        count += line <= 1; /* at most the '\r' */
        end->line_left = 0;
        at = (size_t)(newline - text) + 1;
    }
    end->line_left += len - at;
    return count;
}

static bool backend_write(struct endpoint *end)
{
    while (end->owed) {
        ssize_t n =
            send(end->fd, response + end->written, response_len - end->written, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return false;
        if (n < 0) break;
        end->written += (size_t)n;
        if (end->written < response_len) continue;
        end->written = 0;
        end->owed--;
    }
    arm(end, end->owed > 0);
    return true;
}

static void backend_ready(struct endpoint *end, uint32_t events)
{
    bool alive = true;
    if (events & ~(uint32_t)EPOLLOUT) {
        ssize_t n = recv(end->fd, input, sizeof input, 0);
        if (n > 0)
            end->owed += count_requests(end, input, (size_t)n);
        else
            alive = n < 0 && errno == EAGAIN;
    }
    if (alive && end->owed) alive = backend_write(end);
    if (alive) return;
    close(end->fd);
    free(end);
}

static void backend_listen(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)backend_port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    struct endpoint *listener = load_alloc(sizeof *listener);
    listener->kind = LISTENER;
    listener->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener->fd, (struct sockaddr *)&addr, sizeof addr) || listen(listener->fd, 4096))
        load_fail("cannot listen on port %u: %s", backend_port, strerror(errno));
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
}

/* ---- the run ------------------------------------------------------------------------------- */

static void make_texts(void)
{
    int n = snprintf(request, sizeof request,
                     "GET /bench HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: httpload\r\n"
                     "Accept: */*\r\n%s\r\n",
                     proxy_port, close_each ? "Connection: close\r\n" : "");
    request_len = (size_t)n;
    response = load_alloc(body_len + 256);
    n = snprintf(response, 256,
                 "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
                 "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                 body_len);
    memset(response + n, 'x', body_len);
    response_len = (size_t)n + body_len;
}

static void handle(const struct epoll_event *event)
{
    struct endpoint *end = event->data.ptr;
    switch (end->kind) {
    case LISTENER: backend_accept(end); break;
    case CLIENT: client_ready(end, event->events); break;
    case BACKEND: backend_ready(end, event->events); break;
    }
}

/* Connections are made a few at a time, between events, as the backend lives in this loop too. */
static void run(void)
{
    static struct epoll_event events[EVENTS_MAX];
    unsigned made = 0;
    while (measure_tick(&measure, done)) {
        for (unsigned i = 0; i < 32 && made < connection_count; i++, made++) {
            struct endpoint *client = load_alloc(sizeof *client);
            client->kind = CLIENT;
            client_connect(client);
        }
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, made < connection_count ? 1 : STALL_MS);
        if (n == 0 && made == connection_count)
            load_fail("the proxy has been silent for %d s, %llu requests were answered",
                      STALL_MS / 1000, (unsigned long long)done);
        for (int i = 0; i < n; i++) handle(&events[i]);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"proxy", 1, NULL, 'p'},   {"backend", 1, NULL, 'b'}, {"connections", 1, NULL, 'n'},
        {"body", 1, NULL, 'l'},    {"close", 0, NULL, 'c'},   {"warmup", 1, NULL, 'w'},
        {"seconds", 1, NULL, 's'}, {"pids", 1, NULL, 'i'},    {0}};
    double warmup = 0.5, seconds = 3;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': proxy_port = (unsigned)load_number("proxy", optarg, 1, 65535); break;
        case 'b': backend_port = (unsigned)load_number("backend", optarg, 1, 65535); break;
        case 'n': connection_count = (unsigned)load_number("connections", optarg, 1, 8192); break;
        case 'l': body_len = load_number("body", optarg, 0, 16 << 20); break;
        case 'c': close_each = true; break;
        case 'w': warmup = strtod(optarg, NULL); break;
        case 's': seconds = strtod(optarg, NULL); break;
        case 'i': measure_pids(&measure, optarg); break;
        default: return 2;
        }
    }
    if (!proxy_port || !backend_port) load_fail("needs --proxy PORT and --backend PORT");
    struct rlimit files = {32768, 32768};
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    make_texts();
    backend_listen();
    measure_start(&measure, warmup, seconds);
    run();
    return measure_report(&measure);
}
