/* One connection:
 *
 *   HEAD --whole--> BODY --whole--> RUN --answered--> FLUSH --sent--> HEAD, or LINGER, CLOSED
 *
 * conn_advance() walks on for as long as there is something to do. A refusal (bad request, too big)
 * goes straight to FLUSH and the connection is closed behind it. LINGER: our side is shut, what the
 * client still sends is thrown away, so that it gets the response and not a reset. */
#include "sdk/src/serve.h"
#include "sdk/src/http_text.h"

#include "wire/http1_chunked.h"
#include "wire/http1_write.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONN_IN_MAX = HTTP1_HEAD_MAX + 16 * 1024,
    CONN_READ = 16 * 1024,
    CONN_IDLE_MS = 5 * 60 * 1000,
    CONN_REQUEST_MS = 30 * 1000,
    CONN_FLUSH_MS = 60 * 1000,
    CONN_LINGER_MS = 2000
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_RUN, CONN_FLUSH, CONN_LINGER, CONN_CLOSED };

struct conn {
    struct tenant *tenant;
    struct list link; /* in tenant->conns */
    enum conn_state state;
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_task next;
    struct buf in, out;
    struct http1_parser parser;
    struct http1_head *head; /* while a head is read */
    struct http1_chunked chunked;
    enum http1_body body;
    uint64_t body_left;
    struct dure_ctx *ctx;     /* the request while it arrives: the connection's */
    struct dure_ctx *running; /* the same from then to its answer: its own */
    struct ctx_caller caller;
    bool keep_alive, http10, head_only, peer_closed;
};

static struct loop *loop_of(struct conn *conn)
{
    return &conn->tenant->host->loop;
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void conn_free(struct conn *conn)
{
    struct host *host = conn->tenant->host;
    int fd = conn->watch.fd;
    loop_unwatch(&host->loop, &conn->watch);
    if (fd >= 0) close(fd);
    loop_timer_cancel(&host->loop, &conn->timer);
    loop_task_cancel(&conn->next);
    if (conn->running)
        ctx_abandon(conn->running);
    else
        ctx_free(conn->ctx);
    buf_release(&conn->in);
    buf_release(&conn->out);
    free(conn->head);
    list_remove(&conn->link);
    host->connection_count--;
    free(conn);
    host_progress(host);
}

/* What the kernel is to watch in this state. */
static void watch(struct conn *conn)
{
    uint32_t events = conn->peer_closed ? 0 : EPOLLRDHUP;
    if (!conn->peer_closed && CONN_IN_MAX - buf_len(&conn->in) >= CONN_READ) events |= EPOLLIN;
    if (buf_len(&conn->out)) events |= EPOLLOUT;
    loop_watch_change(loop_of(conn), &conn->watch, events);
}

static void enter(struct conn *conn, enum conn_state state)
{
    conn->state = state;
    if (state == CONN_HEAD && !buf_len(&conn->in)) buf_release(&conn->in); /* idle ones are small */
    if (state == CONN_HEAD)
        loop_timer_in_ms(loop_of(conn), &conn->timer,
                         buf_len(&conn->in) ? CONN_REQUEST_MS : CONN_IDLE_MS);
    else if (state == CONN_FLUSH)
        loop_timer_in_ms(loop_of(conn), &conn->timer, CONN_FLUSH_MS);
    else if (state == CONN_LINGER)
        loop_timer_in_ms(loop_of(conn), &conn->timer, CONN_LINGER_MS);
    else if (state == CONN_RUN)
        loop_timer_cancel(loop_of(conn), &conn->timer);
}

/* ---- answering ---------------------------------------------------------------------------- */

/* Appends a response to `out`. */
static void put_response(struct conn *conn, const struct reply *reply)
{
    struct buf *out = &conn->out;
    bool bodiless = reply->status == 204 || reply->status == 304;
    char date[HTTP_DATE_TEXT];
    http_date(date, loop_wall_ns());
    http1_write_status(out, reply->status, (struct bytes){NULL, 0});
    http1_write_header(out, BYTES("Date"), bytes_str(date));
    if (reply->content_type && !bodiless)
        http1_write_header(out, BYTES("Content-Type"), bytes_str(reply->content_type));
    if (!bodiless) http1_write_length(out, reply->body.len);
    for (size_t i = 0; reply->headers && i < reply->headers->count; i++)
        http1_write_header(out, bytes_str(reply->headers->fields[i].name),
                           bytes_str(reply->headers->fields[i].value));
    if (!conn->keep_alive)
        buf_append(out, BYTES("Connection: close\r\n"));
    else if (conn->http10)
        buf_append(out, BYTES("Connection: keep-alive\r\n"));
    buf_append(out, BYTES("\r\n"));
    if (!bodiless && !conn->head_only) buf_append(out, reply->body);
}

/* A response of our own to a request that no handler gets to see; closes behind it. */
static bool refuse(struct conn *conn, int status, const char *text)
{
    struct buf body;
    buf_init(&body, 4096);
    http_problem(&body, status, text);
    conn->keep_alive = false;
    struct reply reply = {status, "application/problem+json", buf_bytes(&body), NULL, text};
    put_response(conn, &reply);
    buf_release(&body);
    ctx_free(conn->ctx);
    conn->ctx = NULL;
    enter(conn, CONN_FLUSH);
    return true;
}

/* Writes what it can. False when the peer is gone. */
static bool flush(struct conn *conn)
{
    while (buf_len(&conn->out)) {
        struct bytes rest = buf_bytes(&conn->out);
        ssize_t sent = send(conn->watch.fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return errno == EAGAIN;
        buf_consume(&conn->out, (size_t)sent);
    }
    return true;
}

/* From the fiber of the handler: must not free the connection, so what comes next is posted unless
 * there is nothing to do but to wait for the client. */
static void answered(struct ctx_caller *caller, const struct reply *reply)
{
    struct conn *conn = CONTAINER_OF(caller, struct conn, caller);
    conn->running = NULL;
    if (conn->tenant->state != TENANT_UP) conn->keep_alive = false;
    put_response(conn, reply);
    enter(conn, CONN_FLUSH);
    bool sent = !conn->out.failed && flush(conn) && !buf_len(&conn->out);
    if (sent && conn->keep_alive && !buf_len(&conn->in))
        enter(conn, CONN_HEAD);
    else
        loop_post(loop_of(conn), &conn->next);
}

/* ---- the steps: true when there may be more to do ----------------------------------------- */

static bool limit_body(struct conn *conn)
{
    if (conn->head->has_length && conn->head->length > conn->tenant->host->limits.body)
        return !refuse(conn, 413, "the body is larger than its limit");
    return true;
}

/* Makes the ctx from the head that has been parsed. */
static bool begin_request(struct conn *conn)
{
    const struct http1_head *head = conn->head;
    struct dure_ctx *ctx = conn->ctx = ctx_new(conn->tenant, CTX_HTTP, NULL);
    if (!ctx) return refuse(conn, 503, "out of memory");
    conn->keep_alive = head->keep_alive && conn->tenant->state == TENANT_UP;
    conn->http10 = head->minor == 0;
    conn->head_only = head->method == HTTP1_HEAD;
    conn->body = http1_body_kind(head, head->method);
    conn->body_left = head->length;
    http1_chunked_init(&conn->chunked);
    if (!limit_body(conn)) return true;
    for (size_t i = 0; i < head->count; i++)
        headers_add(&ctx->headers, &ctx->arena, head->headers[i].name, head->headers[i].value);
    ctx->method = arena_copy(&ctx->arena, head->method_name);
    ctx->query = head->query.data ? arena_copy(&ctx->arena, head->query) : NULL;
    ctx_set_deadline(ctx, headers_find(&ctx->headers, "Dure-Deadline-Ms"));
    ctx_take_trace(ctx);
    if (ctx->arena.failed) return refuse(conn, 503, "out of memory");
    serve_route(ctx, head->path);
    if (head->expect_continue && conn->body != HTTP1_BODY_NONE)
        buf_append(&conn->out, BYTES("HTTP/1.1 100 Continue\r\n\r\n"));
    enter(conn, CONN_BODY);
    return true;
}

static bool take_head(struct conn *conn)
{
    if (!buf_len(&conn->in)) return false;
    if (!conn->head) {
        conn->head = malloc(sizeof *conn->head);
        if (!conn->head) return refuse(conn, 503, "out of memory");
        http1_parser_init(&conn->parser, conn->head, false);
        enter(conn, CONN_HEAD); /* the request's time begins with its first byte */
    }
    int len = http1_parse(&conn->parser, buf_bytes(&conn->in));
    if (len == 0) return false;
    conn->head_only = false;
    if (len < 0)
        refuse(conn, http1_error_status(conn->parser.error), http1_error_text(conn->parser.error));
    else if (begin_request(conn) && conn->state == CONN_BODY)
        buf_consume(&conn->in, (size_t)len);
    free(conn->head);
    conn->head = NULL;
    return true;
}

static bool run_request(struct conn *conn)
{
    char *end = buf_reserve(&conn->ctx->body, 1);
    if (!end) return refuse(conn, 503, "out of memory");
    *end = '\0';
    conn->running = conn->ctx;
    conn->ctx = NULL;
    conn->running->caller = &conn->caller;
    enter(conn, CONN_RUN);
    ctx_start(conn->running);
    return true;
}

static bool take_chunks(struct conn *conn)
{
    struct bytes input = buf_bytes(&conn->in), piece;
    size_t before = input.len;
    struct buf *body = &conn->ctx->body;
    enum http1_chunk got;
    while ((got = http1_chunked_next(&conn->chunked, &input, &piece)) == HTTP1_CHUNK_DATA) {
        if (buf_len(body) + piece.len > conn->tenant->host->limits.body)
            return refuse(conn, 413, "the body is larger than its limit");
        buf_append(body, piece);
    }
    if (got == HTTP1_CHUNK_ERROR)
        return refuse(conn, http1_error_status(conn->chunked.error),
                      http1_error_text(conn->chunked.error));
    buf_consume(&conn->in, before - input.len);
    if (got == HTTP1_CHUNK_END) return run_request(conn);
    return false;
}

static bool take_body(struct conn *conn)
{
    if (conn->body == HTTP1_BODY_CHUNKED) return take_chunks(conn);
    if (conn->body == HTTP1_BODY_NONE) return run_request(conn);
    struct bytes piece = buf_bytes(&conn->in);
    if (piece.len > conn->body_left) piece.len = (size_t)conn->body_left;
    buf_append(&conn->ctx->body, piece);
    buf_consume(&conn->in, piece.len);
    conn->body_left -= piece.len;
    return conn->body_left ? false : run_request(conn);
}

static bool finish_response(struct conn *conn)
{
    if (buf_len(&conn->out)) return false;
    if (conn->peer_closed) {
        conn->state = CONN_CLOSED;
        return false;
    }
    if (!conn->keep_alive) {
        shutdown(conn->watch.fd, SHUT_WR);
        enter(conn, CONN_LINGER);
        host_progress(conn->tenant->host);
        return true;
    }
    if (conn->out.size > CONN_READ) buf_release(&conn->out);
    enter(conn, CONN_HEAD);
    return true;
}

/* Goes on for as long as it can, then frees the connection or waits. */
static void conn_advance(struct conn *conn)
{
    bool more = true;
    while (more) {
        if (!flush(conn) || conn->out.failed) conn->state = CONN_CLOSED;
        switch (conn->state) {
        case CONN_HEAD: more = take_head(conn); break;
        case CONN_BODY: more = take_body(conn); break;
        case CONN_FLUSH: more = finish_response(conn); break;
        case CONN_LINGER: buf_clear(&conn->in); /* fallthrough */
        case CONN_RUN:
        case CONN_CLOSED: more = false; break;
        }
    }
    if (conn->peer_closed && conn->state != CONN_FLUSH) conn->state = CONN_CLOSED;
    if (conn->state == CONN_CLOSED)
        conn_free(conn);
    else
        watch(conn);
}

/* ---- events ------------------------------------------------------------------------------- */

/* Reads what is there, as far as there is room. */
static void receive(struct conn *conn)
{
    while (CONN_IN_MAX - buf_len(&conn->in) >= CONN_READ) {
        char *room = buf_reserve(&conn->in, CONN_READ);
        ssize_t got = room ? recv(conn->watch.fd, room, CONN_READ, 0) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            conn->peer_closed = true;
            return;
        }
        buf_commit(&conn->in, (size_t)got);
        if (got < CONN_READ) return;
    }
}

static void conn_ready(struct loop_watch *watched, uint32_t events)
{
    struct conn *conn = CONTAINER_OF(watched, struct conn, watch);
    if (events & EPOLLIN) receive(conn);
    if (events & EPOLLRDHUP) conn->peer_closed = true;
    if (events & (EPOLLERR | EPOLLHUP)) conn->state = CONN_CLOSED;
    conn_advance(conn);
}

static void conn_next(struct loop_task *task)
{
    conn_advance(CONTAINER_OF(task, struct conn, next));
}

static void conn_timeout(struct loop_timer *timer)
{
    struct conn *conn = CONTAINER_OF(timer, struct conn, timer);
    bool partial = conn->state == CONN_BODY || (conn->state == CONN_HEAD && buf_len(&conn->in));
    if (partial)
        refuse(conn, 408, "the request did not arrive in time");
    else
        conn->state = CONN_CLOSED;
    conn_advance(conn);
}

static void conn_new(struct tenant *tenant, int fd)
{
    struct host *host = tenant->host;
    struct conn *conn =
        host->connection_count < host->limits.connections ? calloc(1, sizeof *conn) : NULL;
    if (!conn) {
        close(fd);
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->tenant = tenant;
    conn->watch.ready = conn_ready;
    conn->timer.fire = conn_timeout;
    conn->caller.answer = answered;
    loop_task_init(&conn->next, conn_next);
    buf_init(&conn->in, CONN_IN_MAX);
    buf_init(&conn->out, host->limits.answer + HTTP1_HEAD_MAX * 2);
    list_init(&conn->link);
    list_push(&tenant->conns, &conn->link);
    host->connection_count++;
    if (loop_watch(&host->loop, &conn->watch, fd, EPOLLIN | EPOLLRDHUP) == 0) {
        enter(conn, CONN_HEAD);
        return;
    }
    close(fd);
    conn_free(conn);
}

static void accept_again(struct loop_timer *timer)
{
    struct tenant *tenant = CONTAINER_OF(timer, struct tenant, accept_again);
    loop_watch_change(&tenant->host->loop, &tenant->listener, EPOLLIN);
}

static void listener_ready(struct loop_watch *watched, uint32_t events)
{
    enum { ACCEPT_BATCH = 64, ACCEPT_PAUSE_MS = 100 };
    struct tenant *tenant = CONTAINER_OF(watched, struct tenant, listener);
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(watched->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            conn_new(tenant, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            loop_watch_change(&tenant->host->loop, watched, 0);
            loop_timer_in_ms(&tenant->host->loop, &tenant->accept_again, ACCEPT_PAUSE_MS);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
    }
}

/* ---- the listener ------------------------------------------------------------------------- */

int serve_bind(struct tenant *tenant, const char *address, int port)
{
    struct sockaddr_storage at;
    socklen_t len = http_address(address, port, &at);
    if (!len) return ERR_INVALID;
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) return err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    int err = 0;
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        err = err_from_errno(errno);
    tenant->listener.ready = listener_ready;
    tenant->accept_again.fire = accept_again;
    if (!err) err = loop_watch(&tenant->host->loop, &tenant->listener, fd, 0);
    if (err) {
        close(fd);
        return err;
    }
    tenant->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                                  : ((struct sockaddr_in *)&at)->sin_port);
    return 0;
}

int serve_open(struct tenant *tenant)
{
    loop_watch_change(&tenant->host->loop, &tenant->listener, EPOLLIN);
    return 0;
}

void serve_close(struct tenant *tenant)
{
    int fd = tenant->listener.fd;
    loop_timer_cancel(&tenant->host->loop, &tenant->accept_again);
    if (fd >= 0) {
        loop_unwatch(&tenant->host->loop, &tenant->listener);
        close(fd);
    }
    LIST_EACH(&tenant->conns, struct conn, link, conn) {
        conn->keep_alive = false;
        if (conn->state == CONN_HEAD && !buf_len(&conn->in)) conn_free(conn);
    }
}

bool serve_quiet(const struct tenant *tenant)
{
    LIST_EACH(&tenant->conns, struct conn, link, conn)
        if (conn->state == CONN_BODY || conn->state == CONN_RUN || conn->state == CONN_FLUSH)
            return false;
    return true;
}

void serve_abort(struct tenant *tenant)
{
    LIST_EACH(&tenant->conns, struct conn, link, conn) conn_free(conn);
}
