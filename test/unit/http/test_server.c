#include "harness.h"

static uint64_t seed; /* 0: the real loop */

/* A server and one raw connection to it. */
#define BEGIN(...)                                           \
    (void)state;                                             \
    loop_begin(seed);                                        \
    server_begin((struct http_server_options){__VA_ARGS__}); \
    static struct peer peer;                                 \
    peer_open(&peer, http_server_addr(server))

#define END()          \
    peer_close(&peer); \
    server_end();      \
    loop_end()

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"

static void keeps_the_connection(void **state)
{
    BEGIN(0);
    for (int i = 1; i <= 3; i++) {
        peer_send(&peer, BYTES(GET("/hello")));
        TURN_UNTIL(peer_count(&peer, "\r\n\r\nhello") == (size_t)i);
    }
    assert_has(&peer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ");
    assert_has(&peer, " GMT\r\nContent-Length: 5\r\n\r\nhello");
    assert_false(peer_has(&peer, "Connection:"));
    assert_int_equal(last_closed, 1000);
    assert_int_equal(http.metrics.server_accepted, 1);
    assert_int_equal(http.metrics.server_requests, 3);
    END();
}

static void answers_100_pipelined_in_order(void **state)
{
    BEGIN(0);
    char text[100 * 80];
    size_t len = 0;
    for (int i = 0; i < 100; i++)
        len +=
            (size_t)snprintf(text + len, sizeof text - len,
                             "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n<%03d>", i);
    peer_send(&peer, bytes_make(text, len));
    TURN_UNTIL_HAS(&peer, "<099>");
    const char *at = peer.in.data + peer.in.start;
    for (int i = 0; i < 100; i++) {
        char word[8];
        snprintf(word, sizeof word, "<%03d>", i);
        at = memmem(at, (size_t)(peer.in.data + peer.in.end - at), word, 5);
        assert_non_null(at);
    }
    END();
}

static void takes_a_request_byte_by_byte(void **state)
{
    BEGIN(0);
    static const char text[] =
        "POST /chunked HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nX-Kept: yes\r\n\r\n"
        "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n" GET("/hello");
    for (size_t i = 0; i + 1 < sizeof text; i++) peer_send(&peer, bytes_make(text + i, 1));
    TURN_UNTIL_HAS(&peer, "hello");
    assert_has(&peer, "HTTP/1.1 200 OK\r\nX-Kept: yes\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_has(&peer, "0\r\n\r\nHTTP/1.1 200 OK");
    END();
}

static void continues_when_the_body_is_wanted(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES("POST /sink HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    TURN_UNTIL_HAS(&peer, "\r\n\r\n");
    assert_has(&peer, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(buf_len(&peer.in), 25);
    peer_send(&peer, BYTES("abc"));
    TURN_UNTIL_HAS(&peer, "\r\n\r\n3");
    assert_has(&peer, "HTTP/1.1 200 OK");
    /* Not when the body is there already, and not when it is refused. */
    peer_send(&peer, BYTES("POST /sink HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd"));
    TURN_UNTIL_HAS(&peer, "\r\n\r\n4");
    peer_send(&peer, BYTES("POST /hello HTTP/1.1\r\n" HOST
                           "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "Connection: close\r\n\r\nhello");
    if (!sim) assert_int_equal(peer_count(&peer, "100 Continue"), 1);
    END();
}

static void other_methods_and_versions(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES("HEAD /hello HTTP/1.1\r\n" HOST "\r\n" GET("/nothing") GET("/where")));
    TURN_UNTIL_HAS(&peer, "where\"");
    assert_has(&peer, "Content-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\nDate");
    assert_has(&peer, "{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
                      "\"detail\":\"/where\"}");
    assert_int_equal(peer_count(&peer, "Content-Length"), 2);
    peer_send(&peer, BYTES("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    TURN_UNTIL_HAS(&peer, "Connection: keep-alive\r\n\r\nhello");
    peer_send(&peer, BYTES("POST /chunked HTTP/1.0\r\nConnection: keep-alive\r\n"
                           "Content-Length: 3\r\n\r\nabc"));
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "Connection: close\r\n\r\nabc");
    assert_int_equal(peer.ended, 1);
    END();
}

static void ends_when_the_client_wants(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    TURN_UNTIL(peer.ended);
    assert_int_equal(peer.ended, 1);
    assert_has(&peer, "Connection: close\r\n\r\nhello");
    END();
}

static void answers_a_client_that_ended_its_half(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES(GET("/hello") "POST /sink HTTP/1.1\r\n" HOST
                                         "Content-Length: 3\r\n\r\nabc" GET("/nothing")));
    io_shutdown(&peer.stream);
    TURN_UNTIL(peer.ended);
    assert_int_equal(peer.ended, 1);
    assert_has(&peer, "\r\n\r\nhello");
    assert_has(&peer, "\r\n\r\n3");
    assert_has(&peer, "204 No Content");
    END();
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void expect_refusal(struct bytes request, const char *status, const char *detail)
{
    static struct peer peer;
    peer_open(&peer, http_server_addr(server));
    peer_send(&peer, request);
    TURN_UNTIL(peer.ended);
    assert_int_equal(peer.ended, 1);
    assert_has(&peer, status);
    assert_has(&peer, "Content-Type: application/problem+json\r\n");
    assert_has(&peer, "Connection: close\r\n");
    assert_has(&peer, detail);
    peer_close(&peer);
}

static void refuses_with_the_reason(void **state)
{
    BEGIN(.body_max = 1000);
    expect_refusal(BYTES("\x16\x03\x01garbage"), "HTTP/1.1 400 Bad Request\r\n",
                   "control character in the head (at byte 0 of the request)");
    expect_refusal(BYTES("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ",
                   "HTTP/1.1 request without Host (at byte 16 of the request)");
    expect_refusal(BYTES("GET / HTTP/2.0\r\n" HOST "\r\n"), "HTTP/1.1 505 ", "at byte 6");
    expect_refusal(
        BYTES("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "HTTP/1.1 400 ", "both Content-Length and Transfer-Encoding");
    expect_refusal(BYTES("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"),
                   "HTTP/1.1 501 ", "other than chunked");
    expect_refusal(BYTES("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), "HTTP/1.1 501 ",
                   "CONNECT is not supported");
    expect_refusal(
        BYTES("POST /sink HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n"),
        "HTTP/1.1 400 ", "chunk data not followed by CRLF (in the request's body)");
    assert_int_equal(read_error, ERR_PROTOCOL);
    expect_refusal(BYTES("POST /sink HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n"),
                   "HTTP/1.1 413 ", "larger than this server takes");
    char text[2048];
    int len = snprintf(text, sizeof text,
                       "POST /sink HTTP/1.1\r\n" HOST
                       "Transfer-Encoding: chunked\r\n\r\n3e9\r\n%01001d\r\n0\r\n\r\n",
                       0);
    expect_refusal(bytes_make(text, (size_t)len), "HTTP/1.1 413 ", "larger than this server");
    assert_int_equal(read_error, ERR_TOO_BIG);
    END();
}

/* The answer arrives although much of what was sent is never read. */
static void refusal_survives_a_flood(void **state)
{
    BEGIN(0);
    static char flood[512 * 1024];
    memset(flood, '\x01', sizeof flood);
    peer_post(&peer, bytes_make(flood, sizeof flood));
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "HTTP/1.1 400 ");
    assert_int_equal(peer.ended, 1);
    END();
}

/* ---- time ------------------------------------------------------------------------------------ */

static void slow_heads_time_out(void **state)
{
    BEGIN(.head_timeout_ms = 100, .linger_ms = 50);
    uint64_t start = loop_ms();
    peer_send(&peer, BYTES("GET /hello HT"));
    for (int i = 0; i < 10 && !peer.ended; i++) {
        turn_for(20);
        if (!peer.ended && i < 3) peer_send(&peer, BYTES("T"));
    }
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "HTTP/1.1 408 Request Timeout");
    assert_true(loop_ms() - start >= 100);
    END();
}

static void idle_connections_time_out(void **state)
{
    BEGIN(.idle_timeout_ms = 100);
    peer_send(&peer, BYTES(GET("/hello")));
    TURN_UNTIL_HAS(&peer, "hello");
    uint64_t start = loop_ms();
    TURN_UNTIL(peer.ended);
    assert_int_equal(peer.ended, 1);
    assert_in_range(loop_ms() - start, 90, 5000);
    assert_int_equal(peer_count(&peer, "HTTP/1.1"), 1);
    END();
}

static void stuck_bodies_time_out(void **state)
{
    BEGIN(.body_timeout_ms = 100, .linger_ms = 50);
    peer_send(&peer, BYTES("POST /sink HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc"));
    TURN_UNTIL(peer.ended);
    assert_int_equal(read_error, ERR_TIMEOUT);
    assert_has(&peer, "HTTP/1.1 408 Request Timeout");
    END();
}

static void stuck_readers_time_out(void **state)
{
    BEGIN(.write_timeout_ms = 100);
    peer.paused = true;
    peer_send(&peer, BYTES(GET("/endless")));
    TURN_UNTIL(last_closed);
    assert_int_equal(last_closed, 1000 + ERR_TIMEOUT);
    END();
}

/* ---- answers before the body is read --------------------------------------------------------- */

static void small_unread_bodies_are_drained(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES("POST /hello HTTP/1.1\r\n" HOST "Content-Length: 6\r\n\r\nabc"));
    TURN_UNTIL_HAS(&peer, "hello");
    assert_int_equal(last_closed, 1000);
    peer_send(&peer, BYTES("def" GET("/nothing")));
    TURN_UNTIL_HAS(&peer, "204 No Content");
    assert_false(peer_has(&peer, "Connection: close"));
    END();
}

static void large_unread_bodies_end_the_connection(void **state)
{
    BEGIN(0);
    static char zeros[300 * 1024];
    peer_send(&peer, BYTES("POST /hello HTTP/1.1\r\n" HOST "Content-Length: 307200\r\n\r\n"));
    peer_post(&peer, bytes_make(zeros, sizeof zeros));
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "Connection: close\r\n\r\nhello");
    assert_int_equal(peer.ended, 1);
    END();
}

/* ---- the other side goes --------------------------------------------------------------------- */

static void a_client_that_leaves_in_a_body(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES("POST /sink HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc"));
    turn_for(20);
    io_shutdown(&peer.stream);
    TURN_UNTIL(last_closed);
    assert_int_equal(last_closed, 1000 + ERR_EOF);
    assert_int_equal(http.metrics.server_broken, 1);
    END();
}

static void a_client_that_leaves_an_endless_answer(void **state)
{
    (void)state;
    loop_begin(seed);
    server_begin((struct http_server_options){0});
    static struct peer peer;
    peer_open(&peer, http_server_addr(server));
    peer_send(&peer, BYTES(GET("/endless")));
    TURN_UNTIL(buf_len(&peer.in) > 1000000);
    peer_close(&peer);
    TURN_UNTIL(last_closed);
    assert_true(last_closed < 1000);
    server_end();
    loop_end();
}

static void a_handler_can_break_it_off(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES(GET("/abort")));
    TURN_UNTIL(peer.ended && last_closed);
    assert_int_equal(last_closed, 1000 + ERR_CANCELLED);
    assert_int_equal(buf_len(&peer.in), 0);
    END();
}

/* ---- closing --------------------------------------------------------------------------------- */

static void closes_gracefully(void **state)
{
    BEGIN(0);
    static struct peer idle;
    peer_open(&idle, http_server_addr(server));
    peer_send(&idle, BYTES(GET("/hello")));
    TURN_UNTIL_HAS(&idle, "hello");
    peer_send(&peer, BYTES(GET("/wait")));
    TURN_UNTIL(kept);
    http_server_close(server, 10000, server_closed);
    TURN_UNTIL(idle.ended);
    assert_int_equal(idle.ended, 1);
    peer_close(&idle);
    turn_for(30);
    assert_false(server_gone || peer.ended);
    http_respond(kept, 200, BYTES("text/plain"), BYTES("at last"));
    TURN_UNTIL(peer.ended);
    assert_has(&peer, "Connection: close\r\n\r\nat last");
    peer_close(&peer);
    TURN_UNTIL(server_gone);
    loop_end();
}

static void grace_ends(void **state)
{
    BEGIN(0);
    peer_send(&peer, BYTES(GET("/wait")));
    TURN_UNTIL(kept);
    http_server_close(server, 50, server_closed);
    TURN_UNTIL(server_gone);
    assert_int_equal(last_closed, 1000 + ERR_CANCELLED);
    peer_close(&peer);
    loop_end();
}

static void connections_have_a_limit(void **state)
{
    BEGIN(.connections_max = 2);
    static struct peer second, third;
    peer_open(&second, http_server_addr(server));
    peer_open(&third, http_server_addr(server));
    peer_send(&peer, BYTES(GET("/hello")));
    peer_send(&second, BYTES(GET("/hello")));
    peer_send(&third, BYTES(GET("/hello")));
    TURN_UNTIL_HAS(&second, "hello");
    turn_for(30);
    assert_int_equal(http_server_connections(server), 2);
    assert_int_equal(buf_len(&third.in), 0);
    assert_int_equal(http.metrics.server_full, 1);
    peer_close(&second);
    TURN_UNTIL_HAS(&third, "hello");
    assert_has(&third, "hello");
    peer_close(&third);
    END();
}

static int on_machine(void **state)
{
    (void)state;
    seed = 0;
    return 0;
}

#define ON_BOTH(test) cmocka_unit_test_setup(test, on_machine), cmocka_unit_test(test##_sim)
#define MACHINE(test) cmocka_unit_test_setup(test, on_machine)

/* The same on simulated hosts: segments cut anywhere, any order of completions. */
#define SIM(test)                                       \
    static void test##_sim(void **state)                \
    {                                                   \
        for (seed = 1; seed <= 30; seed++) test(state); \
    }

SIM(keeps_the_connection)
SIM(answers_100_pipelined_in_order)
SIM(takes_a_request_byte_by_byte)
SIM(continues_when_the_body_is_wanted)
SIM(other_methods_and_versions)
SIM(ends_when_the_client_wants)
SIM(answers_a_client_that_ended_its_half)
SIM(refuses_with_the_reason)
SIM(refusal_survives_a_flood)
SIM(slow_heads_time_out)
SIM(idle_connections_time_out)
SIM(stuck_bodies_time_out)
SIM(stuck_readers_time_out)
SIM(small_unread_bodies_are_drained)
SIM(large_unread_bodies_end_the_connection)
SIM(a_client_that_leaves_in_a_body)
SIM(a_client_that_leaves_an_endless_answer)
SIM(a_handler_can_break_it_off)
SIM(closes_gracefully)
SIM(grace_ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(keeps_the_connection),
        ON_BOTH(answers_100_pipelined_in_order),
        ON_BOTH(takes_a_request_byte_by_byte),
        ON_BOTH(continues_when_the_body_is_wanted),
        ON_BOTH(other_methods_and_versions),
        ON_BOTH(ends_when_the_client_wants),
        ON_BOTH(answers_a_client_that_ended_its_half),
        ON_BOTH(refuses_with_the_reason),
        ON_BOTH(refusal_survives_a_flood),
        ON_BOTH(slow_heads_time_out),
        ON_BOTH(idle_connections_time_out),
        ON_BOTH(stuck_bodies_time_out),
        ON_BOTH(stuck_readers_time_out),
        ON_BOTH(small_unread_bodies_are_drained),
        ON_BOTH(large_unread_bodies_end_the_connection),
        ON_BOTH(a_client_that_leaves_in_a_body),
        ON_BOTH(a_client_that_leaves_an_endless_answer),
        ON_BOTH(a_handler_can_break_it_off),
        ON_BOTH(closes_gracefully),
        ON_BOTH(grace_ends),
        MACHINE(connections_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
