/* What a client says first, at each door of the bus: its protocol, TLS, WebSocket, and both. On the
 * simulated network; the world lives on from one input to the next, and each must leave it empty.
 */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "bus/bus_server.h"
#include "bus/bus_tls.h"
#include "bus/bus_websocket.h"
#include "certificates.h"
#include "io/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { PLAIN = 4222, SECURE = 4223, WEBSOCKET = 9222, SECURE_WEBSOCKET = 9223, DOORS = 4 };

static struct sim *sim;
static struct sim_host *client_host, *server_host;

static void put_file(struct io *io, const char *path, X509 *certificate, EVP_PKEY *key)
{
    struct io_file file;
    char *content;
    BIO *bio = BIO_new(BIO_s_mem());
    int made = certificate ? PEM_write_bio_X509(bio, certificate)
                           : PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    struct iovec piece;
    piece.iov_len = (size_t)BIO_get_mem_data(bio, &content);
    piece.iov_base = content;
    int r = io_file_open(io, &file, path, IO_WRITE | IO_CREATE);
    if (!r) r = io_file_write(&file, &piece, 1, 0);
    assert(made && !r);
    io_file_close(&file);
    BIO_free(bio);
}

static void open_server(struct io *io, bool secure)
{
    struct io_addr addr = {.family = IO_IPV4, .port = secure ? SECURE : PLAIN};
    struct bus_tls_options tls = {
        .certificate_file = "/bus.pem", .key_file = "/bus.key", .first = BUS_TLS_EITHER};
    struct bus *bus;
    struct bus_server *server;
    int r = bus_new(io, NULL, NULL, &bus);
    if (!r) r = bus_server_new(io, NULL, bus, NULL, &server);
    if (!r && secure) r = bus_server_use_tls(server, &tls, NULL);
    if (!r) r = bus_server_listen(server, &addr, NULL);
    addr.port = secure ? SECURE_WEBSOCKET : WEBSOCKET;
    if (!r) r = bus_server_listen_websocket(server, &addr, NULL, NULL);
    assert(!r);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const long sim_epoch_s = 1795219200; /* when every world begins */
    struct certificate_spec spec = {
        .common_name = "bus", .from_s = sim_epoch_s - (long)time(NULL), .for_s = 1000 * 24 * 3600};
    struct certificate certificate = certificate_make(&spec, NULL);
    sim = sim_new(1, NULL);
    client_host = sim_host_new(sim, "client");
    server_host = sim_host_new(sim, "server");
    struct io *io = sim_host_io(server_host);
    put_file(io, "/bus.pem", certificate.x509, NULL);
    put_file(io, "/bus.key", NULL, certificate.key);
    certificate_free(&certificate);
    open_server(io, false);
    open_server(io, true);
    return 0;
}

struct client {
    struct io_stream stream;
    const uint8_t *data;
    size_t left, step;
    struct iovec piece;
    bool closed;
};

static void client_closed(struct io_stream *stream)
{
    CONTAINER_OF(stream, struct client, stream)->closed = true;
}

static void client_received(struct io_stream *stream, int result)
{
    if (result > 0)
        io_recv(stream, NULL, 0, client_received);
    else if (result != ERR_CLOSED)
        io_close(stream, client_closed);
}

static void client_send(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (result < 0) return; /* the receive hears of it too */
    size_t len = client->left < client->step ? client->left : client->step;
    if (!len) {
        io_shutdown(stream);
        return;
    }
    client->piece = (struct iovec){(void *)client->data, len};
    client->data += len;
    client->left -= len;
    io_send(stream, &client->piece, 1, client_send);
}

static void client_connected(struct io_stream *stream, int result)
{
    assert(!result);
    io_recv(stream, NULL, 0, client_received);
    client_send(stream, 0);
}

static bool is_over(void *context)
{
    return ((struct client *)context)->closed && !sim_connections(sim);
}

/* The first byte: the door, and how much is sent at once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t ports[DOORS] = {PLAIN, SECURE, WEBSOCKET, SECURE_WEBSOCKET};
    static const size_t steps[] = {1, 5, 64, SIZE_MAX};
    if (!size) return 0;
    struct client client = {.data = data + 1, .left = size - 1, .step = steps[(data[0] >> 2) % 4]};
    struct io_addr addr = sim_host_addr(server_host, ports[data[0] % DOORS]);
    io_connect(sim_host_io(client_host), &client.stream, &addr, client_connected);
    bool over = sim_run_until(sim, 60 * 1000, is_over, &client);
    assert(over);
    return 0;
}
