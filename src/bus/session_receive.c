/* What comes in from a client: decoded where it is, in the loop's scratch buffer; only an operation
 * that is not yet whole is kept. */
#include "bus/session.h"

#include <assert.h>

enum {
    STALL_MS = 5,
    LONELY = 8,         /* messages until a run is looked for again where there was none */
    LENT_MIN = 32 << 10 /* less is gathered with what others publish, and sent at once with it */
};

static void recv_done(struct io_stream *stream, int result);

static struct session *session_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct session, stream);
}

void session_receive(struct session *session)
{
    assert(!session->receiving);
    session->receiving = true;
    io_recv(&session->stream, NULL, 0, recv_done);
}

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
static size_t decode_all(struct session *session, struct nats_decoder *decoder, struct bytes in)
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

/* The same; subscribers are sent long messages from where they stand in `in`. */
static size_t decode(struct session *session, struct nats_decoder *decoder, struct bytes in)
{
    struct bus_server *server = session->server;
    assert(!server->lender.bytes.len && list_empty(&server->borrowers));
    if (in.len >= LENT_MIN) server->lender.bytes = in;
    size_t taken = decode_all(session, decoder, in);
    sessions_settle(server);
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
    if (is_ready(session) && !session->receiving) session_receive(session);
}

/* Takes bytes of the client's, and listens for more unless it is to wait. */
void session_take(struct session *session, struct bytes bytes)
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
    session_receive(session);
}

/* What has come behind the beginning of an operation, when that fits in front of it and this makes
 * it whole: so a bulk of messages is in one piece however the receives cut it. */
static struct bytes join(struct session *session, char *data, size_t len)
{
    struct buf *partial = &session->partial;
    size_t have = buf_len(partial);
    if (!have || have > IO_RECV_ROOM || have + len < session->need || !is_ready(session))
        return bytes_make(data, len);
    memcpy(data - have, buf_bytes(partial).data, have);
    buf_release(partial);
    return bytes_make(data - have, have + len);
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
    session_take(session, join(session, io_recv_data(stream), (size_t)result));
}
