/* What passes through: heads, bodies, framings, at the edge and between services. */
#include "fixture.h"

#include "http/server.h"

#define BEGIN(script, reply)                           \
    struct fixture *f = fixture_new(NULL);             \
    struct backend *b = add_backend(f, script, reply); \
    apply_default(f);                                  \
    (void)b

static void test_a_request_and_its_response(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct client client;
    client_open(&client, f, &f->edge);
    for (int i = 0; i < 5; i++) {
        struct bytes response = client_ask(
            &client, "GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: Shop.test:80\r\nX-Own: 7\r\n\r\n");
        assert_int_equal(raw_status(response), 200);
        struct bytes echo = raw_body(response);
        assert_true(bytes_starts(echo, BYTES("GET /a/b?x=1&y=%20 HTTP/1.1\r\n")));
        assert_true(bytes_eq(raw_header(echo, "Host"), BYTES("Shop.test:80")));
        assert_true(bytes_eq(raw_header(echo, "X-Own"), BYTES("7")));
        assert_true(raw_header(response, "Date").len > 0);
    }
    client_close(&client);
    assert_int_equal(b->requests, 5);
    assert_int_equal(b->accepted, 1); /* one connection for all of them */
    UNTIL(f, f->event_count == 5);
    const struct event_copy *event = last_event(f);
    assert_int_equal(event->status, 200);
    assert_int_equal(event->error, 0);
    assert_int_equal(event->attempts, 1);
    assert_string_equal(event->method, "GET");
    assert_string_equal(event->path, "/a/b");
    assert_string_equal(event->route, "all");
    assert_string_equal(event->service, "shop");
    assert_true(event->address[0]);
    fixture_free(f);
}

static void test_the_edge_believes_no_claims(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    ask(f, &f->edge,
        "GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: "
        "for=6.6.6.6\r\n"
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nx-forwarded-for: 7.7.7.7\r\n"
        "Via: 1.0 before\r\n\r\n",
        &buf);
    struct bytes echo = raw_body(buf_bytes(&buf));
    assert_lacks(echo, "6.6.6.6");
    assert_lacks(echo, "7.7.7.7");
    assert_lacks(echo, "evil");
    assert_true(bytes_eq(raw_header(echo, "X-Forwarded-For"), BYTES("127.0.0.1")));
    assert_true(bytes_eq(raw_header(echo, "X-Forwarded-Proto"), BYTES("http")));
    assert_true(bytes_eq(raw_header(echo, "X-Forwarded-Host"), BYTES("shop.test")));
    assert_true(bytes_eq(raw_header(echo, "Forwarded"),
                         BYTES("for=127.0.0.1;proto=http;host=\"shop.test\"")));
    assert_contains(echo, "Via: 1.0 before\r\n");
    assert_contains(echo, "Via: 1.1 dure\r\n");
    buf_release(&buf);
    fixture_free(f);
}

static void test_between_services_claims_pass(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    ask(f, &f->internal,
        "GET http://shop/x HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 6.6.6.6\r\n"
        "Forwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n",
        &buf);
    struct bytes echo = raw_body(buf_bytes(&buf));
    assert_true(bytes_eq(raw_header(echo, "X-Forwarded-For"), BYTES("6.6.6.6")));
    assert_true(bytes_eq(raw_header(echo, "Forwarded"), BYTES("for=6.6.6.6")));
    assert_true(bytes_eq(raw_header(echo, "X-Forwarded-Proto"), BYTES("https")));
    assert_contains(buf_bytes(&buf), "Via: 1.1 dure\r\n");
    buf_release(&buf);
    fixture_free(f);
}

static void test_hop_by_hop_fields_stay_here(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    ask(f, &f->edge,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\n"
        "Keep-Alive: timeout=5\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: Basic "
        "eA==\r\n"
        "Proxy-Connection: keep-alive\r\nAuthorization: Bearer t\r\n\r\n",
        &buf);
    struct bytes echo = raw_body(buf_bytes(&buf));
    assert_lacks(echo, "Secret");
    assert_lacks(echo, "Keep-Alive");
    assert_lacks(echo, "TE:");
    assert_lacks(echo, "Upgrade");
    assert_lacks(echo, "Proxy-");
    assert_contains(echo, "Authorization: Bearer t\r\n");
    buf_release(&buf);

    b->script = SCRIPT_REPLY;
    b->reply = "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n"
               "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok";
    ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &buf);
    assert_lacks(buf_bytes(&buf), "X-Hop");
    assert_lacks(buf_bytes(&buf), "timeout=9");
    assert_contains(buf_bytes(&buf), "Set-Cookie: a=1\r\n");
    assert_contains(buf_bytes(&buf), "Set-Cookie: b=2\r\n");
    buf_release(&buf);
    fixture_free(f);
}

static void test_traces_are_continued(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    ask(f, &f->edge,
        "GET / HTTP/1.1\r\nHost: x\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
        "tracestate: a=1,b=2\r\n\r\n",
        &buf);
    struct bytes parent = raw_header(raw_body(buf_bytes(&buf)), "traceparent");
    assert_int_equal(parent.len, 55);
    assert_true(bytes_starts(parent, BYTES("00-0af7651916cd43dd8448eb211c80319c-")));
    assert_lacks(parent, "b7ad6b7169203331");
    assert_true(bytes_eq(raw_header(raw_body(buf_bytes(&buf)), "tracestate"), BYTES("a=1,b=2")));
    UNTIL(f, f->event_count == 1);
    assert_int_equal(last_event(f)->trace.parent.bytes[0], 0xb7);
    assert_int_equal(last_event(f)->trace.id.bytes[0], 0x0a);

    ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: x\r\ntraceparent: 00-zz\r\ntracestate: a=1\r\n\r\n",
        &buf);
    struct bytes echo = raw_body(buf_bytes(&buf));
    assert_int_equal(raw_header(echo, "traceparent").len, 55);
    assert_lacks(echo, "tracestate");
    buf_release(&buf);
    fixture_free(f);
}

static void test_names_and_paths_between_services(void **state)
{
    static const char *const cases[][3] = {
        {"GET http://shop/charge?x=1 HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /charge?x=1 ", "shop"},
        {"GET http://SHOP:80/ HTTP/1.1\r\nHost: SHOP:80\r\n\r\n", "GET / ", "SHOP:80"},
        {"GET http://shop HTTP/1.1\r\nHost: shop\r\n\r\n", "GET / ", "shop"},
        {"GET http://shop?q HTTP/1.1\r\nHost: shop\r\n\r\n", "GET /?q ", "shop"},
        {"GET /shop/charge?x=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /charge?x=1 ", "shop"},
        {"GET /shop HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET / ", "shop"},
        {"GET /shop?q=2 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET /?q=2 ", "shop"},
        {"GET /shop/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET / ", "shop"},
        {"GET /shop//a/../%2e HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET //a/../%2e ", "shop"},
        {"GET /shop/x HTTP/1.0\r\n\r\n", "GET /x ", "shop"},
    };
    BEGIN(SCRIPT_ECHO, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = ask(f, &f->internal, cases[i][0], NULL);
        if (status != 200) fail_msg("%s: %d", cases[i][0], status);
        struct bytes request = buf_bytes(&b->last);
        if (!bytes_starts(request, bytes_str(cases[i][1])))
            fail_msg("%s became %.*s", cases[i][0], BYTES_ARG(request));
        assert_true(bytes_eq(raw_header(request, "Host"), bytes_str(cases[i][2])));
    }
    /* A client that asks even for this proxy's own address through its proxy. */
    char text[512], self[IO_ADDR_TEXT];
    io_addr_format(&f->internal, self, sizeof self);
    snprintf(text, sizeof text, "GET http://%s/shop/y HTTP/1.1\r\nHost: %s\r\n\r\n", self, self);
    assert_int_equal(ask(f, &f->internal, text, NULL), 200);
    assert_true(bytes_starts(buf_bytes(&b->last), BYTES("GET /y ")));
    fixture_free(f);
}

static void test_callers_may_say_who_they_are(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    /* order: and order:secret */
    ask(f, &f->internal,
        "GET http://shop/ HTTP/1.1\r\nHost: shop\r\nProxy-Authorization: Basic b3JkZXI6\r\n\r\n",
        NULL);
    UNTIL(f, f->event_count == 1);
    assert_string_equal(last_event(f)->caller, "order");
    ask(f, &f->internal,
        "GET /shop/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: basic b3JkZXI6c2VjcmV0\r\n\r\n",
        NULL);
    UNTIL(f, f->event_count == 2);
    assert_string_equal(last_event(f)->caller, "order");
    assert_lacks(buf_bytes(&b->last), "Proxy-Auth");
    ask(f, &f->internal, "GET /shop/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic !!\r\n\r\n",
        NULL);
    UNTIL(f, f->event_count == 3);
    assert_string_equal(last_event(f)->caller, "");
    fixture_free(f);
}

static void test_rewrites_and_normal_paths(void **state)
{
    static const char *const cases[][2] = {
        {"/api/orders/7?q=1", "/orders/7?q=1"}, /* /api -> / */
        {"/api", "/"},
        {"/api/", "/"},
        {"/old/a", "/new/v2/a"}, /* /old -> /new/v2 */
        {"/old", "/new/v2"},
        {"/old/", "/new/v2/"},
        {"/one?x", "/other?x"}, /* exactly /one -> /other */
        {"/plain/../old/a", "/new/v2/a"},
        {"/plain/%61/./b", "/plain/a/b"},
        {"/plain/%61?q=%61", "/plain/a?q=%61"},
        {"/plain/.x", "/plain/.x"},
    };
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_ECHO, NULL);
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    put_endpoint(builder, "shop", &b->listener.addr, ENDPOINT_UP, "");
    put_route(builder, (struct route_spec){
                           .path = BYTES("/api"), .has_rewrite = true, .rewrite = BYTES("/")});
    put_route(builder, (struct route_spec){.path = BYTES("/old"),
                                           .has_rewrite = true,
                                           .rewrite = BYTES("/new/v2")});
    put_route(builder, (struct route_spec){.path = BYTES("/one"),
                                           .match = PATH_EXACT,
                                           .has_rewrite = true,
                                           .rewrite = BYTES("/other")});
    put_route(builder, (struct route_spec){.path = BYTES("/plain")});
    apply_config(f, builder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256], expected[256];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i][0]);
        snprintf(expected, sizeof expected, "GET %s HTTP/1.1\r\n", cases[i][1]);
        int status = ask(f, &f->edge, text, NULL);
        if (status != 200 || !bytes_starts(buf_bytes(&b->last), bytes_str(expected)))
            fail_msg("%s: %d %.*s", cases[i][0], status, BYTES_ARG(buf_bytes(&b->last)));
    }
    /* What no route covers cannot be reached through one that is covered. */
    assert_int_equal(ask(f, &f->edge, "GET /plain/../secret HTTP/1.1\r\nHost: x\r\n\r\n", NULL),
                     404);
    assert_int_equal(ask(f, &f->edge, "GET /plain/%2e%2e/secret HTTP/1.1\r\nHost: x\r\n\r\n", NULL),
                     404);
    assert_int_equal(ask(f, &f->edge, "GET /plain/%zz HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 400);
    fixture_free(f);
}

static void test_bodies_of_requests(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    ask(f, &f->edge, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", NULL);
    assert_true(bytes_eq(raw_body(buf_bytes(&b->last)), BYTES("hello")));
    assert_true(bytes_eq(raw_header(buf_bytes(&b->last), "Content-Length"), BYTES("5")));
    ask(f, &f->edge,
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
        NULL);
    assert_true(bytes_eq(raw_header(buf_bytes(&b->last), "Transfer-Encoding"), BYTES("chunked")));
    assert_contains(buf_bytes(&b->last), "abc");
    assert_contains(buf_bytes(&b->last), "defg");
    ask(f, &f->edge, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", NULL);
    assert_true(bytes_eq(raw_header(buf_bytes(&b->last), "Content-Length"), BYTES("0")));
    UNTIL(f, f->event_count == 3);
    assert_int_equal(f->events[0].bytes_in, 5);
    assert_int_equal(f->events[1].bytes_in, 7);
    fixture_free(f);
}

static void test_framings_of_responses(void **state)
{
    static const struct {
        const char *reply, *body;
        enum script script;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc",
         SCRIPT_REPLY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", SCRIPT_REPLY},
        {"HTTP/1.1 200 OK\r\n\r\nuntil close", "until close", SCRIPT_HANG_UP},
        {"HTTP/1.0 200 OK\r\n\r\nold", "old", SCRIPT_HANG_UP},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", SCRIPT_REPLY},
        {"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", "", SCRIPT_REPLY},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         "ok", SCRIPT_REPLY},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", SCRIPT_REPLY},
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone", "gone", SCRIPT_REPLY},
    };
    BEGIN(SCRIPT_REPLY, NULL);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        b->script = cases[i].script;
        b->reply = cases[i].reply;
        ask(f, &f->edge, "GET / HTTP/1.0\r\nHost: x\r\n\r\n", &buf);
        UNTIL(f, f->event_count == 2 * i + 1);
        if (!bytes_eq(raw_body(buf_bytes(&buf)), bytes_str(cases[i].body)))
            fail_msg("%s:\n%.*s", cases[i].reply, BYTES_ARG(buf_bytes(&buf)));
        assert_lacks(buf_bytes(&buf), "chunked"); /* an HTTP/1.0 client does not know it */
        int status = ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &buf);
        UNTIL(f, f->event_count == 2 * i + 2);
        assert_true(status >= 200);
        if (strlen(cases[i].body)) assert_contains(buf_bytes(&buf), cases[i].body);
        assert_int_equal(last_event(f)->bytes_out, strlen(cases[i].body));
        assert_int_equal(last_event(f)->error, 0);
    }
    buf_release(&buf);
    fixture_free(f);
}

static void test_head_keeps_the_length(void **state)
{
    BEGIN(SCRIPT_REPLY, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    struct client client;
    client_open(&client, f, &f->edge);
    for (int i = 0; i < 3; i++) {
        struct bytes response = client_ask(&client, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_int_equal(raw_status(response), 200);
        assert_true(bytes_eq(raw_header(response, "Content-Length"), BYTES("1234")));
    }
    assert_int_equal(b->accepted, 1);
    client_close(&client);
    fixture_free(f);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client,
                BYTES("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"
                      "GET /3 HTTP/1.1\r\nHost: x\r\n\r\n"));
    UNTIL(f, contains(client_text(&client), "GET /3 "));
    const char *one = memmem(client.in.data, client.in.end, "GET /1 ", 7);
    const char *two = memmem(client.in.data, client.in.end, "GET /2 ", 7);
    const char *three = memmem(client.in.data, client.in.end, "GET /3 ", 7);
    assert_true(one < two && two < three);
    client_close(&client);
    fixture_free(f);
}

static void test_options_of_the_server(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    assert_int_equal(ask(f, &f->edge, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 204);
    assert_int_equal(b->requests, 0);
    assert_int_equal(ask(f, &f->edge, "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", NULL), 501);
    fixture_free(f);
}

static void handled(void *context, struct http_exchange *x)
{
    (*(int *)context)++;
    http_respond(x, 200, BYTES("text/plain"), BYTES("handled"));
}

static void test_handlers_of_the_internal_road(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    int count = 0;
    assert_int_equal(proxy_handle(f->proxy, BYTES("/-/bus"), handled, &count), 0);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->internal, "GET /-/bus/x HTTP/1.1\r\nHost: x\r\n\r\n", &buf), 200);
    assert_contains(buf_bytes(&buf), "handled");
    assert_int_equal(ask(f, &f->internal, "GET /-/bus HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 200);
    assert_int_equal(count, 2);
    assert_int_equal(ask(f, &f->internal, "GET /-/bust HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 404);
    /* The service's own path of that name, and the edge, are not touched. */
    assert_int_equal(
        ask(f, &f->internal, "GET http://shop/-/bus HTTP/1.1\r\nHost: shop\r\n\r\n", NULL), 200);
    assert_int_equal(ask(f, &f->edge, "GET /-/bus HTTP/1.1\r\nHost: x\r\n\r\n", NULL), 200);
    assert_int_equal(count, 2);
    assert_int_equal(b->requests, 2);
    buf_release(&buf);
    fixture_free(f);
}

static void test_metrics_count(void **state)
{
    BEGIN(SCRIPT_ECHO, NULL);
    ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    ask(f, &f->internal, "GET /shop/ HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    b->script = SCRIPT_REPLY;
    b->reply = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    UNTIL(f, f->event_count == 3);
    const struct traffic_metrics *service = proxy_service_metrics(f->proxy, BYTES("shop"));
    const struct traffic_metrics *route = proxy_route_metrics(f->proxy, BYTES("all"));
    assert_int_equal(service->requests, 3);
    assert_int_equal(service->class_2xx, 2);
    assert_int_equal(service->class_4xx, 1);
    assert_int_equal(service->errors, 0);
    assert_int_equal(service->in_flight, 0);
    assert_int_equal(service->duration.count, 3);
    assert_int_equal(route->requests, 2);
    assert_null(proxy_service_metrics(f->proxy, BYTES("none")));
    struct buf text;
    buf_init(&text, FIXTURE_BUF);
    proxy_expose(f->proxy, &text);
    assert_false(text.failed);
    assert_contains(buf_bytes(&text), "dure_service_requests_total{service=\"shop\"} 3\n");
    assert_contains(buf_bytes(&text), "dure_route_requests_total{route=\"all\"} 2\n");
    assert_contains(buf_bytes(&text), "dure_proxy_requests_in_flight 0\n");
    buf_release(&text);
    struct endpoint_status status;
    assert_int_equal(proxy_endpoint_status(f->proxy, &b->listener.addr, &status), 0);
    assert_int_equal(status.in_flight, 0);
    assert_int_equal(status.connections, 1);
    assert_int_equal(status.idle, 1);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_and_its_response),
        cmocka_unit_test(test_the_edge_believes_no_claims),
        cmocka_unit_test(test_between_services_claims_pass),
        cmocka_unit_test(test_hop_by_hop_fields_stay_here),
        cmocka_unit_test(test_traces_are_continued),
        cmocka_unit_test(test_names_and_paths_between_services),
        cmocka_unit_test(test_callers_may_say_who_they_are),
        cmocka_unit_test(test_rewrites_and_normal_paths),
        cmocka_unit_test(test_bodies_of_requests),
        cmocka_unit_test(test_framings_of_responses),
        cmocka_unit_test(test_head_keeps_the_length),
        cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
        cmocka_unit_test(test_options_of_the_server),
        cmocka_unit_test(test_handlers_of_the_internal_road),
        cmocka_unit_test(test_metrics_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
