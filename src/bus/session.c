#include "bus/session.h"

#include "bus/opening.h"
#include "bus/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LINGER_MS = 1000,
    STALL_MS = 5,
    REFUSED_MAX = 64,           /* connections beyond the maximum that are told so */
    FRAME_OVERHEAD = 64,        /* verb, blanks and line ends around the arguments and a payload */
    BEHIND_CONNECT = 256 << 10, /* bytes that came with a CONNECT whose password is looked at */
    NS_PER_MS = 1000000,
    LONELY = 8, /* messages until a run is looked for again where there was none */
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
    session_connect_cancel(session);
    session_bind(session, NULL);
    session_forget_permissions(session);
    map_release(&session->subscriptions);
    list_remove(&session->dirty);
    list_remove(&session->stalled);
    list_remove(&session->sending);
    list_remove(&session->link);
    server->session_count--;
    free(session->user);
    free(session->about);
    free(session);
}

static void stream_closed(struct io_stream *stream)
{
    struct session *session = session_of(stream);
    struct bus_server *server = session->server;
    LOG(server->log, LOG_DEBUG, "bus_disconnected", LOG_U("client", session->id));
    report_end(session);
    session_free(session);
    bus_server_session_gone(server);
}

void session_close(struct session *session)
{
    if (session->state == SESSION_CLOSING) return;
    if (session->server->closing) report_reason(session, NULL);
    if (session->state <= SESSION_OPEN) session->ended_subscriptions = session->subscriptions.count;
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
    report_reason(session, text);
    session->ended_subscriptions = session->subscriptions.count;
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
    list_remove(&session->sending);
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

/* It may take until the write deadline. */
static void await_sent(struct session *session)
{
    struct bus_server *server = session->server;
    session->sending_since_ms = io_now_ns(server->io) / NS_PER_MS;
    session->sending_progress = io_send_progress(&session->stream);
    list_push(&server->sending, &session->sending);
    if (!server->write_deadline.armed)
        io_timer_set(server->io, &server->write_deadline, server->options.write_deadline_ms);
}

void sessions_write_deadline(struct io_timer *timer)
{
    struct bus_server *server = CONTAINER_OF(timer, struct bus_server, write_deadline);
    uint64_t now = io_now_ns(server->io) / NS_PER_MS;
    LIST_EACH(&server->sending, struct session, sending, session) {
        uint64_t end = session->sending_since_ms + server->options.write_deadline_ms;
        if (end > now) {
            io_timer_set(server->io, timer, end - now);
            return;
        }
        list_remove(&session->sending);
        if (io_send_progress(&session->stream) != session->sending_progress)
            await_sent(session);
        else if (session->state == SESSION_OPEN)
            cut_slow(session);
    }
}

static void session_send(struct session *session)
{
    int count;
    if (session->state == SESSION_CLOSING || session->out.in_flight) return;
    const struct iovec *pieces = outbox_begin(&session->out, &count);
    if (pieces) {
        io_send(&session->stream, pieces, count, send_done);
        if (!io_send_taken(&session->stream)) await_sent(session);
    } else if (session->state == SESSION_DRAINING) {
        linger(session);
    }
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

bool session_admits(const struct subscription *subscription, struct bytes subject)
{
    return permissions_may_receive(subscription->session->permissions, subject);
}

bool session_wants_headers(const struct session *session)
{
    return session->headers;
}

uint64_t session_id(const struct session *session)
{
    return session->id;
}

/* Messages were put into its outbox. */
static void have_put(struct session *session, uint64_t messages, uint64_t bytes)
{
    session->traffic.out_messages += messages;
    session->traffic.out_bytes += bytes;
    check_pending(session);
    if (session->congested) session->server->congested = true;
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
    have_put(session, 1, form->size);
    return true;
}

/* So many at once as fit a chunk. */
bool session_put_run(struct session *session, struct bytes prefix, const struct run *run)
{
    size_t size = prefix.len + run->tail_len, most = OUTBOX_TEXT_MAX / size;
    const char *tail = run->first_tail;
    for (size_t left = run->count; left > 0;) {
        size_t n = left < most ? left : most;
        char *room = outbox_reserve(&session->out, n * size);
        if (!room) return false;
        run_write(room, prefix, run, tail, n);
        outbox_commit(&session->out, n * size);
        tail += n * run->stride;
        left -= n;
    }
    have_put(session, run->count, run->count * run->payload_len);
    return true;
}

bool session_put_tails(struct session *session, struct bytes prefix, struct message *tails,
                       const struct run *run)
{
    struct bytes rest = tails->payload;
    for (; rest.len; rest = bytes_skip(rest, run->tail_len)) {
        char *room = outbox_reserve(&session->out, prefix.len);
        if (!room) return false;
        memcpy(room, prefix.data, prefix.len);
        outbox_commit(&session->out, prefix.len);
        outbox_put_body(&session->out, tails, bytes_head(rest, run->tail_len));
    }
    have_put(session, run->count, run->count * run->payload_len);
    return true;
}

bool session_put_block(struct session *session, struct message *block, const struct run *run)
{
    if (!outbox_put_block(&session->out, block)) return false;
    have_put(session, run->count, run->count * run->payload_len);
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

static void bad_bytes(struct session *session, enum nats_fault fault)
{
    session->server->metrics.protocol_errors++;
    session_end(session, nats_fault_text(fault));
}

/* Whether the session may say what begins with this byte: anything once it has an account, before
 * that only CONNECT. */
static bool may_say(struct session *session, char first)
{
    if (session->bus || first == 'C' || first == 'c') return true;
    if (session_enter_unasked(session)) return true;
    session_refuse(session, "");
    return false;
}

/* Whether the next operation can be looked at now. */
static bool is_ready(const struct session *session)
{
    return session->state == SESSION_OPEN && !session->connecting;
}

/* How many like this one stand behind it. Where there were none it is not tried with every message:
 * `lonely` counts those that it is left alone for. */
static size_t find_run(const struct session *session, const struct nats_frame *frame,
                       struct bytes in, size_t size, unsigned *lonely)
{
    if (*lonely) {
        --*lonely;
        return 0;
    }
    if (!session_takes_runs(session, frame)) return 0;
    size_t more = nats_repeats(in, frame, size);
    if (!more) *lonely = LONELY;
    return more;
}

/* Decodes what is there. Returns how many bytes were taken; `need` is set when more is wanted. */
static size_t decode(struct session *session, struct nats_decoder *decoder, struct bytes in)
{
    struct nats_frame frame;
    size_t taken = 0;
    unsigned lonely = 0;
    while (taken < in.len && is_ready(session) && may_say(session, in.data[taken])) {
        decoder->max_payload = session->max_payload;
        int64_t n = nats_decode(decoder, bytes_skip(in, taken), &frame);
        if (n < 0) bad_bytes(session, decoder->fault);
        if (n <= 0) break;
        size_t more = find_run(session, &frame, bytes_skip(in, taken), (size_t)n, &lonely);
        if (more)
            session_publish_run(session, &frame, (size_t)n, more + 1);
        else
            session_command(session, &frame);
        taken += (size_t)n * (more + 1);
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

/* Keeps what cannot be decoded yet. */
static void keep(struct session *session, struct bytes in)
{
    buf_reserve(&session->partial, session->need > in.len + 1 ? session->need : in.len);
    buf_append(&session->partial, in);
    if (session->partial.failed) session_close(session);
}

static void input(struct session *session, struct bytes in)
{
    struct nats_decoder decoder;
    nats_decoder_init(&decoder, NATS_SERVER);
    decoder.max_line = session->server->options.max_control_line;
    decoder.max_payload = session->max_payload;
    while (in.len && buf_len(&session->partial) && is_ready(session))
        in = bytes_skip(in, complete(session, &decoder, in));
    if (in.len && is_ready(session)) in = bytes_skip(in, decode(session, &decoder, in));
    if (in.len && session->state == SESSION_OPEN) keep(session, in);
}

/* What came behind the CONNECT is in `partial`, whole operations too. */
void session_continue(struct session *session)
{
    struct buf kept = session->partial;
    if (session->state != SESSION_OPEN || session->connecting) return;
    buf_init(&session->partial, kept.max);
    input(session, buf_bytes(&kept));
    buf_release(&kept);
    if (is_ready(session) && !session->receiving) receive(session);
}

/* Takes bytes of the client's, and listens for more unless it is to wait. */
static void take(struct session *session, struct bytes bytes)
{
    struct bus_server *server = session->server;
    session->heard = true;
    session->active_ns = io_wall_ns(server->io);
    if (session->state == SESSION_OPEN) input(session, bytes);
    if (session->state == SESSION_DRAINING || session->state == SESSION_CLOSING) return;
    if (session->connecting) return;
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
        session->reason = "Client Closed";
        session_end(session, NULL);
        return;
    }
    take(session, bytes_make(io_recv_data(stream), (size_t)result));
}

/* ---- coming --------------------------------------------------------------------------------- */

void session_set_timer(struct session *session)
{
    struct bus_server *server = session->server;
    uint64_t delay = server->options.ping_interval_ms, now = io_now_ns(server->io) / NS_PER_MS;
    if (!session->bus) delay = server->auth->timeout_ms;
    if (session->expires_ms && session->expires_ms < now + delay)
        delay = session->expires_ms > now ? session->expires_ms - now : 0;
    io_timer_set(server->io, &session->timer, delay);
}

static void end_expired(struct session *session)
{
    session->server->metrics.expired++;
    LOG(session->server->log, LOG_INFO, "bus_authentication_expired", LOG_U("client", session->id));
    session_end(session, "User Authentication Expired");
}

static void end_stale(struct session *session)
{
    session->server->metrics.stale++;
    LOG(session->server->log, LOG_INFO, "bus_stale_connection", LOG_U("client", session->id));
    session_end(session, "Stale Connection");
}

void session_ponged(struct session *session)
{
    if (session->pinged_ns) session->rtt_ns = io_now_ns(session->server->io) - session->pinged_ns;
    session->pinged_ns = 0;
}

static void ping(struct session *session)
{
    if (session->heard) session->pings = 0;
    if (session->pings >= session->server->options.max_pings) {
        end_stale(session);
        return;
    }
    if (!session->heard) {
        session->pings++;
        session->pinged_ns = io_now_ns(session->server->io);
        session_say(session, BYTES("PING\r\n"));
    }
    session->heard = false;
    session_set_timer(session);
}

/* While it is open: who has not said who it is goes, and whose time is over; the others are asked
 * whether they are still there. Else the end of draining and lingering. */
static void timer_done(struct io_timer *timer)
{
    struct session *session = CONTAINER_OF(timer, struct session, timer);
    if (session->state != SESSION_OPEN) {
        session_close(session);
    } else if (!session->bus) {
        session->server->metrics.auth_failures++;
        session_end(session, "Authentication Timeout");
    } else if (session->expires_ms &&
               session->expires_ms <= io_now_ns(session->server->io) / NS_PER_MS) {
        end_expired(session);
    } else {
        ping(session);
    }
}

static struct session *session_new(struct bus_server *server)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session) return NULL;
    session->server = server;
    session->id = ++server->next_client_id;
    list_init(&session->dirty);
    list_init(&session->stalled);
    list_init(&session->sending);
    list_init(&session->link);
    list_push(&server->sessions, &session->link);
    server->session_count++;
    outbox_init(&session->out, &server->pool);
    size_t largest = server->options.max_control_line + server->options.max_payload;
    buf_init(&session->partial,
             FRAME_OVERHEAD + (largest > BEHIND_CONNECT ? largest : BEHIND_CONNECT));
    map_init(&session->subscriptions, server->options.max_subscriptions);
    io_timer_init(&session->timer, timer_done);
    struct nats_connect defaults;
    nats_connect_init(&defaults);
    session->verbose = defaults.verbose;
    session->pedantic = defaults.pedantic;
    session->echo = defaults.echo;
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
    session->listener = listener;
    io_accept(&listener->listener, &session->stream);
    session->is_local = listener->listener.addr.family == IO_UNIX;
    session->refused = refuse;
    if (!refuse) server->metrics.accepted++;
    report_begin(session);
    LOG(server->log, LOG_DEBUG, "bus_connected", LOG_U("client", session->id));
    if (session_greet(session))
        session_close(session);
    else
        opening_begin(session);
}

void session_begin(struct session *session, bool say_info, struct bytes first)
{
    session->state = SESSION_OPEN;
    if (say_info) session_say_info(session);
    if (session->refused) session_end(session, "maximum connections exceeded");
    if (session->state != SESSION_OPEN) return;
    session_set_timer(session);
    if (first.len)
        take(session, first);
    else
        receive(session);
}
