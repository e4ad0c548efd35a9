/* Upstreams on bad days: refusing, silent, broken, slow, full, gone. What the client is told, what
 * is tried again, and what never is. */
#include "fixture.h"

#define GET "GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nbody"

static size_t requests(const struct fixture *f)
{
    size_t sum = 0;
    for (size_t i = 0; i < f->backend_count; i++) sum += f->backends[i].requests;
    return sum;
}

/* Asks at the edge, checks status and that the document has `parts` (ended by NULL). */
static void expect(struct fixture *f, const char *request, int status, const char *const *parts)
{
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    size_t events = f->event_count;
    int got = ask(f, &f->edge, request, &buf);
    if (got != status) fail_msg("expected %d:\n%.*s", status, BYTES_ARG(buf_bytes(&buf)));
    for (; parts && *parts; parts++) assert_contains(buf_bytes(&buf), *parts);
    buf_release(&buf);
    UNTIL(f, f->event_count == events + 1);
    assert_int_equal(last_event(f)->status, status);
    const struct traffic_metrics *metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
    assert_int_equal(metrics->in_flight, 0);
    assert_int_equal(metrics->waiting, 0);
}

/* ---- error documents ---------------------------------------------------------------------- */

static void test_no_route(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_ECHO, NULL);
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    put_route(builder, (struct route_spec){.path = BYTES("/only")});
    apply_config(f, builder);
    expect(f, GET, 404,
           (const char *const[]){"Content-Type: application/problem+json\r\n",
                                 "\"title\":\"Not Found\"", "\"status\":404",
                                 "\"detail\":\"No route matches GET shop.test/x.\"", "\"trace\":\"",
                                 NULL});
    assert_int_equal(last_event(f)->error, ERR_NOT_FOUND);
    assert_int_equal(last_event(f)->attempts, 0);
    fixture_free(f);
}

static void test_unknown_service(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->internal, "GET http://shpo/x HTTP/1.1\r\nHost: shpo\r\n\r\n", &buf),
                     404);
    assert_contains(buf_bytes(&buf),
                    "There is no service \\\"shpo\\\". Did you mean \\\"shop\\\"?");
    assert_contains(buf_bytes(&buf), "\"nearest\":\"shop\"");
    assert_int_equal(ask(f, &f->internal,
                         "GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                         &buf),
                     404);
    assert_contains(buf_bytes(&buf), "no_proxy");
    assert_int_equal(ask(f, &f->internal, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", &buf), 404);
    buf_release(&buf);
    fixture_free(f);
}

static void test_everybody_refuses(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    backend_refuse(b);
    expect(f, GET, 503,
           (const char *const[]){"Retry-After: 1\r\n", "\"route\":\"all\"", "\"service\":\"shop\"",
                                 "\"endpoints\":1", "\"attempts\":3", "connection refused",
                                 "\"error\":\"REFUSED\"", NULL});
    assert_int_equal(last_event(f)->attempts, 3);
    assert_int_equal(last_event(f)->error, ERR_REFUSED);
    /* Nothing was sent, so even this may be tried again. */
    expect(f, POST, 503, NULL);
    assert_int_equal(last_event(f)->attempts, 3);
    fixture_free(f);
}

static void test_addresses_stay_inside(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    backend_refuse(b);
    struct buf buf;
    char address[IO_ADDR_TEXT];
    buf_init(&buf, FIXTURE_BUF);
    io_addr_format(&b->listener.addr, address, sizeof address);
    ask(f, &f->edge, GET, &buf);
    assert_lacks(buf_bytes(&buf), address);
    ask(f, &f->internal, "GET /shop/ HTTP/1.1\r\nHost: x\r\n\r\n", &buf);
    assert_contains(buf_bytes(&buf), address);
    buf_release(&buf);
    fixture_free(f);
}

static void test_silence(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_SILENT, NULL);
    apply_policy(f, (struct cluster_policy){.request_timeout_ms = 80});
    expect(f, GET, 504,
           (const char *const[]){"did not answer in time", "\"attempts\":1",
                                 "\"error\":\"TIMEOUT\"", NULL});
    fixture_free(f);
}

static void test_garbage(void **state)
{
    static const char *const replies[] = {
        "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 999 What\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct fixture *f = fixture_new(NULL);
        add_backend(f, SCRIPT_REPLY, replies[i]);
        apply_default(f);
        expect(f, GET, 502, (const char *const[]){"the peer broke the protocol", NULL});
        assert_int_equal(last_event(f)->attempts, 1); /* it would answer the same again */
        assert_int_equal(f->backends[0].requests, 1);
        fixture_free(f);
    }
}

static void test_too_large(void **state)
{
    struct fixture *f = fixture_new(&(struct proxy_options){.body_max = 3});
    add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge, POST, &buf), 413);
    assert_contains(buf_bytes(&buf), "application/problem+json");
    assert_int_equal(ask(f, &f->edge,
                         "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "4\r\nbody\r\n0\r\n\r\n",
                         &buf),
                     413);
    assert_int_equal(ask(f, &f->edge, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", &buf), 400);
    buf_release(&buf);
    fixture_free(f);
}

static void test_bodies_that_break(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_SINK, NULL);
    apply_default(f);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge,
                         "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                         &buf),
                     400);
    assert_contains(buf_bytes(&buf), "\"trace\":\"");
    buf_release(&buf);
    UNTIL(f, f->event_count == 1);
    UNTIL(f, b->open == 0); /* what had begun there is not left hanging */
    fixture_free(f);
}

/* ---- trying again ------------------------------------------------------------------------- */

static void test_another_endpoint_answers(void **state)
{
    static const enum script bad[] = {SCRIPT_SLAM, SCRIPT_HANG_UP};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(NULL);
        add_backend(f, bad[i], "");
        add_backend(f, SCRIPT_ECHO, NULL);
        apply_default(f);
        for (int n = 0; n < 10; n++) {
            expect(f, GET, 200, NULL);
            assert_in_range(last_event(f)->attempts, 1, 2);
        }
        const struct traffic_metrics *metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
        assert_true(metrics->retries >= 1);
        assert_int_equal(metrics->errors, 0);
        fixture_free(f);
    }
}

static void test_at_most_twice_again(void **state)
{
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 5; i++) add_backend(f, SCRIPT_HANG_UP, "");
    apply_default(f);
    expect(f, GET, 502, (const char *const[]){"closed by the peer", "\"attempts\":3", NULL});
    assert_int_equal(requests(f), 3);
    for (size_t i = 0; i < f->backend_count; i++) assert_true(f->backends[i].requests <= 1);
    fixture_free(f);
}

static void test_what_has_effects_is_sent_once(void **state)
{
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 5; i++) add_backend(f, SCRIPT_HANG_UP, "");
    apply_default(f);
    for (int i = 1; i <= 4; i++) {
        expect(f, POST, 502, (const char *const[]){"\"attempts\":1", NULL});
        assert_int_equal(requests(f), i);
    }
    expect(f, "PATCH /x HTTP/1.1\r\nHost: x\r\n\r\n", 502, NULL);
    assert_int_equal(requests(f), 5);
    fixture_free(f);
}

static void test_a_key_makes_it_repeatable(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_HANG_UP, "");
    struct backend *good = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    for (int i = 0; i < 8; i++) {
        expect(
            f,
            "POST /x HTTP/1.1\r\nHost: x\r\nIdempotency-Key: 1\r\nContent-Length: 5\r\n\r\nagain",
            200, NULL);
        assert_true(bytes_eq(raw_body(buf_bytes(&good->last)), BYTES("again")));
    }
    assert_true(f->backends[0].requests > 0);
    fixture_free(f);
}

static void test_a_body_is_sent_again_whole(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_HANG_UP, "");
    struct backend *good = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    enum { SIZE = 60000 };
    static char text[SIZE + 256];
    int head = snprintf(text, sizeof text,
                        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
    for (int i = 0; i < SIZE; i++) text[head + i] = pattern_at((uint64_t)i);
    for (int i = 0; i < 6; i++) {
        expect(f, text, 200, NULL);
        struct bytes body = raw_body(buf_bytes(&good->last));
        assert_int_equal(body.len, SIZE);
        assert_memory_equal(body.data, text + head, SIZE);
    }
    assert_true(f->backends[0].requests > 0);
    fixture_free(f);
}

static void test_a_body_that_is_too_long_to_keep(void **state)
{
    struct fixture *f = fixture_new(&(struct proxy_options){.replay_max = 1000});
    for (int i = 0; i < 3; i++) add_backend(f, SCRIPT_HANG_UP, "");
    apply_default(f);
    enum { SIZE = 3000 };
    static char text[SIZE + 256];
    int head = snprintf(text, sizeof text,
                        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
    memset(text + head, 'x', SIZE);
    expect(f, text, 502, (const char *const[]){"\"attempts\":1", NULL});
    fixture_free(f);
}

/* The body is still coming when the first endpoint fails; the second gets all of it. */
static void test_a_body_in_pieces_moves_on(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *bad = add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nabcd"));
    UNTIL(f, bad->conns.next != &bad->conns &&
                 contains(buf_bytes(&CONTAINER_OF(bad->conns.next, struct backend_conn, link)->in),
                          "abcd"));
    struct backend *good = add_backend(f, SCRIPT_ECHO, NULL);
    backend_refuse(bad);
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    put_endpoint(builder, "shop", &good->listener.addr, ENDPOINT_UP, "");
    put_route(builder, (struct route_spec){.path = BYTES("/")});
    apply_config(f, builder);
    backend_cut(bad);
    turn_for(f, 5);
    client_send(&client, BYTES("efgh"));
    turn_for(f, 60);
    client_send(&client, BYTES("ijkl"));
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_int_equal(raw_status(client_text(&client)), 200);
    assert_true(bytes_eq(raw_body(buf_bytes(&good->last)), BYTES("abcdefghijkl")));
    client_close(&client);
    fixture_free(f);
}

static void test_503_is_tried_elsewhere(void **state)
{
    struct fixture *f = fixture_new(NULL);
    add_backend(f, SCRIPT_REPLY, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    for (int i = 0; i < 8; i++) expect(f, GET, 200, NULL);
    assert_true(f->backends[0].requests > 0);
    fixture_free(f);
}

/* When nobody does better, the last answer is the answer. */
static void test_503_is_passed_on_at_last(void **state)
{
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 3; i++)
        add_backend(f, SCRIPT_REPLY, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    apply_default(f);
    expect(f, GET, 503, (const char *const[]){"\r\n\r\nbusy", NULL});
    assert_int_equal(last_event(f)->attempts, 3);
    assert_int_equal(last_event(f)->error, 0);
    fixture_free(f);
}

static void test_no_retries_by_policy(void **state)
{
    struct fixture *f = fixture_new(NULL);
    for (int i = 0; i < 3; i++) add_backend(f, SCRIPT_HANG_UP, "");
    apply_policy(f, (struct cluster_policy){.retries = POLICY_NONE});
    expect(f, GET, 502, NULL);
    assert_int_equal(requests(f), 1);
    fixture_free(f);
}

/* Of many that fail at once, only as many as the budget allows are tried again. */
static void test_the_budget(void **state)
{
    enum { CLIENTS = 10 };
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_SILENT, NULL);
    add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i], f, &f->edge);
        client_send(&clients[i], BYTES(GET));
    }
    UNTIL(f, b[0].open + b[1].open == CLIENTS);
    turn_for(f, 20);
    b[0].script = b[1].script = SCRIPT_HANG_UP;
    b[0].reply = b[1].reply = "";
    backend_cut(&b[0]);
    backend_cut(&b[1]);
    for (int i = 0; i < CLIENTS; i++) UNTIL(f, raw_message_len(client_text(&clients[i]), true));
    const struct traffic_metrics *metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
    assert_true(metrics->retries_refused >= CLIENTS - 3);
    assert_in_range(metrics->retries, 1, 6);
    for (int i = 0; i < CLIENTS; i++) client_close(&clients[i]);
    fixture_free(f);
}

/* ---- broken in the middle ----------------------------------------------------------------- */

static void test_a_response_that_breaks_off(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct fixture *f = fixture_new(NULL);
        struct backend *b = add_backend(f, SCRIPT_HANG_UP, replies[i]);
        apply_default(f);
        struct client client;
        client_open(&client, f, &f->edge);
        client_send(&client, BYTES(GET));
        UNTIL(f, client.eof);
        assert_contains(client_text(&client), "half");
        assert_int_equal(raw_message_len(client_text(&client), true), 0); /* seen to be cut */
        UNTIL(f, f->event_count == 1);
        assert_int_equal(last_event(f)->status, 200);
        assert_int_equal(last_event(f)->error, ERR_EOF);
        assert_int_equal(b->requests, 1); /* a part was passed on: not again */
        client_close(&client);
        fixture_free(f);
    }
}

static void test_a_client_that_leaves(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES(GET));
    UNTIL(f, b->open == 1);
    turn_for(f, 20);
    client_close(&client);
    UNTIL(f, f->event_count == 1);
    UNTIL(f, b->open == 0);
    assert_int_equal(last_event(f)->status, 0);
    assert_true(last_event(f)->error < 0);
    struct endpoint_status status;
    assert_int_equal(proxy_endpoint_status(f->proxy, &b->listener.addr, &status), 0);
    assert_int_equal(status.failures, 0); /* it is not the endpoint's fault */
    fixture_free(f);
}

static void test_an_answer_before_the_body_is_sent(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b =
        add_backend(f, SCRIPT_HANG_UP, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    apply_default(f);
    b->script = SCRIPT_SILENT;
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabcd"));
    UNTIL(f, b->open == 1);
    turn_for(f, 20);
    struct backend_conn *conn = CONTAINER_OF(b->conns.next, struct backend_conn, link);
    backend_conn_send(conn, BYTES("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"));
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_int_equal(raw_status(client_text(&client)), 403);
    UNTIL(f, b->open == 0); /* the rest of the body would be read as a request there */
    client_close(&client);
    fixture_free(f);
}

/* ---- ejection ------------------------------------------------------------------------------ */

static void test_an_endpoint_is_ejected(void **state)
{
    enum { CLIENTS = 100 };
    struct fixture *f = fixture_new(NULL);
    struct backend *bad =
        add_backend(f, SCRIPT_REPLY, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    /* While these are busy, the broken one that answers at once looks best. */
    struct backend *good = add_backend(f, SCRIPT_SILENT, NULL);
    add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    static struct client clients[CLIENTS];
    struct endpoint_status status = {0};
    int count = 0;
    for (; count < CLIENTS && !status.ejected_ms; count++) {
        int i = count;
        size_t open = good[0].open + good[1].open;
        client_open(&clients[i], f, &f->edge);
        client_send(&clients[i], BYTES(GET));
        UNTIL(f, good[0].open + good[1].open > open ||
                     raw_message_len(client_text(&clients[i]), true));
        assert_int_equal(proxy_endpoint_status(f->proxy, &bad->listener.addr, &status), 0);
    }
    assert_in_range(status.ejected_ms, 20000, 30001);
    assert_int_equal(bad->requests, 5);
    assert_int_equal(proxy_service_metrics(f->proxy, BYTES("shop"))->ejections, 1);
    for (int i = 0; i < count; i++) client_close(&clients[i]);
    good[0].script = good[1].script = SCRIPT_ECHO;
    for (int i = 0; i < 30; i++) expect(f, GET, 200, NULL);
    /* What is known of an address outlives the snapshot. */
    apply_default(f);
    for (int i = 0; i < 30; i++) expect(f, GET, 200, NULL);
    assert_int_equal(bad->requests, 5);
    fixture_free(f);
}

static void test_the_last_one_is_never_ejected(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b =
        add_backend(f, SCRIPT_REPLY, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    apply_default(f);
    for (int i = 0; i < 12; i++) expect(f, GET, 500, NULL);
    assert_int_equal(b->requests, 12);
    assert_int_equal(proxy_service_metrics(f->proxy, BYTES("shop"))->ejections, 0);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_route),
        cmocka_unit_test(test_unknown_service),
        cmocka_unit_test(test_everybody_refuses),
        cmocka_unit_test(test_addresses_stay_inside),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_bodies_that_break),
        cmocka_unit_test(test_another_endpoint_answers),
        cmocka_unit_test(test_at_most_twice_again),
        cmocka_unit_test(test_what_has_effects_is_sent_once),
        cmocka_unit_test(test_a_key_makes_it_repeatable),
        cmocka_unit_test(test_a_body_is_sent_again_whole),
        cmocka_unit_test(test_a_body_that_is_too_long_to_keep),
        cmocka_unit_test(test_a_body_in_pieces_moves_on),
        cmocka_unit_test(test_503_is_tried_elsewhere),
        cmocka_unit_test(test_503_is_passed_on_at_last),
        cmocka_unit_test(test_no_retries_by_policy),
        cmocka_unit_test(test_the_budget),
        cmocka_unit_test(test_a_response_that_breaks_off),
        cmocka_unit_test(test_a_client_that_leaves),
        cmocka_unit_test(test_an_answer_before_the_body_is_sent),
        cmocka_unit_test(test_an_endpoint_is_ejected),
        cmocka_unit_test(test_the_last_one_is_never_ejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
