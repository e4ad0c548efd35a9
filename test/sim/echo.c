#include "echo.h"

#include <stdlib.h>

struct echo_connection {
    struct list link;
    struct echo_server *server;
    struct io_stream stream;
    struct iovec iov;
    char buf[4000];
};

static void touch_disk(struct io *io, bool wanted)
{
    if (wanted) io_mkdir(io, "/touched");
}

/* ---- the server -------------------------------------------------------------------------- */

static void serve_received(struct io_stream *stream, int result);

static void serve_closed(struct io_stream *stream)
{
    struct echo_connection *connection = CONTAINER_OF(stream, struct echo_connection, stream);
    touch_disk(connection->server->io, connection->server->touches_disk);
    list_remove(&connection->link);
    free(connection);
}

static void serve_end(struct echo_connection *connection, int error)
{
    if (error < 0) {
        connection->server->errors++;
        connection->server->last_error = error;
    }
    io_close(&connection->stream, serve_closed);
}

static void serve_sent(struct io_stream *stream, int result)
{
    struct echo_connection *connection = CONTAINER_OF(stream, struct echo_connection, stream);
    touch_disk(connection->server->io, connection->server->touches_disk);
    if (result < 0)
        serve_end(connection, result);
    else
        io_recv(stream, connection->buf, sizeof connection->buf, serve_received);
}

static void serve_received(struct io_stream *stream, int result)
{
    struct echo_connection *connection = CONTAINER_OF(stream, struct echo_connection, stream);
    touch_disk(connection->server->io, connection->server->touches_disk);
    if (result <= 0) {
        serve_end(connection, result);
        return;
    }
    connection->iov = (struct iovec){connection->buf, (size_t)result};
    io_send(stream, &connection->iov, 1, serve_sent);
}

static void serve_secured(struct io_stream *stream, int result)
{
    struct echo_connection *connection = CONTAINER_OF(stream, struct echo_connection, stream);
    if (result)
        serve_end(connection, result);
    else
        io_recv(stream, connection->buf, sizeof connection->buf, serve_received);
}

static void serve_accepted(struct io_listener *listener)
{
    struct echo_server *server = CONTAINER_OF(listener, struct echo_server, listener);
    struct echo_connection *connection = calloc(1, sizeof *connection);
    if (!connection) abort();
    touch_disk(server->io, server->touches_disk);
    connection->server = server;
    list_push(&server->connections, &connection->link);
    server->accepted++;
    io_accept(listener, &connection->stream);
    struct io_tls_start start = {.context = server->tls};
    if (server->tls && io_tls_start(&connection->stream, &start, serve_secured)) abort();
    if (!server->tls)
        io_recv(&connection->stream, connection->buf, sizeof connection->buf, serve_received);
}

int echo_server_start(struct echo_server *server, struct io *io, const struct io_addr *addr)
{
    *server = (struct echo_server){.io = io};
    list_init(&server->connections);
    return io_listen(io, &server->listener, addr, NULL, serve_accepted);
}

void echo_server_stop(struct echo_server *server)
{
    io_listener_close(&server->listener);
}

void echo_server_free(struct echo_server *server)
{
    for (struct list *link; (link = list_pop(&server->connections));) {
        struct echo_connection *connection = CONTAINER_OF(link, struct echo_connection, link);
        io_stream_forget(&connection->stream);
        free(connection);
    }
}

/* ---- the client -------------------------------------------------------------------------- */

static char pattern(const struct echo_client *client, uint64_t place)
{
    return (char)(place * 31 + (place >> 8) * 17 + client->salt);
}

static void client_closed(struct io_stream *stream)
{
    struct echo_client *client = CONTAINER_OF(stream, struct echo_client, stream);
    touch_disk(client->io, client->touches_disk);
    client->done = true;
}

static void client_end(struct echo_client *client, int error)
{
    if (client->closing) return;
    client->error = error;
    client->closing = true;
    io_close(&client->stream, client_closed);
}

static void client_send(struct echo_client *client);

static void client_sent(struct io_stream *stream, int result)
{
    struct echo_client *client = CONTAINER_OF(stream, struct echo_client, stream);
    touch_disk(client->io, client->touches_disk);
    client->sends = false;
    if (result < 0) {
        client_end(client, result);
        return;
    }
    client->sent += (uint64_t)result;
    client_send(client);
}

static void client_send(struct echo_client *client)
{
    if (client->closing || client->sends || client->shut || client->idle) return;
    uint64_t left = client->total - client->sent;
    if (!left) {
        client->shut = true;
        io_shutdown(&client->stream);
        return;
    }
    uint64_t len = 1 + io_random_u64(client->io) % ECHO_PIECE;
    if (len > left) len = left;
    for (uint64_t i = 0; i < len; i++) client->out[i] = pattern(client, client->sent + i);
    client->iov = (struct iovec){client->out, len};
    client->sends = true;
    io_send(&client->stream, &client->iov, 1, client_sent);
}

static void client_received(struct io_stream *stream, int result)
{
    struct echo_client *client = CONTAINER_OF(stream, struct echo_client, stream);
    touch_disk(client->io, client->touches_disk);
    client->receives = false;
    if (result <= 0) {
        client->ended = result == 0;
        client_end(client, result);
        return;
    }
    const char *data = io_recv_data(stream);
    for (int i = 0; i < result; i++)
        if (data[i] != pattern(client, client->received + (uint64_t)i)) client->mismatch = true;
    client->received += (uint64_t)result;
    client->receives = true;
    /* Into the loop's buffer and into its own in turn. */
    bool own = client->received & 1;
    io_recv(stream, own ? client->in : NULL, own ? sizeof client->in : 0, client_received);
}

static void client_ready(struct io_stream *stream, int result)
{
    struct echo_client *client = CONTAINER_OF(stream, struct echo_client, stream);
    if (result < 0) {
        client_end(client, result);
        return;
    }
    client->connected = client->receives = true;
    io_recv(stream, client->in, sizeof client->in, client_received);
    client_send(client);
}

static void client_connected(struct io_stream *stream, int result)
{
    struct echo_client *client = CONTAINER_OF(stream, struct echo_client, stream);
    touch_disk(client->io, client->touches_disk);
    struct io_tls_start start = {.context = client->tls, .host = "bus.example"};
    if (result < 0 || !client->tls)
        client_ready(stream, result);
    else if (io_tls_start(stream, &start, client_ready))
        abort();
}

void echo_client_start(struct echo_client *client, struct io *io, const struct io_addr *addr,
                       uint64_t total, bool idle)
{
    *client = (struct echo_client){.io = io, .total = total, .idle = idle};
    client->salt = (uint8_t)io_random_u64(io);
    io_connect(io, &client->stream, addr, client_connected);
}

void echo_client_go(struct echo_client *client)
{
    client->idle = false;
    if (client->connected) client_send(client);
}
