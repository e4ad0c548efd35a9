/* harness: a loop (the machine's, or a simulated host's), raw peers that send and collect bytes,
 * and a server whose paths do what the tests need. Include it first. */
#ifndef DURE_TEST_UNIT_HTTP_HARNESS_H
#define DURE_TEST_UNIT_HTTP_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "http/client.h"
#include "http/server.h"
#include "io/sim.h"

static struct io *io;
static struct sim *sim; /* NULL: the real loop */
static struct http http;

/* ---- the loop ------------------------------------------------------------------------------ */

static inline uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void turn(void)
{
    if (sim)
        assert_true(sim_step(sim));
    else
        io_turn(io, 20);
}

#define TURN_UNTIL(condition)                                          \
    do {                                                               \
        uint64_t until_ms_ = real_ms() + 30000;                        \
        while (!(condition)) {                                         \
            if (real_ms() > until_ms_) fail_msg("never: " #condition); \
            turn();                                                    \
        }                                                              \
    } while (0)

static inline uint64_t loop_ms(void)
{
    return io_now_ns(io) / 1000000;
}

static inline void turn_for(uint64_t ms)
{
    uint64_t until = loop_ms() + ms;
    if (sim)
        sim_run_ms(sim, ms);
    else
        while (loop_ms() < until) io_turn(io, 5);
}

static inline void loop_begin(uint64_t seed)
{
    if (seed) {
        sim = sim_new(seed, NULL);
        io = sim_host_io(sim_host_new(sim, "a"));
    } else {
        assert_int_equal(io_new(NULL, &io), 0);
    }
    http_init(&http, io, NULL);
}

static inline void loop_end(void)
{
    assert_int_equal(http.metrics.exchanges, 0);
    assert_int_equal(http.metrics.server_connections, 0);
    assert_int_equal(http.metrics.client_connections, 0);
    http_release(&http);
    if (sim)
        sim_free(sim);
    else
        io_free(io);
    sim = NULL;
    io = NULL;
}

static inline struct io_addr any_port(void)
{
    struct io_addr addr;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    return addr;
}

/* ---- raw peers ------------------------------------------------------------------------------ */

struct peer {
    struct io_stream stream;
    struct buf in;
    struct iovec iov;
    int connected, sent; /* 1: done, negative: error */
    int ended;           /* 1: the other side's end, negative: error */
    bool closed, paused;
};

static inline void peer_received(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    if (result <= 0) {
        peer->ended = result ? result : 1;
        return;
    }
    buf_append(&peer->in, bytes_make(io_recv_data(stream), (size_t)result));
    if (!peer->paused) io_recv(stream, NULL, 0, peer_received);
}

static inline void peer_connected(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    peer->connected = result ? result : 1;
}

static inline void peer_sent(struct io_stream *stream, int result)
{
    struct peer *peer = CONTAINER_OF(stream, struct peer, stream);
    peer->sent = result < 0 ? result : 1;
}

static inline void peer_closed(struct io_stream *stream)
{
    CONTAINER_OF(stream, struct peer, stream)->closed = true;
}

static inline void peer_init(struct peer *peer)
{
    memset(peer, 0, sizeof *peer);
    buf_init(&peer->in, 256 << 20);
    assert_non_null(buf_reserve(&peer->in, 1)); /* so that it is never NULL */
}

static inline void peer_open(struct peer *peer, const struct io_addr *addr)
{
    peer_init(peer);
    io_connect(io, &peer->stream, addr, peer_connected);
    TURN_UNTIL(peer->connected);
    assert_int_equal(peer->connected, 1);
    io_recv(&peer->stream, NULL, 0, peer_received);
}

/* Begins to send; the bytes must stay. */
static inline void peer_post(struct peer *peer, struct bytes bytes)
{
    peer->sent = 0;
    peer->iov = (struct iovec){(char *)bytes.data, bytes.len};
    io_send(&peer->stream, &peer->iov, 1, peer_sent);
}

static inline void peer_send(struct peer *peer, struct bytes bytes)
{
    peer_post(peer, bytes);
    TURN_UNTIL(peer->sent);
}

static inline void peer_close(struct peer *peer)
{
    io_close(&peer->stream, peer_closed);
    TURN_UNTIL(peer->closed);
    buf_release(&peer->in);
}

static inline bool peer_has(const struct peer *peer, const char *text)
{
    return memmem(peer->in.data + peer->in.start, buf_len(&peer->in), text, strlen(text));
}

static inline size_t peer_count(const struct peer *peer, const char *text)
{
    size_t count = 0;
    const char *at = peer->in.data + peer->in.start, *end = peer->in.data + peer->in.end;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        at += strlen(text);
        count++;
    }
    return count;
}

#define TURN_UNTIL_HAS(peer, text) TURN_UNTIL(peer_has(peer, text) || (peer)->ended)

#define assert_has(peer, text)                                                          \
    do {                                                                                \
        if (!peer_has(peer, text))                                                      \
            fail_msg("no \"%s\" in \"%.*s\"", text, BYTES_ARG(buf_bytes(&(peer)->in))); \
    } while (0)

/* ---- the server ------------------------------------------------------------------------------ */

static struct http_server *server;
static bool server_gone;
static int last_closed; /* the last `closed`'s result + 1000; 0: none yet */
static size_t closed_count;
static struct http_exchange *kept; /* of /wait: for the test to answer */
static int read_error;             /* what a read brought */

static inline void exchange_closed(struct http_exchange *x, int result)
{
    if (x == kept) kept = NULL;
    last_closed = result + 1000;
    closed_count++;
}

static inline void echo_read(struct http_exchange *x, int result, struct bytes piece);

static inline void echo_wrote(struct http_exchange *x)
{
    http_read(x, echo_read);
}

static inline void echo_read(struct http_exchange *x, int result, struct bytes piece)
{
    if (result < 0) {
        read_error = result;
        http_refuse(x, result, BYTES("0af7651916cd43dd8448eb211c80319c"));
        return;
    }
    http_write(x, piece, result == HTTP_LAST, result == HTTP_LAST ? NULL : echo_wrote);
}

static inline void sink_read(struct http_exchange *x, int result, struct bytes piece)
{
    (void)piece;
    char text[32];
    if (result < 0) {
        read_error = result;
        http_refuse(x, result, BYTES(""));
    } else if (result == HTTP_LAST) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)x->received);
        http_respond(x, 200, BYTES("text/plain"), bytes_str(text));
    } else {
        http_read(x, sink_read);
    }
}

static inline void endless_wrote(struct http_exchange *x)
{
    static char zeros[64 * 1024];
    http_write(x, bytes_make(zeros, sizeof zeros), false, endless_wrote);
}

static inline void handle(struct http_exchange *x)
{
    struct bytes path = x->in.path;
    x->closed = exchange_closed;
    if (bytes_eq(path, BYTES("/hello"))) {
        http_respond(x, 200, BYTES("text/plain"), BYTES("hello"));
    } else if (bytes_eq(path, BYTES("/echo"))) {
        http_head_response(&x->out, 200);
        assert_int_equal(http_send_head(x, http_body_length(x)), 0);
        if (!x->sent_last) http_read(x, echo_read);
    } else if (bytes_eq(path, BYTES("/chunked"))) {
        http_head_response(&x->out, 200);
        http_head_copy_all(&x->out, &x->in, HTTP_EXCEPT(HOST));
        assert_int_equal(http_send_head(x, HTTP_LENGTH_UNKNOWN), 0);
        if (!x->sent_last) http_read(x, echo_read);
    } else if (bytes_eq(path, BYTES("/sink"))) {
        http_read(x, sink_read);
    } else if (bytes_eq(path, BYTES("/wait"))) {
        kept = x;
    } else if (bytes_eq(path, BYTES("/abort"))) {
        http_abort(x);
    } else if (bytes_eq(path, BYTES("/nothing"))) {
        http_respond(x, 204, BYTES(""), BYTES(""));
    } else if (bytes_eq(path, BYTES("/endless"))) {
        http_head_response(&x->out, 200);
        assert_int_equal(http_send_head(x, HTTP_LENGTH_UNKNOWN), 0);
        endless_wrote(x);
    } else {
        http_problem(x, 404, NULL, x->in.path, BYTES(""));
    }
}

static inline void server_closed(void *context)
{
    (void)context;
    server_gone = true;
}

static inline void server_begin(struct http_server_options options)
{
    struct io_addr addr = any_port();
    options.request = handle;
    server_gone = false;
    last_closed = read_error = 0;
    closed_count = 0;
    kept = NULL;
    assert_int_equal(http_server_open(&http, &addr, &options, &server), 0);
}

static inline void server_end(void)
{
    http_server_close(server, 0, server_closed);
    TURN_UNTIL(server_gone);
}

#endif
