#include "bus/opening.h"

#include "bus/report.h"
#include "bus/session.h"
#include "bus/websocket.h"
#include "io/tls.h"

#include <stdlib.h>

enum opening_phase { SAYS_INFO, LISTENS, SHAKES, UPGRADES };

enum { HEAD_MAX = 64 << 10, UPGRADE_MS = 2000, WEBSOCKET_MESSAGE_MAX = 64 << 20 };

/* The request that a WebSocket begins with, while it is read. */
struct request {
    struct http1_parser parser;
    struct http1_head head;
};

struct opening {
    struct session *session;
    struct io_timer timer; /* the phase has lasted too long */
    enum opening_phase phase;
    bool said_info;
    struct buf head; /* what the client has said so far */
    struct buf said; /* INFO, or the answer to the request */
    struct iovec piece;
    struct request *request; /* UPGRADES */
};

static struct opening *opening_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct session, stream)->opening;
}

static const struct bus_tls *tls_of(const struct opening *opening)
{
    return opening->session->server->tls;
}

void opening_free(struct opening *opening)
{
    if (!opening) return;
    io_timer_cancel(opening->session->server->io, &opening->timer);
    opening->session->opening = NULL;
    buf_release(&opening->head);
    buf_release(&opening->said);
    free(opening->request);
    free(opening);
}

/* The client is heard from now on, its first bytes with it. */
static void finish(struct opening *opening)
{
    struct session *session = opening->session;
    bool say_info = !opening->said_info;
    struct buf head = opening->head;
    buf_init(&opening->head, HEAD_MAX);
    opening_free(opening);
    session_begin(session, say_info, buf_bytes(&head));
    buf_release(&head);
}

/* ---- WebSocket ----------------------------------------------------------------------------- */

static void upgrade_failed(struct opening *opening)
{
    opening->session->server->metrics.websocket_failures++;
    session_close(opening->session);
}

static void answer(struct opening *opening, io_stream_done *done)
{
    if (opening->said.failed) {
        upgrade_failed(opening);
        return;
    }
    struct bytes said = buf_bytes(&opening->said);
    opening->piece = (struct iovec){(char *)said.data, said.len};
    io_send(&opening->session->stream, &opening->piece, 1, done);
}

static void refusal_sent(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    if (opening->session->state != SESSION_CLOSING) upgrade_failed(opening);
}

static void upgraded(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    if (opening->session->state == SESSION_CLOSING) return;
    if (result < 0 || websocket_begin(stream, WEBSOCKET_MESSAGE_MAX))
        upgrade_failed(opening);
    else
        finish(opening);
}

/* A client may not go on before it has our answer, so what it says then is not the start of
 * anything. */
static void answer_request(struct opening *opening, int len)
{
    struct session *session = opening->session;
    struct upgrade_policy policy = session->listener->websocket->policy;
    policy.encrypted = io_tls_used(&session->stream);
    if (len < 0)
        upgrade_refuse(&opening->said, http1_error_status(opening->request->parser.error),
                       http1_error_text(opening->request->parser.error));
    else if ((size_t)len < buf_len(&opening->head))
        upgrade_refuse(&opening->said, 400, "bytes behind the request");
    else if (!upgrade_answer(&opening->request->head, &policy, &opening->said)) {
        buf_release(&opening->head);
        answer(opening, upgraded);
        return;
    }
    answer(opening, refusal_sent);
}

static void request_heard(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    if (opening->session->state == SESSION_CLOSING) return;
    if (result > 0) buf_append(&opening->head, bytes_make(io_recv_data(stream), (size_t)result));
    if (result <= 0 || opening->head.failed) {
        upgrade_failed(opening);
        return;
    }
    int len = http1_parse(&opening->request->parser, buf_bytes(&opening->head));
    if (len)
        answer_request(opening, len);
    else
        io_recv(stream, NULL, HEAD_MAX / 2, request_heard);
}

static void upgrade(struct opening *opening)
{
    struct session *session = opening->session;
    opening->phase = UPGRADES;
    opening->request = malloc(sizeof *opening->request);
    if (!opening->request) {
        upgrade_failed(opening);
        return;
    }
    http1_parser_init(&opening->request->parser, &opening->request->head, false);
    io_timer_set(session->server->io, &opening->timer, UPGRADE_MS);
    io_recv(&session->stream, NULL, HEAD_MAX / 2, request_heard);
}

/* ---- the handshake ------------------------------------------------------------------------- */

static void failed(struct opening *opening, int result)
{
    struct session *session = opening->session;
    struct bus_server *server = session->server;
    server->metrics.tls_failures++;
    report_reason(session, "TLS");
    LOG(server->log, LOG_INFO, "bus_tls_failed", LOG_U("client", session->id),
        LOG_S("error", err_text(result)), LOG_S("reason", io_tls_problem(&session->stream)));
    session_close(session);
}

static void shaken(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    if (opening->session->state == SESSION_CLOSING) return;
    if (result)
        failed(opening, result);
    else if (opening->session->listener->websocket)
        upgrade(opening);
    else
        finish(opening);
}

static void shake(struct opening *opening)
{
    struct session *session = opening->session;
    struct io_tls_start start = {.context = tls_of(opening)->context,
                                 .early = buf_bytes(&opening->head)};
    opening->phase = SHAKES;
    io_timer_set(session->server->io, &opening->timer, tls_of(opening)->options.timeout_ms);
    int r = io_tls_start(&session->stream, &start, shaken);
    buf_release(&opening->head);
    if (r) failed(opening, r);
}

/* ---- the first bytes ----------------------------------------------------------------------- */

static void listen_for_hello(struct opening *opening);

static void heard(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    struct session *session = opening->session;
    if (session->state == SESSION_CLOSING) return;
    if (result > 0) buf_append(&opening->head, bytes_make(io_recv_data(stream), (size_t)result));
    if (result <= 0 || opening->head.failed) {
        session_close(session);
        return;
    }
    int hello = io_tls_looks_like(buf_bytes(&opening->head));
    if (hello == ERR_EOF)
        listen_for_hello(opening);
    else if (hello || !tls_of(opening)->options.optional)
        shake(opening); /* what is no hello fails there */
    else
        finish(opening);
}

static void listen_for_hello(struct opening *opening)
{
    opening->phase = LISTENS;
    io_recv(&opening->session->stream, NULL, HEAD_MAX / 2, heard);
}

static void info_sent(struct io_stream *stream, int result)
{
    struct opening *opening = opening_of(stream);
    struct session *session = opening->session;
    if (session->state == SESSION_CLOSING) return;
    if (result < 0) {
        session_close(session);
    } else if (!tls_of(opening)->options.optional) {
        shake(opening);
    } else {
        io_timer_set(session->server->io, &opening->timer, tls_of(opening)->options.timeout_ms);
        listen_for_hello(opening);
    }
}

static void say_info(struct opening *opening)
{
    struct session *session = opening->session;
    opening->phase = SAYS_INFO;
    opening->said_info = true;
    io_timer_set(session->server->io, &opening->timer, tls_of(opening)->options.timeout_ms);
    session_put_info(session, &opening->said);
    if (opening->said.failed) {
        session_close(session);
        return;
    }
    struct bytes info = buf_bytes(&opening->said);
    opening->piece = (struct iovec){(char *)info.data, info.len};
    io_send(&session->stream, &opening->piece, 1, info_sent);
}

/* A client that keeps silent while it may do both has decided for clear text. */
static void timer_done(struct io_timer *timer)
{
    struct opening *opening = CONTAINER_OF(timer, struct opening, timer);
    struct session *session = opening->session;
    if (opening->phase != LISTENS) {
        if (opening->phase == SHAKES) session->server->metrics.tls_failures++;
        if (opening->phase == UPGRADES) session->server->metrics.websocket_failures++;
        session_close(session);
        return;
    }
    io_recv_cancel(&session->stream);
    if (opening->said_info)
        finish(opening);
    else
        say_info(opening);
}

/* ---- beginning ----------------------------------------------------------------------------- */

static struct opening *opening_new(struct session *session)
{
    struct opening *opening = calloc(1, sizeof *opening);
    if (!opening) return NULL;
    opening->session = session;
    io_timer_init(&opening->timer, timer_done);
    buf_init(&opening->head, HEAD_MAX);
    buf_init(&opening->said, HEAD_MAX);
    return session->opening = opening;
}

static void begin_tls(struct opening *opening)
{
    struct session *session = opening->session;
    const struct bus_tls_options *options = &tls_of(opening)->options;
    switch (options->first) {
    case BUS_TLS_INFO_FIRST: say_info(opening); break;
    case BUS_TLS_HANDSHAKE_FIRST: shake(opening); break;
    case BUS_TLS_EITHER:
        io_timer_set(session->server->io, &opening->timer, options->first_ms);
        listen_for_hello(opening);
        break;
    }
}

bool session_may_encrypt(const struct session *session)
{
    const struct bus_websocket *websocket = session->listener->websocket;
    if (!session->server->tls || session->is_local) return false;
    return !websocket || !websocket->clear_text;
}

void opening_begin(struct session *session)
{
    bool encrypt = session_may_encrypt(session);
    if (!encrypt && !session->listener->websocket) {
        session_begin(session, true, (struct bytes){0});
        return;
    }
    struct opening *opening = opening_new(session);
    if (!opening)
        session_close(session);
    else if (!encrypt)
        upgrade(opening);
    else if (session->listener->websocket)
        shake(opening);
    else
        begin_tls(opening);
}
