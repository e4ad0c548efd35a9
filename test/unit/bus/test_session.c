/* What a client is answered, byte for byte as the reference server answers it. */
#include "bus_test.h"

/* One script on one fresh connection: what is said, and all that comes back. NULL connect: none. */
static void check(const char *connect_json, const char *said, const char *answer, bool ends)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    for (size_t step = 0; step < 2; step++) {
        open_client(&t, &c, connect_json);
        size_t len = strlen(said), size = step ? 1 : len;
        for (size_t at = 0; at < len; at += size) {
            size_t n = len - at < size ? len - at : size;
            ssize_t sent = send(c.fd, said + at, n, MSG_NOSIGNAL);
            if (sent < 0) break; /* it has closed already, as it may */
            turn(&t, 1);
        }
        if (ends)
            expect_end(&c, answer);
        else
            expect_all(&c, answer);
        close_client(&c);
    }
    stop(&t);
}

static void test_plain(void **state)
{
    check(QUIET, "SUB a 1\r\nPUB a 2\r\nhi\r\n", "MSG a 1 2\r\nhi\r\n", false);
    check(QUIET, "SUB a 1\r\nPUB a 0\r\n\r\n", "MSG a 1 0\r\n\r\n", false);
    check(QUIET, "SUB a 1\r\nPUB a r 1\r\nx\r\n", "MSG a 1 r 1\r\nx\r\n", false);
    check("{\"verbose\":false}", "sub\ta  1\t\r\npub \t a 1\r\nx\r\n", "MSG a 1 1\r\nx\r\n", false);
    check(QUIET, "SUB a 1\nPUB a 2\nhi\r\n", "MSG a 1 2\r\nhi\r\n", false);
    check(NULL, "", "", false);
    check(QUIET, "SUB a 1\r\nSUB b 1\r\nPUB b 1\r\nx\r\nPUB a 1\r\nx\r\n", "MSG a 1 1\r\nx\r\n",
          false);
    check(QUIET, "UNSUB 9\r\nUNSUB 9 1\r\nSUB a 1\r\nUNSUB 1\r\nPUB a 1\r\nx\r\n", "", false);
    check(QUIET, "SUB > 1\r\nPUB a..b 1\r\nx\r\nPUB .a 1\r\nx\r\nPUB a. 1\r\nx\r\n", "", false);
    check(QUIET, "SUB a.* 1\r\nPUB a.* 1\r\nx\r\n", "MSG a.* 1 1\r\nx\r\n", false);
    check(QUIET, "+OK\r\nPONG\r\nINFO {}\r\n", "", false);
}

static void test_verbose(void **state)
{
    check("{\"verbose\":true}", "SUB a 1\r\nPUB a 2\r\nhi\r\n",
          "+OK\r\n+OK\r\n+OK\r\nMSG a 1 2\r\nhi\r\n", false);
    check(NULL, "SUB a 1\r\nPUB a 2\r\nhi\r\n", "+OK\r\n+OK\r\nMSG a 1 2\r\nhi\r\n", false);
    check("{}", "UNSUB 7\r\n", "+OK\r\n+OK\r\n", false);
    check("{}", "SUB a..b 1\r\n", "+OK\r\n-ERR 'Invalid Subject'\r\n", false);
}

static void test_pedantic(void **state)
{
    check("{\"verbose\":false,\"pedantic\":true}", "PUB a.* 1\r\nx\r\n",
          "-ERR 'Invalid Publish Subject'\r\n", false);
    check(QUIET, "PUB a.* 1\r\nx\r\n", "", false);
}

static void test_errors(void **state)
{
    check(QUIET, "SUB a..b 1\r\nSUB >.a 2\r\n",
          "-ERR 'Invalid Subject'\r\n-ERR 'Invalid Subject'\r\n", false);
    check(QUIET, "XYZ\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true);
    check(QUIET, "PUB a 2\r\nhix\r\n", "-ERR 'Unknown Protocol Operation'\r\n", true);
    check(QUIET, "PUB a 1048577\r\n", "-ERR 'Maximum Payload Violation'\r\n", true);
    check(QUIET, "PUB a\r\n", "", true);
    check(QUIET, "HPUB a 14 12\r\nNATS/1.0\r\n\r\nhi\r\n", "", true);
    check(QUIET, "SUB a\r\n", "", true);
    check(QUIET, "-ERR 'x'\r\n", "", true);
    check("{x", "PING\r\n", "", true);
    check("[]", "PING\r\n", "", true);
    check("{\"verbose\":1}", "PING\r\n", "", true);
    check("{\"protocol\":2}", "", "-ERR 'invalid client protocol'\r\n", true);
    check("{\"no_responders\":true}", "", "-ERR 'no responders requires headers support'\r\n",
          true);
    check("{\"verbose\":false}", "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "", true);
    char line[5100] = "SUB ";
    memset(line + 4, 'a', 5000);
    check(QUIET, line, "-ERR 'maximum control line exceeded'\r\n", true);
}

static void test_headers(void **state)
{
    struct test_bus t;
    struct client with, without;
    start(&t, NULL);
    open_client(&t, &with, QUIET);
    open_client(&t, &without, "{\"verbose\":false}");
    say(&without, "SUB a 7\r\n");
    expect_all(&without, "");
    say(&with, "SUB a 1\r\nHPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHPUB a 0 2\r\nhi\r\n");
    expect_all(&with, "HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\nMSG a 1 2\r\nhi\r\n");
    expect_all(&without, "MSG a 7 r 2\r\nhi\r\nMSG a 7 2\r\nhi\r\n");
    close_client(&with);
    close_client(&without);
    stop(&t);
}

static void test_echo(void **state)
{
    check("{\"verbose\":false,\"echo\":false}", "SUB a 1\r\nPUB a 1\r\nx\r\n", "", false);
}

static void test_unsubscribe_max(void **state)
{
    check(QUIET, "SUB a 1\r\nUNSUB 1 2\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nPUB a 1\r\n3\r\n",
          "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n", false);
    check(QUIET, "SUB a 1\r\nPUB a 1\r\n1\r\nPUB a 1\r\n2\r\nUNSUB 1 2\r\nPUB a 1\r\n3\r\n",
          "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n", false);
    /* The sid is free again at once. */
    check(QUIET, "SUB a 1\r\nUNSUB 1 1\r\nPUB a 1\r\n1\r\nSUB a 1\r\nPUB a 1\r\n2\r\n",
          "MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n", false);
}

static void test_no_responders(void **state)
{
    const char *told = "HMSG r 9 33 33\r\nNATS/1.0 503\r\nNats-Subject: q\r\n\r\n\r\n";
    check(QUIET, "SUB r 9\r\nPUB q r 1\r\nx\r\n", told, false);
    check(QUIET, "SUB r 9\r\nUNSUB 9 1\r\nPUB q r 1\r\nx\r\nUNSUB 9\r\n", told, false);
    check(QUIET, "PUB q r 1\r\nx\r\n", "", false);
    check(QUIET, "SUB r w 9\r\nPUB q r 1\r\nx\r\n", "", false);
    check("{\"verbose\":false}", "SUB r 9\r\nPUB q r 1\r\nx\r\n", "", false);
    check("{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"echo\":false}",
          "SUB r 9\r\nSUB q 8\r\nPUB q r 1\r\nx\r\n", told, false);
}

/* One member of each group and every plain subscription; members take turns. */
static void test_queue_groups(void **state)
{
    struct test_bus t;
    struct client c[3], publisher;
    start(&t, NULL);
    for (int i = 0; i < 3; i++) {
        open_client(&t, &c[i], QUIET);
        say(&c[i], "SUB a q 1\r\n");
        expect_all(&c[i], "");
    }
    open_client(&t, &publisher, QUIET);
    say(&publisher, "SUB a 1\r\nSUB a p 2\r\nSUB * p 3\r\n");
    expect_all(&publisher, "");
    for (int i = 0; i < 300; i++) say(&publisher, "PUB a 0\r\n\r\n");
    say(&publisher, "PING\r\n");
    client_wait(&publisher, 600 * 13 + 6);
    assert_int_equal(publisher.len, 600 * 13 + 6);
    for (int i = 0; i < 3; i++) {
        client_wait(&c[i], 99 * 13);
        assert_in_range(c[i].len, 99 * 13, 101 * 13);
    }
    /* Who leaves is passed over. */
    close_client(&c[0]);
    turn(&t, 20);
    c[1].len = c[2].len = publisher.len = 0;
    for (int i = 0; i < 10; i++) say(&publisher, "PUB a 0\r\n\r\n");
    client_wait(&c[1], 5 * 13);
    client_wait(&c[2], 5 * 13);
    assert_int_equal(c[1].len + c[2].len, 10 * 13);
    close_client(&c[1]);
    close_client(&c[2]);
    close_client(&publisher);
    stop(&t);
}

/* A body that is sent by reference reaches everybody whole, however it was cut on its way in. */
static void test_large(void **state)
{
    enum { SIZE = 300000 };
    struct test_bus t;
    struct client c[4];
    start(&t, NULL);
    for (int i = 0; i < 4; i++) {
        open_client(&t, &c[i], i == 3 ? "{\"verbose\":false}" : QUIET);
        say(&c[i], "SUB a 1\r\n");
        expect_all(&c[i], "");
    }
    char *body = malloc(SIZE);
    for (int i = 0; i < SIZE; i++) body[i] = (char)('a' + i % 26);
    say(&c[0], "HPUB a r 12 300012\r\nNATS/1.0\r\n\r\n");
    for (size_t at = 0; at < SIZE; at += 50000) {
        say_bytes(&c[0], body + at, 50000);
        turn(&t, 3);
    }
    say(&c[0], "\r\nPUB a 1024\r\n");
    say_bytes(&c[0], body, 1024);
    say(&c[0], "\r\n");
    for (int i = 0; i < 4; i++) {
        const char *head =
            i == 3 ? "MSG a 1 r 300000\r\n" : "HMSG a 1 r 12 300012\r\nNATS/1.0\r\n\r\n";
        expect(&c[i], head);
        client_wait(&c[i], SIZE);
        assert_memory_equal(c[i].data, body, SIZE);
        memmove(c[i].data, c[i].data + SIZE, c[i].len - SIZE);
        c[i].len -= SIZE;
        expect(&c[i], "\r\nMSG a 1 1024\r\n");
        client_wait(&c[i], 1026);
        assert_memory_equal(c[i].data, body, 1024);
        close_client(&c[i]);
    }
    free(body);
    stop(&t);
}

static void test_limits(void **state)
{
    struct test_bus t;
    struct client c, d, e;
    start(&t, &(struct bus_server_options){
                  .max_connections = 2, .max_subscriptions = 2, .max_payload = 5});
    open_client(&t, &c, QUIET);
    say(&c, "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n");
    expect_all(&c, "-ERR 'maximum subscriptions exceeded'\r\n");
    say(&c, "UNSUB 1\r\nSUB c 3\r\nPUB c 5\r\nhello\r\n");
    expect_all(&c, "MSG c 3 5\r\nhello\r\n");
    open_client(&t, &d, QUIET);
    open_client(&t, &e, NULL);
    expect_end(&e, "-ERR 'maximum connections exceeded'\r\n");
    close_client(&e);
    say(&c, "PUB c 6\r\n");
    expect_end(&c, "-ERR 'Maximum Payload Violation'\r\n");
    close_client(&c);
    turn(&t, 50);
    open_client(&t, &e, QUIET);
    expect_all(&e, "");
    assert_int_equal(bus_server_metrics(t.server)->refused, 1);
    close_client(&d);
    close_client(&e);
    stop(&t);
}

static void test_stale(void **state)
{
    struct test_bus t;
    struct client c, answering;
    start(&t, &(struct bus_server_options){.ping_interval_ms = 20, .max_pings = 2});
    open_client(&t, &c, QUIET);
    open_client(&t, &answering, QUIET);
    for (int i = 0; i < 10; i++) {
        expect(&answering, "PING\r\n");
        say(&answering, "PONG\r\n");
    }
    expect_end(&c, "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
    assert_int_equal(bus_server_metrics(t.server)->stale, 1);
    assert_false(answering.eof);
    close_client(&c);
    close_client(&answering);
    stop(&t);
}

/* Who does not read is cut at the limit, with the reason behind the last whole message. */
static void test_slow_consumer(void **state)
{
    struct test_bus t;
    struct client slow, publisher;
    start(&t, &(struct bus_server_options){.max_pending = 1 << 20});
    open_client(&t, &slow, QUIET);
    open_client(&t, &publisher, QUIET);
    say(&slow, "SUB a 1\r\n");
    expect_all(&slow, "");
    char *body = calloc(1, 40000);
    memset(body, 'x', 40000);
    for (int i = 0; i < 2000 && !bus_server_metrics(t.server)->slow_consumers; i++) {
        say(&publisher, "PUB a 40000\r\n");
        say_bytes(&publisher, body, 40000);
        say(&publisher, "\r\n");
        assert_true(bus_server_metrics(t.server)->outbox_bytes <= (1 << 20) + 41000);
    }
    assert_int_equal(bus_server_metrics(t.server)->slow_consumers, 1);
    expect_all(&publisher, "");
    /* Now it reads: whole messages, then the reason. */
    size_t messages = 0;
    const size_t size = strlen("MSG a 1 40000\r\n") + 40000 + 2;
    for (;;) {
        client_wait(&slow, size);
        if (slow.len < size) break;
        assert_memory_equal(slow.data, "MSG a 1 40000\r\nx", 16);
        assert_memory_equal(slow.data + size - 2, "\r\n", 2);
        memmove(slow.data, slow.data + size, slow.len - size);
        slow.len -= size;
        messages++;
    }
    assert_true(messages > 0);
    expect_end(&slow, "-ERR 'Slow Consumer'\r\n");
    turn(&t, 20);
    assert_int_equal(bus_server_metrics(t.server)->outbox_bytes, 0);
    free(body);
    close_client(&slow);
    close_client(&publisher);
    stop(&t);
}

/* A publisher to a slow client is paused before that one is cut, and both go on. */
static void test_stall(void **state)
{
    struct test_bus t;
    struct client reader, publisher;
    start(&t, &(struct bus_server_options){.max_pending = 4 << 20});
    open_client(&t, &reader, QUIET);
    open_client(&t, &publisher, QUIET);
    say(&reader, "SUB a 1\r\n");
    expect_all(&reader, "");
    enum { COUNT = 1500, SIZE = 8000 };
    char *body = malloc(SIZE);
    memset(body, 'x', SIZE);
    size_t got = 0, want = COUNT * (strlen("MSG a 1 8000\r\n") + SIZE + 2);
    bool stalled = false;
    int small = 65536;
    setsockopt(reader.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < COUNT; i++) {
        say(&publisher, "PUB a 8000\r\n");
        say_bytes(&publisher, body, SIZE);
        say(&publisher, "\r\n");
        stalled = stalled || bus_server_metrics(t.server)->stalled;
        if (stalled) client_read(&reader);
        got += reader.len;
        reader.len = 0;
    }
    for (int i = 0; i < 5000 && got < want; i++) {
        client_wait(&reader, 1);
        got += reader.len;
        reader.len = 0;
    }
    assert_true(stalled);
    assert_int_equal(got, want);
    assert_int_equal(bus_server_metrics(t.server)->slow_consumers, 0);
    free(body);
    close_client(&reader);
    close_client(&publisher);
    stop(&t);
}

static void set_true(void *context)
{
    *(bool *)context = true;
}

/* Many long messages at once, to clients with the same sid, with others, and with a maximum. */
static void test_long_runs(void **state)
{
    enum { COUNT = 50, SIZE = 1500, STRIDE = 16 + SIZE + 2 };
    static const char *const subscribe[] = {"SUB a 1\r\n", "SUB a 1\r\n", "SUB a 22\r\n",
                                            "SUB * 22\r\nUNSUB 22 3\r\n"};
    static const char *const heads[] = {"MSG a 1 1500\r\n", "MSG a 1 1500\r\n", "MSG a 22 1500\r\n",
                                        "MSG a 22 1500\r\n"};
    struct test_bus t;
    struct client c[4], publisher;
    start(&t, NULL);
    char *text = malloc(COUNT * STRIDE + 1), *body = malloc(SIZE + 3);
    open_client(&t, &publisher, QUIET);
    for (int limited = 0; limited < 2; limited++) {
        int clients = limited ? 4 : 3;
        for (int i = 0; i < clients; i++) {
            open_client(&t, &c[i], QUIET);
            say(&c[i], subscribe[i]);
            expect_all(&c[i], "");
        }
        size_t len = 0;
        for (int i = 0; i < COUNT; i++) {
            memset(body, 'a' + i % 26, SIZE);
            len += (size_t)snprintf(text + len, COUNT * STRIDE + 1 - len, "PUB a %d\r\n%.*s\r\n",
                                    SIZE, SIZE, body);
        }
        say_bytes(&publisher, text, len);
        expect_all(&publisher, "");
        for (int i = 0; i < clients; i++) {
            for (int j = 0; j < (i == 3 ? 3 : COUNT); j++) {
                expect(&c[i], heads[i]);
                client_wait(&c[i], SIZE + 2);
                assert_int_equal(c[i].data[0], 'a' + j % 26);
                assert_int_equal(c[i].data[SIZE - 1], 'a' + j % 26);
                memmove(c[i].data, c[i].data + SIZE + 2, c[i].len - SIZE - 2);
                c[i].len -= SIZE + 2;
            }
            expect_all(&c[i], "");
            close_client(&c[i]);
        }
        turn(&t, 20);
    }
    free(text);
    free(body);
    close_client(&publisher);
    stop(&t);
}

/* Who takes nothing for too long is cut, however little waits for it. */
static void test_write_deadline(void **state)
{
    struct test_bus t;
    struct client slow, publisher;
    start(&t, &(struct bus_server_options){.write_deadline_ms = 50});
    open_client(&t, &slow, QUIET);
    open_client(&t, &publisher, QUIET);
    say(&slow, "SUB a 1\r\n");
    expect_all(&slow, "");
    char *body = calloc(1, 1 << 20);
    for (int i = 0; i < 8; i++) {
        say(&publisher, "PUB a 1048576\r\n");
        say_bytes(&publisher, body, 1 << 20);
        say(&publisher, "\r\n");
    }
    for (int i = 0; i < 100 && !bus_server_metrics(t.server)->slow_consumers; i++) io_turn(t.io, 5);
    assert_int_equal(bus_server_metrics(t.server)->slow_consumers, 1);
    expect_all(&publisher, "");
    free(body);
    close_client(&slow);
    close_client(&publisher);
    stop(&t);
}

static void test_lame_duck(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    say(&c, "SUB a 1\r\n");
    expect_all(&c, "");
    bool deserted = false;
    bus_server_lame_duck(t.server, 100, 50, set_true, &deserted);
    client_wait(&c, 20);
    assert_non_null(memmem(c.data, c.len, "\"ldm\":true", 10));
    c.len = 0;
    say(&c, "PUB a 0\r\n\r\n");
    expect_all(&c, "MSG a 1 0\r\n\r\n");
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(t.addr.port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), -1);
    close(fd);
    /* Who does not go is sent away; the server says when nobody is left. */
    assert_false(deserted);
    expect_end(&c, "");
    for (int i = 0; i < TURNS_MAX && !deserted; i++) io_turn(t.io, 5);
    assert_true(deserted);
    close_client(&c);
    stop(&t);
}

/* Clients that come and go in the middle of everything leave nothing behind. */
static void test_churn(void **state)
{
    struct test_bus t;
    struct client stay;
    start(&t, NULL);
    open_client(&t, &stay, QUIET);
    say(&stay, "SUB > 1\r\n");
    expect_all(&stay, "");
    for (int i = 0; i < 200; i++) {
        struct client c;
        open_client(&t, &c, QUIET);
        say(&c, "SUB a.* 1\r\nSUB > q 2\r\nSUB a.b 3\r\nUNSUB 3 1\r\nPUB a.b 1\r\nx\r\nPUB a.b "
                "3\r\nab");
        expect(&stay, "MSG a.b 1 1\r\nx\r\n");
        if (i % 2) shutdown(c.fd, SHUT_WR);
        close_client(&c);
    }
    for (int i = 0; i < 100 && bus_server_metrics(t.server)->connections > 1; i++)
        io_turn(t.io, 10);
    assert_int_equal(bus_server_metrics(t.server)->connections, 1);
    assert_int_equal(bus_metrics(t.bus)->subscriptions, 2); /* one is the bus's own */
    assert_int_equal(bus_server_metrics(t.server)->outbox_bytes, 0);
    close_client(&stay);
    stop(&t);
}

/* A client that says its last words and closes its half gets the answer. */
static void test_half_close(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    const char *said = "SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\n";
    send(c.fd, said, strlen(said), MSG_NOSIGNAL);
    shutdown(c.fd, SHUT_WR);
    expect_end(&c, "MSG a 1 1\r\nx\r\nPONG\r\n");
    close_client(&c);
    stop(&t);
}

/* The same over a Unix socket, and over a listening socket that was made elsewhere. */
static void test_listeners(void **state)
{
    struct test_bus t;
    struct client c;
    struct io_addr unix_addr, found;
    char path[64];
    start(&t, NULL);
    snprintf(path, sizeof path, "unix:/tmp/dure-test-bus-%d", (int)getpid());
    assert_int_equal(io_addr_parse(bytes_str(path), &unix_addr), 0);
    assert_int_equal(bus_server_listen(t.server, &unix_addr, NULL), 0);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path + 5);
    c = (struct client){.t = &t, .data = malloc(CLIENT_BUFFER)};
    c.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(c.fd, (struct sockaddr *)&to, sizeof to), 0);
    expect(&c, "INFO {");
    turn(&t, 5);
    client_read(&c);
    c.len = 0;
    say(&c, "CONNECT " QUIET "\r\nSUB a 1\r\nPUB a 2\r\nhi\r\n");
    expect_all(&c, "MSG a 1 2\r\nhi\r\n");
    close_client(&c);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(bus_server_adopt(t.server, fd, &found), 0);
    t.addr = found;
    open_client(&t, &c, QUIET);
    expect_all(&c, "");
    close_client(&c);
    stop(&t);
    assert_int_equal(access(path + 5, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),           cmocka_unit_test(test_verbose),
        cmocka_unit_test(test_pedantic),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_headers),         cmocka_unit_test(test_echo),
        cmocka_unit_test(test_unsubscribe_max), cmocka_unit_test(test_no_responders),
        cmocka_unit_test(test_queue_groups),    cmocka_unit_test(test_large),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_stale),
        cmocka_unit_test(test_slow_consumer),   cmocka_unit_test(test_stall),
        cmocka_unit_test(test_long_runs),       cmocka_unit_test(test_write_deadline),
        cmocka_unit_test(test_lame_duck),       cmocka_unit_test(test_churn),
        cmocka_unit_test(test_half_close),      cmocka_unit_test(test_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
