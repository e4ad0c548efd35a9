/* Clients of the bus over WebSocket: who is let in, and that the protocol flows in frames. */
#include "bus_test.h"

#include "base/buf.h"
#include "bus/bus_websocket.h"
#include "wire/websocket.h"

static const uint8_t mask[4] = {1, 2, 3, 250};

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
#define HOST "Host: bus.example:8080\r\n"
#define REQUEST "GET / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION
#define SWITCHING                                                                              \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" ACCEPT \
    "\r\n"

static void start_websocket(struct test_bus *t, const struct bus_websocket_options *options)
{
    start(t, NULL);
    struct io_addr addr;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    assert_int_equal(bus_server_listen_websocket(t->server, &addr, options, &t->addr), 0);
}

static void connect_client(struct test_bus *t, struct client *c)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(t->addr.port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *c = (struct client){.t = t, .data = malloc(CLIENT_BUFFER)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof addr), 0);
}

static void say_frame(struct client *c, enum ws_opcode opcode, bool final, const char *text,
                      size_t step)
{
    char head[WS_HEAD_MAX];
    struct buf frame;
    size_t len = strlen(text);
    buf_init(&frame, 1 << 20);
    buf_append(&frame, bytes_make(head, ws_head(head, opcode, final, len, mask)));
    char *content = buf_reserve(&frame, len + 1);
    memcpy(content, text, len);
    ws_mask(content, len, mask, 0);
    buf_commit(&frame, len);
    struct bytes rest = buf_bytes(&frame);
    for (; rest.len; rest = bytes_skip(rest, step))
        say_bytes(c, rest.data, rest.len < step ? rest.len : step);
    buf_release(&frame);
}

static void say_text(struct client *c, const char *text)
{
    say_frame(c, WS_BINARY, true, text, SIZE_MAX / 2);
}

/* Frames with just this content, however it is divided among them. */
static void expect_frames(struct client *c, const char *text)
{
    for (size_t len = strlen(text), at = 0; at < len;) {
        client_wait(c, 2);
        assert_true(c->len >= 2);
        assert_int_equal((uint8_t)c->data[0], 0x80 | WS_BINARY);
        size_t head = 2, size = (uint8_t)c->data[1];
        assert_true(size < 127);
        if (size == 126) {
            client_wait(c, 4);
            head = 4;
            size = (size_t)(uint8_t)c->data[2] << 8 | (uint8_t)c->data[3];
        }
        client_wait(c, head + size);
        assert_true(c->len >= head + size && at + size <= len);
        assert_memory_equal(c->data + head, text + at, size);
        at += size;
        memmove(c->data, c->data + head + size, c->len - head - size);
        c->len -= head + size;
    }
}

static void expect_info(struct client *c)
{
    client_wait(c, 4);
    assert_int_equal((uint8_t)c->data[0], 0x82);
    assert_int_equal((uint8_t)c->data[1], 126);
    size_t size = 4 + ((size_t)(uint8_t)c->data[2] << 8 | (uint8_t)c->data[3]);
    client_wait(c, size);
    assert_memory_equal(c->data + 4, "INFO {", 6);
    assert_memory_equal(c->data + size - 2, "\r\n", 2);
    assert_non_null(memmem(c->data, size, "\"ws_connect_urls\":[\"127.0.0.1:", 30));
    memmove(c->data, c->data + size, c->len - size);
    c->len -= size;
}

static void open_websocket(struct test_bus *t, struct client *c)
{
    connect_client(t, c);
    say(c, REQUEST "\r\n");
    expect(c, SWITCHING);
    expect_info(c);
}

/* ---- the request --------------------------------------------------------------------------- */

static void answered(struct test_bus *t, const char *request, const char *answer, size_t step)
{
    struct client c;
    connect_client(t, &c);
    for (size_t at = 0, len = strlen(request); at < len; at += step)
        say_bytes(&c, request + at, len - at < step ? len - at : step);
    if (!strcmp(answer, SWITCHING)) {
        expect(&c, answer);
        expect_info(&c);
    } else {
        client_wait(&c, CLIENT_BUFFER);
        assert_true(c.eof);
        if (c.len < strlen(answer) || memcmp(c.data, answer, strlen(answer)))
            fail_msg("expected \"%s\", found \"%.*s\"", answer, (int)c.len, c.data);
    }
    close_client(&c);
}

static void test_requests(void **state)
{
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {REQUEST "\r\n", SWITCHING},
        {"GET /any/path?x=1 HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n", SWITCHING},
        {REQUEST "Origin: https://anywhere.example\r\n\r\n", SWITCHING},
        {"POST / HTTP/1.1\r\n" HOST UPGRADE KEY VERSION "\r\n", "HTTP/1.1 405 "},
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE VERSION "\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" HOST UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n",
         "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" UPGRADE KEY VERSION "\r\n", "HTTP/1.1 400 "},
        {REQUEST "Content-Length: 1\r\n\r\n", "HTTP/1.1 400 "},
        {REQUEST "\r\nx", "HTTP/1.1 400 "},
        {"CONNECT {}\r\nPING\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct test_bus t;
        start_websocket(&t, NULL);
        answered(&t, cases[i].request, cases[i].answer, SIZE_MAX / 2);
        if (strcmp(cases[i].answer, SWITCHING))
            assert_int_equal(bus_server_metrics(t.server)->websocket_failures, 1);
        stop(&t);
    }
}

static void test_request_byte_by_byte(void **state)
{
    struct test_bus t;
    start_websocket(&t, NULL);
    answered(&t, REQUEST "\r\n", SWITCHING, 1);
    stop(&t);
}

static void test_request_too_long(void **state)
{
    struct test_bus t;
    struct client c;
    start_websocket(&t, NULL);
    connect_client(&t, &c);
    char field[8192];
    memset(field, 'x', sizeof field);
    say(&c, "GET / HTTP/1.1\r\nX: ");
    for (int i = 0; i < 20; i++) {
        send(c.fd, field, sizeof field, MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(&t, 1);
    }
    client_wait(&c, CLIENT_BUFFER);
    assert_true(c.eof);
    close_client(&c);
    stop(&t);
}

static void test_origins(void **state)
{
    static const char *const allowed[] = {"https://shop.example", "http://[::1]:3000", NULL};
    static const char *const bad[] = {"shop.example", NULL};
    struct bus_websocket_options some = {.origins = allowed}, same = {.same_origin = true};
    struct test_bus t;
    start_websocket(&t, &some);
    answered(&t, REQUEST "Origin: https://shop.example\r\n\r\n", SWITCHING, 100);
    answered(&t, REQUEST "Origin: https://SHOP.example:443\r\n\r\n", SWITCHING, 100);
    answered(&t, REQUEST "Origin: http://[::1]:3000\r\n\r\n", SWITCHING, 100);
    answered(&t, REQUEST "\r\n", SWITCHING, 100); /* no browser */
    answered(&t, REQUEST "Origin: http://shop.example\r\n\r\n", "HTTP/1.1 403 ", 100);
    answered(&t, REQUEST "Origin: https://shop.example:8443\r\n\r\n", "HTTP/1.1 403 ", 100);
    answered(&t, REQUEST "Origin: https://shop.example.evil\r\n\r\n", "HTTP/1.1 403 ", 100);
    answered(&t, REQUEST "Origin: null\r\n\r\n", "HTTP/1.1 403 ", 100);
    stop(&t);
    start_websocket(&t, &same);
    answered(&t, REQUEST "Origin: http://bus.example:8080\r\n\r\n", SWITCHING, 100);
    answered(&t, REQUEST "Origin: http://bus.example\r\n\r\n", "HTTP/1.1 403 ", 100);
    answered(&t, REQUEST "Origin: http://other.example:8080\r\n\r\n", "HTTP/1.1 403 ", 100);
    struct io_addr addr = {.family = IO_IPV4};
    struct bus_websocket_options wrong = {.origins = bad};
    assert_int_equal(bus_server_listen_websocket(t.server, &addr, &wrong, NULL), ERR_SYNTAX);
    stop(&t);
}

/* ---- frames -------------------------------------------------------------------------------- */

static void test_protocol_in_frames(void **state)
{
    struct test_bus t;
    struct client c;
    start_websocket(&t, NULL);
    open_websocket(&t, &c);
    say_text(&c, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n");
    expect_frames(&c, "MSG a 1 5\r\nhello\r\nPONG\r\n");
    /* An operation in several messages, in several frames of one, byte by byte. */
    say_text(&c, "PUB a ");
    say_text(&c, "2\r\nh");
    say_frame(&c, WS_TEXT, true, "i\r\n", 1);
    say_frame(&c, WS_BINARY, false, "PIN", 100);
    say_frame(&c, WS_CONTINUATION, false, "", 100);
    say_frame(&c, WS_CONTINUATION, true, "G\r\n", 1);
    expect_frames(&c, "MSG a 1 2\r\nhi\r\nPONG\r\n");
    close_client(&c);
    stop(&t);
}

static void test_large_message(void **state)
{
    struct test_bus t;
    struct client c;
    enum { SIZE = 300000 };
    char *text = malloc(SIZE + 100);
    start_websocket(&t, NULL);
    open_websocket(&t, &c);
    say_text(&c, "CONNECT {\"verbose\":false}\r\nSUB a 1\r\n");
    size_t at = (size_t)sprintf(text, "PUB a %d\r\n", SIZE);
    for (size_t i = 0; i < SIZE; i++) text[at + i] = (char)('a' + i % 26);
    memcpy(text + at + SIZE, "\r\n", 3);
    say_text(&c, text);
    size_t got = 0;
    while (got < SIZE + 18) { /* "MSG a 1 300000\r\n", the payload, "\r\n" */
        client_wait(&c, 10);
        assert_int_equal((uint8_t)c.data[0], 0x82);
        uint8_t kind = (uint8_t)c.data[1];
        size_t head = kind == 127 ? 10 : kind == 126 ? 4 : 2, size = kind;
        if (kind >= 126) size = 0;
        for (size_t i = 2; i < head; i++) size = size << 8 | (uint8_t)c.data[i];
        client_wait(&c, head + size);
        assert_true(c.len >= head + size);
        memmove(c.data, c.data + head + size, c.len - head - size);
        c.len -= head + size;
        got += size;
    }
    assert_int_equal(got, SIZE + 18);
    free(text);
    close_client(&c);
    stop(&t);
}

static void test_ping_and_close(void **state)
{
    struct test_bus t;
    struct client c;
    start_websocket(&t, NULL);
    open_websocket(&t, &c);
    say_frame(&c, WS_PING, true, "are you there", 1);
    expect(&c, "\x8a\x0d"
               "are you there");
    say_frame(&c, WS_PONG, true, "unasked", 100);
    say_text(&c, "PING\r\n");
    expect_frames(&c, "PONG\r\n");
    say_frame(&c, WS_CLOSE, true, "\x03\xe8", 100);
    expect_end(&c, "\x88\x02\x03\xe8");
    close_client(&c);
    stop(&t);
}

static void test_faults_are_told(void **state)
{
    struct test_bus t;
    struct client c;
    start_websocket(&t, NULL);
    open_websocket(&t, &c);
    say(&c, "\x82\x01x"); /* not masked */
    expect_end(&c, "\x88\x02\x03\xea");
    close_client(&c);
    open_websocket(&t, &c);
    say_bytes(&c, "\x82\xff\0\0\0\0\xff\xff\xff\xff....", 14); /* 4 GiB */
    expect_end(&c, "\x88\x02\x03\xf1");
    close_client(&c);
    open_websocket(&t, &c);
    say_text(&c, "XYZ\r\n"); /* a fault of the protocol inside */
    expect_frames(&c, "-ERR 'Unknown Protocol Operation'\r\n");
    client_wait(&c, 4);
    say_frame(&c, WS_CLOSE, true, "\x03\xe8", 100);
    expect_end(&c, "\x88\x02\x03\xe8");
    close_client(&c);
    assert_int_equal(bus_server_metrics(t.server)->connections, 0);
    stop(&t);
}

static void test_server_says_that_it_goes(void **state)
{
    struct test_bus t;
    struct client c;
    start_websocket(&t, NULL);
    open_websocket(&t, &c);
    bus_server_close(t.server, server_was_closed, &t);
    expect_end(&c, "\x88\x02\x03\xe9");
    close_client(&c);
    for (int i = 0; i < TURNS_MAX && !t.closed; i++) io_turn(t.io, 10);
    assert_true(t.closed);
    io_free(t.io);
}

static void test_server_closes_while_upgrading(void **state)
{
    for (size_t len = 0; len < sizeof REQUEST; len += 40) {
        struct test_bus t;
        struct client c;
        start_websocket(&t, NULL);
        connect_client(&t, &c);
        say_bytes(&c, REQUEST, len);
        bus_server_lame_duck(t.server, 1000, 1000, NULL, NULL);
        turn(&t, 2);
        stop(&t);
        close_client(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_request_byte_by_byte),
        cmocka_unit_test(test_request_too_long),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_protocol_in_frames),
        cmocka_unit_test(test_large_message),
        cmocka_unit_test(test_ping_and_close),
        cmocka_unit_test(test_faults_are_told),
        cmocka_unit_test(test_server_says_that_it_goes),
        cmocka_unit_test(test_server_closes_while_upgrading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
