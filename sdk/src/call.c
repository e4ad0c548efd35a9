/* One call:
 *
 *   has no connection --got one--> sends and receives --whole response--> over
 *        ^  |  ^                            |
 *        |  cannot connect: after a moment  closed before the first byte of the response:
 *        |  (nothing was sent), CALL_TRIES  once more, when that is harmless
 *        +----------------------------------+ */
#include "sdk/src/call.h"

#include "sdk/src/http_text.h"

#include "wire/http1_chunked.h"
#include "wire/http1_write.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CALL_READ = 16 * 1024,
    CALL_IDLE_MS = 30 * 1000,
    CALL_TRIES = 5,
    CALL_AGAIN_MS = 20 /* doubled each time */
};

struct call_pool {
    struct host *host;
    char authority[272]; /* host:port; "": no road */
    char prefix[128];
    struct sockaddr_storage address;
    socklen_t address_len;
    struct list idle, busy; /* of call_conn */
    size_t count, idle_count;
};

struct http_call {
    struct dure_pending pending;
    struct call_pool *pool;
    struct call_conn *conn; /* NULL: waits to try again */
    struct bytes request;
    enum http1_method method;
    bool idempotent, repeated;
    unsigned tries;
    struct loop_timer again;
};

struct call_conn {
    struct call_pool *pool;
    struct list link;
    struct loop_watch watch;
    struct loop_timer timer; /* while it is idle */
    struct http_call *call;
    size_t sent;
    bool connecting, used; /* used: has carried a response before */
    bool in_body;
    struct buf in, body;
    struct http1_parser parser;
    struct http1_head head;
    struct http1_chunked chunked;
    enum http1_body kind;
    uint64_t left;
    struct dure_headers *headers;
    int status;
};

static void conn_ready(struct loop_watch *watch, uint32_t events);
static void begin(struct http_call *call, bool fresh);

/* ---- connections -------------------------------------------------------------------------- */

static void conn_free(struct call_conn *conn)
{
    int fd = conn->watch.fd;
    loop_unwatch(&conn->pool->host->loop, &conn->watch);
    if (fd >= 0) close(fd);
    loop_timer_cancel(&conn->pool->host->loop, &conn->timer);
    list_remove(&conn->link);
    conn->pool->count--;
    if (!conn->call) conn->pool->idle_count--;
    buf_release(&conn->in);
    buf_release(&conn->body);
    free(conn);
}

static void conn_idle_too_long(struct loop_timer *timer)
{
    conn_free(CONTAINER_OF(timer, struct call_conn, timer));
}

/* Takes the connection from its call; gives it to the pool, or closes it. */
static void conn_done(struct call_conn *conn, bool keep)
{
    struct call_pool *pool = conn->pool;
    conn->call->conn = NULL;
    if (!keep || pool->idle_count >= CALL_IDLE_MAX) {
        conn_free(conn);
        return;
    }
    conn->call = NULL;
    conn->used = true;
    pool->idle_count++;
    buf_release(&conn->body);
    list_remove(&conn->link);
    list_push_front(&pool->idle, &conn->link);
    loop_watch_change(&pool->host->loop, &conn->watch, EPOLLIN | EPOLLRDHUP);
    loop_timer_in_ms(&pool->host->loop, &conn->timer, CALL_IDLE_MS);
}

/* A new one, or NULL and a DURE_E... */
static struct call_conn *conn_new(struct call_pool *pool, int *ret_err)
{
    struct call_conn *conn = pool->count < CALL_CONNECTIONS_MAX ? calloc(1, sizeof *conn) : NULL;
    *ret_err = pool->count < CALL_CONNECTIONS_MAX ? DURE_ENOMEM : DURE_EFULL;
    if (!conn) return NULL;
    int fd = socket(pool->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    int failed = fd < 0 ? -1 : setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!failed) failed = connect(fd, (struct sockaddr *)&pool->address, pool->address_len);
    if (failed && (fd < 0 || errno != EINPROGRESS)) {
        *ret_err = DURE_EUNREACHABLE;
        if (fd >= 0) close(fd);
        free(conn);
        return NULL;
    }
    conn->pool = pool;
    conn->connecting = true;
    conn->watch.ready = conn_ready;
    conn->timer.fire = conn_idle_too_long;
    list_init(&conn->link);
    buf_init(&conn->in, HTTP1_HEAD_MAX + CALL_READ);
    buf_init(&conn->body, pool->host->limits.answer);
    if (loop_watch(&pool->host->loop, &conn->watch, fd, EPOLLIN | EPOLLOUT) != 0) {
        close(fd);
        free(conn);
        return NULL;
    }
    list_push(&pool->busy, &conn->link);
    pool->count++;
    return conn;
}

/* ---- the end of a call -------------------------------------------------------------------- */

static void fail(struct http_call *call, int err)
{
    if (call->conn) conn_done(call->conn, false);
    loop_timer_cancel(&call->pool->host->loop, &call->again);
    pending_fail(&call->pending, err);
}

static void abandoned(struct dure_pending *pending)
{
    struct http_call *call = (struct http_call *)pending;
    loop_timer_cancel(&call->pool->host->loop, &call->again);
    if (call->conn) conn_done(call->conn, false);
}

static void finish(struct call_conn *conn)
{
    struct http_call *call = conn->call;
    bool keep = conn->head.keep_alive && conn->kind != HTTP1_BODY_UNTIL_CLOSE &&
                !buf_len(&conn->in) && conn->sent == call->request.len;
    pending_answer(&call->pending, conn->status, conn->headers, buf_bytes(&conn->body));
    conn_done(conn, keep);
}

static void try_later(struct http_call *call, int err)
{
    if (call->tries >= CALL_TRIES) {
        fail(call, err);
        return;
    }
    loop_timer_in_ms(&call->pool->host->loop, &call->again,
                     (uint64_t)CALL_AGAIN_MS << call->tries++);
}

static void again_now(struct loop_timer *timer)
{
    begin(CONTAINER_OF(timer, struct http_call, again), true);
}

/* The connection broke, with nothing of the response seen unless `in_response`. */
static void broken(struct call_conn *conn, bool in_response)
{
    struct http_call *call = conn->call;
    bool connecting = conn->connecting;
    conn_done(conn, false);
    if (connecting) {
        try_later(call, DURE_EUNREACHABLE);
    } else if (!in_response && call->idempotent && !call->repeated) {
        call->repeated = true;
        begin(call, true);
    } else {
        fail(call, DURE_EUNREACHABLE);
    }
}

/* ---- the response ------------------------------------------------------------------------- */

enum progress { NEED_MORE, GO_ON, OVER };

static enum progress refuse(struct call_conn *conn, int err)
{
    fail(conn->call, err);
    return OVER;
}

static enum progress take_head(struct call_conn *conn)
{
    struct http1_head *head = &conn->head;
    struct http_call *call = conn->call;
    if (!buf_len(&conn->in)) return NEED_MORE;
    int len = http1_parse(&conn->parser, buf_bytes(&conn->in));
    if (len == 0) return NEED_MORE;
    if (len < 0 || head->status == 101) return refuse(conn, DURE_EPROTOCOL);
    if (head->status < 200) { /* an interim response: the real one follows */
        buf_consume(&conn->in, (size_t)len);
        http1_parser_init(&conn->parser, head, true);
        return GO_ON;
    }
    struct arena *arena = &call->pending.ctx->arena;
    conn->headers = arena_alloc(arena, sizeof *conn->headers);
    for (size_t i = 0; conn->headers && i < head->count; i++)
        headers_add(conn->headers, arena, head->headers[i].name, head->headers[i].value);
    if (arena->failed) return refuse(conn, DURE_ENOMEM);
    conn->status = head->status;
    conn->kind = http1_body_kind(head, call->method);
    conn->left = conn->kind == HTTP1_BODY_LENGTH ? head->length : 0;
    if (conn->left > conn->body.max) return refuse(conn, DURE_ETOOBIG);
    http1_chunked_init(&conn->chunked);
    buf_consume(&conn->in, (size_t)len);
    conn->in_body = true;
    return GO_ON;
}

static enum progress take_chunks(struct call_conn *conn)
{
    struct bytes input = buf_bytes(&conn->in), piece;
    size_t before = input.len;
    enum http1_chunk got;
    while ((got = http1_chunked_next(&conn->chunked, &input, &piece)) == HTTP1_CHUNK_DATA)
        buf_append(&conn->body, piece);
    if (conn->body.failed) return refuse(conn, DURE_ETOOBIG);
    if (got == HTTP1_CHUNK_ERROR) return refuse(conn, DURE_EPROTOCOL);
    buf_consume(&conn->in, before - input.len);
    if (got == HTTP1_CHUNK_MORE) return NEED_MORE;
    finish(conn);
    return OVER;
}

static enum progress take_body(struct call_conn *conn)
{
    if (conn->kind == HTTP1_BODY_CHUNKED) return take_chunks(conn);
    struct bytes piece = buf_bytes(&conn->in);
    bool until_close = conn->kind == HTTP1_BODY_UNTIL_CLOSE;
    if (!until_close) piece = bytes_head(piece, (size_t)conn->left);
    buf_append(&conn->body, piece);
    if (conn->body.failed) return refuse(conn, DURE_ETOOBIG);
    buf_consume(&conn->in, piece.len);
    conn->left -= until_close ? 0 : piece.len;
    if (until_close || conn->left) return NEED_MORE;
    finish(conn);
    return OVER;
}

/* The peer has closed its side. */
static void take_end(struct call_conn *conn)
{
    if (conn->in_body && conn->kind == HTTP1_BODY_UNTIL_CLOSE)
        finish(conn);
    else
        broken(conn, conn->in_body || buf_len(&conn->in));
}

static void receive(struct call_conn *conn)
{
    for (;;) {
        char *room = buf_reserve(&conn->in, CALL_READ);
        ssize_t got = room ? recv(conn->watch.fd, room, CALL_READ, 0) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            take_end(conn);
            return;
        }
        buf_commit(&conn->in, (size_t)got);
        enum progress progress;
        do progress = conn->in_body ? take_body(conn) : take_head(conn);
        while (progress == GO_ON);
        if (progress == OVER || got < CALL_READ) return;
    }
}

/* ---- the request -------------------------------------------------------------------------- */

/* False: the connection is gone, and what follows from that has been done. */
static bool transmit(struct call_conn *conn)
{
    struct http_call *call = conn->call;
    while (conn->sent < call->request.len) {
        struct bytes rest = bytes_skip(call->request, conn->sent);
        ssize_t sent = send(conn->watch.fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) {
            /* A response may have come before the request was through: it counts. */
            receive(conn);
            return false;
        }
        conn->sent += (size_t)sent;
    }
    bool more = conn->sent < call->request.len;
    loop_watch_change(&conn->pool->host->loop, &conn->watch, more ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
}

static void conn_ready(struct loop_watch *watch, uint32_t events)
{
    struct call_conn *conn = CONTAINER_OF(watch, struct call_conn, watch);
    if (!conn->call) { /* idle: whatever the peer says now, it is not for us */
        conn_free(conn);
        return;
    }
    if (conn->connecting) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err) {
            broken(conn, false);
            return;
        }
        conn->connecting = false;
    }
    if ((events & EPOLLOUT) && conn->sent < conn->call->request.len && !transmit(conn)) return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(conn);
}

/* Puts the call on a connection: one that is there, unless `fresh`, or a new one. */
static void begin(struct http_call *call, bool fresh)
{
    struct call_pool *pool = call->pool;
    struct list *link = fresh ? NULL : list_pop(&pool->idle);
    struct call_conn *conn = link ? CONTAINER_OF(link, struct call_conn, link) : NULL;
    int err = 0;
    if (conn) {
        pool->idle_count--;
        list_push(&pool->busy, &conn->link);
        loop_timer_cancel(&pool->host->loop, &conn->timer);
    } else {
        conn = conn_new(pool, &err);
    }
    if (!conn) {
        if (err == DURE_EUNREACHABLE)
            try_later(call, err);
        else
            fail(call, err);
        return;
    }
    conn->call = call;
    call->conn = conn;
    conn->sent = 0;
    conn->in_body = false;
    http1_parser_init(&conn->parser, &conn->head, true);
    if (!conn->connecting) transmit(conn);
}

/* ---- writing it --------------------------------------------------------------------------- */

static bool service_valid(const char *name)
{
    if (!name || !*name) return false;
    for (const char *c = name; *c; c++) {
        bool alnum = (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z');
        if (!alnum && !strchr("-_.", *c)) return false;
    }
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int put_own_headers(struct buf *out, const struct dure_call *call)
{
    int err = 0;
    for (const char *const *h = call->headers; !err && h && h[0]; h += 2)
        err = http1_write_header(out, bytes_str(h[0]), bytes_str(h[1]));
    return err ? DURE_EINVALID : 0;
}

static int put_request(struct buf *out, const struct http_call *http, const struct dure_call *call,
                       const char *method, struct bytes body)
{
    struct dure_ctx *ctx = http->pending.ctx;
    const char *path = call->path ? call->path : "/";
    if (!service_valid(call->service) || *path != '/') return DURE_EINVALID;
    const char *target =
        arena_format(&ctx->arena, "%s/%s%s", http->pool->prefix, call->service, path);
    const char *remaining =
        arena_format(&ctx->arena, "%llu", (unsigned long long)pending_remaining_ms(&http->pending));
    const char *id = dure_new_id(ctx);
    if (!target || !remaining || !id) return DURE_ENOMEM;
    if (http1_write_request(out, bytes_str(method), bytes_str(target)) != 0) return DURE_EINVALID;
    http1_write_header(out, BYTES("Host"), bytes_str(http->pool->authority));
    http1_write_header(out, BYTES("traceparent"), bytes_str(dure_traceparent(ctx)));
    if (ctx->trace_state) http1_write_header(out, BYTES("tracestate"), bytes_str(ctx->trace_state));
    http1_write_header(out, BYTES("Dure-Deadline-Ms"), bytes_str(remaining));
    http1_write_header(out, BYTES("Dure-Request-Id"), bytes_str(id));
    if (body.len) {
        const char *type = call->content_type ? call->content_type : "application/json";
        if (http1_write_header(out, BYTES("Content-Type"), bytes_str(type)) != 0)
            return DURE_EINVALID;
    }
    if (body.len || (http->method != HTTP1_GET && http->method != HTTP1_HEAD))
        http1_write_length(out, body.len);
    int err = put_own_headers(out, call);
    buf_append(out, BYTES("\r\n"));
    buf_append(out, body);
    return !err && out->failed ? DURE_ETOOBIG : err;
}

struct dure_pending *call_start(struct dure_ctx *ctx, const struct dure_call *call,
                                const char *method, struct bytes body)
{
    struct call_pool *pool = ctx->tenant->host->calls;
    struct dure_pending *failed;
    if (!pool->address_len) return pending_failed(DURE_EUNREACHABLE);
    struct http_call *http =
        (struct http_call *)pending_new(ctx, sizeof *http, call->timeout_ms, abandoned, &failed);
    if (!http) return failed;
    http->pool = pool;
    http->again.fire = again_now;
    http->method = http1_method_find(bytes_str(method));
    http->idempotent = call->idempotent || http1_method_idempotent(http->method);
    struct buf out;
    buf_init(&out, pool->host->limits.answer + HTTP1_HEAD_MAX);
    int err = put_request(&out, http, call, method, body);
    if (!err) http->request = arena_bytes(&ctx->arena, buf_bytes(&out));
    buf_release(&out);
    if (!err && ctx->arena.failed) err = DURE_ENOMEM;
    if (err)
        pending_fail(&http->pending, err);
    else
        begin(http, false);
    return &http->pending;
}

/* ---- the pool ----------------------------------------------------------------------------- */

/* "http://host:port/prefix" */
static int read_road(struct call_pool *pool, const char *url)
{
    struct bytes rest = bytes_str(url);
    if (!bytes_starts(rest, BYTES("http://"))) return ERR_INVALID;
    rest = bytes_skip(rest, 7);
    struct bytes authority = bytes_cut(&rest, '/');
    if (bytes_ends(rest, BYTES("/"))) rest.len--;
    if (!authority.len || authority.len >= 256 || rest.len >= sizeof pool->prefix - 1)
        return ERR_INVALID;
    snprintf(pool->authority, sizeof pool->authority, "%.*s", BYTES_ARG(authority));
    if (rest.len) snprintf(pool->prefix, sizeof pool->prefix, "/%.*s", BYTES_ARG(rest));
    char host[256];
    uint64_t port = 80;
    const char *colon = strrchr(pool->authority, ':');
    bool has_port = colon && !strchr(colon, ']');
    size_t len = has_port ? (size_t)(colon - pool->authority) : authority.len;
    if (has_port && bytes_to_u64(bytes_str(colon + 1), 65535, &port) != 0) return ERR_INVALID;
    bool bracketed = pool->authority[0] == '[' && len > 2;
    snprintf(host, sizeof host, "%.*s", (int)(bracketed ? len - 2 : len),
             pool->authority + bracketed);
    pool->address_len = http_address(host, (int)port, &pool->address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char service[8];
    snprintf(service, sizeof service, "%u", (unsigned)port & 0xFFFF);
    if (pool->address_len || getaddrinfo(host, service, &hints, &found) != 0) return 0;
    pool->address_len = found->ai_addrlen;
    memcpy(&pool->address, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return 0;
}

int call_pool_new(struct host *host, struct call_pool **ret_pool)
{
    struct call_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return ERR_NOMEM;
    pool->host = host;
    list_init(&pool->idle);
    list_init(&pool->busy);
    const char *url = getenv("DURE_HTTP");
    int err = url && *url ? read_road(pool, url) : 0;
    if (err) {
        free(pool);
        return err;
    }
    *ret_pool = pool;
    return 0;
}

void call_pool_free(struct call_pool *pool)
{
    if (!pool) return;
    LIST_EACH(&pool->idle, struct call_conn, link, conn) conn_free(conn);
    free(pool);
}
