/* What goes out to a client: gathered in its outbox, sent at the end of the turn; the beginning of
 * a long run that this program itself publishes (acknowledgements, deliveries) earlier, so that the
 * client works on it while the rest is made. */
#include "bus/session.h"

#include <stdlib.h>

enum { NS_PER_MS = 1000000 };

static void session_send(struct session *session);

static struct session *session_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct session, stream);
}

void session_mark_dirty(struct session *session)
{
    if (list_linked(&session->dirty)) return;
    list_push(&session->server->dirty, &session->dirty);
    io_defer(session->server->io, &session->server->flush);
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

static void resume_all(struct bus_server *server)
{
    struct list *link;
    while ((link = list_pop(&server->stalled))) {
        struct session *session = CONTAINER_OF(link, struct session, stalled);
        if (session->state == SESSION_OPEN) session_receive(session);
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
        session->sent_messages = session->traffic.out_messages;
        io_send(&session->stream, pieces, count, send_done);
        if (!io_send_taken(&session->stream)) await_sent(session);
    } else if (session->state == SESSION_DRAINING) {
        session_linger(session);
    }
}

void session_send_early(struct session *session, const struct early *early)
{
    uint64_t messages = session->traffic.out_messages - session->sent_messages;
    if (messages < early->messages && session->out.pending < early->bytes) return;
    if (session->out.in_flight) return;
    if (session->state == SESSION_OPEN) session_send(session);
}

void sessions_settle(struct bus_server *server)
{
    for (struct list *link; (link = list_pop(&server->borrowers));) {
        struct session *session = CONTAINER_OF(link, struct session, borrowing);
        session_send(session);
        bool taken = session->out.in_flight && io_send_taken(&session->stream);
        if (!outbox_keep(&session->out, &server->lender, taken)) session_close(session);
    }
    lender_end(&server->lender);
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
    session_mark_dirty(session);
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

/* A WebSocket takes note of where the bytes are, and would not learn that they have moved. */
bool session_borrows(const struct session *session)
{
    return !session->listener->websocket;
}

static void put_lent(struct session *session, struct bytes view)
{
    outbox_put_lent(&session->out, view);
    if (!list_linked(&session->borrowing))
        list_push(&session->server->borrowers, &session->borrowing);
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
    if (form->by_reference && form->lent.len && session_borrows(session))
        put_lent(session, form->lent);
    else if (form->by_reference)
        outbox_put_body(&session->out, form->held, form->body);
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
    const char *tail = tails ? tails->payload.data : run->first_tail;
    for (size_t i = 0; i < run->count; i++) {
        char *room = outbox_reserve(&session->out, prefix.len);
        if (!room) return false;
        memcpy(room, prefix.data, prefix.len);
        outbox_commit(&session->out, prefix.len);
        struct bytes view = bytes_make(tail, run->tail_len);
        if (tails)
            outbox_put_body(&session->out, tails, view);
        else
            put_lent(session, view);
        tail += tails ? run->tail_len : run->stride;
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
