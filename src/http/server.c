#include "http/server.h"

#include <assert.h>
#include <stdlib.h>

#include "http/conn.h"

enum { CONNECTIONS_MAX = 10000 };

struct http_server {
    struct http *http;
    struct http_server_options options;
    struct conn_limits limits;
    struct io_listener listener;
    struct list conns; /* struct server_conn */
    size_t count;
    bool paused, closing;
    struct io_timer grace;
    struct io_task gone; /* the last step of closing */
    void (*closed)(void *context);
};

struct server_conn {
    struct http_conn conn;
    struct http_server *server;
    struct list link;

    bool peer_known; /* the client's address, asked for once; of a Unix socket it is not kept */
    uint8_t peer_family, peer_ip[16];
    uint16_t peer_port;
};

/* It is all that an idle connection costs here. */
static_assert(sizeof(struct server_conn) < 1024, "connections are many");

static struct server_conn *server_conn_of(struct http_conn *conn)
{
    return CONTAINER_OF(conn, struct server_conn, conn);
}

static struct http_server *server_of(struct http_conn *conn)
{
    return server_conn_of(conn)->server;
}

/* ---- the side ------------------------------------------------------------------------------ */

/* Answers in the server's own name; nobody else has seen the exchange. */
static void answer(struct http_conn *conn, int status, const char *detail)
{
    conn->x->close = true;
    http_problem(conn->x, status, NULL, bytes_str(detail), BYTES(""));
}

static void server_head(struct http_conn *conn)
{
    struct http_server *server = server_of(conn);
    struct http_exchange *x = conn->x;
    x->request_method = x->in.method;
    x->body_max = server->options.body_max;
    conn->http->metrics.server_requests++;
    if (x->in.method == HTTP1_CONNECT) {
        answer(conn, 501, "CONNECT is not supported here");
    } else if (x->in.has_length && x->in.length > x->body_max) {
        conn->http->metrics.server_too_large++;
        answer(conn, 413, "the request's body is larger than this server takes");
    } else {
        server->options.request(x);
    }
}

static void server_bad_head(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    conn->http->metrics.server_refused++;
    LOG(conn->http->log, LOG_INFO, "http_request_refused",
        LOG_S("reason", http1_error_name(x->parser.error)), LOG_U("offset", x->parser.error_at));
    conn->phase = CONN_WHOLE; /* as far as it will be read */
    x->in.minor = 1;
    http_refuse(x, ERR_PROTOCOL, BYTES(""));
}

static bool server_begins(struct http_conn *conn)
{
    if (conn_begin(conn)) return true;
    conn_end(conn, ERR_NOMEM);
    return false;
}

/* The next request may begin: what is held already, or what comes. */
static void server_next(struct http_conn *conn)
{
    conn_complete(conn, 0);
    if (server_of(conn)->closing && buf_len(&conn->held) == 0) conn_linger(conn);
}

static void server_received(struct http_conn *conn, bool rest)
{
    (void)rest; /* a pipelined request waits its turn */
    if (conn->x->draining) server_next(conn);
}

static bool is_unsure(const struct http_exchange *x)
{
    /* Without our 100 the client may send the body, or never. */
    return !x->received_all && x->in.expect_continue && !x->continued;
}

static void server_sending_head(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    if (server_of(conn)->closing || !x->in.keep_alive || is_unsure(x)) x->close = true;
}

/* The answer is out; what is left of the request is read and dropped, if it is not too much. */
static void server_drain(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    void (*closed)(struct http_exchange * x, int result) = x->closed;
    x->closed = NULL;
    x->read_done = NULL;
    x->draining = true;
    x->body_max = x->received + HTTP_DRAIN_MAX;
    if (closed) closed(x, 0);
    conn_run_held(conn);
}

static void server_sent(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    /* A client that asked for the end sends nothing more, so there is nothing to wait for. */
    bool end = !x->in.keep_alive && x->received_all && buf_len(&conn->held) == 0;
    if (!x->received_all && !x->close && http_drainable(x)) {
        server_drain(conn);
    } else if (x->close || !x->received_all) {
        conn_complete(conn, 0);
        if (end)
            conn_end(conn, 0);
        else
            conn_linger(conn);
    } else {
        server_next(conn);
        if (!conn->ending) conn_run_held(conn);
    }
}

static void server_bad_body(struct http_conn *conn, int error)
{
    if (error == ERR_TOO_BIG)
        conn->http->metrics.server_too_large++;
    else
        conn->http->metrics.server_refused++;
    if (conn->x->draining) {
        conn_complete(conn, 0);
        conn_linger(conn);
        return;
    }
    conn->phase = CONN_WHOLE;
    conn_give_error(conn, error);
}

static void server_peer_closed(struct http_conn *conn)
{
    conn_end(conn, conn->phase == CONN_LINGER ? 0 : ERR_EOF);
}

/* A client that sends nothing more of what it began is told, if there is still something to tell.
 */
static void server_timed_out(struct http_conn *conn)
{
    enum conn_phase phase = conn->phase;
    if ((phase != CONN_HEAD && phase != CONN_BODY) || conn->x->draining) {
        conn_end(conn, phase == CONN_LINGER ? 0 : ERR_TIMEOUT);
        return;
    }
    conn->http->metrics.server_timeouts++;
    conn->phase = CONN_WHOLE;
    if (phase == CONN_BODY) {
        conn_give_error(conn, ERR_TIMEOUT);
    } else {
        conn->x->in.minor = 1;
        http_refuse(conn->x, ERR_TIMEOUT, BYTES(""));
    }
    conn_settle(conn);
}

static void server_failing(struct http_conn *conn, int error)
{
    if (!conn->x || conn->x->draining || conn->phase == CONN_HEAD) return;
    conn->http->metrics.server_broken++;
    if (error == ERR_TIMEOUT) conn->http->metrics.server_timeouts++;
}

static void server_finish(struct http_server *server)
{
    if (server->closing && server->count == 0) io_post(server->http->io, &server->gone);
}

static void server_ended(struct http_conn *conn)
{
    struct server_conn *it = server_conn_of(conn);
    struct http_server *server = it->server;
    list_remove(&it->link);
    free(it);
    server->count--;
    server->http->metrics.server_connections--;
    if (server->paused && !server->closing) {
        server->paused = false;
        io_listener_pause(&server->listener, false);
    }
    server_finish(server);
}

static const struct conn_side server_side = {
    .is_server = true,
    .head = server_head,
    .bad_head = server_bad_head,
    .begins = server_begins,
    .bad_body = server_bad_body,
    .received = server_received,
    .sending_head = server_sending_head,
    .sent = server_sent,
    .send_failed = conn_end,
    .peer_closed = server_peer_closed,
    .timed_out = server_timed_out,
    .failing = server_failing,
    .ended = server_ended,
};

/* ---- the listener -------------------------------------------------------------------------- */

static void accepted(struct io_listener *listener)
{
    struct http_server *server = CONTAINER_OF(listener, struct http_server, listener);
    struct server_conn *it = calloc(1, sizeof *it);
    if (!it) return; /* not taken: closed */
    it->server = server;
    conn_init(&it->conn, server->http, &server_side, &server->limits, CONN_IDLE);
    it->conn.eof_ends = server->options.eof_ends;
    list_init(&it->link);
    list_push(&server->conns, &it->link);
    io_accept(listener, &it->conn.stream);
    server->http->metrics.server_accepted++;
    server->http->metrics.server_connections++;
    if (++server->count >= server->options.connections_max) {
        server->paused = true;
        server->http->metrics.server_full++;
        io_listener_pause(listener, true);
    }
    conn_settle(&it->conn);
}

static void gone(struct io_task *task)
{
    struct http_server *server = CONTAINER_OF(task, struct http_server, gone);
    io_timer_cancel(server->http->io, &server->grace);
    void (*closed)(void *context) = server->closed;
    void *context = server->options.context;
    free(server);
    if (closed) closed(context);
}

static void grace_done(struct io_timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, grace);
    LIST_EACH(&server->conns, struct server_conn, link, it) conn_end(&it->conn, ERR_CANCELLED);
}

static struct http_server *server_new(struct http *http, const struct http_server_options *options)
{
    assert(options->request);
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) return NULL;
    server->http = http;
    server->options = *options;
    if (!options->body_max) server->options.body_max = UINT64_C(1) << 30;
    if (!options->connections_max) server->options.connections_max = CONNECTIONS_MAX;
    server->limits = (struct conn_limits){
        .head_ms = limit_or_default(options->head_timeout_ms, 10 * 1000),
        .body_ms = limit_or_default(options->body_timeout_ms, 30 * 1000),
        .write_ms = limit_or_default(options->write_timeout_ms, 30 * 1000),
        .idle_ms = limit_or_default(options->idle_timeout_ms, 5 * 60 * 1000),
        .linger_ms = limit_or_default(options->linger_ms, 2 * 1000),
    };
    list_init(&server->conns);
    io_timer_init(&server->grace, grace_done);
    io_task_init(&server->gone, gone);
    return server;
}

int http_server_open(struct http *http, const struct io_addr *addr,
                     const struct http_server_options *options, struct http_server **ret_server)
{
    struct http_server *server = server_new(http, options);
    if (!server) return ERR_NOMEM;
    int err = io_listen(http->io, &server->listener, addr, NULL, accepted);
    if (err) {
        free(server);
        return err;
    }
    *ret_server = server;
    return 0;
}

int http_server_adopt(struct http *http, int fd, const struct http_server_options *options,
                      struct http_server **ret_server)
{
    struct http_server *server = server_new(http, options);
    if (!server) return ERR_NOMEM;
    int err = io_listener_adopt(http->io, &server->listener, fd, accepted);
    if (err) {
        free(server);
        return err;
    }
    *ret_server = server;
    return 0;
}

void http_server_close(struct http_server *server, uint32_t grace_ms, void (*closed)(void *context))
{
    server->closed = closed;
    io_timer_set(server->http->io, &server->grace, grace_ms);
    if (server->closing) return;
    server->closing = true;
    io_listener_close(&server->listener);
    LIST_EACH(&server->conns, struct server_conn, link, it)
        if (it->conn.phase == CONN_IDLE && !it->conn.running && !it->conn.ending &&
            !it->conn.sending && buf_len(&it->conn.held) == 0)
            conn_linger(&it->conn);
    server_finish(server);
}

/* ---- questions ----------------------------------------------------------------------------- */

const struct io_addr *http_server_addr(const struct http_server *server)
{
    return &server->listener.addr;
}

const struct io_listener *http_server_listener(const struct http_server *server)
{
    return &server->listener;
}

void *http_server_context(const struct http_server *server)
{
    return server->options.context;
}

size_t http_server_connections(const struct http_server *server)
{
    return server->count;
}

struct http_server *http_exchange_server(const struct http_exchange *x)
{
    return server_of(x->conn);
}

int http_exchange_peer(const struct http_exchange *x, struct io_addr *ret_addr)
{
    struct server_conn *it = server_conn_of(x->conn);
    if (!it->peer_known) {
        int err = io_stream_peer(&x->conn->stream, ret_addr);
        if (err || ret_addr->family == IO_UNIX) return err;
        it->peer_known = true;
        it->peer_family = (uint8_t)ret_addr->family;
        it->peer_port = ret_addr->port;
        memcpy(it->peer_ip, ret_addr->ip, sizeof it->peer_ip);
        return 0;
    }
    *ret_addr = (struct io_addr){.family = it->peer_family, .port = it->peer_port};
    memcpy(ret_addr->ip, it->peer_ip, sizeof it->peer_ip);
    return 0;
}
