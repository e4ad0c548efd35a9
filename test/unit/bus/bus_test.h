/* What the tests of a running bus share: a bus on loopback, and clients that are plain sockets in
 * the same thread; the loop is turned whenever a client waits. */
#ifndef DURE_TEST_BUS_TEST_H
#define DURE_TEST_BUS_TEST_H

#include "bus/bus_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURNS_MAX = 400, CLIENT_BUFFER = 1 << 20 };

struct test_bus {
    struct io *io;
    struct bus *bus;
    struct bus_server *server;
    struct io_addr addr;
    bool closed;
};

struct client {
    struct test_bus *t;
    int fd;
    size_t len;
    bool eof;
    char *data;
    char info[4096]; /* what it was greeted with */
};

static inline void bus_was_closed(void *context)
{
    ((struct test_bus *)context)->closed = true;
}

static inline void server_was_closed(void *context)
{
    struct test_bus *t = context;
    bus_close(t->bus, bus_was_closed, t);
}

static inline void start_with_auth(struct test_bus *t, const struct bus_server_options *options,
                                   struct bus_auth *auth)
{
    *t = (struct test_bus){0};
    assert_int_equal(io_new(NULL, &t->io), 0);
    struct bus_options bus = {.max_payload = options ? options->max_payload : 0,
                              .max_pending = options ? options->max_pending : 0};
    assert_int_equal(bus_new(t->io, &bus, NULL, &t->bus), 0);
    assert_int_equal(bus_server_new(t->io, options, t->bus, NULL, &t->server), 0);
    bus_server_set_auth(t->server, auth);
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &t->addr), 0);
    assert_int_equal(bus_server_listen(t->server, &t->addr, &t->addr), 0);
}

static inline void start(struct test_bus *t, const struct bus_server_options *options)
{
    start_with_auth(t, options, NULL);
}

static inline void stop(struct test_bus *t)
{
    bus_server_close(t->server, server_was_closed, t);
    assert_false(t->closed);
    for (int i = 0; i < TURNS_MAX && !t->closed; i++) io_turn(t->io, 10);
    assert_true(t->closed);
    io_free(t->io);
}

static inline void turn(struct test_bus *t, int times)
{
    for (int i = 0; i < times; i++) io_turn(t->io, 0);
}

/* Reads what has come. */
static inline void client_read(struct client *c)
{
    while (!c->eof && c->len < CLIENT_BUFFER) {
        ssize_t n = recv(c->fd, c->data + c->len, CLIENT_BUFFER - c->len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) c->eof = true;
        if (n > 0) c->len += (size_t)n;
    }
}

/* Turns the loop until the client holds `len` bytes or has seen the end. */
static inline void client_wait(struct client *c, size_t len)
{
    client_read(c);
    for (int i = 0; i < TURNS_MAX && c->len < len && !c->eof; i++) {
        io_turn(c->t->io, 5);
        client_read(c);
    }
}

/* The next bytes must be these. */
static inline void expect(struct client *c, const char *text)
{
    size_t len = strlen(text);
    client_wait(c, len);
    size_t have = c->len < len ? c->len : len;
    if (have < len || memcmp(c->data, text, len))
        fail_msg("expected \"%s\", found \"%.*s\"", text, (int)c->len, c->data);
    memmove(c->data, c->data + len, c->len - len);
    c->len -= len;
}

/* All that comes until the end must be this. */
static inline void expect_end(struct client *c, const char *text)
{
    client_wait(c, CLIENT_BUFFER);
    assert_true(c->eof);
    expect(c, text);
    if (c->len) fail_msg("more: \"%.*s\"", (int)c->len, c->data);
}

static inline void say_bytes(struct client *c, const void *data, size_t len)
{
    size_t sent = 0;
    for (int i = 0; i < TURNS_MAX * 100 && sent < len; i++) {
        ssize_t n = send(c->fd, (const char *)data + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        if (n < 0 && errno != EAGAIN) return;
        io_turn(c->t->io, 0);
    }
    assert_int_equal(sent, len);
}

static inline void say(struct client *c, const char *text)
{
    say_bytes(c, text, strlen(text));
}

/* All that was said so far has been done, and this is what came of it. */
static inline void expect_all(struct client *c, const char *text)
{
    say(c, "PING\r\n");
    expect(c, text);
    expect(c, "PONG\r\n");
    if (c->len) fail_msg("more: \"%.*s\"", (int)c->len, c->data);
}

/* A connection that has read its INFO and said CONNECT (NULL: nothing). */
static inline void open_client(struct test_bus *t, struct client *c, const char *connect_json)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(t->addr.port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.t = t, .data = malloc(CLIENT_BUFFER)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof addr), 0);
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client_wait(c, 6);
    assert_true(c->len > 6 && memcmp(c->data, "INFO {", 6) == 0);
    char *end = memmem(c->data, c->len, "\r\n", 2);
    assert_non_null(end);
    size_t used = (size_t)(end + 2 - c->data);
    snprintf(c->info, sizeof c->info, "%.*s", (int)(used - 2), c->data);
    memmove(c->data, c->data + used, c->len - used);
    c->len -= used;
    if (!connect_json) return;
    say(c, "CONNECT ");
    say(c, connect_json);
    say(c, "\r\n");
}

static inline void close_client(struct client *c)
{
    close(c->fd);
    free(c->data);
}

#define QUIET "{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}"

#endif
