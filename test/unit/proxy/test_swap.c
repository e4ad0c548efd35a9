/* Change while requests fly: new snapshots, draining, waiting for an instance, pools. */
#include "fixture.h"

#define GET "GET /x HTTP/1.1\r\nHost: shop.test\r\n\r\n"
#define OK_A "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
#define OK_B "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"

static void apply_one(struct fixture *f, const struct backend *backend, enum endpoint_health health)
{
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    if (backend) put_endpoint(builder, "shop", &backend->listener.addr, health, "");
    put_route(builder, (struct route_spec){.name = BYTES("all"), .path = BYTES("/")});
    apply_config(f, builder);
}

static void test_a_request_keeps_its_snapshot(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_SILENT, NULL);
    struct backend *b = add_backend(f, SCRIPT_REPLY, OK_B);
    apply_one(f, a, ENDPOINT_UP);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES(GET));
    UNTIL(f, a->open == 1);
    apply_one(f, b, ENDPOINT_UP);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge, GET, &buf), 200);
    assert_true(bytes_eq(raw_body(buf_bytes(&buf)), BYTES("b")));
    buf_release(&buf);
    assert_int_equal(proxy_in_flight(f->proxy, &a->listener.addr), 1);
    turn_for(f, 20);
    backend_conn_send(CONTAINER_OF(a->conns.next, struct backend_conn, link), BYTES(OK_A));
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_true(bytes_eq(raw_body(client_text(&client)), BYTES("a")));
    UNTIL(f, a->open == 0); /* nobody names it any more: not pooled */
    struct endpoint_status status;
    assert_int_equal(proxy_endpoint_status(f->proxy, &a->listener.addr, &status), ERR_NOT_FOUND);
    client_close(&client);
    fixture_free(f);
}

static void test_swaps_under_traffic_lose_nothing(void **state)
{
    enum { CLIENTS = 16, ROUNDS = 60 };
    struct fixture *f = fixture_new(NULL);
    struct backend *backends[3];
    for (int i = 0; i < 3; i++) backends[i] = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    struct client clients[CLIENTS];
    char requests[CLIENTS][96];
    for (int i = 0; i < CLIENTS; i++) client_open(&clients[i], f, &f->edge);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            buf_clear(&clients[i].in);
            snprintf(requests[i], sizeof requests[i], "GET /%d/%d/end HTTP/1.1\r\nHost: x\r\n\r\n",
                     round, i);
            client_send(&clients[i], bytes_str(requests[i]));
        }
        io_turn(f->io, 0);
        apply_one(f, backends[round % 3], ENDPOINT_UP);
        for (int i = 0; i < CLIENTS; i++) {
            UNTIL(f, raw_message_len(client_text(&clients[i]), true));
            assert_int_equal(raw_status(client_text(&clients[i])), 200);
            /* Its own answer, and nobody else's. */
            struct bytes echo = raw_body(client_text(&clients[i]));
            assert_true(bytes_starts(echo, bytes_head(bytes_str(requests[i]), 12)));
        }
    }
    for (int i = 0; i < CLIENTS; i++) client_close(&clients[i]);
    assert_int_equal(proxy_service_metrics(f->proxy, BYTES("shop"))->errors, 0);
    fixture_free(f);
}

static void drained(struct proxy_drain *drain);

struct waiter {
    struct proxy_drain drain;
    bool done;
};

static void drained(struct proxy_drain *drain)
{
    CONTAINER_OF(drain, struct waiter, drain)->done = true;
}

static void test_draining(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_SILENT, NULL);
    struct backend *b = add_backend(f, SCRIPT_REPLY, OK_B);
    apply_one(f, a, ENDPOINT_UP);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES(GET));
    UNTIL(f, a->open == 1);
    struct waiter first = {0}, second = {0}, third = {0};
    proxy_drain(f->proxy, &first.drain, &a->listener.addr, drained);
    proxy_drain(f->proxy, &second.drain, &a->listener.addr, drained);
    proxy_drain(f->proxy, &third.drain, &b->listener.addr, drained);
    proxy_drain_cancel(f->proxy, &second.drain);
    assert_false(third.done); /* never inside the call */
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    put_endpoint(builder, "shop", &a->listener.addr, ENDPOINT_DRAINING, "");
    put_endpoint(builder, "shop", &b->listener.addr, ENDPOINT_UP, "");
    put_route(builder, (struct route_spec){.path = BYTES("/")});
    apply_config(f, builder);
    UNTIL(f, third.done);
    for (int i = 0; i < 10; i++) assert_int_equal(ask(f, &f->edge, GET, NULL), 200);
    assert_false(first.done);
    backend_conn_send(CONTAINER_OF(a->conns.next, struct backend_conn, link), BYTES(OK_A));
    UNTIL(f, first.done);
    assert_false(second.done);
    assert_int_equal(proxy_in_flight(f->proxy, &a->listener.addr), 0);
    client_close(&client);
    fixture_free(f);
}

/* ---- waiting ------------------------------------------------------------------------------ */

static void test_requests_wait_for_an_instance(void **state)
{
    enum { CLIENTS = 5 };
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A);
    apply_one(f, a, ENDPOINT_STARTING);
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i], f, &f->edge);
        client_send(&clients[i],
                    BYTES("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"));
    }
    const struct traffic_metrics *metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
    UNTIL(f, metrics->waiting == CLIENTS);
    turn_for(f, 50);
    apply_one(f, a, ENDPOINT_STARTING); /* another snapshot, still nobody */
    turn_for(f, 20);
    metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
    assert_int_equal(metrics->waiting, CLIENTS);
    assert_int_equal(a->accepted, 0);
    apply_one(f, a, ENDPOINT_UP);
    for (int i = 0; i < CLIENTS; i++) {
        UNTIL(f, raw_message_len(client_text(&clients[i]), true));
        assert_int_equal(raw_status(client_text(&clients[i])), 200);
        client_close(&clients[i]);
    }
    UNTIL(f, f->event_count == CLIENTS);
    assert_in_range(last_event(f)->wait_ns / 1000000, 60, 1900);
    assert_int_equal(last_event(f)->attempts, 1);
    metrics = proxy_service_metrics(f->proxy, BYTES("shop"));
    assert_int_equal(metrics->waiting, 0);
    assert_int_equal(metrics->waited, CLIENTS);
    fixture_free(f);
}

static void test_waiting_has_an_end(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A);
    struct snapshot_builder *builder = begin_config((struct cluster_policy){.wait_ms = 60});
    put_endpoint(builder, "shop", &a->listener.addr, ENDPOINT_DOWN, "");
    put_route(builder, (struct route_spec){.path = BYTES("/")});
    apply_config(f, builder);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge, GET, &buf), 503);
    assert_contains(buf_bytes(&buf), "has no usable instance: of 1, 1 failing their health check");
    assert_contains(buf_bytes(&buf), "\"waited_ms\":");
    assert_contains(buf_bytes(&buf), "\"error\":\"UNAVAILABLE\"");
    buf_release(&buf);
    assert_int_equal(last_event(f)->attempts, 0);
    fixture_free(f);
}

static void test_no_waiting_by_policy(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct snapshot_builder *builder =
        begin_config((struct cluster_policy){.wait_ms = POLICY_NONE});
    put_route(builder, (struct route_spec){.path = BYTES("/")});
    apply_config(f, builder);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge, GET, &buf), 503);
    assert_contains(buf_bytes(&buf), "it has no instances");
    buf_release(&buf);
    fixture_free(f);
}

static void test_waiting_is_bounded(void **state)
{
    struct fixture *f = fixture_new(&(struct proxy_options){.waiting_max = 1});
    apply_one(f, NULL, ENDPOINT_UP);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES(GET));
    UNTIL(f, proxy_service_metrics(f->proxy, BYTES("shop"))->waiting == 1);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    assert_int_equal(ask(f, &f->edge, GET, &buf), 503);
    assert_contains(buf_bytes(&buf), "too many requests wait");
    assert_contains(buf_bytes(&buf), "\"error\":\"FULL\"");
    buf_release(&buf);
    /* The service vanishes: who waited is told. */
    struct snapshot_builder *builder;
    assert_int_equal(snapshot_builder_new(&builder), 0);
    apply_config(f, builder);
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_int_equal(raw_status(client_text(&client)), 404);
    client_close(&client);
    fixture_free(f);
}

/* A service with one instance, which is restarted on another port: nobody notices. */
static void test_a_restart_is_not_seen(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A);
    struct backend *b = add_backend(f, SCRIPT_REPLY, OK_B);
    apply_one(f, a, ENDPOINT_UP);
    struct client client;
    client_open(&client, f, &f->edge);
    assert_int_equal(raw_status(client_ask(&client, GET)), 200);
    backend_refuse(a);
    backend_cut(a);
    turn_for(f, 5);
    buf_clear(&client.in);
    client_send(&client, BYTES(GET)); /* is refused, and will be tried again */
    turn_for(f, 2);
    apply_one(f, NULL, ENDPOINT_UP);
    turn_for(f, 120);
    apply_one(f, b, ENDPOINT_UP);
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_int_equal(raw_status(client_text(&client)), 200);
    client_close(&client);
    fixture_free(f);
}

/* ---- pools ---------------------------------------------------------------------------------- */

static void test_connections_are_bounded(void **state)
{
    enum { CLIENTS = 6 };
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_SILENT, NULL);
    apply_policy(f, (struct cluster_policy){.connections_max = 2});
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i], f, &f->edge);
        client_send(&clients[i], BYTES(GET));
    }
    UNTIL(f, a->open == 2);
    turn_for(f, 30);
    assert_int_equal(a->accepted, 2);
    assert_int_equal(proxy_service_metrics(f->proxy, BYTES("shop"))->waiting, CLIENTS - 2);
    a->script = SCRIPT_REPLY;
    a->reply = OK_A;
    LIST_EACH(&a->conns, struct backend_conn, link, conn) backend_conn_send(conn, BYTES(OK_A));
    for (int i = 0; i < CLIENTS; i++) {
        UNTIL(f, raw_message_len(client_text(&clients[i]), true));
        assert_int_equal(raw_status(client_text(&clients[i])), 200);
        client_close(&clients[i]);
    }
    assert_int_equal(a->accepted, 2);
    fixture_free(f);
}

static void test_idle_connections_are_closed(void **state)
{
    struct fixture *f = fixture_new(&(struct proxy_options){.pool_idle_ms = 50, .idle_max = 2});
    struct backend *a = add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    struct client clients[4];
    for (int i = 0; i < 4; i++) {
        client_open(&clients[i], f, &f->edge);
        client_send(&clients[i], BYTES(GET));
    }
    UNTIL(f, a->open == 4);
    turn_for(f, 20);
    LIST_EACH(&a->conns, struct backend_conn, link, conn) backend_conn_send(conn, BYTES(OK_A));
    for (int i = 0; i < 4; i++) {
        UNTIL(f, raw_message_len(client_text(&clients[i]), true));
        client_close(&clients[i]);
    }
    UNTIL(f, a->open == 2); /* idle_max */
    struct endpoint_status status;
    assert_int_equal(proxy_endpoint_status(f->proxy, &a->listener.addr, &status), 0);
    assert_int_equal(status.idle, 2);
    UNTIL(f, a->open == 0); /* pool_idle_ms */
    assert_int_equal(proxy_endpoint_status(f->proxy, &a->listener.addr, &status), 0);
    assert_int_equal(status.connections, 0);
    fixture_free(f);
}

/* An upstream that closes idle connections: noticed before they are used again. */
static void test_connections_closed_by_the_peer_are_not_used(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A);
    apply_default(f);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(
            ask(f, &f->edge, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", NULL), 200);
        backend_cut(a);
        UNTIL(f, a->open == 0);
        turn_for(f, 2);
    }
    assert_int_equal(a->accepted, 20);
    assert_int_equal(proxy_service_metrics(f->proxy, BYTES("shop"))->retries, 0);
    fixture_free(f);
}

/* A response with more bytes behind it: whose they are cannot be known. */
static void test_a_connection_with_stray_bytes_is_not_used(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A "HTTP/1.1 200 OK\r\nX: smuggled\r\n");
    apply_default(f);
    struct buf buf;
    buf_init(&buf, FIXTURE_BUF);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(f, &f->edge, GET, &buf), 200);
        assert_lacks(buf_bytes(&buf), "smuggled");
    }
    buf_release(&buf);
    assert_int_equal(a->accepted, 3);
    fixture_free(f);
}

static void test_versions_share_the_traffic(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_REPLY, OK_A);
    struct backend *b = add_backend(f, SCRIPT_REPLY, OK_B);
    struct snapshot_builder *builder = begin_config((struct cluster_policy){0});
    put_endpoint(builder, "shop", &a->listener.addr, ENDPOINT_UP, "1");
    put_endpoint(builder, "shop", &b->listener.addr, ENDPOINT_UP, "2");
    put_route(builder, (struct route_spec){.path = BYTES("/")});
    assert_int_equal(snapshot_add_split(builder, BYTES("shop"), BYTES("1"), 80, NULL), 0);
    assert_int_equal(snapshot_add_split(builder, BYTES("shop"), BYTES("2"), 20, NULL), 0);
    apply_config(f, builder);
    struct client client;
    client_open(&client, f, &f->edge);
    for (int i = 0; i < 1000; i++) assert_int_equal(raw_status(client_ask(&client, GET)), 200);
    assert_in_range(b->requests, 140, 260);
    UNTIL(f, f->event_count == 1000);
    assert_true(last_event(f)->version[0]);
    /* The canary dies: its share goes to the others. */
    size_t before = b->requests;
    backend_refuse(b);
    backend_cut(b);
    turn_for(f, 5);
    for (int i = 0; i < 50; i++) assert_int_equal(raw_status(client_ask(&client, GET)), 200);
    assert_int_equal(b->requests, before);
    client_close(&client);
    fixture_free(f);
}

static void test_closing_lets_requests_end(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_SILENT, NULL);
    apply_default(f);
    struct client client;
    client_open(&client, f, &f->edge);
    client_send(&client, BYTES(GET));
    UNTIL(f, a->open == 1);
    turn_for(f, 20);
    proxy_close(f->proxy, 5000, fixture_closed, f);
    turn_for(f, 20);
    assert_false(f->closed);
    backend_conn_send(CONTAINER_OF(a->conns.next, struct backend_conn, link), BYTES(OK_A));
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_true(bytes_eq(raw_body(client_text(&client)), BYTES("a")));
    client_close(&client);
    UNTIL(f, f->closed);
    backend_refuse(a);
    UNTIL(f, a->open == 0);
    buf_release(&a->last);
    turn(f);
    io_free(f->io);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_keeps_its_snapshot),
        cmocka_unit_test(test_swaps_under_traffic_lose_nothing),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_requests_wait_for_an_instance),
        cmocka_unit_test(test_waiting_has_an_end),
        cmocka_unit_test(test_no_waiting_by_policy),
        cmocka_unit_test(test_waiting_is_bounded),
        cmocka_unit_test(test_a_restart_is_not_seen),
        cmocka_unit_test(test_connections_are_bounded),
        cmocka_unit_test(test_idle_connections_are_closed),
        cmocka_unit_test(test_connections_closed_by_the_peer_are_not_used),
        cmocka_unit_test(test_a_connection_with_stray_bytes_is_not_used),
        cmocka_unit_test(test_versions_share_the_traffic),
        cmocka_unit_test(test_closing_lets_requests_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
