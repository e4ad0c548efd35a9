/* For the tests of the data plane: a loop with a proxy, scripted upstreams that do what real ones
 * do on bad days, and clients that see every byte. All over loopback sockets, all in one thread. */
#ifndef TEST_PROXY_FIXTURE_H
#define TEST_PROXY_FIXTURE_H

#include "base/buf.h"
#include "io/io.h"
#include "proxy/proxy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

enum { FIXTURE_BACKENDS = 8, FIXTURE_EVENTS = 4096, FIXTURE_BUF = 256 << 20 };

/* Above 0 while the fixture's own code runs: what it allocates is not the proxy's (test_nomem). */
static int fixture_inside;

static inline void fixture_leave(const int *level)
{
    fixture_inside = *level - 1;
}

#define FIXTURE_INSIDE \
    __attribute__((cleanup(fixture_leave), unused)) int inside_ = ++fixture_inside

/* ---- scripted upstreams -------------------------------------------------------------------- */

enum script {
    SCRIPT_ECHO,    /* 200, the request's head as the body, kept alive */
    SCRIPT_REPLY,   /* `reply` as it is */
    SCRIPT_HANG_UP, /* `reply` as it is, then closes */
    SCRIPT_SILENT,  /* never a byte */
    SCRIPT_SLAM,    /* closes as soon as a connection is made */
    SCRIPT_SINK,    /* counts the body as it comes, then 200 with its length */
    SCRIPT_FLOOD,   /* 200 with flood_size bytes */
};

struct backend {
    struct io *io;
    struct io_listener listener;
    enum script script;
    const char *reply;
    size_t reply_len; /* 0: strlen(reply) */
    uint64_t flood_size;
    size_t accepted, open, requests;
    uint64_t body_bytes; /* of SINK, all requests */
    uint64_t body_sum;   /* a checksum over them */
    struct buf last;     /* the latest request, whole (not of SINK) */
    struct list conns;
    bool listening;
};

struct backend_conn {
    struct backend *backend;
    struct list link;
    struct io_stream stream;
    struct buf in, out;
    uint64_t left; /* of SINK's body, of FLOOD's answer */
    bool in_body, sending, closing, close_after, receiving;
    struct iovec iov;
    char flood[16384];
};

/* What byte number `at` of a big body is. */
static inline char pattern_at(uint64_t at)
{
    return (char)('a' + (at ^ at >> 8 ^ at >> 16) % 26);
}

static void backend_conn_closed(struct io_stream *stream)
{
    struct backend_conn *conn = CONTAINER_OF(stream, struct backend_conn, stream);
    list_remove(&conn->link);
    conn->backend->open--;
    buf_release(&conn->in);
    buf_release(&conn->out);
    free(conn);
}

static void backend_conn_close(struct backend_conn *conn)
{
    if (conn->closing) return;
    conn->closing = true;
    io_close(&conn->stream, backend_conn_closed);
}

static void backend_conn_work(struct backend_conn *conn);

static void backend_conn_sent(struct io_stream *stream, int result)
{
    FIXTURE_INSIDE;
    struct backend_conn *conn = CONTAINER_OF(stream, struct backend_conn, stream);
    conn->sending = false;
    if (conn->closing) return;
    if (result < 0) {
        backend_conn_close(conn);
        return;
    }
    if (conn->iov.iov_base != conn->flood) buf_clear(&conn->out);
    if (conn->backend->script == SCRIPT_FLOOD && conn->left) {
        uint64_t at = conn->backend->flood_size - conn->left;
        size_t len = conn->left < sizeof conn->flood ? (size_t)conn->left : sizeof conn->flood;
        for (size_t i = 0; i < len; i++) conn->flood[i] = pattern_at(at + i);
        conn->left -= len;
        conn->iov = (struct iovec){conn->flood, len};
        conn->sending = true;
        io_send(&conn->stream, &conn->iov, 1, backend_conn_sent);
    } else if (conn->close_after) {
        backend_conn_close(conn);
    } else {
        backend_conn_work(conn);
    }
}

static void backend_conn_send(struct backend_conn *conn, struct bytes text)
{
    buf_append(&conn->out, text);
    conn->iov = (struct iovec){conn->out.data + conn->out.start, buf_len(&conn->out)};
    conn->sending = true;
    io_send(&conn->stream, &conn->iov, 1, backend_conn_sent);
}

/* The value of a header in a raw head, or "". */
static inline struct bytes raw_header(struct bytes head, const char *name)
{
    struct bytes wanted = bytes_str(name);
    while (head.data) {
        struct bytes line = bytes_cut(&head, '\n');
        size_t colon = bytes_find(line, ':');
        if (colon == line.len || !bytes_eq_nocase(bytes_head(line, colon), wanted)) continue;
        struct bytes value = bytes_skip(line, colon + 1);
        if (value.len && value.data[value.len - 1] == '\r') value.len--;
        return bytes_trim(value);
    }
    return BYTES("");
}

static inline size_t raw_head_len(struct bytes text)
{
    const char *end = memmem(text.data ? text.data : "", text.len, "\r\n\r\n", 4);
    return end ? (size_t)(end - text.data) + 4 : 0;
}

/* The length of the first message in `text` if it is whole, else 0. Framing: Content-Length or
 * chunked. */
static inline size_t raw_message_len(struct bytes text, bool has_body)
{
    size_t head = raw_head_len(text);
    if (!head) return 0;
    struct bytes fields = bytes_head(text, head);
    if (!has_body) return head;
    if (raw_header(fields, "Transfer-Encoding").len) {
        const char *end = memmem(text.data + head - 2, text.len - head + 2, "\r\n0\r\n\r\n", 7);
        return end ? (size_t)(end - text.data) + 7 : 0;
    }
    uint64_t length = 0;
    bytes_to_u64(raw_header(fields, "Content-Length"), UINT64_MAX, &length);
    return text.len >= head + length ? head + (size_t)length : 0;
}

static void backend_answer(struct backend_conn *conn, struct bytes request)
{
    struct backend *backend = conn->backend;
    backend->requests++;
    buf_clear(&backend->last);
    buf_append(&backend->last, request);
    char head[128];
    struct bytes body = bytes_head(request, raw_head_len(request));
    switch (backend->script) {
    case SCRIPT_ECHO:
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body.len);
        buf_append_str(&conn->out, head);
        backend_conn_send(conn, bytes_starts(body, BYTES("HEAD ")) ? BYTES("") : body);
        break;
    case SCRIPT_HANG_UP: conn->close_after = true; __attribute__((fallthrough));
    case SCRIPT_REPLY:
        backend_conn_send(conn, backend->reply_len ? bytes_make(backend->reply, backend->reply_len)
                                                   : bytes_str(backend->reply));
        break;
    case SCRIPT_FLOOD:
        snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                 (unsigned long long)backend->flood_size);
        conn->left = backend->flood_size;
        backend_conn_send(conn, bytes_str(head));
        break;
    default: break;
    }
}

static void backend_sink(struct backend_conn *conn)
{
    struct backend *backend = conn->backend;
    struct bytes text = buf_bytes(&conn->in);
    if (!conn->in_body) {
        size_t head = raw_head_len(text);
        if (!head) return;
        conn->left = 0;
        bytes_to_u64(raw_header(bytes_head(text, head), "Content-Length"), UINT64_MAX, &conn->left);
        conn->in_body = true;
        backend->requests++;
        buf_consume(&conn->in, head);
        text = buf_bytes(&conn->in);
    }
    struct bytes part = bytes_head(text, (size_t)(conn->left < text.len ? conn->left : text.len));
    for (size_t i = 0; i < part.len; i++)
        backend->body_sum = backend->body_sum * 31 + (unsigned char)part.data[i];
    backend->body_bytes += part.len;
    conn->left -= part.len;
    buf_consume(&conn->in, part.len);
    if (conn->left) return;
    conn->in_body = false;
    backend_conn_send(conn, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
}

static void backend_conn_work(struct backend_conn *conn)
{
    if (conn->sending || conn->closing || !buf_len(&conn->in)) return;
    if (conn->backend->script == SCRIPT_SINK) {
        backend_sink(conn);
        return;
    }
    size_t len = raw_message_len(buf_bytes(&conn->in), true);
    if (!len) return;
    backend_answer(conn, bytes_head(buf_bytes(&conn->in), len));
    buf_consume(&conn->in, len);
}

static void backend_conn_received(struct io_stream *stream, int result)
{
    FIXTURE_INSIDE;
    struct backend_conn *conn = CONTAINER_OF(stream, struct backend_conn, stream);
    if (conn->closing) return;
    if (result <= 0) {
        backend_conn_close(conn);
        return;
    }
    buf_append(&conn->in, bytes_make(io_recv_data(stream), (size_t)result));
    backend_conn_work(conn);
    if (!conn->closing) io_recv(stream, NULL, 0, backend_conn_received);
}

static void backend_accepted(struct io_listener *listener)
{
    FIXTURE_INSIDE;
    struct backend *backend = CONTAINER_OF(listener, struct backend, listener);
    struct backend_conn *conn = calloc(1, sizeof *conn);
    assert_non_null(conn);
    conn->backend = backend;
    buf_init(&conn->in, FIXTURE_BUF);
    buf_init(&conn->out, FIXTURE_BUF);
    list_push(&backend->conns, &conn->link);
    io_accept(listener, &conn->stream);
    backend->accepted++;
    backend->open++;
    if (backend->script == SCRIPT_SLAM)
        backend_conn_close(conn);
    else
        io_recv(&conn->stream, NULL, 0, backend_conn_received);
}

static inline void backend_open(struct backend *backend, struct io *io, enum script script,
                                const char *reply)
{
    struct io_addr addr;
    *backend = (struct backend){.io = io, .script = script, .reply = reply};
    buf_init(&backend->last, FIXTURE_BUF);
    list_init(&backend->conns);
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    assert_int_equal(io_listen(io, &backend->listener, &addr, NULL, backend_accepted), 0);
    backend->listening = true;
}

/* From now on connections to it are refused. */
static inline void backend_refuse(struct backend *backend)
{
    if (backend->listening) io_listener_close(&backend->listener);
    backend->listening = false;
}

static inline void backend_cut(struct backend *backend)
{
    LIST_EACH(&backend->conns, struct backend_conn, link, conn) backend_conn_close(conn);
}

/* ---- the world --------------------------------------------------------------------------- */

struct event_copy {
    int status, error;
    uint32_t attempts;
    uint64_t bytes_in, bytes_out, wait_ns;
    char method[16], path[128], route[128], service[64], address[64], caller[64], version[16];
    struct trace trace;
};

struct fixture {
    struct io *io;
    struct proxy *proxy;
    struct proxy_options options;
    struct io_addr edge, internal;
    struct backend backends[FIXTURE_BACKENDS];
    size_t backend_count;
    struct event_copy events[FIXTURE_EVENTS];
    size_t event_count;
    bool closed;
};

#define COPY_TEXT(to, from) snprintf(to, sizeof to, "%.*s", BYTES_ARG(from))

static void fixture_access(void *context, const struct access_event *event)
{
    struct fixture *fixture = context;
    if (fixture->event_count == FIXTURE_EVENTS) return;
    struct event_copy *copy = &fixture->events[fixture->event_count++];
    *copy = (struct event_copy){.status = event->status,
                                .error = event->error,
                                .attempts = event->attempts,
                                .bytes_in = event->bytes_in,
                                .bytes_out = event->bytes_out,
                                .wait_ns = event->wait_ns,
                                .trace = event->trace};
    COPY_TEXT(copy->method, event->method);
    COPY_TEXT(copy->path, event->path);
    COPY_TEXT(copy->route, event->route);
    COPY_TEXT(copy->service, event->service);
    COPY_TEXT(copy->address, event->address);
    COPY_TEXT(copy->caller, event->caller);
    COPY_TEXT(copy->version, event->version);
}

static inline const struct event_copy *last_event(const struct fixture *fixture)
{
    assert_true(fixture->event_count > 0);
    return &fixture->events[fixture->event_count - 1];
}

static inline struct fixture *fixture_new(const struct proxy_options *options)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct io_addr addr;
    assert_non_null(fixture);
    if (options) fixture->options = *options;
    fixture->options.access = fixture_access;
    fixture->options.context = fixture;
    assert_int_equal(io_new(NULL, &fixture->io), 0);
    assert_int_equal(proxy_new(fixture->io, &fixture->options, NULL, &fixture->proxy), 0);
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    assert_int_equal(proxy_listen(fixture->proxy, PROXY_EDGE, &addr, &fixture->edge), 0);
    assert_int_equal(proxy_listen(fixture->proxy, PROXY_INTERNAL, &addr, &fixture->internal), 0);
    return fixture;
}

static inline void turn(struct fixture *fixture)
{
    io_turn(fixture->io, 20);
}

/* Turns the loop until `condition`, which must come true within ten seconds. */
#define UNTIL(fixture, condition)                                              \
    do {                                                                       \
        uint64_t until_ = io_now_ns((fixture)->io) + UINT64_C(10000000000);    \
        while (!(condition)) {                                                 \
            turn(fixture);                                                     \
            if (io_now_ns((fixture)->io) > until_) fail_msg("%s", #condition); \
        }                                                                      \
    } while (0)

static inline void turn_for(struct fixture *fixture, uint64_t ms)
{
    uint64_t until = io_now_ns(fixture->io) + ms * 1000000;
    while (io_now_ns(fixture->io) < until) io_turn(fixture->io, 5);
}

static void fixture_closed(void *context)
{
    ((struct fixture *)context)->closed = true;
}

static inline void fixture_free(struct fixture *fixture)
{
    proxy_close(fixture->proxy, 100, fixture_closed, fixture);
    UNTIL(fixture, fixture->closed);
    for (size_t i = 0; i < fixture->backend_count; i++) {
        struct backend *backend = &fixture->backends[i];
        backend_refuse(backend);
        backend_cut(backend);
        UNTIL(fixture, backend->open == 0);
        buf_release(&backend->last);
    }
    turn(fixture);
    io_free(fixture->io);
    free(fixture);
}

static inline struct backend *add_backend(struct fixture *fixture, enum script script,
                                          const char *reply)
{
    assert_true(fixture->backend_count < FIXTURE_BACKENDS);
    struct backend *backend = &fixture->backends[fixture->backend_count++];
    backend_open(backend, fixture->io, script, reply);
    return backend;
}

/* ---- configuration: service "shop" with all backends, routes as given ---- */

static inline void put_endpoint(struct snapshot_builder *builder, const char *service,
                                const struct io_addr *addr, enum endpoint_health health,
                                const char *version)
{
    struct endpoint_spec spec = {.cluster = bytes_str(service),
                                 .addr = *addr,
                                 .health = health,
                                 .version = bytes_str(version)};
    assert_int_equal(snapshot_add_endpoint(builder, &spec, NULL), 0);
}

static inline struct snapshot_builder *begin_config(struct cluster_policy policy)
{
    struct snapshot_builder *builder;
    assert_int_equal(snapshot_builder_new(&builder), 0);
    struct cluster_spec spec = {.name = BYTES("shop"), .policy = policy};
    assert_int_equal(snapshot_add_cluster(builder, &spec, NULL), 0);
    return builder;
}

static inline void put_route(struct snapshot_builder *builder, struct route_spec spec)
{
    struct error error = {0};
    if (!spec.cluster.len) spec.cluster = BYTES("shop");
    if (snapshot_add_route(builder, &spec, &error)) fail_msg("%s", error.message);
}

static inline void apply_config(struct fixture *fixture, struct snapshot_builder *builder)
{
    struct snapshot *snapshot;
    struct error error = {0};
    if (snapshot_build(builder, &snapshot, &error)) fail_msg("%s", error.message);
    snapshot_builder_free(builder);
    assert_int_equal(proxy_apply(fixture->proxy, snapshot), 0);
    snapshot_unref(snapshot);
}

/* All backends are endpoints of "shop", "/" leads there. */
static inline void apply_policy(struct fixture *fixture, struct cluster_policy policy)
{
    struct snapshot_builder *builder = begin_config(policy);
    for (size_t i = 0; i < fixture->backend_count; i++)
        put_endpoint(builder, "shop", &fixture->backends[i].listener.addr, ENDPOINT_UP, "");
    put_route(builder, (struct route_spec){.name = BYTES("all"), .path = BYTES("/")});
    apply_config(fixture, builder);
}

static inline void apply_default(struct fixture *fixture)
{
    apply_policy(fixture, (struct cluster_policy){0});
}

/* ---- clients ------------------------------------------------------------------------------- */

struct client {
    struct fixture *fixture;
    struct io_stream stream;
    struct buf in;
    bool connected, sending, closing, closed, eof, paused;
    int error;
    struct iovec iov;
    char *sent_text;
    uint64_t received;
};

static void client_sent(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    client->sending = false;
    if (result < 0) client->error = result;
}

static void client_received(struct io_stream *stream, int result)
{
    FIXTURE_INSIDE;
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (client->closing) return;
    if (result <= 0) {
        client->eof = true;
        client->error = result;
        return;
    }
    client->received += (uint64_t)result;
    buf_append(&client->in, bytes_make(io_recv_data(stream), (size_t)result));
    if (!client->paused) io_recv(stream, NULL, 0, client_received);
}

static void client_connected(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    assert_int_equal(result, 0);
    client->connected = true;
    if (!client->paused) io_recv(stream, NULL, 0, client_received);
}

static inline void client_open(struct client *client, struct fixture *fixture,
                               const struct io_addr *addr)
{
    *client = (struct client){.fixture = fixture};
    buf_init(&client->in, FIXTURE_BUF);
    io_connect(fixture->io, &client->stream, addr, client_connected);
    UNTIL(fixture, client->connected);
}

static void client_stream_closed(struct io_stream *stream)
{
    CONTAINER_OF(stream, struct client, stream)->closed = true;
}

static inline void client_close(struct client *client)
{
    client->closing = true;
    io_close(&client->stream, client_stream_closed);
    UNTIL(client->fixture, client->closed);
    buf_release(&client->in);
    free(client->sent_text);
    client->sent_text = NULL;
}

/* `text` must stay until it is sent. */
static inline void client_send(struct client *client, struct bytes text)
{
    UNTIL(client->fixture, !client->sending);
    client->iov = (struct iovec){(char *)text.data, text.len};
    client->sending = true;
    io_send(&client->stream, &client->iov, 1, client_sent);
}

static inline struct bytes client_text(const struct client *client)
{
    return buf_bytes(&client->in);
}

/* The whole response to what was sent, which stays in client->in until the next ask. */
static inline struct bytes client_ask(struct client *client, const char *request)
{
    buf_clear(&client->in);
    client_send(client, bytes_str(request));
    bool has_body = strncmp(request, "HEAD ", 5) != 0;
    size_t len;
    UNTIL(client->fixture,
          (len = raw_message_len(client_text(client), has_body)) > 0 || client->eof);
    return bytes_head(client_text(client), len);
}

static inline int raw_status(struct bytes response)
{
    uint64_t status = 0;
    if (response.len < 12 || !bytes_starts(response, BYTES("HTTP/1.1 "))) return 0;
    bytes_to_u64(bytes_head(bytes_skip(response, 9), 3), 999, &status);
    return (int)status;
}

static inline struct bytes raw_body(struct bytes response)
{
    return bytes_skip(response, raw_head_len(response));
}

static inline bool contains(struct bytes text, const char *part)
{
    return text.len && memmem(text.data, text.len, part, strlen(part));
}

#define assert_contains(text, part)                                                          \
    do {                                                                                     \
        struct bytes text_ = (text);                                                         \
        if (!contains(text_, part)) fail_msg("no \"%s\" in:\n%.*s", part, BYTES_ARG(text_)); \
    } while (0)
#define assert_lacks(text, part)                                                \
    do {                                                                        \
        struct bytes text_ = (text);                                            \
        if (contains(text_, part))                                              \
            fail_msg("\"%s\" should not be in:\n%.*s", part, BYTES_ARG(text_)); \
    } while (0)

/* One request on a connection of its own; returns the status. The response is copied into `ret`
 * (may be NULL), which must be released. */
static inline int ask(struct fixture *fixture, const struct io_addr *addr, const char *request,
                      struct buf *ret)
{
    struct client client;
    client_open(&client, fixture, addr);
    struct bytes response = client_ask(&client, request);
    int status = raw_status(response);
    if (ret) {
        buf_clear(ret);
        buf_append(ret, client_text(&client));
    }
    client_close(&client);
    return status;
}

#endif
