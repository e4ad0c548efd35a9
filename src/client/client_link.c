/* Bytes in and out of the connection. */
#include "client/client_impl.h"

#include "bus/subject.h"

#include <stdio.h>

enum { INBOX_SID = 1 };

/* ---- out ------------------------------------------------------------------------------------ */

static void flight_done(struct io_stream *stream, int result);

static void send_gathered(struct client *client)
{
    if (client->sending || !client->stream_open || !buf_len(&client->out)) return;
    struct buf empty = client->flight;
    client->flight = client->out;
    client->out = empty;
    client->iov =
        (struct iovec){client->flight.data + client->flight.start, buf_len(&client->flight)};
    client->sending = true;
    io_send(&client->stream, &client->iov, 1, flight_done);
}

static void flight_done(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    client->sending = false;
    if (!client->stream_open) return; /* it is closing */
    if (result < 0) {
        client_lose(client, "broken while writing");
        return;
    }
    buf_clear(&client->flight);
    client_send_durables(client);
    send_gathered(client);
    if (client->flushing && !client->sending) client_finish(client);
}

void client_send_task(struct io_task *task)
{
    struct client *client = CONTAINER_OF(task, struct client, send_task);
    if (client->out.failed) {
        client_lose(client, "no memory for what is to be sent");
        return;
    }
    send_gathered(client);
}

void client_send_soon(struct client *client)
{
    io_defer(client->io, &client->send_task);
}

void client_put_ping(struct client *client)
{
    client->pings++;
    nats_put_ping(&client->out);
    client_send_soon(client);
}

bool client_has_room(const struct client *client, size_t bytes)
{
    size_t waiting = buf_len(&client->out) + (client->sending ? buf_len(&client->flight) : 0);
    return waiting + bytes + CLIENT_FRAME_HEAD <= client->options.max_pending;
}

int client_check(const struct client *client, const struct message *message)
{
    size_t size = message->headers.len + message->payload.len;
    if (client->closing) return ERR_CLOSED;
    if (!subject_is_literal(message->subject)) return ERR_INVALID;
    if (message->reply.len && !subject_is_literal(message->reply)) return ERR_INVALID;
    if (message->subject.len + message->reply.len + 64 > NATS_LINE_MAX) return ERR_TOO_BIG;
    return size > client->info.max_payload ? ERR_TOO_BIG : 0;
}

int client_publish(struct client *client, struct message *message)
{
    int err = client_check(client, message);
    if (err) return err;
    if (client->state != CLIENT_UP) return ERR_UNREACHABLE;
    if (!client_has_room(client, message->headers.len + message->payload.len)) return ERR_FULL;
    nats_put_pub(&client->out, message->subject, message->reply, message->headers,
                 message->payload);
    client->metrics.messages_out++;
    client_send_soon(client);
    return 0;
}

/* ---- in ------------------------------------------------------------------------------------- */

static void take_error(struct client *client, struct bytes text)
{
    client->metrics.server_errors++;
    LOG(client->log, LOG_WARN, "bus_server_error", LOG_S("server", client->server_text),
        LOG_B("text", bytes_head(text, 256)));
    if (client->state != CLIENT_UP)
        snprintf(client->reason, sizeof client->reason, "the server says: %.*s",
                 BYTES_ARG(bytes_head(text, 120)));
}

static void take_pong(struct client *client)
{
    client->pongs++;
    if (client->state == CLIENT_JOINING) client_came_up(client);
    client_drain_step(client);
}

static void take_frame(struct client *client, const struct nats_frame *frame)
{
    uint64_t sid;
    switch (frame->op) {
    case NATS_INFO: client_take_info(client, frame->text); break;
    case NATS_PING:
        nats_put_pong(&client->out);
        client_send_soon(client);
        break;
    case NATS_PONG: take_pong(client); break;
    case NATS_MSG:
    case NATS_HMSG:
        client->metrics.messages_in++;
        if (bytes_to_u64(frame->sid, UINT64_MAX, &sid) == 0 && sid == INBOX_SID)
            client_answered(client, frame);
        else
            client_deliver(client, frame);
        break;
    case NATS_ERR: take_error(client, frame->text); break;
    default: break;
    }
}

/* Decodes what is whole in `in`. Returns how many bytes that was, or a negative error. */
static int64_t decode(struct client *client, struct bytes in)
{
    struct nats_frame frame;
    unsigned generation = client->generation;
    size_t used = 0;
    while (used < in.len && client->generation == generation) {
        int64_t len = nats_decode(&client->decoder, bytes_skip(in, used), &frame);
        if (len < 0) return len;
        if (len == 0) break;
        used += (size_t)len;
        take_frame(client, &frame);
    }
    return client->generation == generation ? (int64_t)used : (int64_t)in.len;
}

/* Straight from where they were received; only what is not whole yet is kept. */
static int64_t feed(struct client *client, struct bytes bytes)
{
    unsigned generation = client->generation;
    if (!buf_len(&client->in)) {
        int64_t used = decode(client, bytes);
        if (used < 0 || client->generation != generation) return used;
        buf_append(&client->in, bytes_skip(bytes, (size_t)used));
        return client->in.failed ? ERR_NOMEM : 0;
    }
    buf_append(&client->in, bytes);
    if (client->in.failed) return ERR_NOMEM;
    if (buf_len(&client->in) < client->decoder.need) return 0;
    int64_t used = decode(client, buf_bytes(&client->in));
    if (used < 0 || client->generation != generation) return used;
    buf_consume(&client->in, (size_t)used);
    return 0;
}

static void received(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (!client->stream_open) return;
    if (result <= 0) {
        client_lose(client, result == 0 ? "closed by the server" : err_text(result));
        return;
    }
    unsigned generation = client->generation;
    int64_t err = feed(client, bytes_make(io_recv_data(stream), (size_t)result));
    if (client->generation != generation) return;
    if (err < 0)
        client_lose(client,
                    err == ERR_NOMEM ? "no memory for what came" : "the server broke the protocol");
    else if (client->stream_open)
        io_recv(stream, NULL, 0, received);
}

void client_link_start(struct client *client)
{
    nats_decoder_init(&client->decoder, NATS_CLIENT);
    client->decoder.max_payload = NATS_PAYLOAD_CAP;
    io_recv(&client->stream, NULL, 0, received);
}

void client_link_reset(struct client *client)
{
    client->generation++;
    client->sending = false;
    buf_release(&client->in);
    buf_release(&client->flight);
    buf_clear(&client->out);
    client->pings = client->pongs = client->drain_mark = 0;
    io_task_cancel(client->io, &client->send_task);
}
