/* Clients of the bus over TLS: when INFO comes, when the handshake, and who is sent away. */
#include "bus_test.h"

#include "base/buf.h"
#include "bus/bus_tls.h"
#include "certificates.h"
#include "io/tls.h"
#include "temp_dir.h"

/* A client on the same loop, because one that blocks could not shake hands with us. */
struct secure {
    struct test_bus *t;
    struct io_stream stream;
    struct buf got;
    bool connected, shaken, sent, ended, closed;
    int result; /* of the handshake */
};

static struct temp_dir folder;
static char authority_pem[96], bus_pem[96], bus_key[96], alice_pem[96], alice_key[96];

static void write_one(const struct certificate *certificate, const char *name, char pem[96],
                      char key[96])
{
    snprintf(pem, 96, "%s/%s.pem", folder.path, name);
    certificate_write(certificate, NULL, pem);
    if (!key) return;
    snprintf(key, 96, "%s/%s.key", folder.path, name);
    certificate_write_key(certificate, key);
}

static int make_files(void **state)
{
    temp_dir_make(&folder);
    struct certificate_spec authority_spec = {.common_name = "authority", .authority = true};
    struct certificate_spec bus_spec = {.common_name = "bus", .names = "DNS:bus.example"};
    struct certificate_spec alice_spec = {.common_name = "alice"};
    struct certificate authority = certificate_make(&authority_spec, NULL);
    struct certificate bus = certificate_make(&bus_spec, &authority);
    struct certificate alice = certificate_make(&alice_spec, &authority);
    write_one(&authority, "authority", authority_pem, NULL);
    write_one(&bus, "bus", bus_pem, bus_key);
    write_one(&alice, "alice", alice_pem, alice_key);
    certificate_free(&authority);
    certificate_free(&bus);
    certificate_free(&alice);
    return 0;
}

static int remove_files(void **state)
{
    temp_dir_remove(&folder);
    return 0;
}

static void use_tls(struct test_bus *t, struct bus_tls_options options)
{
    struct error error = {0};
    options.certificate_file = bus_pem;
    options.key_file = bus_key;
    if (bus_server_use_tls(t->server, &options, &error)) fail_msg("%s", error.message);
}

/* ---- the client ---------------------------------------------------------------------------- */

static struct secure *secure_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct secure, stream);
}

static void secure_connected(struct io_stream *stream, int result)
{
    assert_int_equal(result, 0);
    secure_of(stream)->connected = true;
}

static void secure_received(struct io_stream *stream, int result)
{
    struct secure *c = secure_of(stream);
    if (result == ERR_CLOSED) return;
    if (result <= 0) {
        c->ended = true;
        return;
    }
    buf_append(&c->got, bytes_make(io_recv_data(stream), (size_t)result));
    io_recv(stream, NULL, 0, secure_received);
}

static void secure_sent(struct io_stream *stream, int result)
{
    secure_of(stream)->sent = true;
}

static void secure_shaken(struct io_stream *stream, int result)
{
    struct secure *c = secure_of(stream);
    c->shaken = true;
    c->result = result;
    if (!result) io_recv(stream, NULL, 0, secure_received);
}

static void secure_closed(struct io_stream *stream)
{
    secure_of(stream)->closed = true;
}

#define TURN_UNTIL(t, condition)                                                     \
    do {                                                                             \
        for (int i_ = 0; i_ < TURNS_MAX && !(condition); i_++) io_turn((t)->io, 10); \
        if (!(condition)) fail_msg("never: " #condition);                            \
    } while (0)

static void secure_open(struct test_bus *t, struct secure *c)
{
    *c = (struct secure){.t = t};
    buf_init(&c->got, 1 << 20);
    io_connect(t->io, &c->stream, &t->addr, secure_connected);
    TURN_UNTIL(t, c->connected);
}

static void secure_shake(struct secure *c, bool with_certificate)
{
    struct io_tls_context *context = NULL;
    struct io_tls_certificate certificate = {alice_pem, alice_key};
    struct io_tls_options options = {.ca_file = authority_pem,
                                     .certificates = &certificate,
                                     .certificate_count = with_certificate};
    assert_int_equal(io_tls_context_new(c->t->io, &options, &context, NULL), 0);
    struct io_tls_start how = {.context = context, .host = "bus.example"};
    assert_int_equal(io_tls_start(&c->stream, &how, secure_shaken), 0);
    io_tls_context_unref(context);
    TURN_UNTIL(c->t, c->shaken);
}

static void secure_listen(struct secure *c)
{
    io_recv(&c->stream, NULL, 0, secure_received);
}

static void secure_say(struct secure *c, const char *text)
{
    struct iovec piece = {(char *)text, strlen(text)};
    c->sent = false;
    io_send(&c->stream, &piece, 1, secure_sent);
    TURN_UNTIL(c->t, c->sent);
}

static char *found(const struct secure *c, const char *text)
{
    struct bytes got = buf_bytes(&c->got);
    return memmem(got.data, got.len, text, strlen(text));
}

/* Waits for the text and drops it with what came before. */
static void secure_expect(struct secure *c, const char *text)
{
    TURN_UNTIL(c->t, c->ended || found(c, text));
    if (!found(c, text)) fail_msg("ended without \"%s\"", text);
    size_t before = (size_t)(found(c, text) - buf_bytes(&c->got).data);
    buf_consume(&c->got, before + strlen(text));
}

static void secure_close(struct secure *c)
{
    io_close(&c->stream, secure_closed);
    TURN_UNTIL(c->t, c->closed);
    buf_release(&c->got);
}

static void secure_works(struct secure *c)
{
    secure_say(c, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n");
    secure_expect(c, "MSG a 1 5\r\nhello\r\nPONG\r\n");
}

/* ---- tests --------------------------------------------------------------------------------- */

static void test_info_then_handshake(void **state)
{
    struct test_bus t;
    struct secure c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){0});
    secure_open(&t, &c);
    secure_listen(&c);
    secure_expect(&c, "\"tls_required\":true");
    secure_expect(&c, "\r\n");
    io_recv_cancel(&c.stream);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    secure_works(&c);
    secure_close(&c);
    stop(&t);
}

static void test_clear_text_is_refused(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){0});
    open_client(&t, &c, "{}");
    client_wait(&c, CLIENT_BUFFER);
    assert_true(c.eof);
    close_client(&c);
    assert_int_equal(bus_server_metrics(t.server)->tls_failures, 1);
    stop(&t);
}

static void test_optional_takes_both(void **state)
{
    struct test_bus t;
    struct secure c;
    struct client clear;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){.optional = true});
    open_client(&t, &clear, QUIET);
    expect_all(&clear, "");
    secure_open(&t, &c);
    secure_listen(&c);
    secure_expect(&c, "\"tls_available\":true");
    secure_expect(&c, "\r\n");
    io_recv_cancel(&c.stream);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    secure_works(&c);
    secure_close(&c);
    close_client(&clear);
    stop(&t);
}

static void test_handshake_first(void **state)
{
    struct test_bus t;
    struct secure c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){.first = BUS_TLS_HANDSHAKE_FIRST});
    secure_open(&t, &c);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    secure_expect(&c, "INFO {");
    secure_expect(&c, "\r\n");
    secure_works(&c);
    secure_close(&c);
    stop(&t);
}

static void test_either(void **state)
{
    struct test_bus t;
    struct secure c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){.first = BUS_TLS_EITHER, .first_ms = 100});
    secure_open(&t, &c);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    secure_expect(&c, "INFO {"); /* behind the handshake */
    secure_works(&c);
    secure_close(&c);

    secure_open(&t, &c);
    secure_listen(&c);
    secure_expect(&c, "INFO {"); /* in clear text, after a while */
    secure_expect(&c, "\r\n");
    io_recv_cancel(&c.stream);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    assert_int_equal(buf_len(&c.got), 0);
    secure_works(&c);
    secure_close(&c);
    stop(&t);
}

static void test_client_must_show_a_certificate(void **state)
{
    struct test_bus t;
    struct secure c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){
                    .ca_file = authority_pem, .verify = true, .first = BUS_TLS_HANDSHAKE_FIRST});
    secure_open(&t, &c);
    secure_shake(&c, true);
    assert_int_equal(c.result, 0);
    secure_expect(&c, "\"tls_verify\":true");
    secure_works(&c);
    secure_close(&c);
    secure_open(&t, &c);
    secure_shake(&c, false);
    TURN_UNTIL(&t, c.result || c.ended);
    assert_int_equal(buf_len(&c.got), 0);
    secure_close(&c);
    stop(&t);
}

static void test_silence_is_cut(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){.timeout_ms = 50});
    open_client(&t, &c, NULL);
    client_wait(&c, CLIENT_BUFFER);
    assert_true(c.eof);
    close_client(&c);
    assert_int_equal(bus_server_metrics(t.server)->tls_failures, 1);
    stop(&t);
}

/* Optional TLS: who keeps silent has a connection in clear text. */
static void test_silence_is_clear_text(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){.timeout_ms = 20, .optional = true});
    open_client(&t, &c, NULL);
    for (int i = 0; i < 10; i++) io_turn(t.io, 10);
    assert_int_equal(bus_server_metrics(t.server)->connections, 1);
    expect_all(&c, "");
    close_client(&c);
    stop(&t);
}

static void test_unix_socket_is_never_encrypted(void **state)
{
    struct test_bus t;
    struct client c = {.t = &t, .data = malloc(CLIENT_BUFFER)};
    struct io_addr addr = {.family = IO_UNIX};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    start(&t, NULL);
    use_tls(&t, (struct bus_tls_options){0});
    snprintf(addr.path, sizeof addr.path, "%s/bus.sock", folder.path);
    snprintf(un.sun_path, sizeof un.sun_path, "%s/bus.sock", folder.path);
    assert_int_equal(bus_server_listen(t.server, &addr, NULL), 0);
    c.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&un, sizeof un), 0);
    client_wait(&c, 6);
    assert_null(memmem(c.data, c.len, "tls_required\":true", 18));
    c.len = 0;
    say(&c, "PING\r\n");
    expect(&c, "PONG\r\n");
    close_client(&c);
    stop(&t);
}

static void test_server_closes_while_shaking(void **state)
{
    for (int first = BUS_TLS_INFO_FIRST; first <= BUS_TLS_EITHER; first++) {
        struct test_bus t;
        struct secure c;
        start(&t, NULL);
        use_tls(&t, (struct bus_tls_options){.first = (enum bus_tls_first)first});
        secure_open(&t, &c);
        turn(&t, 2);
        bus_server_lame_duck(t.server, 1000, 1000, NULL, NULL);
        turn(&t, 2);
        io_close(&c.stream, NULL);
        stop(&t);
    }
}

static void test_bad_files_change_nothing(void **state)
{
    struct test_bus t;
    struct secure c;
    struct error error = {0};
    start(&t, NULL);
    struct bus_tls_options bad = {.certificate_file = bus_pem, .key_file = alice_key};
    assert_int_equal(bus_server_use_tls(t.server, &bad, &error), ERR_INVALID);
    assert_string_equal(error.file, alice_key);
    assert_int_equal(bus_server_use_tls(t.server, &(struct bus_tls_options){0}, &error),
                     ERR_INVALID);
    use_tls(&t, (struct bus_tls_options){.first = BUS_TLS_HANDSHAKE_FIRST});
    assert_int_equal(bus_server_use_tls(t.server, &bad, &error), ERR_INVALID);
    use_tls(&t, (struct bus_tls_options){.first = BUS_TLS_HANDSHAKE_FIRST}); /* reload */
    secure_open(&t, &c);
    secure_shake(&c, false);
    assert_int_equal(c.result, 0);
    secure_works(&c);
    secure_close(&c);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_then_handshake),
        cmocka_unit_test(test_clear_text_is_refused),
        cmocka_unit_test(test_optional_takes_both),
        cmocka_unit_test(test_handshake_first),
        cmocka_unit_test(test_either),
        cmocka_unit_test(test_client_must_show_a_certificate),
        cmocka_unit_test(test_silence_is_cut),
        cmocka_unit_test(test_silence_is_clear_text),
        cmocka_unit_test(test_unix_socket_is_never_encrypted),
        cmocka_unit_test(test_server_closes_while_shaking),
        cmocka_unit_test(test_bad_files_change_nothing),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
