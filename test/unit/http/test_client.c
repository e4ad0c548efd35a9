#include "harness.h"

static uint64_t seed; /* 0: the real loop */

/* ---- a server that says what the test tells it --------------------------------------------- */

static struct io_listener script_listener;
static struct peer script; /* its one connection */

static void script_accepted(struct io_listener *listener)
{
    peer_init(&script);
    io_accept(listener, &script.stream);
    script.connected = 1;
    io_recv(&script.stream, NULL, 0, peer_received);
}

static void script_begin(void)
{
    struct io_addr addr = any_port();
    script.connected = 0;
    assert_int_equal(io_listen(io, &script_listener, &addr, NULL, script_accepted), 0);
}

static void script_end(void)
{
    peer_close(&script);
    io_listener_close(&script_listener);
}

/* ---- one client, and what it saw ------------------------------------------------------------ */

static struct http_client *client;
static struct buf got; /* the bodies */
static int connected, responses, ended, ended_result;
static bool gone, unanswered, whole_at_head;
static int status;
static struct http_exchange *current;

static void client_connected(struct http_client *it, int result)
{
    assert_ptr_equal(it, client);
    connected = result ? result : 1;
}

static void client_gone(struct http_client *it)
{
    assert_ptr_equal(it, client);
    gone = true;
}

static void open_client(const struct io_addr *addr, struct http_client_options options)
{
    connected = responses = ended = ended_result = status = 0;
    gone = unanswered = whole_at_head = false;
    buf_init(&got, 256 << 20);
    assert_int_equal(http_client_new(&http, &options, NULL, &client), 0);
    http_client_watch(client, client_gone);
    http_client_connect(client, addr, client_connected);
    TURN_UNTIL(connected);
}

static void close_client(void)
{
    http_client_close(client);
    client = NULL;
    buf_release(&got);
    TURN_UNTIL(http.metrics.client_connections == 0);
}

static void read_piece(struct http_exchange *x, int result, struct bytes piece)
{
    assert_true(result >= 0);
    buf_append(&got, piece);
    if (result == HTTP_MORE) http_read(x, read_piece);
}

static void response(struct http_exchange *x)
{
    responses++;
    status = x->in.status;
    whole_at_head = x->received_all;
    http_read(x, read_piece);
}

static void closed(struct http_exchange *x, int result)
{
    ended++;
    ended_result = result;
    unanswered = http_exchange_unanswered(x);
    assert_ptr_equal(x, current);
    current = NULL;
}

static struct http_exchange *begin(const char *method, const char *target)
{
    assert_true(http_client_reusable(client));
    current = http_client_begin(client, response);
    current->closed = closed;
    http_head_request(&current->out, bytes_str(method), bytes_str(target));
    http_head_add(&current->out, BYTES("Host"), BYTES("a"));
    buf_clear(&got);
    ended = 0;
    ended_result = 1;
    return current;
}

static void get(const char *target)
{
    assert_int_equal(http_send_head(begin("GET", target), 0), 0);
}

/* A client of the script; GET / has been received there. */
static void begin_scripted(struct http_client_options options)
{
    loop_begin(seed);
    script_begin();
    open_client(&script_listener.addr, options);
    TURN_UNTIL(script.connected);
    get("/");
    TURN_UNTIL_HAS(&script, "\r\n\r\n");
}

static void end_scripted(void)
{
    close_client();
    script_end();
    loop_end();
}

static void begin_served(void)
{
    loop_begin(seed);
    server_begin((struct http_server_options){0});
    open_client(http_server_addr(server), (struct http_client_options){0});
}

static void end_served(void)
{
    close_client();
    server_end();
    loop_end();
}

#define assert_got(text) assert_true(bytes_eq(buf_bytes(&got), BYTES(text)))

/* ---- against our server -----------------------------------------------------------------------
 */

static void asks_again_and_again(void **state)
{
    (void)state;
    begin_served();
    for (int i = 0; i < 20; i++) {
        get(i % 2 ? "/hello" : "/nothing");
        TURN_UNTIL(ended);
        assert_int_equal(ended_result, 0);
        assert_int_equal(status, i % 2 ? 200 : 204);
        assert_int_equal(whole_at_head, i % 2 == 0);
        if (i % 2) assert_got("hello");
    }
    assert_int_equal(http_client_exchanges(client), 20);
    assert_int_equal(http.metrics.server_accepted, 1);
    assert_int_equal(http_send_head(begin("HEAD", "/hello"), 0), 0);
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, 0);
    assert_got("");
    assert_true(http_client_reusable(client));
    end_served();
}

static void one_send_for_a_small_message(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    buf_clear(&script.in);
    peer_send(&script, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    TURN_UNTIL(ended);
    struct http_exchange *x = begin("POST", "/x");
    assert_int_equal(http_send_head(x, HTTP_LENGTH_UNKNOWN), 0);
    http_write(x, BYTES("abc"), true, NULL);
    while (!buf_len(&script.in)) turn();
    assert_has(&script, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n0\r\n\r\n");
    end_scripted();
}

static size_t post_left;
static char pattern[61 * 1024];
static size_t pattern_at;

/* Sizes that fit nothing, so that every boundary is met. */
static void post_more(struct http_exchange *x)
{
    size_t len = sizeof pattern - pattern_at % 977;
    if (len > post_left) len = post_left;
    struct bytes piece = bytes_make(pattern + (pattern_at % 251), len > 256 ? len - 256 : len);
    post_left -= piece.len;
    pattern_at += piece.len;
    http_write(x, piece, post_left == 0, post_left ? post_more : NULL);
}

static void check_pattern(size_t size)
{
    assert_int_equal(buf_len(&got), size);
    const char *at = got.data + got.start;
    for (size_t i = 0; i < size; i++)
        if (at[i] != (char)(i % 251)) fail_msg("byte %zu is wrong", i);
}

static void post(const char *target, size_t size, bool chunked)
{
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i % 251);
    post_left = size;
    pattern_at = 0;
    struct http_exchange *x = begin("POST", target);
    assert_int_equal(http_send_head(x, chunked ? HTTP_LENGTH_UNKNOWN : size), 0);
    post_more(x);
}

static void echo(const char *target, size_t size, bool chunked)
{
    post(target, size, chunked);
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, 0);
    check_pattern(size);
    assert_true(http_client_reusable(client));
}

static void bodies_come_back(void **state)
{
    (void)state;
    begin_served();
    static const size_t sizes[] = {1, 2, 1000, 65535, 65536, 65537, 1000003};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        echo("/echo", sizes[i], false);
        echo("/chunked", sizes[i], false);
        echo("/chunked", sizes[i], true);
    }
    assert_int_equal(http.metrics.server_accepted, 1);
    end_served();
}

/* 50 MB each way through a server that takes the next piece when the last one has gone out. */
static void large_bodies(void **state)
{
    (void)state;
    begin_served();
    echo("/echo", 50 * 1000 * 1000, false);
    echo("/chunked", 50 * 1000 * 1000, true);
    end_served();
}

static struct io_timer pause_timer;
static struct http_exchange *paused;
static size_t taken;

static void read_slowly(struct http_exchange *x, int result, struct bytes piece)
{
    assert_true(result >= 0);
    taken += piece.len;
    if (result == HTTP_LAST) return;
    paused = x;
    io_timer_set(io, &pause_timer, 1);
}

static void pause_done(struct io_timer *timer)
{
    (void)timer;
    http_read(paused, read_slowly);
}

static void response_slow(struct http_exchange *x)
{
    responses++;
    http_read(x, read_slowly);
}

/* A reader that stops holds back the server, which holds back the writer: what lies between them
 * is what the sockets hold, not the whole body. */
static void slow_readers_hold_back(void **state)
{
    (void)state;
    begin_served();
    io_timer_init(&pause_timer, pause_done);
    taken = 0;
    post("/echo", 50 * 1000 * 1000, false);
    current->response = response_slow;
    uint64_t most = 0;
    while (!ended) {
        turn();
        uint64_t written = current ? current->sent : taken;
        if (written > taken && written - taken > most) most = written - taken;
    }
    assert_int_equal(ended_result, 0);
    assert_int_equal(taken, 50 * 1000 * 1000);
    print_message("at most %llu bytes under way\n", (unsigned long long)most);
    assert_true(most < 25 * 1000 * 1000);
    end_served();
}

/* ---- what a server may say ---------------------------------------------------------------------
 */

static void expect_response(const char *text, int want_status, const char *body, bool reusable)
{
    begin_scripted((struct http_client_options){0});
    peer_send(&script, bytes_str(text));
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, 0);
    assert_int_equal(status, want_status);
    assert_int_equal(responses, 1);
    assert_true(bytes_eq(buf_bytes(&got), bytes_str(body)));
    assert_int_equal(http_client_reusable(client), reusable);
    end_scripted();
}

static void reads_responses(void **state)
{
    (void)state;
    expect_response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc", true);
    expect_response(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200,
        "abc", true);
    expect_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                    "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
                    404, "", true);
    expect_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 30\r\n\r\n", 304, "", true);
    expect_response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, "x",
                    false);
    expect_response("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false);
}

static void reads_until_close(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    peer_send(&script, BYTES("HTTP/1.1 200 OK\r\n\r\nabc"));
    turn_for(20);
    assert_int_equal(ended, 0);
    peer_send(&script, BYTES("def"));
    io_shutdown(&script.stream);
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, 0);
    assert_got("abcdef");
    assert_false(http_client_reusable(client));
    end_scripted();
}

static void stray_bytes_forbid_reuse(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    peer_send(&script,
              BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n"));
    TURN_UNTIL(ended && gone);
    assert_int_equal(ended_result, 0);
    assert_got("x");
    assert_false(http_client_reusable(client));
    end_scripted();
    /* The same when they come later, while nothing is under way. */
    begin_scripted((struct http_client_options){0});
    peer_send(&script, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    TURN_UNTIL(ended);
    assert_true(http_client_reusable(client));
    peer_send(&script, BYTES("y"));
    TURN_UNTIL(gone);
    assert_false(http_client_reusable(client));
    end_scripted();
}

static void notices_an_idle_end(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    peer_send(&script, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
    TURN_UNTIL(ended);
    assert_true(http_client_reusable(client) && !gone);
    io_shutdown(&script.stream);
    TURN_UNTIL(gone);
    assert_false(http_client_reusable(client));
    end_scripted();
}

static void early_answers_count(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    peer_send(&script, BYTES("HTTP/1.1 204 X\r\n\r\n"));
    TURN_UNTIL(ended);
    struct http_exchange *x = begin("POST", "/x");
    assert_int_equal(http_send_head(x, 1000), 0);
    peer_send(&script, BYTES("HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno"));
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, 0);
    assert_int_equal(status, 413);
    assert_got("no");
    assert_false(http_client_reusable(client)); /* the request is only half sent */
    end_scripted();
}

/* ---- what goes wrong
 * ----------------------------------------------------------------------------- */

static void expect_failure(const char *text, bool end, int error, bool no_answer)
{
    begin_scripted(
        (struct http_client_options){.response_timeout_ms = 200, .body_timeout_ms = 200});
    peer_send(&script, bytes_str(text));
    if (end) io_shutdown(&script.stream);
    TURN_UNTIL(ended);
    assert_int_equal(ended_result, error);
    assert_int_equal(unanswered, no_answer);
    assert_false(http_client_reusable(client));
    assert_int_equal(http.metrics.client_failures, 1);
    end_scripted();
}

static void failures_are_told_apart(void **state)
{
    (void)state;
    expect_failure("", true, ERR_EOF, true);
    expect_failure("HTTP/1.1 2", true, ERR_EOF, false);
    expect_failure("HTTP/1.1 100 Continue\r\n\r\n", true, ERR_EOF, false);
    expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true, ERR_EOF, false);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true,
                   ERR_EOF, false);
    expect_failure("garbage\r\n", false, ERR_PROTOCOL, false);
    expect_failure("HTTP/1.1 101 Switching\r\n\r\n", false, ERR_PROTOCOL, false);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
                   false, ERR_PROTOCOL, false);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
                   ERR_PROTOCOL, false);
    expect_failure("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX", false,
                   ERR_PROTOCOL, false);
    expect_failure("", false, ERR_TIMEOUT, true);
    expect_failure("HTTP/1.1 100 Continue\r\n\r\n", false, ERR_TIMEOUT, false);
    expect_failure("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", false, ERR_TIMEOUT, false);
}

static void large_responses_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n01234567890"};
    for (size_t i = 0; i < 3; i++) {
        begin_scripted((struct http_client_options){.body_max = 10});
        peer_send(&script, bytes_str(texts[i]));
        TURN_UNTIL(ended);
        assert_int_equal(ended_result, ERR_TOO_BIG);
        end_scripted();
    }
}

static void cannot_connect(void **state)
{
    (void)state;
    loop_begin(seed);
    script_begin();
    struct io_addr addr = script_listener.addr;
    io_listener_close(&script_listener);
    open_client(&addr, (struct http_client_options){0});
    assert_int_equal(connected, ERR_REFUSED);
    assert_false(http_client_reusable(client));
    close_client();
    loop_end();
}

static void closes_at_any_time(void **state)
{
    (void)state;
    struct http_client_options options = {0};
    loop_begin(seed);
    script_begin();
    assert_int_equal(http_client_new(&http, &options, NULL, &client), 0);
    http_client_close(client); /* never connected */
    assert_int_equal(http_client_new(&http, &options, NULL, &client), 0);
    http_client_connect(client, &script_listener.addr, client_connected);
    connected = 0;
    http_client_close(client); /* while connecting */
    TURN_UNTIL(http.metrics.client_connections == 0);
    assert_int_equal(connected, 0);
    turn_for(20);
    if (script.connected) peer_close(&script);
    script.connected = 0;
    open_client(&script_listener.addr, options);
    TURN_UNTIL(script.connected);
    get("/");
    int before = ended;
    http_client_close(client); /* in an exchange */
    assert_int_equal(ended, before);
    TURN_UNTIL(http.metrics.client_connections == 0);
    assert_int_equal(ended, 1);
    assert_int_equal(ended_result, ERR_CANCELLED);
    buf_release(&got);
    script_end();
    loop_end();
}

static void bad_heads_do_not_leave(void **state)
{
    (void)state;
    begin_scripted((struct http_client_options){0});
    peer_send(&script, BYTES("HTTP/1.1 204 X\r\n\r\n"));
    TURN_UNTIL(ended);
    struct http_exchange *x = begin("GET", "/");
    http_head_add(&x->out, BYTES("X"), BYTES("a\r\nInjected: 1"));
    assert_int_equal(http_send_head(x, 0), ERR_INVALID);
    http_head_request(&x->out, BYTES("GET"), BYTES("/a b"));
    assert_int_equal(http_send_head(x, 0), ERR_INVALID);
    http_head_request(&x->out, BYTES("GET"), BYTES("/good"));
    assert_int_equal(http_send_head(x, 0), 0);
    TURN_UNTIL_HAS(&script, "GET /good HTTP/1.1\r\n\r\n");
    assert_false(peer_has(&script, "Injected"));
    end_scripted();
}

static int on_machine(void **state)
{
    (void)state;
    seed = 0;
    return 0;
}

#define MACHINE(test) cmocka_unit_test_setup(test, on_machine)
#define ON_BOTH(test) MACHINE(test), cmocka_unit_test(test##_sim)

/* The same on a simulated host: segments cut anywhere, completions in any order. */
#define SIM(test)                                       \
    static void test##_sim(void **state)                \
    {                                                   \
        for (seed = 1; seed <= 20; seed++) test(state); \
    }

SIM(asks_again_and_again)
SIM(bodies_come_back)
SIM(reads_responses)
SIM(reads_until_close)
SIM(stray_bytes_forbid_reuse)
SIM(notices_an_idle_end)
SIM(early_answers_count)
SIM(failures_are_told_apart)
SIM(large_responses_are_refused)
SIM(cannot_connect)
SIM(closes_at_any_time)
SIM(bad_heads_do_not_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(asks_again_and_again),    MACHINE(one_send_for_a_small_message),
        ON_BOTH(bodies_come_back),        MACHINE(large_bodies),
        MACHINE(slow_readers_hold_back),  ON_BOTH(reads_responses),
        ON_BOTH(reads_until_close),       ON_BOTH(stray_bytes_forbid_reuse),
        ON_BOTH(notices_an_idle_end),     ON_BOTH(early_answers_count),
        ON_BOTH(failures_are_told_apart), ON_BOTH(large_responses_are_refused),
        ON_BOTH(cannot_connect),          ON_BOTH(closes_at_any_time),
        ON_BOTH(bad_heads_do_not_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
