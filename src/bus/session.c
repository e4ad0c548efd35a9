#include "bus/session.h"

#include "bus/opening.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINGER_MS = 1000,
    STALL_MS = 5,
    REFUSED_MAX = 64,    /* connections beyond the maximum that are told so */
    FRAME_OVERHEAD = 64, /* verb, blanks and line ends around the arguments and a payload */
};

static void session_send(struct session *session);
static void recv_done(struct io_stream *stream, int result);

static struct session *session_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct session, stream);
}

static void mark_dirty(struct session *session)
{
    if (list_linked(&session->dirty)) return;
    list_push(&session->server->dirty, &session->dirty);
    io_defer(session->server->io, &session->server->flush);
}

static void receive(struct session *session)
{
    assert(!session->receiving);
    session->receiving = true;
    io_recv(&session->stream, NULL, 0, recv_done);
}

void session_bind(struct session *session, struct bus *bus)
{
    if (session->bus == bus) return;
    if (session->bus) {
        session_forget_subscriptions(session);
        session->bus->session_count--;
    }
    session->bus = bus;
    if (bus) bus->session_count++;
}

/* ---- going ---------------------------------------------------------------------------------- */

void session_free(struct session *session)
{
    struct bus_server *server = session->server;
    opening_free(session->opening);
    io_stream_forget(&session->stream);
    session->out.in_flight = false;
    outbox_release(&session->out);
    buf_release(&session->partial);
    session_bind(session, NULL);
    map_release(&session->subscriptions);
    list_remove(&session->dirty);
    list_remove(&session->stalled);
    list_remove(&session->link);
    server->session_count--;
    free(session);
}

static void stream_closed(struct io_stream *stream)
{
    struct session *session = session_of(stream);
    struct bus_server *server = session->server;
    LOG(server->log, LOG_DEBUG, "bus_disconnected", LOG_U("client", session->id));
    session_free(session);
    bus_server_session_gone(server);
}

void session_close(struct session *session)
{
    if (session->state == SESSION_CLOSING) return;
    session->state = SESSION_CLOSING;
    io_timer_cancel(session->server->io, &session->timer);
    io_close(&session->stream, stream_closed);
}

/* Everything has been sent: says so, and waits until the client has read it. */
static void linger(struct session *session)
{
    session->state = SESSION_LINGERING;
    io_shutdown(&session->stream);
    if (!session->receiving) receive(session);
}

void session_end(struct session *session, const char *text)
{
    if (session->state == SESSION_OPENING) session_close(session);
    if (session->state != SESSION_OPEN) return;
    if (text) session_say_err(session, text);
    if (session->state != SESSION_OPEN) return;
    session->state = SESSION_DRAINING;
    list_remove(&session->stalled);
    if (session->receiving) io_recv_cancel(&session->stream);
    session->receiving = false;
    io_timer_set(session->server->io, &session->timer, LINGER_MS);
    mark_dirty(session);
}

/* The flight cannot be called back, but what waits behind it goes. */
static void cut_slow(struct session *session)
{
    struct bus_server *server = session->server;
    server->metrics.slow_consumers++;
    LOG(server->log, LOG_WARN, "bus_slow_consumer", LOG_U("client", session->id),
        LOG_U("pending", session->out.pending));
    outbox_cut(&session->out);
    session_end(session, "Slow Consumer");
}

/* ---- sending -------------------------------------------------------------------------------- */

static void resume_all(struct bus_server *server)
{
    struct list *link;
    while ((link = list_pop(&server->stalled))) {
        struct session *session = CONTAINER_OF(link, struct session, stalled);
        if (session->state == SESSION_OPEN) receive(session);
    }
}

static void send_done(struct io_stream *stream, int result)
{
    struct session *session = session_of(stream);
    struct bus_server *server = session->server;
    outbox_sent(&session->out);
    if (session->state == SESSION_CLOSING) return;
    if (result < 0) {
        session_close(session);
        return;
    }
    if (session->congested && session->out.pending < server->options.max_pending / 4) {
        session->congested = false;
        resume_all(server);
    }
    session_send(session);
}

static void session_send(struct session *session)
{
    int count;
    if (session->state == SESSION_CLOSING || session->out.in_flight) return;
    const struct iovec *pieces = outbox_begin(&session->out, &count);
    if (pieces)
        io_send(&session->stream, pieces, count, send_done);
    else if (session->state == SESSION_DRAINING)
        linger(session);
}

void sessions_flush(struct io_task *task)
{
    struct bus_server *server = CONTAINER_OF(task, struct bus_server, flush);
    struct list *link;
    sessions_reap(server);
    while ((link = list_pop(&server->dirty))) {
        struct session *session = CONTAINER_OF(link, struct session, dirty);
        if (session->state != SESSION_OPEN) session_forget_subscriptions(session);
        session_send(session);
    }
}

void sessions_resume(struct io_timer *timer)
{
    resume_all(CONTAINER_OF(timer, struct bus_server, resume));
}

/* After something was put: is it too much? */
static void check_pending(struct session *session)
{
    size_t max = session->server->options.max_pending;
    mark_dirty(session);
    if (session->out.pending <= max / 2) return;
    session->congested = true;
    if (session->out.pending > max && session->state == SESSION_OPEN) cut_slow(session);
}

bool session_takes(const struct session *session, const struct session *from)
{
    return session->state == SESSION_OPEN && (session != from || session->echo);
}

bool session_wants_headers(const struct session *session)
{
    return session->headers;
}

uint64_t session_id(const struct session *session)
{
    return session->id;
}

bool session_put(struct session *session, const struct route_target *target,
                 const struct wire_form *form)
{
    size_t skip = form->with_headers ? 0 : 1, prefix_len = target->prefix_len - skip;
    char *room = outbox_reserve(&session->out, prefix_len + form->tail.len);
    if (!room) return false;
    memcpy(room, target->prefix + skip, prefix_len);
    memcpy(room + prefix_len, form->tail.data, form->tail.len);
    outbox_commit(&session->out, prefix_len + form->tail.len);
    if (form->body.len) outbox_put_body(&session->out, form->held, form->body);
    check_pending(session);
    if (session->congested) session->server->congested = true;
    return true;
}

void session_say(struct session *session, struct bytes text)
{
    if (session->state != SESSION_OPEN) return;
    char *room = outbox_reserve(&session->out, text.len);
    if (!room) {
        session_close(session);
        return;
    }
    memcpy(room, text.data, text.len);
    outbox_commit(&session->out, text.len);
    check_pending(session);
}

void session_say_err(struct session *session, const char *text)
{
    struct buf out;
    buf_init(&out, 512);
    nats_put_err(&out, text);
    if (!out.failed) session_say(session, buf_bytes(&out));
    buf_release(&out);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Decodes what is there. Returns how many bytes were taken; `need` is set when more is wanted. */
static size_t decode(struct session *session, struct nats_decoder *decoder, struct bytes in)
{
    struct nats_frame frame;
    size_t taken = 0;
    while (taken < in.len && session->state == SESSION_OPEN) {
        int64_t n = nats_decode(decoder, bytes_skip(in, taken), &frame);
        if (n < 0) {
            session->server->metrics.protocol_errors++;
            session_end(session, nats_fault_text(decoder->fault));
        }
        if (n <= 0) break;
        session_command(session, &frame);
        taken += (size_t)n;
    }
    session->need = decoder->need;
    return taken;
}

/* Adds to the partial operation what it is known to need, of a control line up to its end, so that
 * it is the only one in there when it is whole. Returns how much of `in` it took. */
static size_t complete(struct session *session, struct nats_decoder *decoder, struct bytes in)
{
    struct buf *partial = &session->partial;
    size_t have = buf_len(partial);
    size_t take = session->need - have;
    if (take == 1) take = bytes_find(in, '\n') + 1;
    in = bytes_head(in, take);
    if (!have) buf_reserve(partial, session->need);
    buf_append(partial, in);
    if (partial->failed) {
        session_close(session);
        return in.len;
    }
    if (buf_len(partial) < session->need) return in.len;
    size_t taken = decode(session, decoder, buf_bytes(partial));
    if (taken) {
        assert(taken == buf_len(partial));
        buf_release(partial);
    }
    return in.len;
}

static void input(struct session *session, struct bytes in)
{
    struct nats_decoder decoder;
    nats_decoder_init(&decoder, NATS_SERVER);
    decoder.max_payload = session->server->options.max_payload;
    while (in.len && buf_len(&session->partial) && session->state == SESSION_OPEN)
        in = bytes_skip(in, complete(session, &decoder, in));
    if (session->state != SESSION_OPEN || !in.len) return;
    in = bytes_skip(in, decode(session, &decoder, in));
    if (session->state != SESSION_OPEN || !in.len) return;
    buf_reserve(&session->partial, session->need > in.len + 1 ? session->need : in.len);
    buf_append(&session->partial, in);
    if (session->partial.failed) session_close(session);
}

/* Takes bytes of the client's, and listens for more unless it is to wait. */
static void take(struct session *session, struct bytes bytes)
{
    struct bus_server *server = session->server;
    session->heard = true;
    if (session->state == SESSION_OPEN) input(session, bytes);
    if (session->state == SESSION_DRAINING || session->state == SESSION_CLOSING) return;
    if (session->stall && session->state == SESSION_OPEN) {
        session->stall = false;
        list_push(&server->stalled, &session->stalled);
        if (!server->resume.armed) io_timer_set(server->io, &server->resume, STALL_MS);
        return;
    }
    receive(session);
}

static void recv_done(struct io_stream *stream, int result)
{
    struct session *session = session_of(stream);
    session->receiving = false;
    if (session->state == SESSION_CLOSING) return;
    if (result < 0 || (result == 0 && session->state != SESSION_OPEN)) {
        session_close(session);
        return;
    }
    if (result == 0 && outbox_is_empty(&session->out)) {
        session_close(session);
        return;
    }
    if (result == 0) {
        session_end(session, NULL);
        return;
    }
    take(session, bytes_make(io_recv_data(stream), (size_t)result));
}

/* ---- coming --------------------------------------------------------------------------------- */

static void client_ip(const struct session *session, char *text, size_t size)
{
    struct io_addr addr;
    char full[IO_ADDR_TEXT];
    *text = '\0';
    if (io_stream_peer(&session->stream, &addr) || addr.family == IO_UNIX) return;
    size_t len = io_addr_format(&addr, full, sizeof full);
    while (len && full[len - 1] != ':') len--;
    struct bytes ip = bytes_make(full, len ? len - 1 : 0);
    if (bytes_starts(ip, BYTES("["))) ip = bytes_make(ip.data + 1, ip.len - 2);
    snprintf(text, size, "%.*s", BYTES_ARG(ip));
}

void session_put_info(struct session *session, struct buf *out)
{
    struct bus_server *server = session->server;
    bool tls = server->tls && !session->is_local;
    struct nats_info info = {.version = BUS_NATS_VERSION,
                             .host = "127.0.0.1",
                             .proto = 1,
                             .max_payload = server->options.max_payload,
                             .client_id = session->id,
                             .headers = true,
                             .jetstream = server->options.jetstream,
                             .tls_required = tls && !server->tls->options.optional,
                             .tls_available = tls,
                             .tls_verify = tls && server->tls->options.verify,
                             .lame_duck = server->lame_duck};
    memcpy(info.server_id, server->id, sizeof server->id);
    memcpy(info.server_name, server->name, sizeof server->name);
    client_ip(session, info.client_ip, sizeof info.client_ip);
    if (!list_empty(&server->listeners)) {
        struct bus_listener *first =
            CONTAINER_OF(server->listeners.next, struct bus_listener, link);
        info.port = first->listener.addr.port;
    }
    struct buf json;
    buf_init(&json, 4096);
    nats_info_write(&json, &info);
    nats_put_info(out, buf_bytes(&json));
    out->failed |= json.failed;
    buf_release(&json);
}

void session_say_info(struct session *session)
{
    struct buf out;
    buf_init(&out, 4096 + FRAME_OVERHEAD);
    session_put_info(session, &out);
    if (out.failed)
        session_close(session);
    else
        session_say(session, buf_bytes(&out));
    buf_release(&out);
}

/* The ping while it is open; the end of draining and lingering. */
static void timer_done(struct io_timer *timer)
{
    struct session *session = CONTAINER_OF(timer, struct session, timer);
    struct bus_server *server = session->server;
    if (session->state != SESSION_OPEN) {
        session_close(session);
        return;
    }
    if (session->heard) session->pings = 0;
    if (session->pings >= server->options.max_pings) {
        server->metrics.stale++;
        LOG(server->log, LOG_INFO, "bus_stale_connection", LOG_U("client", session->id));
        session_end(session, "Stale Connection");
        return;
    }
    if (!session->heard) {
        session->pings++;
        session_say(session, BYTES("PING\r\n"));
    }
    session->heard = false;
    io_timer_set(server->io, &session->timer, server->options.ping_interval_ms);
}

static struct session *session_new(struct bus_server *server)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session) return NULL;
    session->server = server;
    session->id = ++server->next_client_id;
    list_init(&session->dirty);
    list_init(&session->stalled);
    list_init(&session->link);
    list_push(&server->sessions, &session->link);
    server->session_count++;
    outbox_init(&session->out, &server->pool);
    buf_init(&session->partial, NATS_LINE_MAX + server->options.max_payload + FRAME_OVERHEAD);
    map_init(&session->subscriptions, server->options.max_subscriptions);
    io_timer_init(&session->timer, timer_done);
    struct nats_connect defaults;
    nats_connect_init(&defaults);
    session->verbose = defaults.verbose;
    session->pedantic = defaults.pedantic;
    session->echo = defaults.echo;
    session_bind(session, server->bus);
    return session;
}

void session_accept(struct bus_listener *listener)
{
    struct bus_server *server = listener->server;
    bool refuse = server->session_count >= server->options.max_connections;
    if (refuse) server->metrics.refused++;
    struct session *session = NULL;
    if (server->session_count < server->options.max_connections + REFUSED_MAX)
        session = session_new(server);
    if (!session) return;
    io_accept(&listener->listener, &session->stream);
    session->is_local = listener->listener.addr.family == IO_UNIX;
    session->refused = refuse;
    if (!refuse) server->metrics.accepted++;
    LOG(server->log, LOG_DEBUG, "bus_connected", LOG_U("client", session->id));
    opening_begin(session);
}

void session_begin(struct session *session, bool say_info, struct bytes first)
{
    struct bus_server *server = session->server;
    session->state = SESSION_OPEN;
    if (say_info) session_say_info(session);
    if (session->refused) session_end(session, "maximum connections exceeded");
    if (session->state != SESSION_OPEN) return;
    io_timer_set(server->io, &session->timer, server->options.ping_interval_ms);
    if (first.len)
        take(session, first);
    else
        receive(session);
}
