#include "http/conn.h"

#include <assert.h>

enum {
    HELD_MAX = 16 * 1024 * 1024, /* far above a head and two scratch buffers */
};

static void recv_done(struct io_stream *stream, int result);

/* ---- lifetime ------------------------------------------------------------------------------ */

static void tick(struct io_task *task)
{
    struct http_conn *conn = CONTAINER_OF(task, struct http_conn, tick);
    if (conn->aborted)
        conn_end(conn, conn->aborted);
    else
        conn_run_held(conn);
}

void conn_init(struct http_conn *conn, struct http *http, const struct conn_side *side,
               const struct conn_limits *limits, enum conn_phase phase)
{
    conn->http = http;
    conn->side = side;
    conn->limits = limits;
    conn->phase = (uint8_t)phase;
    conn->waits = CONN_WHOLE;
    buf_init(&conn->held, HELD_MAX);
    io_task_init(&conn->tick, tick);
    io_task_init(&conn->flush, conn_flush);
    io_timer_init(&conn->timer, conn_timer_done);
}

struct http_exchange *conn_begin(struct http_conn *conn)
{
    assert(!conn->x && !conn->ending);
    struct http_exchange *x = http_exchange_new(conn->http);
    if (!x) return NULL;
    x->conn = conn;
    x->body_max = UINT64_MAX;
    http1_parser_init(&x->parser, &x->in, !conn->side->is_server);
    conn->x = x;
    conn->phase = CONN_HEAD;
    return x;
}

static void tell_closed(struct http_exchange *x, int result)
{
    void (*closed)(struct http_exchange * x, int result) = x->closed;
    x->closed = NULL;
    x->read_done = NULL;
    x->write_done = NULL;
    if (closed) closed(x, result);
}

void conn_complete(struct http_conn *conn, int result)
{
    struct http_exchange *x = conn->x;
    io_task_cancel(conn->http->io, &conn->flush);
    conn->x = NULL;
    conn->phase = CONN_IDLE;
    if (conn->sending) {
        assert(!conn->past);
        conn->past = x;
    }
    tell_closed(x, result);
    if (conn->past != x) http_exchange_free(x);
}

static void stream_closed(struct io_stream *stream)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);
    http_exchange_free(conn->x);
    http_exchange_free(conn->past);
    conn->x = conn->past = NULL;
    buf_release(&conn->held);
    conn->side->ended(conn);
}

void conn_end(struct http_conn *conn, int result)
{
    if (conn->ending) return;
    conn->ending = true;
    io_timer_cancel(conn->http->io, &conn->timer);
    io_task_cancel(conn->http->io, &conn->tick);
    io_task_cancel(conn->http->io, &conn->flush);
    conn->side->failing(conn, result);
    if (conn->x) tell_closed(conn->x, result);
    io_close(&conn->stream, stream_closed);
}

void conn_abort(struct http_conn *conn, int result)
{
    if (conn->ending || conn->aborted) return;
    conn->aborted = result;
    io_post(conn->http->io, &conn->tick);
}

void conn_linger(struct http_conn *conn)
{
    assert(!conn->x && !conn->sending);
    if (!conn->running) buf_release(&conn->held); /* else run() looks at it still */
    if (conn->eof) {
        conn_end(conn, 0);
        return;
    }
    io_shutdown(&conn->stream);
    conn->phase = CONN_LINGER;
    conn_settle(conn);
}

/* ---- the head ------------------------------------------------------------------------------ */

/* The head moves from where it was received to the exchange, and the views with it. */
static bool keep_head(struct http_exchange *x, struct bytes head)
{
    buf_clear(&x->text);
    buf_append(&x->text, head);
    if (x->text.failed) return false;
    http1_head_move(&x->in, head.data, x->text.data);
    return true;
}

static bool is_interim(const struct http_exchange *x)
{
    return x->in.is_response && x->in.status < 200;
}

static void head_arrived(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    x->in_kind = http1_body_kind(&x->in, x->request_method);
    x->in_left = x->in.length;
    http1_chunked_init(&x->chunked);
    x->received_all = x->in_kind == HTTP1_BODY_NONE;
    conn->phase = x->received_all ? CONN_WHOLE : CONN_BODY;
    conn->side->head(conn);
}

/* Takes a head off the input; false when it is not whole, or refused. */
static bool take_head(struct http_conn *conn, struct bytes *input)
{
    struct http_exchange *x = conn->x;
    x->received_any = true;
    int len = http1_parse(&x->parser, *input);
    if (len == 0) return false;
    if (len < 0) {
        *input = bytes_skip(*input, input->len);
        conn->side->bad_head(conn);
        return false;
    }
    if (!keep_head(x, bytes_head(*input, (size_t)len))) {
        conn_end(conn, ERR_NOMEM);
        return false;
    }
    *input = bytes_skip(*input, (size_t)len);
    if (is_interim(x)) {
        if (x->in.status == 101) { /* nobody asked for it */
            conn_end(conn, ERR_PROTOCOL);
            return false;
        }
        http1_parser_init(&x->parser, &x->in, true);
        return true;
    }
    head_arrived(conn);
    return true;
}

/* ---- the body ------------------------------------------------------------------------------ */

/* Looks behind a piece: whether the body ends there. What only frames is taken along; a further
 * piece stays for the next call, and so does a fault. */
static bool ends_behind(struct http1_chunked *chunked, struct bytes *input)
{
    struct http1_chunked ahead = *chunked;
    struct bytes rest = *input, piece;
    enum http1_chunk next = http1_chunked_next(&ahead, &rest, &piece);
    if (next == HTTP1_CHUNK_DATA || next == HTTP1_CHUNK_ERROR) return false;
    *chunked = ahead;
    *input = rest;
    return next == HTTP1_CHUNK_END;
}

static int next_chunk(struct http_exchange *x, struct bytes *input, struct bytes *ret_piece)
{
    *ret_piece = BYTES("");
    switch (http1_chunked_next(&x->chunked, input, ret_piece)) {
    case HTTP1_CHUNK_DATA: return ends_behind(&x->chunked, input) ? HTTP_LAST : HTTP_MORE;
    case HTTP1_CHUNK_END: return HTTP_LAST;
    case HTTP1_CHUNK_MORE: return HTTP_MORE;
    case HTTP1_CHUNK_ERROR: break;
    }
    return ERR_PROTOCOL;
}

/* The next piece of the body in the input: HTTP_MORE (empty: the input is used up), HTTP_LAST, or
 * an error. */
static int next_piece(struct http_exchange *x, struct bytes *input, struct bytes *ret_piece)
{
    int result = HTTP_MORE;
    if (x->in_kind == HTTP1_BODY_CHUNKED) {
        result = next_chunk(x, input, ret_piece);
    } else if (x->in_kind == HTTP1_BODY_LENGTH) {
        *ret_piece = bytes_head(*input, x->in_left < input->len ? (size_t)x->in_left : input->len);
        *input = bytes_skip(*input, ret_piece->len);
        x->in_left -= ret_piece->len;
        if (x->in_left == 0) result = HTTP_LAST;
    } else {
        *ret_piece = *input;
        *input = bytes_skip(*input, input->len);
    }
    x->received += ret_piece->len;
    return result >= 0 && x->received > x->body_max ? ERR_TOO_BIG : result;
}

static void give(struct http_exchange *x, int result, struct bytes piece)
{
    http_read_done *done = x->read_done;
    x->read_done = NULL;
    x->last_given = result != HTTP_MORE;
    if (done) done(x, result, piece);
}

void conn_give_error(struct http_conn *conn, int error)
{
    struct http_exchange *x = conn->x;
    x->close = true;
    give(x, error, BYTES(""));
}

/* Takes a piece off the input and hands it out; false when nobody wants one or there is none. */
static bool take_piece(struct http_conn *conn, struct bytes *input)
{
    struct http_exchange *x = conn->x;
    if (!(x->read_done || x->draining) || input->len == 0) return false;
    struct bytes piece;
    int result = next_piece(x, input, &piece);
    if (result < 0) {
        *input = bytes_skip(*input, input->len);
        conn->side->bad_body(conn, result);
        return false;
    }
    if (result == HTTP_LAST) {
        x->received_all = true;
        conn->phase = CONN_WHOLE;
    } else if (piece.len == 0) {
        return false;
    }
    if (!x->draining) give(x, result, piece);
    return true;
}

/* The message is whole. An end that was asked for and not given yet is given; then it is for the
 * side to say what is next. False: nothing more to do with the input. */
static bool take_end(struct http_conn *conn, struct bytes input)
{
    struct http_exchange *x = conn->x;
    if (x->read_done) {
        give(x, HTTP_LAST, BYTES(""));
        return true;
    }
    conn->side->received(conn, input.len > 0);
    return conn->x != x;
}

/* ---- the run ------------------------------------------------------------------------------- */

/* Works through the input as far as it goes; returns what is left of it. */
static struct bytes work(struct http_conn *conn, struct bytes input)
{
    bool more = true;
    while (more && !conn->ending && !conn->aborted) {
        switch ((enum conn_phase)conn->phase) {
        case CONN_CONNECTING: more = false; break;
        case CONN_IDLE: more = input.len && conn->side->begins(conn); break;
        case CONN_HEAD: more = input.len && take_head(conn, &input); break;
        case CONN_BODY: more = take_piece(conn, &input); break;
        case CONN_WHOLE: more = take_end(conn, input); break;
        case CONN_LINGER:
            input = bytes_skip(input, input.len);
            more = false;
            break;
        }
    }
    return input;
}

static void run(struct http_conn *conn, struct bytes input, bool is_held)
{
    assert(!conn->running);
    conn->running = true;
    struct bytes rest = work(conn, input);
    conn->running = false;
    if (conn->ending) return;
    if (conn->phase == CONN_LINGER) {
        buf_release(&conn->held);
    } else if (is_held) {
        buf_consume(&conn->held, input.len - rest.len);
        if (buf_len(&conn->held) == 0) buf_release(&conn->held);
    } else if (rest.len) {
        buf_append(&conn->held, rest);
        conn->http->metrics.bytes_copied += rest.len;
        if (conn->held.failed) conn->aborted = ERR_NOMEM;
    }
    conn_settle(conn);
}

void conn_run_held(struct http_conn *conn)
{
    struct bytes held = buf_len(&conn->held) ? buf_bytes(&conn->held) : BYTES("");
    run(conn, held, held.len > 0);
}

/* The peer has ended its direction (0) or the connection broke. */
static void receiving_ended(struct http_conn *conn, int result)
{
    struct http_exchange *x = conn->x;
    conn->eof = true;
    if (result < 0) {
        conn_end(conn, result);
    } else if (conn->phase == CONN_LINGER) {
        conn_end(conn, 0);
    } else if (conn->phase == CONN_BODY && x->in_kind == HTTP1_BODY_UNTIL_CLOSE) {
        x->received_all = true;
        conn->phase = CONN_WHOLE;
        conn_run_held(conn);
    } else {
        conn_settle(conn); /* what is held may still be of use */
    }
}

static void recv_done(struct io_stream *stream, int result)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);
    conn->receiving = false;
    if (conn->ending) return;
    if (result <= 0) {
        receiving_ended(conn, result);
        return;
    }
    conn->http->metrics.bytes_in += (uint64_t)result;
    struct bytes input = bytes_make(io_recv_data(stream), (size_t)result);
    if (buf_len(&conn->held) == 0) {
        run(conn, input, false);
        return;
    }
    buf_append(&conn->held, input);
    if (conn->held.failed)
        conn_end(conn, ERR_NOMEM);
    else
        conn_run_held(conn);
}

/* Whether bytes that come now would be used, or at least must be noticed. */
static bool wants_bytes(const struct http_conn *conn)
{
    switch ((enum conn_phase)conn->phase) {
    case CONN_CONNECTING: return false;
    case CONN_BODY: return conn->x->read_done || conn->x->draining;
    case CONN_WHOLE: /* is the peer still there? */
        return buf_len(&conn->held) == 0 && (!conn->eof || conn->eof_ends);
    default: return true;
    }
}

void conn_settle(struct http_conn *conn)
{
    if (conn->ending || conn->running) return;
    if (conn->aborted) {
        conn_end(conn, conn->aborted);
        return;
    }
    bool wants = wants_bytes(conn);
    if (wants && conn->side->is_server && conn->phase == CONN_BODY) conn_send_continue(conn);
    if (wants && conn->eof) {
        conn->side->peer_closed(conn);
        return;
    }
    if (wants && !conn->receiving) {
        conn->receiving = true;
        io_recv(&conn->stream, NULL, 0, recv_done);
    }
    conn_wait(conn, wants);
}

/* ---- what the owner asks ------------------------------------------------------------------- */

void http_read(struct http_exchange *x, http_read_done *done)
{
    struct http_conn *conn = x->conn;
    assert(done && !x->read_done && !x->last_given);
    if (conn->ending || conn->aborted) return;
    x->read_done = done;
    if (conn->running) return;
    if (x->received_all || buf_len(&conn->held) || conn->eof)
        io_post(conn->http->io, &conn->tick);
    else
        conn_settle(conn);
}

uint64_t http_body_length(const struct http_exchange *x)
{
    if (x->in.has_length) return x->in.length;
    if (x->in_kind != HTTP1_BODY_NONE) return HTTP_LENGTH_UNKNOWN;
    bool announces = x->in.is_response && (x->request_method == HTTP1_HEAD || x->in.status == 304);
    return announces ? HTTP_LENGTH_UNKNOWN : 0;
}

void http_abort(struct http_exchange *x)
{
    conn_abort(x->conn, ERR_CANCELLED);
}
