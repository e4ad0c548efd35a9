/* tls_harness: certificates in a folder, contexts from them, and two ends that speak TLS with each
 * other over a pair of sockets. Include it first. */
#ifndef DURE_TEST_UNIT_IO_TLS_HARNESS_H
#define DURE_TEST_UNIT_IO_TLS_HARNESS_H

#include "harness.h"

#include "certificates.h"
#include "io/tls.h"
#include "temp_dir.h"

/* Who there is. Each is NAME.pem and NAME.key in the folder. */
enum who {
    AUTHORITY,
    STRANGER,
    BUS,
    WILD,
    EXPIRED,
    FUTURE,
    ALICE,
    FOREIGN,
    MIDDLE,
    BELOW,
    WHO_COUNT
};

static struct temp_dir folder;
static char certificate_path[WHO_COUNT][96], key_path[WHO_COUNT][96];

static const struct {
    const char *name;
    enum who issuer; /* itself: signs itself */
    struct certificate_spec spec;
} people[WHO_COUNT] = {
    [AUTHORITY] = {"authority", AUTHORITY, {.common_name = "authority", .authority = true}},
    [STRANGER] = {"stranger", STRANGER, {.common_name = "stranger", .authority = true}},
    [BUS] = {"bus", AUTHORITY, {.common_name = "bus", .names = "DNS:bus.example,IP:127.0.0.1"}},
    [WILD] = {"wild", AUTHORITY, {.common_name = "wild", .names = "DNS:*.wild.example"}},
    [EXPIRED] =
        {"expired",
         AUTHORITY,
         {.common_name = "bus", .names = "DNS:bus.example", .from_s = -7200, .for_s = 3600}},
    [FUTURE] = {"future",
                AUTHORITY,
                {.common_name = "bus", .names = "DNS:bus.example", .from_s = 7200}},
    [ALICE] = {"alice",
               AUTHORITY,
               {.common_name = "alice",
                .names = "email:alice@example.com,DNS:alice.example,URI:urn:alice,IP:10.0.0.1"}},
    [FOREIGN] = {"foreign", STRANGER, {.common_name = "alice"}},
    [MIDDLE] = {"middle", AUTHORITY, {.common_name = "middle", .authority = true}},
    [BELOW] = {"below", MIDDLE, {.common_name = "below", .names = "DNS:bus.example"}},
};

static inline int make_world(void **state)
{
    struct certificate made[WHO_COUNT];
    temp_dir_make(&folder);
    for (int i = 0; i < WHO_COUNT; i++) {
        enum who issuer = people[i].issuer;
        made[i] = certificate_make(&people[i].spec, issuer == (enum who)i ? NULL : &made[issuer]);
        snprintf(certificate_path[i], sizeof certificate_path[i], "%s/%s.pem", folder.path,
                 people[i].name);
        snprintf(key_path[i], sizeof key_path[i], "%s/%s.key", folder.path, people[i].name);
        certificate_write(&made[i], i == BELOW ? &made[MIDDLE] : NULL, certificate_path[i]);
        certificate_write_key(&made[i], key_path[i]);
    }
    for (int i = 0; i < WHO_COUNT; i++) certificate_free(&made[i]);
    return make_loop(state);
}

static inline int free_world(void **state)
{
    temp_dir_remove(&folder);
    return free_loop(state);
}

/* A context of `who` (-1: without a certificate) that trusts `trusted` (-1: nobody named). */
static inline struct io_tls_context *make_context(bool server, int who, int trusted,
                                                  enum io_tls_verify verify,
                                                  const struct io_tls_options *more)
{
    struct io_tls_options options = more ? *more : (struct io_tls_options){0};
    struct io_tls_certificate certificate;
    struct io_tls_context *context = NULL;
    struct error error = {0};
    options.server = server;
    options.verify = verify;
    if (who >= 0) {
        certificate = (struct io_tls_certificate){certificate_path[who], key_path[who]};
        options.certificates = &certificate;
        options.certificate_count = 1;
    }
    if (trusted >= 0) options.ca_file = certificate_path[trusted];
    int err = io_tls_context_new(io, &options, &context, &error);
    if (err) fail_msg("%s: %s", error.file, error.message);
    return context;
}

/* ---- two ends ------------------------------------------------------------------------------ */

struct end {
    struct io_stream stream;
    bool started, closed, sent;
    int start_result, recv_result, recv_count, send_result;
    size_t received;
    char text[256];
};

static struct end client, server;

static inline struct end *end_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct end, stream);
}

static inline void start_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->started);
    end->started = true;
    end->start_result = result;
}

static inline void recv_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->recv_result = result;
    end->recv_count++;
    if (result <= 0) return;
    end->received += (size_t)result;
    size_t len = (size_t)result < sizeof end->text ? (size_t)result : sizeof end->text - 1;
    memcpy(end->text, io_recv_data(stream), len);
    end->text[len] = '\0';
}

static inline void send_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->sent = true;
    end->send_result = result;
}

static inline void closed(struct io_stream *stream)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->closed = true;
}

static inline void open_ends(void)
{
    int fds[2];
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    assert_int_equal(io_socket_pair(fds), 0);
    assert_int_equal(io_stream_adopt(io, &client.stream, fds[0]), 0);
    assert_int_equal(io_stream_adopt(io, &server.stream, fds[1]), 0);
}

static inline void start(struct end *end, struct io_tls_context *context, const char *host)
{
    struct io_tls_start how = {.context = context, .host = host};
    assert_int_equal(io_tls_start(&end->stream, &how, start_done), 0);
    assert_false(end->started);
}

/* Opens the ends and shakes hands. The contexts are given up to the streams. */
static inline void shake(struct io_tls_context *ours, struct io_tls_context *theirs,
                         const char *host)
{
    open_ends();
    start(&server, theirs, NULL);
    start(&client, ours, host);
    io_tls_context_unref(ours);
    io_tls_context_unref(theirs);
    TURN_UNTIL(client.started && server.started);
}

static inline void send_text(struct end *end, const char *text)
{
    struct iovec piece = {(char *)text, strlen(text)};
    end->sent = false;
    io_send(&end->stream, &piece, 1, send_done);
    assert_false(end->sent);
    TURN_UNTIL(end->sent);
}

static inline void receive(struct end *end)
{
    int before = end->recv_count;
    io_recv(&end->stream, NULL, 0, recv_done);
    assert_int_equal(end->recv_count, before);
    TURN_UNTIL(end->recv_count > before);
}

static inline void close_ends(void)
{
    if (!client.closed) io_close(&client.stream, closed);
    if (!server.closed) io_close(&server.stream, closed);
    TURN_UNTIL(client.closed && server.closed);
    assert_null(client.stream.filter);
    assert_null(server.stream.filter);
}

/* The usual two: the bus's certificate, and a client that trusts its authority. */
static inline void shake_well(void)
{
    shake(make_context(false, -1, AUTHORITY, IO_TLS_VERIFY_DEFAULT, NULL),
          make_context(true, BUS, -1, IO_TLS_VERIFY_DEFAULT, NULL), "bus.example");
    assert_int_equal(client.start_result, 0);
    assert_int_equal(server.start_result, 0);
}

#endif
