#include "io/sim_end.h"

#include "base/map.h"

enum {
    SEGMENT = 1460,          /* what an Ethernet frame carries */
    SEGMENT_BULK = 16 * 1024 /* what receive offload makes of many */
};

static struct sim *sim_of(const struct sim_end *end)
{
    return end->connection->sim;
}

static struct sim_prng *prng_of(const struct sim_end *end)
{
    return &sim_of(end)->prng;
}

static void wake(struct sim_end *end, struct sim_ready *ready)
{
    if (end->stream && end->state != END_CLOSED) sim_io_ready(end->io, ready);
}

/* ---- the way between two hosts ----------------------------------------------------------- */

bool sim_reachable(const struct sim_host *from, const struct sim_host *to)
{
    return from == to || (to->power && !(from->cut_to >> (to->number - 1) & 1));
}

uint64_t sim_latency_ns(const struct sim_host *from, const struct sim_host *to)
{
    struct sim *sim = from->sim;
    const struct sim_options *options = &sim->options;
    if (from == to) return 1 + sim_prng_exponential(&sim->prng, 10 * NS_PER_US);
    uint64_t min_ns = options->latency_min_us * NS_PER_US;
    uint64_t mean_ns = options->latency_mean_us * NS_PER_US;
    uint64_t above_ns = mean_ns > min_ns ? mean_ns - min_ns : 0;
    return 1 + min_ns + sim_prng_exponential(&sim->prng, above_ns);
}

/* Whether the thing in transit cannot get there now. It then waits for sim_end_resume; a sender
 * that knows of bytes without an answer gives up after the world's send_timeout_ms. */
static bool held_up(struct sim_transit *transit, const struct sim_host *from,
                    const struct sim_host *to, struct sim_end *sender, bool unanswered)
{
    struct sim *sim = sim_of(sender);
    bool was_held = transit->held;
    transit->held = !sim_reachable(from, to);
    if (!transit->held) return false;
    if (!was_held || !unanswered) transit->held_since_ns = sim->now_ns;
    if (!unanswered) return true;
    uint64_t end_ns = transit->held_since_ns + sim->options.send_timeout_ms * NS_PER_MS;
    if (sim->now_ns < end_ns) {
        sim_event_set(sim, &transit->event, end_ns);
    } else {
        sim_end_break(sender, ERR_TIMEOUT);
        sim_connection_settle(sender->connection);
    }
    return true;
}

static void resume(struct sim *sim, struct sim_transit *transit)
{
    if (!transit->held) return;
    /* The next retransmission. */
    uint64_t delay_ns = sim_prng_exponential(&sim->prng, 100 * NS_PER_MS);
    sim_event_set(sim, &transit->event, sim->now_ns + delay_ns);
}

/* With a full window nothing is under way that could be held up; but a kernel asks from time to
 * time whether there is room, and gets no answer. */
void sim_end_probe(struct sim_end *end)
{
    bool waits = end->stream && end->stream->send_done && !buf_len(&end->sent);
    if (waits && !sim_event_waits(&end->ack.event))
        sim_event_set(sim_of(end), &end->ack.event, sim_of(end)->now_ns);
}

void sim_end_resume(struct sim_end *end)
{
    resume(sim_of(end), &end->data);
    resume(sim_of(end), &end->ack);
}

/* ---- bytes going out --------------------------------------------------------------------- */

static void depart(struct sim_end *end)
{
    if (sim_event_waits(&end->data.event) || end->error) return;
    if (!buf_len(&end->sent) && (!end->fin || end->fin_arrived)) return;
    if (end->peer->state == END_NONE) return; /* not connected: it goes with the answer */
    uint64_t at_ns = sim_of(end)->now_ns + sim_latency_ns(end->host, end->peer->host);
    sim_event_set(sim_of(end), &end->data.event, at_ns);
}

/* Takes from the program as much as the window allows. */
static void accept_bytes(struct sim_end *end)
{
    struct io_stream *stream = end->stream;
    uint64_t room = end->window - (end->accepted - end->acked);
    while (stream->send_index < stream->send_count) {
        const struct iovec *part = &stream->send_iov[stream->send_index];
        size_t len = part->iov_len - stream->send_offset;
        if (len > room) len = (size_t)room;
        struct bytes bytes = bytes_make((char *)part->iov_base + stream->send_offset, len);
        if (len) {
            buf_append(&end->sent, bytes);
            assert(!end->sent.failed);
            sim_note(sim_of(end), map_hash(bytes));
        }
        end->accepted += len;
        room -= len;
        stream->send_offset += len;
        if (stream->send_offset < part->iov_len) break;
        stream->send_index++;
        stream->send_offset = 0;
    }
    depart(end);
    if (stream->send_index == stream->send_count) wake(end, &end->send_ready);
}

void sim_send(struct io_stream *stream)
{
    struct sim_end *end = stream->sim;
    if (end->error)
        wake(end, &end->send_ready);
    else
        accept_bytes(end);
}

void sim_shutdown(struct io_stream *stream)
{
    struct sim_end *end = stream->sim;
    end->fin = true;
    depart(end);
}

static size_t segment_size(struct sim_end *end)
{
    size_t len = buf_len(&end->sent), most = len > 2 * SEGMENT_BULK ? SEGMENT_BULK : SEGMENT;
    uint64_t kind = sim_prng_next(prng_of(end)) % 8;
    if (kind == 0) most = 1;
    if (kind == 1) most = 64;
    if (most > len) most = len;
    return kind < 4 ? sim_prng_between(prng_of(end), 1, most) : most;
}

/* ---- and arriving ------------------------------------------------------------------------ */

static void trace_arrival(const struct sim_end *end, const char *what, size_t len)
{
    sim_trace(sim_of(end), "%s -> %s connection %llu: %s %zu", end->host->name,
              end->peer->host->name, (unsigned long long)end->connection->number, what, len);
}

static void deliver(struct sim_end *end, size_t len)
{
    struct sim_end *peer = end->peer;
    struct sim *sim = sim_of(end);
    trace_arrival(end, "bytes", len);
    buf_append(&peer->arrived, bytes_head(buf_bytes(&end->sent), len));
    assert(!peer->arrived.failed);
    buf_consume(&end->sent, len);
    sim_note(sim, end->connection->number << 32 | len);
    if (peer->stream && peer->stream->recv_done) wake(peer, &peer->recv_ready);
    /* Cut off from word of this, the sender will give up some day. */
    end->unanswered = !sim_reachable(peer->host, end->host);
    if (end->unanswered && !sim_event_waits(&end->ack.event))
        sim_event_set(sim, &end->ack.event, sim->now_ns);
}

static void deliver_fin(struct sim_end *end)
{
    trace_arrival(end, "end after", (size_t)end->accepted);
    end->fin_arrived = true;
    end->peer->arrived_fin = true;
    if (end->peer->stream && end->peer->stream->recv_done) wake(end->peer, &end->peer->recv_ready);
    sim_connection_settle(end->connection);
}

/* Nobody at the other side wants it: a closed socket, or a host that has started anew. */
static bool unwanted(const struct sim_end *end)
{
    const struct sim_end *peer = end->peer;
    bool is_fin = !buf_len(&end->sent);
    return peer->state == END_SILENT || peer->error || (peer->state == END_CLOSED && !is_fin);
}

static void data_arrives(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, data.event);
    struct sim *sim = sim_of(end);
    if (end->state == END_SILENT && !sim_reachable(end->host, end->peer->host)) {
        buf_clear(&end->sent);
        sim_connection_settle(end->connection);
        return;
    }
    if (held_up(&end->data, end->host, end->peer->host, end, true)) return;
    if (unwanted(end)) {
        sim_end_send_reset(end);
        buf_clear(&end->sent);
        end->fin_arrived = end->fin;
        sim_connection_settle(end->connection);
        return;
    }
    if (end->host != end->peer->host && sim_prng_chance(&sim->prng, sim->options.reset_chance)) {
        sim_end_break(end, ERR_RESET);
        sim_end_break(end->peer, ERR_RESET);
        sim_connection_settle(end->connection);
        return;
    }
    uint64_t cost_ns = 1 + sim_prng_below(&sim->prng, 5 * NS_PER_US);
    if (buf_len(&end->sent)) {
        size_t len = segment_size(end);
        if (sim->options.bandwidth) cost_ns += len * 1000000000 / sim->options.bandwidth;
        deliver(end, len);
    }
    if (buf_len(&end->sent))
        sim_event_set(sim, &end->data.event, sim->now_ns + cost_ns);
    else if (end->fin && !end->fin_arrived)
        deliver_fin(end);
    else if (end->state == END_SILENT)
        sim_connection_settle(end->connection);
}

static void ack_arrives(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, ack.event);
    struct sim_end *peer = end->peer;
    if (end->error || !end->stream) return;
    bool waits = end->unanswered || end->stream->send_done;
    if (held_up(&end->ack, peer->host, end->host, end, waits)) return;
    if (peer->state == END_SILENT || peer->state == END_CLOSED || peer->error) {
        if (waits) sim_end_send_reset(end);
        return;
    }
    end->unanswered = false;
    end->acked = end->read;
    if (end->stream->send_done && end->state == END_OPEN) accept_bytes(end);
}

/* ---- receiving --------------------------------------------------------------------------- */

void sim_recv(struct io_stream *stream)
{
    struct sim_end *end = stream->sim;
    if (buf_len(&end->arrived) || end->arrived_fin || end->error) wake(end, &end->recv_ready);
}

void sim_recv_cancel(struct io_stream *stream)
{
    struct sim_end *end = stream->sim;
    if (end) list_remove(&end->recv_ready.link);
}

/* The peer learns some time later that there is room again. */
static void consume(struct sim_end *end, size_t len)
{
    struct sim_end *peer = end->peer;
    struct sim *sim = sim_of(end);
    buf_consume(&end->arrived, len);
    peer->read += len;
    if (!peer->stream || sim_event_waits(&peer->ack.event)) return;
    sim_event_set(sim, &peer->ack.event, sim->now_ns + sim_latency_ns(end->host, peer->host));
}

static void recv_step(struct sim_ready *ready)
{
    struct sim_end *end = CONTAINER_OF(ready, struct sim_end, recv_ready);
    struct io_stream *stream = end->stream;
    if (!stream || !stream->recv_done) return;
    io_stream_done *done = stream->recv_done;
    size_t len = buf_len(&end->arrived);
    if (!len) {
        if (!end->error && !end->arrived_fin) return;
        stream->recv_done = NULL;
        done(stream, end->error);
        return;
    }
    char *scratch = end->host->scratch + IO_RECV_ROOM,
         *to = stream->recv_buf ? stream->recv_buf : scratch;
    assert(to);
    size_t size = stream->recv_size ? stream->recv_size : SIM_SCRATCH_SIZE;
    if (to == scratch && size > SIM_SCRATCH_SIZE) size = SIM_SCRATCH_SIZE;
    if (len > size) len = size;
    if (sim_prng_next(prng_of(end)) % 8 == 0) len = sim_prng_between(prng_of(end), 1, len);
    stream->recv_data = to;
    memcpy(to, buf_bytes(&end->arrived).data, len);
    consume(end, len);
    stream->recv_done = NULL;
    done(stream, (int)len);
    if (to == scratch) memset(scratch, 0xdb, len); /* who looks later sees nonsense */
}

/* A send or a connect has come to its end. */
static void send_step(struct sim_ready *ready)
{
    struct sim_end *end = CONTAINER_OF(ready, struct sim_end, send_ready);
    struct io_stream *stream = end->stream;
    if (!stream) return;
    if (stream->connect_done) {
        io_stream_done *done = stream->connect_done;
        stream->connect_done = NULL;
        done(stream, end->error);
    } else if (stream->send_done) {
        io_stream_done *done = stream->send_done;
        bool all = stream->send_index == stream->send_count;
        stream->send_done = NULL;
        done(stream, all ? (int)stream->send_total : end->error);
    }
}

/* ---- closing ----------------------------------------------------------------------------- */

/* The program of a host that crashes in one of these has no stream any more. */
static void close_step(struct sim_ready *ready)
{
    struct sim_end *end = CONTAINER_OF(ready, struct sim_end, close_ready);
    struct io_stream *stream = end->stream;
    struct io *io = &end->io->io;
    io_stream_done *dones[] = {stream->connect_done, stream->send_done, stream->recv_done};
    stream->connect_done = stream->recv_done = stream->send_done = NULL;
    for (int i = 0; i < 3; i++) {
        if (dones[i] && !io->dead) dones[i](stream, ERR_CLOSED);
    }
    if (io->dead) return;
    end->stream = NULL;
    end->io = NULL;
    sim_connection_settle(end->connection);
    stream->sim = NULL;
    stream->closed(stream);
}

void sim_close(struct io_stream *stream)
{
    struct sim_end *end = stream->sim;
    list_remove(&end->recv_ready.link);
    list_remove(&end->send_ready.link);
    sim_end_hang_up(end);
    if (stream->closed) {
        sim_io_ready(end->io, &end->close_ready);
        return;
    }
    end->stream = NULL;
    end->io = NULL;
    sim_connection_settle(end->connection);
}

/* As Linux does: with bytes that nobody has read an RST, otherwise what was accepted and a FIN. */
void sim_end_hang_up(struct sim_end *end)
{
    bool unread = buf_len(&end->arrived) > 0;
    list_remove(&end->backlog);
    end->state = END_CLOSED;
    end->fin = true;
    sim_event_cancel(sim_of(end), &end->syn);
    if (unread && !end->error) sim_end_send_reset(end->peer);
    if (unread)
        sim_end_break(end, ERR_CLOSED);
    else
        depart(end);
}

void sim_end_break(struct sim_end *end, int error)
{
    struct sim *sim = sim_of(end);
    if (end->error || end->state == END_NONE || end->state == END_SILENT) return;
    sim_trace(sim, "%s connection %llu: %s", end->host->name,
              (unsigned long long)end->connection->number, err_text(error));
    end->error = error;
    buf_release(&end->sent);
    sim_event_cancel(sim, &end->data.event);
    sim_event_cancel(sim, &end->ack.event);
    end->data.held = end->ack.held = false;
    if (!end->stream) return;
    if (end->stream->recv_done) wake(end, &end->recv_ready);
    if (end->stream->send_done || end->stream->connect_done) wake(end, &end->send_ready);
}

static void reset_arrives(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, reset);
    if (sim_reachable(end->peer->host, end->host)) sim_end_break(end, ERR_RESET);
    sim_connection_settle(end->connection);
}

void sim_end_send_reset(struct sim_end *end)
{
    struct sim *sim = sim_of(end);
    if (end->state == END_NONE || end->state == END_SILENT || end->error) return;
    if (sim_event_waits(&end->reset)) return;
    uint64_t latency_ns = sim_latency_ns(end->peer->host, end->host);
    sim_event_set(sim, &end->reset, sim->now_ns + latency_ns);
}

/* What had left the host may still arrive. */
void sim_end_silence(struct sim_end *end)
{
    struct sim *sim = sim_of(end);
    if (sim_prng_next(&sim->prng) & 1) {
        sim_event_cancel(sim, &end->data.event);
        buf_release(&end->sent);
    }
    sim_event_cancel(sim, &end->ack.event);
    sim_event_cancel(sim, &end->syn);
    sim_event_cancel(sim, &end->reset);
    list_remove(&end->backlog);
    buf_release(&end->arrived);
    end->state = END_SILENT;
    end->fin = false;
}

/* ---- connections ------------------------------------------------------------------------- */

struct sim_connection *sim_connection_new(struct sim *sim)
{
    struct sim_connection *connection = sim_alloc(1, sizeof *connection);
    connection->sim = sim;
    connection->number = ++sim->connection_made;
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &connection->ends[i];
        end->connection = connection;
        end->peer = &connection->ends[1 - i];
        list_init(&end->backlog);
        list_init(&end->recv_ready.link);
        list_init(&end->send_ready.link);
        list_init(&end->close_ready.link);
    }
    list_push(&sim->connections, &connection->link);
    sim->connection_count++;
    return connection;
}

/* Small windows as often as large ones. */
static uint64_t window(struct sim *sim)
{
    uint64_t low = sim->options.window_min ? sim->options.window_min : 1, doublings = 0;
    while (low << (doublings + 1) <= sim->options.window_max) doublings++;
    return low << sim_prng_below(&sim->prng, doublings + 1);
}

void sim_end_begin(struct sim_end *end, struct sim_io *io, enum sim_end_state state)
{
    end->host = io->host;
    end->io = io;
    end->state = state;
    end->window = window(sim_of(end));
    buf_init(&end->sent, SIZE_MAX / 2);
    buf_init(&end->arrived, SIZE_MAX / 2);
    sim_event_init(&end->data.event, data_arrives);
    sim_event_init(&end->ack.event, ack_arrives);
    sim_event_init(&end->reset, reset_arrives);
    end->recv_ready.run = recv_step;
    end->send_ready.run = send_step;
    end->close_ready.run = close_step;
}

static bool settled(const struct sim_end *end)
{
    if (end->state == END_NONE) return true;
    if (end->stream || sim_event_waits(&end->reset)) return false;
    if (end->state == END_SILENT) return !buf_len(&end->sent);
    if (end->state != END_CLOSED) return false;
    return end->error || end->fin_arrived || end->peer->state == END_NONE;
}

void sim_connection_settle(struct sim_connection *connection)
{
    if (settled(&connection->ends[0]) && settled(&connection->ends[1]))
        sim_connection_free(connection);
}

void sim_connection_free(struct sim_connection *connection)
{
    struct sim *sim = connection->sim;
    for (int i = 0; i < 2; i++) {
        struct sim_end *end = &connection->ends[i];
        sim_event_cancel(sim, &end->data.event);
        sim_event_cancel(sim, &end->ack.event);
        sim_event_cancel(sim, &end->reset);
        sim_event_cancel(sim, &end->syn);
        list_remove(&end->backlog);
        list_remove(&end->recv_ready.link);
        list_remove(&end->send_ready.link);
        list_remove(&end->close_ready.link);
        buf_release(&end->sent);
        buf_release(&end->arrived);
    }
    list_remove(&connection->link);
    sim->connection_count--;
    free(connection);
}
