/* Calls over HTTP, with the test as the other side: every byte of it is ours to get wrong. */
#include "program.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct program program;
static int listener, peer_port;

static int listen_on(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int begin(void **state)
{
    static const char *const modules[] = {MODULES "/front.so", NULL};
    static char road[64];
    static const char *const env[] = {road, "DURE_MAX_ANSWER=100000", NULL};
    peer_port = free_port();
    listener = listen_on(peer_port);
    snprintf(road, sizeof road, "DURE_HTTP=http://127.0.0.1:%d/road/", peer_port);
    program_start(&program, NULL, modules, 1, env);
    return 0;
}

static int end(void **state)
{
    return program_stop(&program);
}

/* Starts a request to the service under test. */
static int ask(const char *method, const char *target, const char *extra)
{
    char text[512];
    int fd = client_connect(program.ports[0]);
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", method, target, extra);
    client_send(fd, text);
    return fd;
}

static void assert_says(int fd, const char *want)
{
    struct response r;
    assert_true(client_response(fd, &r));
    assert_string_equal(r.body, want);
    close(fd);
}

static bool waits(int fd, int ms)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    return poll(&in, 1, ms) == 1;
}

static int take(void)
{
    assert_true(waits(listener, 5000));
    return accept(listener, NULL, NULL);
}

/* One request without its body, if it has a Content-Length with it. */
static const char *read_request(int fd)
{
    static char text[8192];
    size_t len = 0;
    memset(text, 0, sizeof text);
    while (!strstr(text, "\r\n\r\n")) {
        assert_true(waits(fd, 5000));
        assert_int_equal(recv(fd, text + len, 1, 0), 1);
        len++;
    }
    const char *length = strstr(text, "Content-Length: ");
    for (long left = length ? strtol(length + 16, NULL, 10) : 0; left > 0; left--)
        assert_int_equal(recv(fd, text + len++, 1, 0), 1);
    return text;
}

static void requests_are_whole_and_connections_kept(void **state)
{
    int fd = ask("GET", "/call/7",
                 "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
                 "tracestate: a=b\r\nDure-Deadline-Ms: 5000\r\n");
    int peer = take();
    const char *text = read_request(peer);
    assert_memory_equal(text, "GET /road/back/items/7?full=1 HTTP/1.1\r\nHost: 127.0.0.1:", 56);
    assert_non_null(strstr(
        text, "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"));
    assert_non_null(strstr(text, "\r\ntracestate: a=b\r\n"));
    assert_non_null(strstr(text, "\r\nDure-Deadline-Ms: 4"));
    assert_non_null(strstr(text, "\r\nDure-Request-Id: "));
    assert_null(strstr(text, "Content-Length"));
    client_send(peer, "HTTP/1.1 200 OK\r\nX-Back: 1\r\nContent-Length: 2\r\n\r\nhi");
    assert_says(fd, "OK 200 hi 1");
    fd = ask("POST", "/order", "");
    text = read_request(peer); /* the same connection */
    assert_memory_equal(text, "POST /road/back/orders HTTP/1.1\r\n", 33);
    assert_non_null(strstr(text, "\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(text, "\r\nX-Kind: test\r\n"));
    assert_non_null(strstr(text, "\r\n\r\nfive"));
    client_send(peer, "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_says(fd, "REMOTE 409 ");
    assert_true(client_closed(peer));
    close(peer);
}

static void responses_come_in_every_framing(void **state)
{
    static const struct {
        const char *response, *want;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         "OK 200 abc -"},
        {"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz",
         "OK 200 z -"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "OK 204  -"},
        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "OK 200 until the end -"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = ask("GET", "/call/7", ""), peer = take();
        read_request(peer);
        for (const char *at = cases[i].response; *at; at++) {
            client_send_bytes(peer, at, 1);
            if (i == 0) usleep(1000);
        }
        shutdown(peer, SHUT_WR);
        assert_says(fd, cases[i].want);
        close(peer);
    }
}

static void broken_responses_are_errors(void **state)
{
    static const struct {
        const char *response;
        int status;
    } cases[] = {
        {"garbage\r\n\r\n", 502},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 502},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 502},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 502},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 503},
        {"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", 413},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct response r;
        int fd = ask("GET", "/call/7", ""), peer = take();
        read_request(peer);
        client_send(peer, cases[i].response);
        shutdown(peer, SHUT_WR);
        assert_true(client_response(fd, &r));
        assert_int_equal(r.status, cases[i].status);
        close(fd);
        close(peer);
    }
}

/* A connection that closes before the response's first byte. */
static void only_what_is_idempotent_is_repeated(void **state)
{
    int fd = ask("GET", "/call/7", ""), peer = take();
    read_request(peer);
    close(peer);
    peer = take();
    read_request(peer);
    client_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_says(fd, "OK 200  -");
    close(peer);

    fd = ask("GET", "/call/7", ""); /* once more, and not for ever */
    for (int i = 0; i < 2; i++) {
        peer = take();
        read_request(peer);
        close(peer);
    }
    struct response r;
    assert_true(client_response(fd, &r));
    assert_int_equal(r.status, 503);
    close(fd);

    fd = ask("POST", "/order", "");
    peer = take();
    read_request(peer);
    close(peer);
    assert_says(fd, "UNREACHABLE 0 -");
    assert_false(waits(listener, 100));

    fd = ask("POST", "/order?idempotent=1", "");
    peer = take();
    read_request(peer);
    close(peer);
    peer = take();
    read_request(peer);
    client_send(peer, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    assert_says(fd, "OK 201 ");
    close(peer);
}

static void giving_up_closes_the_connection(void **state)
{
    struct response r;
    int fd = ask("GET", "/call/7", ""), peer = take();
    read_request(peer);
    close(fd);
    assert_true(client_closed(peer));
    close(peer);
    fd = ask("GET", "/call/7", "Dure-Deadline-Ms: 50\r\n");
    peer = take();
    read_request(peer);
    assert_true(client_response(fd, &r));
    assert_int_equal(r.status, 504);
    assert_true(client_closed(peer));
    close(fd);
    close(peer);
}

static void a_road_that_is_away_for_a_moment(void **state)
{
    close(listener);
    int fd = ask("GET", "/call/7", "");
    usleep(100000);
    listener = listen_on(peer_port);
    int peer = take();
    read_request(peer);
    client_send(peer, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback");
    assert_says(fd, "OK 200 back -");
    close(peer);
    close(listener);
    struct response *r = client_request(program.ports[0], "GET", "/call/7", NULL, NULL);
    assert_int_equal(r->status, 503);
    listener = listen_on(peer_port);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_whole_and_connections_kept),
        cmocka_unit_test(responses_come_in_every_framing),
        cmocka_unit_test(broken_responses_are_errors),
        cmocka_unit_test(only_what_is_idempotent_is_repeated),
        cmocka_unit_test(giving_up_closes_the_connection),
        cmocka_unit_test(a_road_that_is_away_for_a_moment),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
