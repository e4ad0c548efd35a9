/* TLS as a filter in a stream. OpenSSL reads and writes through a BIO of ours: it reads from where
 * the bytes were received (the loop's scratch buffer, unless some were left from before), and what
 * it writes is gathered and sent in flights.
 *
 *     receive: engine --scratch--> [feed] --SSL_read--> the owner's buffer, or the loop's clear
 * text send:    the owner's bytes --SSL_write--> [out] --swap--> [flight] --> engine
 *
 * Only records that are whole leave OpenSSL, so the loop's buffer for clear text is a bit larger
 * than the scratch buffer. Both are used by one stream at a time, within one completion. */
#include "io/tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "io/ops.h"
#include "io/tls_impl.h"

enum {
    RECORD = 16384,                /* clear text of one record (RFC 8446 section 5.1) */
    RECORD_EXTRA = 256,            /* at most, around it */
    FLIGHT = 4 * RECORD,           /* encrypted at once; what follows waits until it is sent */
    CLEAR_SIZE = 272 << 10,        /* the loop's buffer for clear text */
    IN_MAX = 1 << 20,              /* received and not decrypted: scratch buffer and early bytes */
    OUT_MAX = 4 * FLIGHT + IN_MAX, /* answers of the protocol itself come on top of a flight */
    PROBLEM_SIZE = 200
};

static const struct io_filter_ops tls_ops;

static void raw_received(struct io_stream *stream, int result);
static void raw_sent(struct io_stream *stream, int result);

static struct tls *tls_of_filter(struct io_filter *filter)
{
    return CONTAINER_OF(filter, struct tls, filter);
}

struct tls *tls_of(const struct io_stream *stream)
{
    struct io_filter *filter = io_filter_find(stream, &tls_ops);
    return filter ? tls_of_filter(filter) : NULL;
}

/* ---- OpenSSL's side ------------------------------------------------------------------------ */

static int bio_read(BIO *bio, char *to, size_t size, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    *ret_len = tls->feed.len < size ? tls->feed.len : size;
    if (!*ret_len) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(to, tls->feed.data, *ret_len);
    tls->feed = bytes_skip(tls->feed, *ret_len);
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&tls->out, bytes_make(from, len));
    *ret_len = tls->out.failed ? 0 : len;
    return !tls->out.failed;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_TYPE_START, "stream");
    if (!method) return NULL;
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
    return method;
}

/* ---- what went wrong ----------------------------------------------------------------------- */

static void set_problem(struct tls *tls, const char *text)
{
    if (!tls->problem) tls->problem = strdup(text);
}

/* OpenSSL has refused to go on; the alert that says so to the peer is in `out`. */
static void broke(struct tls *tls)
{
    char text[PROBLEM_SIZE];
    int code = tls_problem_read(tls->ssl, text, sizeof text);
    if (tls->out.failed) code = ERR_NOMEM;
    if (tls->error) return;
    tls->error = code;
    set_problem(tls, code == ERR_NOMEM ? err_text(code) : text);
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Sends what is encrypted, when nothing is on its way. */
static void launch(struct tls *tls)
{
    if (io_filter_sending(&tls->filter) || !buf_len(&tls->out)) return;
    struct buf sent = tls->flight;
    buf_clear(&sent);
    tls->flight = tls->out;
    tls->out = sent;
    struct bytes bytes = buf_bytes(&tls->flight);
    tls->flight_piece = (struct iovec){(char *)bytes.data, bytes.len};
    io_filter_send(&tls->filter, &tls->flight_piece, 1, raw_sent);
}

/* The next clear text for one record: where it is when it is long enough or the last, otherwise
 * gathered, because a record for each small piece would cost more than the copy. */
static struct bytes next_text(struct tls *tls, char *room)
{
    struct io_flow *flow = &tls->filter.above;
    const struct iovec *piece = &flow->send_iov[flow->send_index];
    size_t rest = piece->iov_len - flow->send_offset;
    if (rest < RECORD && flow->send_index + 1 < flow->send_count)
        return bytes_make(room, io_filter_take(&tls->filter, room, RECORD));
    struct bytes text = bytes_make((char *)piece->iov_base + flow->send_offset, rest);
    text = bytes_head(text, RECORD);
    flow->send_offset += text.len;
    if (flow->send_offset < piece->iov_len) return text;
    flow->send_index++;
    flow->send_offset = 0;
    return text;
}

static bool all_taken(const struct io_flow *flow)
{
    return flow->send_index == flow->send_count;
}

/* Encrypts what the owner wants to send, as much as goes in one flight. */
static void encrypt(struct tls *tls)
{
    struct io_flow *flow = &tls->filter.above;
    char room[RECORD];
    size_t most = flow->send_total < FLIGHT ? flow->send_total : FLIGHT;
    buf_reserve(&tls->out, most + (most / RECORD + 1) * RECORD_EXTRA);
    ERR_clear_error();
    while (!tls->error && !all_taken(flow) && buf_len(&tls->out) < FLIGHT) {
        size_t wrote;
        struct bytes text = next_text(tls, room);
        if (text.len && !SSL_write_ex(tls->ssl, text.data, text.len, &wrote)) broke(tls);
    }
}

/* Something was sent, or broke: what now? The last thing in a completion. */
static void send_on(struct tls *tls)
{
    struct io_flow *flow = &tls->filter.above;
    if (flow->send_done && !tls->error) encrypt(tls);
    launch(tls);
    if (flow->send_done && tls->error) {
        io_filter_sent(&tls->filter, tls->error);
        return;
    }
    if (io_filter_sending(&tls->filter)) return;
    buf_release(&tls->out);
    buf_release(&tls->flight);
    if (tls->finish) {
        tls->finish = false;
        io_filter_shutdown(&tls->filter);
    }
    if (flow->send_done) io_filter_sent(&tls->filter, (int)flow->send_total);
}

static void raw_sent(struct io_stream *stream, int result)
{
    struct tls *tls = tls_of(stream);
    if (io_filter_closing(&tls->filter)) return;
    buf_clear(&tls->flight);
    if (result < 0 && !tls->error) {
        tls->error = result;
        set_problem(tls, err_text(result));
    }
    if (result < 0) buf_clear(&tls->out);
    send_on(tls);
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Reads from what was left, or else from `fresh`. */
static void feed(struct tls *tls, struct bytes fresh)
{
    if (buf_len(&tls->in)) {
        buf_append(&tls->in, fresh);
        tls->feed = buf_bytes(&tls->in);
    } else {
        tls->feed = fresh;
    }
}

/* Keeps what OpenSSL has not read. */
static void keep_rest(struct tls *tls)
{
    if (buf_len(&tls->in))
        buf_consume(&tls->in, buf_len(&tls->in) - tls->feed.len);
    else
        buf_append(&tls->in, tls->feed);
    tls->feed = (struct bytes){0};
    if (tls->in.failed && !tls->error) {
        tls->error = ERR_NOMEM;
        set_problem(tls, err_text(ERR_NOMEM));
    }
    if (!buf_len(&tls->in)) buf_release(&tls->in);
}

static size_t decrypt(struct tls *tls, char *to, size_t size)
{
    size_t got = 0, len;
    ERR_clear_error();
    while (got < size) {
        if (SSL_read_ex(tls->ssl, to + got, size - got, &len)) {
            got += len;
            continue;
        }
        int why = SSL_get_error(tls->ssl, 0);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_ZERO_RETURN) broke(tls);
        break;
    }
    return got;
}

static bool ended(const struct tls *tls)
{
    return SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN;
}

static void ask_below(struct tls *tls)
{
    if (!io_filter_receiving(&tls->filter)) io_filter_recv(&tls->filter, NULL, 0, raw_received);
}

/* Answers the owner's receive, or asks for more bytes. The last thing in a completion. */
static void receive_on(struct tls *tls)
{
    struct io_flow *flow = &tls->filter.above;
    char *to = flow->recv_buf ? flow->recv_buf : tls->filter.stream->io->clear + IO_RECV_ROOM;
    size_t size = flow->recv_size ? flow->recv_size : CLEAR_SIZE;
    if (!flow->recv_buf && size > CLEAR_SIZE) size = CLEAR_SIZE;
    size_t got = tls->error ? 0 : decrypt(tls, to, size);
    keep_rest(tls);
    launch(tls);
    if (got)
        io_filter_received(&tls->filter, to, (int)got);
    else if (tls->error) /* first: OpenSSL also takes an alert for the end */
        io_filter_received(&tls->filter, to, tls->error);
    else if (ended(tls) || tls->cut)
        io_filter_received(&tls->filter, to, ended(tls) ? 0 : ERR_RESET);
    else
        ask_below(tls);
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void handshake_ended(struct tls *tls)
{
    io_stream_done *done = tls->started;
    tls->started = NULL;
    if (tls->error) io_filter_recv_cancel(&tls->filter);
    done(tls->filter.stream, tls->error);
}

/* The last thing in a completion. */
static void shake_on(struct tls *tls)
{
    ERR_clear_error();
    int result = tls->error ? -1 : SSL_do_handshake(tls->ssl);
    if (result == 1) tls->established = true;
    if (result != 1 && !tls->error) {
        if (SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ) {
            broke(tls);
        } else if (tls->cut) {
            tls->error = ERR_EOF;
            set_problem(tls, "the peer has closed the connection during the handshake");
        }
    }
    keep_rest(tls);
    if (tls->error && !io_filter_sending(&tls->filter) && !tls->cut) tls->finish = true;
    launch(tls);
    if (tls->established || tls->error)
        handshake_ended(tls);
    else
        ask_below(tls);
}

static void raw_received(struct io_stream *stream, int result)
{
    struct tls *tls = tls_of(stream);
    if (io_filter_closing(&tls->filter)) return;
    if (result > 0) feed(tls, bytes_make(io_recv_data(stream), (size_t)result));
    if (result == 0) tls->cut = true;
    if (result < 0 && !tls->error) {
        tls->error = result;
        set_problem(tls, err_text(result));
    }
    if (tls->started)
        shake_on(tls);
    else if (tls->filter.above.recv_done)
        receive_on(tls);
}

/* What can go on without a word from below. When both ways can, the other one comes next time. */
static void wake_run(struct io_task *task)
{
    struct tls *tls = CONTAINER_OF(task, struct tls, wake);
    struct io_flow *flow = &tls->filter.above;
    feed(tls, (struct bytes){0});
    if (tls->started) {
        shake_on(tls);
    } else if (flow->recv_done && !io_filter_receiving(&tls->filter)) {
        if (flow->send_done) io_post(tls->filter.stream->io, &tls->wake);
        receive_on(tls);
    } else if (flow->send_done && !io_filter_sending(&tls->filter)) {
        send_on(tls);
    }
}

/* ---- the filter ---------------------------------------------------------------------------- */

static void tls_recv(struct io_filter *filter)
{
    struct tls *tls = tls_of_filter(filter);
    assert(!tls->started);
    if (tls->error || tls->cut || ended(tls) || buf_len(&tls->in) || SSL_pending(tls->ssl) > 0)
        io_post(filter->stream->io, &tls->wake);
    else
        ask_below(tls);
}

static void tls_recv_cancel(struct io_filter *filter)
{
    io_filter_recv_cancel(filter);
}

static void tls_send(struct io_filter *filter)
{
    struct tls *tls = tls_of_filter(filter);
    assert(!tls->started);
    if (io_filter_sending(filter)) return; /* send_on() comes behind that */
    if (!tls->error) encrypt(tls);
    launch(tls);
    if (!io_filter_sending(filter)) io_post(filter->stream->io, &tls->wake);
}

static void farewell(struct tls *tls)
{
    bool said = SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN;
    if (tls->established && !tls->error && !said && SSL_shutdown(tls->ssl) < 0) ERR_clear_error();
    launch(tls);
}

static void tls_shutdown(struct io_filter *filter)
{
    struct tls *tls = tls_of_filter(filter);
    farewell(tls);
    tls->finish = io_filter_sending(filter);
    if (!tls->finish) io_filter_shutdown(filter);
}

static void tls_close(struct io_filter *filter)
{
    farewell(tls_of_filter(filter));
    io_filter_close(filter);
}

static void tls_free(struct io_filter *filter)
{
    struct tls *tls = tls_of_filter(filter);
    struct io *io = filter->stream->io;
    io_task_cancel(io, &tls->wake);
    SSL_free(tls->ssl);
    buf_release(&tls->in);
    buf_release(&tls->out);
    buf_release(&tls->flight);
    io_tls_context_unref(tls->context);
    free(tls->host);
    free(tls->problem);
    free(tls);
    if (--io->clear_users) return;
    free(io->clear);
    io->clear = NULL;
}

static const struct io_filter_ops tls_ops = {
    .recv = tls_recv,
    .recv_cancel = tls_recv_cancel,
    .send = tls_send,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .free = tls_free,
};

/* ---- beginning ----------------------------------------------------------------------------- */

/* Whom a client wants to talk to. */
static bool set_host(struct tls *tls, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    SSL_SESSION *session = tls_sessions_find(&tls->context->sessions, host);
    tls->host = strdup(host);
    if (!tls->host || (session && !SSL_set_session(tls->ssl, session))) return false;
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host)) return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) && SSL_set_tlsext_host_name(tls->ssl, host);
}

static bool set_up(struct tls *tls, struct io *io, const char *host)
{
    BIO *bio = BIO_new(tls->context->bio);
    if (!bio) return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    tls->ssl = SSL_new(tls->context->ssl);
    if (!tls->ssl) {
        BIO_free(bio);
        return false;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    SSL_set_app_data(tls->ssl, tls);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(tls->ssl), (time_t)(io_wall_ns(io) / 1000000000));
    if (!tls->context->server && host && !set_host(tls, host)) return false;
    if (tls->context->server)
        SSL_set_accept_state(tls->ssl);
    else
        SSL_set_connect_state(tls->ssl);
    return true;
}

int io_tls_start(struct io_stream *stream, const struct io_tls_start *start, io_stream_done *done)
{
    struct io *io = stream->io;
    assert(done && start->context);
    struct tls *tls = calloc(1, sizeof *tls);
    if (!tls) return ERR_NOMEM;
    if (!io->clear) io->clear = malloc(IO_RECV_ROOM + CLEAR_SIZE);
    io->clear_users++;
    io_filter_push(&tls->filter, &tls_ops, stream);
    tls->context = io_tls_context_ref(start->context);
    io_task_init(&tls->wake, wake_run);
    buf_init(&tls->in, IN_MAX);
    buf_init(&tls->out, OUT_MAX);
    buf_init(&tls->flight, OUT_MAX);
    buf_append(&tls->in, start->early);
    ERR_clear_error();
    if (!io->clear || !set_up(tls, io, start->host) || tls->in.failed) {
        ERR_clear_error();
        stream->filter = tls->filter.below;
        tls_free(&tls->filter);
        return ERR_NOMEM;
    }
    tls->started = done;
    io_post(io, &tls->wake);
    return 0;
}
