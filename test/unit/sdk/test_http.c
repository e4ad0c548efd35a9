#include "program.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the service under test ---------------------------------------------------------------------
 */

static struct {
    int64_t cancelled, timed_out, running;
} seen;

static int echo(struct dure_ctx *ctx)
{
    size_t len;
    const char *body = dure_body(ctx, &len);
    dure_reply_header(ctx, "X-Method", dure_method(ctx));
    return dure_reply(ctx, 200, "application/octet-stream", body, len);
}

static int show(struct dure_ctx *ctx)
{
    const char *page = dure_query(ctx, "page");
    return dure_reply_text(ctx, 200, "%s|%s|%s", dure_param(ctx, "id"), page ? page : "-",
                           dure_path(ctx));
}

static int rest(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "rest=%s", dure_param(ctx, "path"));
}

static int literal(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "literal");
}

static int nap(struct dure_ctx *ctx)
{
    seen.running++;
    int err = dure_sleep(ctx, strtol(dure_param(ctx, "ms"), NULL, 10));
    seen.running--;
    if (err == DURE_ECANCELLED) seen.cancelled++;
    if (err == DURE_ETIMEOUT) seen.timed_out++;
    if (err) return err;
    return dure_reply_text(ctx, 200, "slept");
}

static int fails(struct dure_ctx *ctx)
{
    return (int)strtol(dure_query(ctx, "err"), NULL, 10);
}

static int nothing(struct dure_ctx *ctx)
{
    return 0;
}

static int json(struct dure_ctx *ctx)
{
    struct dure_json *in;
    int err = dure_body_json(ctx, &in);
    if (err) return err;
    struct dure_json *out = dure_json_object(ctx), *list = dure_json_array(ctx);
    dure_json_set_string(out, "name", dure_json_get_string(in, "name", "nobody"));
    dure_json_set_int(out, "next", dure_json_get_int(in, "number", 0) + 1);
    struct dure_json *items = dure_json_get(in, "items");
    for (size_t i = 0; i < dure_json_count(items); i++)
        dure_json_set(list, NULL, dure_json_at(items, dure_json_count(items) - 1 - i));
    dure_json_set(out, "items", list);
    dure_json_set_bool(out, "ok", true);
    dure_json_set_null(out, "nothing");
    dure_json_set_number(out, "half", 0.5);
    return dure_reply_json(ctx, 201, out);
}

static int bad_text(struct dure_ctx *ctx)
{
    struct dure_json *out = dure_json_object(ctx);
    dure_json_set_string(out, "broken", "\xff\xfe");
    return dure_reply_json(ctx, 200, out);
}

static int stats(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "cancelled=%d timed_out=%d running=%d", (int)seen.cancelled,
                           (int)seen.timed_out, (int)seen.running);
}

static int big(struct dure_ctx *ctx)
{
    size_t len = 4 << 20;
    char *body = dure_alloc(ctx, len);
    if (!body) return DURE_ENOMEM;
    memset(body, 'x', len);
    return dure_reply(ctx, 200, "text/plain", body, len);
}

static int twice(struct dure_ctx *ctx)
{
    int first = dure_reply_text(ctx, 200, "first");
    int second = dure_reply_text(ctx, 200, "second");
    dure_log(ctx, DURE_INFO, "twice", DURE_I("first", first), DURE_I("second", second));
    return second;
}

static int headers(struct dure_ctx *ctx)
{
    int length = dure_reply_header(ctx, "Content-Length", "5");
    int split = dure_reply_header(ctx, "X-Split", "a\r\nX-Evil: 1");
    int good = dure_reply_header(ctx, "X-Good", "yes");
    const char *seen_value = dure_header(ctx, "x-ASKED");
    return dure_reply_text(ctx, 200, "%s %s %s %s", dure_error_name(length), dure_error_name(split),
                           dure_error_name(good), seen_value);
}

static int trace(struct dure_ctx *ctx)
{
    dure_log(ctx, DURE_INFO, "traced", DURE_S("text", "a\"b"), DURE_F("half", 0.5));
    return dure_reply_text(ctx, 200, "%s", dure_traceparent(ctx));
}

static int block_for(void *argument)
{
    usleep((useconds_t) * (int *)argument * 1000);
    return 7;
}

static int blocking(struct dure_ctx *ctx)
{
    int ms = 100;
    return dure_reply_text(ctx, 200, "%d", dure_blocking(ctx, block_for, &ms));
}

static int gone(struct dure_ctx *ctx)
{
    dure_log(ctx, DURE_INFO, "exit_hook_ran");
    return 0;
}

static int start(struct dure_ctx *ctx)
{
    static const struct {
        const char *method, *pattern;
        dure_handler *handler;
    } routes[] = {
        {"POST", "/echo", echo},           {"PUT", "/echo", echo},
        {"GET", "/items/{id}", show},      {"GET", "/items/new", literal},
        {"GET", "/files/{path...}", rest}, {"GET", "/nap/{ms}", nap},
        {"GET", "/fails", fails},          {NULL, "/nothing", nothing},
        {"POST", "/json", json},           {"GET", "/bad-text", bad_text},
        {"GET", "/stats", stats},          {"GET", "/big", big},
        {"GET", "/twice", twice},          {"GET", "/headers", headers},
        {"GET", "/trace", trace},          {"GET", "/blocking", blocking},
    };
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        int err = dure_route(ctx, routes[i].method, routes[i].pattern, routes[i].handler);
        if (err) return err;
    }
    if (dure_route(ctx, "GET", "/items/{other}", show) != DURE_EEXISTS) return DURE_EINTERNAL;
    if (dure_route(ctx, "GET", "items", show) != DURE_EINVALID) return DURE_EINTERNAL;
    if (dure_route(ctx, "GET", "/a{b}", show) != DURE_EINVALID) return DURE_EINTERNAL;
    if (dure_route(ctx, "GET", "/{a...}/b", show) != DURE_EINVALID) return DURE_EINTERNAL;
    return 0;
}

static const struct dure_module module = {DURE_ABI, sizeof module, "web", start, gone};

static struct program program;
static int port;

static int begin(void **state)
{
    static const char *const env[] = {"DURE_MAX_BODY=4096", "DURE_MAX_FIBERS=8", NULL};
    program_start(&program, &module, NULL, 1, env);
    port = program.ports[0];
    return 0;
}

static int end(void **state)
{
    return program_stop(&program);
}

/* ---- requests ----------------------------------------------------------------------------- */

static const char *body_of(const char *target)
{
    struct response *r = client_request(port, "GET", target, NULL, NULL);
    assert_int_equal(r->status, 200);
    return r->body;
}

static void paths_and_queries_are_taken_apart(void **state)
{
    assert_string_equal(body_of("/items/7"), "7|-|/items/7");
    assert_string_equal(body_of("/items/a%2Fb%20c?x=1&page=2+%2b"), "a/b c|2 +|/items/a/b c");
    assert_string_equal(body_of("/items/7?page"), "7||/items/7");
    assert_string_equal(body_of("/items/new"), "literal");
    assert_string_equal(body_of("/items/n%65w"), "literal");
    assert_string_equal(body_of("/files/a/b%20/c"), "rest=a/b /c");
    assert_string_equal(body_of("/files/"), "rest=");
    assert_string_equal(body_of("/files"), "rest=");
}

static void what_does_not_fit_is_told(void **state)
{
    assert_int_equal(client_get(port, "/none"), 404);
    assert_int_equal(client_get(port, "/items"), 404);
    assert_int_equal(client_get(port, "/items/"), 404);
    assert_int_equal(client_get(port, "/items/7/8"), 404);
    assert_int_equal(client_get(port, "/items/%zz"), 400);
    assert_int_equal(client_get(port, "/items/%00"), 400);
    assert_int_equal(client_get(port, "/items/%7"), 400);
    struct response *r = client_request(port, "DELETE", "/echo", NULL, NULL);
    assert_int_equal(r->status, 405);
    assert_non_null(strstr(r->head, "\r\nAllow: POST, PUT\r\n"));
    assert_non_null(strstr(r->body, "\"status\":405"));
}

static void results_become_statuses(void **state)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {{"/nothing", 204}, {"/bad-text", 500}};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(client_get(port, cases[i].target), cases[i].status);
    for (int err = -1; err > -DURE_ERROR_COUNT; err--) {
        char target[32];
        snprintf(target, sizeof target, "/fails?err=%d", err);
        struct response *r = client_request(port, "GET", target, NULL, NULL);
        assert_int_equal(r->status, dure_error_status(err));
        assert_non_null(strstr(r->head, "application/problem+json"));
        assert_non_null(strstr(r->body, dure_error_text(err)));
    }
    assert_int_equal(client_get(port, "/fails?err=-999"), 500);
    assert_string_equal(body_of("/twice"), "first");
    program_wait_log(&program, "\"first\":0,\"second\":-6", 1);
}

static void json_goes_both_ways(void **state)
{
    struct response *r = client_request(
        port, "POST", "/json", NULL, "{\"name\":\"Ana\",\"number\":41,\"items\":[1,\"two\",{}]}");
    assert_int_equal(r->status, 201);
    assert_string_equal(r->body, "{\"name\":\"Ana\",\"next\":42,\"items\":[{},\"two\",1],"
                                 "\"ok\":true,\"nothing\":null,\"half\":0.5}");
    assert_int_equal(client_request(port, "POST", "/json", NULL, "{")->status, 400);
    assert_int_equal(client_request(port, "POST", "/json", NULL, "")->status, 400);
    assert_int_equal(client_request(port, "POST", "/json", NULL, "{\"a\":1,\"a\":2}")->status, 400);
    char deep[2001];
    memset(deep, '[', 2000);
    deep[2000] = 0;
    assert_int_equal(client_request(port, "POST", "/json", NULL, deep)->status, 400);
}

static void headers_are_checked(void **state)
{
    struct response *r = client_request(port, "GET", "/headers", "X-Asked: why\r\n", NULL);
    assert_string_equal(r->body, "INVALID INVALID OK why");
    assert_null(strstr(r->head, "Evil"));
    assert_non_null(strstr(r->head, "\r\nX-Good: yes\r\n"));
}

static void health_is_answered(void **state)
{
    struct response *r = client_request(port, "GET", "/health", NULL, NULL);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(r->body, "\"status\":\"up\",\"service\":\"web\""));
    assert_non_null(strstr(r->body, "\"bus\":\"none\""));
}

static void traces_are_continued(void **state)
{
    const char *id = "0af7651916cd43dd8448eb211c80319c";
    struct response *r = client_request(
        port, "GET", "/trace",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", NULL);
    assert_memory_equal(r->body + 3, id, 32);
    program_wait_log(&program,
                     "\"service\":\"web\",\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\","
                     "\"span_id\":\"b7ad6b7169203331\",\"text\":\"a\\\"b\",\"half\":0.5",
                     1);
    r = client_request(port, "GET", "/trace", NULL, NULL);
    assert_int_equal(r->len, 55);
    assert_memory_not_equal(r->body + 3, id, 32);
}

/* ---- connections -------------------------------------------------------------------------- */

static void connections_are_kept(void **state)
{
    struct response r;
    int fd = client_connect(port);
    for (int i = 0; i < 3; i++) {
        client_send(fd, "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_true(client_response(fd, &r));
        assert_int_equal(r.status, 200);
    }
    client_send(fd, "GET /items/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_true(client_response(fd, &r));
    assert_non_null(strstr(r.head, "\r\nConnection: close\r\n"));
    assert_true(client_closed(fd));
    close(fd);
    fd = client_connect(port);
    client_send(fd, "GET /items/1 HTTP/1.0\r\n\r\n");
    assert_true(client_response(fd, &r));
    assert_true(client_closed(fd));
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct response r;
    int fd = client_connect(port);
    client_send(fd, "GET /nap/50 HTTP/1.1\r\nHost: x\r\n\r\n"
                    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nde\r\n0\r\n\r\n"
                    "GET /items/9 HTTP/1.1\r\nHost: x\r\n\r\n");
    const char *const bodies[] = {"slept", "abc", "de", "9|-|/items/9"};
    for (int i = 0; i < 4; i++) {
        assert_true(client_response(fd, &r));
        assert_string_equal(r.body, bodies[i]);
    }
    close(fd);
    fd = client_connect(port); /* more than the server reads ahead */
    for (int i = 0; i < 3000; i++) client_send(fd, "GET /items/9 HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 3000; i++) assert_true(client_response(fd, &r) && r.status == 200);
    close(fd);
}

static const char chunked[] = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "5;a=b\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n";

static void chunked_bodies_arrive_in_pieces(void **state)
{
    struct response r;
    int fd = client_connect(port);
    client_send(fd, chunked);
    assert_true(client_response(fd, &r));
    assert_string_equal(r.body, "hello world");
    for (const char *at = chunked; *at; at++) client_send_bytes(fd, at, 1);
    assert_true(client_response(fd, &r));
    assert_string_equal(r.body, "hello world");
    close(fd);
}

static void a_request_may_be_cut_anywhere(void **state)
{
    for (size_t len = 0; len < sizeof chunked - 1; len++) {
        int fd = client_connect(port);
        client_send_bytes(fd, chunked, len);
        shutdown(fd, SHUT_WR);
        assert_true(client_closed(fd));
        close(fd);
    }
    assert_int_equal(client_get(port, "/items/1"), 200);
}

static void garbage_is_refused(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"\x16\x03\x01\x02garbage\r\n\r\n", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"GET / HTTP/2.0\r\n\r\n", 505},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"GET / HTTP/1.1\nHost: x\n\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n", 413},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
    };
    struct response r;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = client_connect(port);
        client_send(fd, cases[i].text);
        assert_true(client_response(fd, &r));
        assert_int_equal(r.status, cases[i].status);
        assert_true(client_closed(fd));
        close(fd);
    }
    int fd = client_connect(port);
    client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    for (int i = 0; i < 7000; i++) client_send(fd, "0123456789");
    client_send(fd, "\r\n\r\n");
    assert_true(client_response(fd, &r));
    assert_int_equal(r.status, 431);
    close(fd);
}

static void bodies_have_a_limit(void **state)
{
    struct response r;
    char body[4097];
    memset(body, 'b', 4096);
    body[4096] = 0;
    assert_int_equal(client_request(port, "POST", "/echo", NULL, body)->len, 4096);
    int fd = client_connect(port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        client_send(fd, "400\r\n");
        client_send_bytes(fd, body, 1024);
        client_send(fd, "\r\n");
    }
    assert_true(client_response(fd, &r));
    assert_int_equal(r.status, 413);
    close(fd);
}

static void head_and_continue(void **state)
{
    struct response r;
    char text[4096] = "";
    int fd = client_connect(port);
    client_send(fd, "HEAD /items/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    size_t len = 0;
    for (ssize_t got; (got = recv(fd, text + len, sizeof text - 1 - len, 0)) > 0;)
        len += (size_t)got;
    assert_non_null(strstr(text, "\r\nContent-Length: 12\r\n"));
    assert_memory_equal(text + len - 4, "\r\n\r\n", 4);
    close(fd);
    fd = client_connect(port);
    client_send(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                    "Content-Length: 2\r\n\r\n");
    assert_true(client_response(fd, &r));
    assert_int_equal(r.status, 100);
    client_send(fd, "ok");
    assert_true(client_response(fd, &r));
    assert_string_equal(r.body, "ok");
    close(fd);
}

static void a_slow_reader_gets_it_all(void **state)
{
    int fd = client_connect(port), small = 65536;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    client_send(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    usleep(200000);
    size_t len = 0;
    static char part[65536];
    for (ssize_t got; (got = recv(fd, part, sizeof part, 0)) > 0;) len += (size_t)got;
    assert_true(len > 4 << 20);
    close(fd);
}

/* ---- time --------------------------------------------------------------------------------- */

static void wait_stats(const char *text)
{
    for (int i = 0; i < 500 && !strstr(body_of("/stats"), text); i++) usleep(10000);
    assert_non_null(strstr(body_of("/stats"), text));
}

static void deadlines_end_a_wait(void **state)
{
    struct response *r =
        client_request(port, "GET", "/nap/10000", "Dure-Deadline-Ms: 30\r\n", NULL);
    assert_int_equal(r->status, 504);
    wait_stats("timed_out=1");
    r = client_request(port, "GET", "/nap/10", "Dure-Deadline-Ms: nonsense\r\n", NULL);
    assert_int_equal(r->status, 200);
}

static void a_closed_connection_cancels(void **state)
{
    int fd = client_connect(port);
    client_send(fd, "GET /nap/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_stats("running=1");
    close(fd);
    wait_stats("cancelled=1 timed_out=1 running=0");
    fd = client_connect(port);
    client_send(fd, "GET /nap/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_stats("running=1");
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    wait_stats("cancelled=2 timed_out=1 running=0");
}

static void there_are_only_so_many_fibers(void **state)
{
    int fds[8];
    struct response r;
    for (int i = 0; i < 8; i++) {
        fds[i] = client_connect(port);
        client_send(fds[i], "GET /nap/300 HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    usleep(100000);
    struct response *refused = client_request(port, "GET", "/items/1", NULL, NULL);
    assert_int_equal(refused->status, 503);
    assert_non_null(strstr(refused->body, "too much at once"));
    for (int i = 0; i < 8; i++) {
        assert_true(client_response(fds[i], &r));
        assert_int_equal(r.status, 200);
        close(fds[i]);
    }
    assert_int_equal(client_get(port, "/items/1"), 200);
}

static void blocking_work_does_not_stop_the_others(void **state)
{
    struct response r;
    int fds[6];
    for (int i = 0; i < 6; i++) {
        fds[i] = client_connect(port);
        client_send(fds[i], "GET /blocking HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    uint64_t before = dure_now_ns();
    assert_int_equal(client_get(port, "/items/1"), 200);
    assert_true(dure_now_ns() - before < 90 * 1000000ull);
    for (int i = 0; i < 6; i++) {
        assert_true(client_response(fds[i], &r));
        assert_string_equal(r.body, "7");
        close(fds[i]);
    }
}

/* ---- the end ------------------------------------------------------------------------------ */

static void sigterm_lets_requests_finish(void **state)
{
    struct program p;
    struct response r;
    program_start(&p, &module, NULL, 1, NULL);
    int idle = client_connect(p.ports[0]), busy = client_connect(p.ports[0]);
    client_send(idle, "GET /items/1 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(client_response(idle, &r));
    client_send(busy, "GET /nap/400 HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(100000);
    kill(p.pid, SIGTERM);
    assert_true(client_closed(idle));
    assert_int_equal(client_connect(p.ports[0]), -1);
    assert_true(client_response(busy, &r));
    assert_int_equal(r.status, 200);
    assert_non_null(strstr(r.head, "\r\nConnection: close\r\n"));
    program_wait_log(&p, "exit_hook_ran", 1);
    assert_int_equal(program_wait(&p), 0);
    close(idle);
    close(busy);
}

static void grace_has_an_end(void **state)
{
    static const char *const env[] = {"DURE_GRACE_MS=100", NULL};
    struct program p;
    struct response r;
    program_start(&p, &module, NULL, 1, env);
    int busy = client_connect(p.ports[0]);
    client_send(busy, "GET /nap/60000 HTTP/1.1\r\nHost: x\r\n\r\n");
    usleep(100000);
    kill(p.pid, SIGTERM);
    assert_true(client_response(busy, &r));
    assert_int_equal(r.status, 503);
    program_wait_log(&p, "exit_hook_ran", 1);
    assert_int_equal(program_wait(&p), 0);
    close(busy);
}

static int refuses(struct dure_ctx *ctx)
{
    return DURE_ECONFLICT;
}

static void a_failing_init_ends_the_program(void **state)
{
    static const struct dure_module failing = {DURE_ABI, sizeof failing, "bad", refuses, NULL};
    static const struct dure_module foreign = {99, sizeof foreign, "old", refuses, NULL};
    static const char *const bad_port[] = {"PORT=http", NULL};
    struct program p;
    program_spawn(&p, &failing, NULL, NULL);
    program_wait_log(&p, "\"event\":\"init_failed\",\"service\":\"bad\",\"error\":\"CONFLICT\"", 1);
    assert_int_equal(program_wait(&p), 1);
    program_spawn(&p, &foreign, NULL, NULL);
    program_wait_log(&p, "built for another SDK", 1);
    assert_int_equal(program_wait(&p), 1);
    program_spawn(&p, &module, NULL, bad_port);
    assert_int_equal(program_wait(&p), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_queries_are_taken_apart),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(results_become_statuses),
        cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(headers_are_checked),
        cmocka_unit_test(health_is_answered),
        cmocka_unit_test(traces_are_continued),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(chunked_bodies_arrive_in_pieces),
        cmocka_unit_test(a_request_may_be_cut_anywhere),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(head_and_continue),
        cmocka_unit_test(a_slow_reader_gets_it_all),
        cmocka_unit_test(deadlines_end_a_wait),
        cmocka_unit_test(a_closed_connection_cancels),
        cmocka_unit_test(there_are_only_so_many_fibers),
        cmocka_unit_test(blocking_work_does_not_stop_the_others),
        cmocka_unit_test(sigterm_lets_requests_finish),
        cmocka_unit_test(grace_has_an_end),
        cmocka_unit_test(a_failing_init_ends_the_program),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
