/* out: what a connection sends. Head, framing and a piece go out in one call, from where they lie.
 * If the kernel does not take all of it at once, the piece, which may not stay, is copied and the
 * send goes on from the copy. */
#include <assert.h>

#include "http/conn.h"
#include "wire/http1_write.h"

enum { JOIN_MAX = 1024 };

static void send_done(struct io_stream *stream, int result);

static void submit(struct http_conn *conn, const struct iovec *iov, int count)
{
    assert(!conn->sending);
    conn->sending = true;
    io_send(&conn->stream, iov, count, send_done);
    if (!conn->limits->write_ms || io_send_taken(&conn->stream)) return;
    conn->write_deadline_ms = conn_now_ms(conn) + conn->limits->write_ms;
    conn_arm(conn);
}

static void add(struct http_exchange *x, struct bytes part)
{
    if (part.len == 0) return;
    x->iov[x->iov_count++] = (struct iovec){(char *)part.data, part.len};
}

/* What comes behind a piece of the body in chunked coding. */
static struct bytes chunk_tail(size_t len, bool last)
{
    if (len) return last ? BYTES(HTTP1_CHUNK_TAIL HTTP1_CHUNK_LAST) : BYTES(HTTP1_CHUNK_TAIL);
    return last ? BYTES(HTTP1_CHUNK_LAST) : BYTES("");
}

/* Everything to be sent, behind what is being sent. */
static void spill_all(struct http_conn *conn, struct http_exchange *x)
{
    buf_clear(&x->spill);
    for (int i = 0; i < x->iov_count; i++)
        buf_append(&x->spill, bytes_make(x->iov[i].iov_base, x->iov[i].iov_len));
    if (x->spill.failed) conn_abort(conn, ERR_NOMEM);
    x->spilled = true;
}

/* The piece (iov[at]) of the send under way moves from its owner's memory to ours. */
static void spill_piece(struct http_conn *conn, struct http_exchange *x, int at)
{
    buf_clear(&x->spill);
    buf_append(&x->spill, bytes_make(x->iov[at].iov_base, x->iov[at].iov_len));
    conn->http->metrics.bytes_copied += x->iov[at].iov_len;
    if (x->spill.failed) {
        /* The stream must not look at the piece again, so this cannot wait. */
        x->iov[at].iov_base = NULL;
        x->iov[at].iov_len = 0;
        conn_abort(conn, ERR_NOMEM);
        return;
    }
    x->iov[at].iov_base = x->spill.data + x->spill.start;
}

/* A small piece rides behind its head, in the head's buffer: one part for the kernel to look at,
 * and nothing that may have to be copied after all. */
static bool join(struct http_exchange *x, struct bytes piece, bool last)
{
    struct buf *text = &x->out.text;
    if (x->head_given || piece.len > JOIN_MAX ||
        buf_len(text) + piece.len + 2 * HTTP1_CHUNK_HEAD_MAX > text->max)
        return false;
    if (x->out_kind == HTTP1_BODY_CHUNKED) {
        if (piece.len)
            buf_append(text, bytes_make(x->chunk_head, http1_chunk_head(x->chunk_head, piece.len)));
        buf_append(text, piece);
        buf_append(text, chunk_tail(piece.len, last));
    } else {
        buf_append(text, piece);
    }
    if (text->failed) conn_abort(x->conn, ERR_NOMEM);
    return true;
}

static void push(struct http_exchange *x, struct bytes piece, bool last)
{
    struct http_conn *conn = x->conn;
    int piece_at = -1;
    io_task_cancel(conn->http->io, &conn->flush);
    if (conn->send_broken) return;
    x->iov_count = 0;
    x->last_due = last;
    bool joined = join(x, piece, last);
    if (!x->head_given) add(x, buf_bytes(&x->out.text));
    x->head_given = true;
    if (joined) piece = BYTES("");
    bool chunked = x->out_kind == HTTP1_BODY_CHUNKED && !joined;
    if (chunked && piece.len)
        add(x, bytes_make(x->chunk_head, http1_chunk_head(x->chunk_head, piece.len)));
    if (piece.len) piece_at = x->iov_count;
    add(x, piece);
    if (chunked) add(x, chunk_tail(piece.len, last));
    if (conn->sending) {
        spill_all(conn, x);
        return;
    }
    submit(conn, x->iov, x->iov_count);
    if (piece_at >= 0 && !io_send_taken(&conn->stream)) spill_piece(conn, x, piece_at);
}

/* ---- completions --------------------------------------------------------------------------- */

static void exchange_sent(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    if (x->spilled) {
        x->spilled = false;
        x->iov[0] = (struct iovec){x->spill.data + x->spill.start, buf_len(&x->spill)};
        x->iov_count = 1;
        submit(conn, x->iov, 1);
        return;
    }
    http_write_done *done = x->write_done;
    x->write_done = NULL;
    if (done) done(x);
    if (conn->ending || conn->aborted || conn->x != x || !x->last_due || conn->sending) return;
    x->last_due = false;
    conn->side->sent(conn);
}

static void send_done(struct io_stream *stream, int result)
{
    struct http_conn *conn = CONTAINER_OF(stream, struct http_conn, stream);
    conn->sending = false;
    conn->write_deadline_ms = 0;
    if (conn->ending) return;
    if (result < 0) {
        conn->side->send_failed(conn, result);
        return;
    }
    conn->http->metrics.bytes_out += (uint64_t)result;
    http_exchange_free(conn->past);
    conn->past = NULL;
    if (conn->x && !conn->aborted) exchange_sent(conn);
    conn_settle(conn);
}

void conn_flush(struct io_task *task)
{
    struct http_conn *conn = CONTAINER_OF(task, struct http_conn, flush);
    struct http_exchange *x = conn->x;
    if (x && x->head_sent && !x->head_given && !conn->aborted) push(x, BYTES(""), false);
}

void conn_send_continue(struct http_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const struct iovec iov = {(char *)text, sizeof text - 1};
    struct http_exchange *x = conn->x;
    if (!x->in.expect_continue || x->continued || x->head_sent || x->draining || x->received ||
        buf_len(&conn->held) || conn->sending)
        return;
    x->continued = true;
    submit(conn, &iov, 1);
}

/* ---- the head ------------------------------------------------------------------------------ */

static bool has_no_body(const struct http_exchange *x)
{
    int status = x->out.status;
    return status && (x->request_method == HTTP1_HEAD || status == 204 || status == 304);
}

/* Decides the framing and writes its header. */
static void frame(struct http_exchange *x, uint64_t length)
{
    struct buf *text = &x->out.text;
    bool is_response = x->out.status != 0;
    x->out_kind = HTTP1_BODY_NONE;
    if (has_no_body(x)) {
        if (length != HTTP_LENGTH_UNKNOWN && x->out.status != 204) http1_write_length(text, length);
    } else if (length != HTTP_LENGTH_UNKNOWN) {
        enum http1_method method = x->out.method;
        x->out_kind = length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
        /* RFC 9110 section 8.6: a request says 0 only where its method makes one expect a body. */
        if (length || is_response || method == HTTP1_POST || method == HTTP1_PUT ||
            method == HTTP1_PATCH || method == HTTP1_OTHER_METHOD)
            http1_write_length(text, length);
    } else if (is_response && x->in.minor == 0) {
        x->out_kind = HTTP1_BODY_UNTIL_CLOSE;
        x->close = true;
    } else {
        x->out_kind = HTTP1_BODY_CHUNKED;
        buf_append(text, BYTES("Transfer-Encoding: chunked\r\n"));
    }
    x->out_left = x->out_kind == HTTP1_BODY_LENGTH ? length : 0;
}

int http_send_head(struct http_exchange *x, uint64_t length)
{
    struct http_conn *conn = x->conn;
    struct buf *text = &x->out.text;
    assert(!x->head_sent);
    if (x->out.error) return x->out.error;
    size_t composed = buf_len(text);
    conn->side->sending_head(conn);
    frame(x, length);
    if (x->close)
        buf_append(text, BYTES("Connection: close\r\n"));
    else if (x->out.status && x->in.minor == 0)
        buf_append(text, BYTES("Connection: keep-alive\r\n"));
    buf_append(text, BYTES("\r\n"));
    /* The limit is far above what heads are; one that failed well below it failed for memory. */
    if (text->failed) return buf_len(text) < text->max / 2 ? ERR_NOMEM : ERR_TOO_BIG;
    if (composed == 0) return ERR_INVALID;
    x->head_sent = true;
    x->sent_last = x->out_kind == HTTP1_BODY_NONE;
    if (!x->out.status) x->request_method = x->out.method;
    if (conn->ending || conn->aborted) return 0;
    if (x->sent_last)
        push(x, BYTES(""), true);
    else
        io_defer(conn->http->io, &conn->flush);
    return 0;
}

void http_write(struct http_exchange *x, struct bytes piece, bool last, http_write_done *done)
{
    struct http_conn *conn = x->conn;
    assert(x->head_sent && !x->sent_last && !x->write_done && !x->spilled && (done || last));
    if (x->out_kind == HTTP1_BODY_LENGTH) {
        assert(piece.len <= x->out_left);
        x->out_left -= piece.len;
        assert(last == (x->out_left == 0));
    }
    x->sent += piece.len;
    x->sent_last = last;
    if (conn->ending || conn->aborted) return;
    x->write_done = done;
    push(x, piece, last);
}
