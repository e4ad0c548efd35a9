#include "run/probe.h"

#include "http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct io *io;
static struct http http;
static struct bus *bus;
static struct messaging *messaging;
static struct http_server *server;
static struct probe probe;
static struct manifest_service service;
static struct io_addr addr;
static int done, gone;
static bool success;
static char reason[256];

static void request(struct http_exchange *x)
{
    uint64_t status = 0;
    if (bytes_to_u64(bytes_skip(x->in.path, 1), 599, &status) != 0) return; /* never answers */
    assert_true(bytes_eq(http1_find_text(&x->in, BYTES("Host"))->value, BYTES("shop")));
    http_respond(x, (int)status, BYTES("text/plain"), BYTES("a body nobody reads"));
}

static void count_gone(void *context)
{
    gone++;
}

static int setup(void **state)
{
    struct http_server_options options = {.request = request};
    done = gone = 0;
    if (io_new(NULL, &io) != 0 || bus_new(io, NULL, NULL, &bus) != 0) return -1;
    http_init(&http, io, NULL);
    if (io_addr_parse(BYTES("127.0.0.1:0"), &addr) != 0) return -1;
    if (http_server_open(&http, &addr, &options, &server) != 0) return -1;
    addr = *http_server_addr(server);
    if (messaging_embed(io, bus, NULL, &messaging) != 0) return -1;
    probe_init(&probe, &http, messaging);
    service = (struct manifest_service){.name = BYTES("shop")};
    service.health = (struct manifest_health){.timeout_ms = 200};
    return 0;
}

static int teardown(void **state)
{
    probe_cancel(&probe);
    http_server_close(server, 0, count_gone);
    messaging_close(messaging, NULL, NULL);
    bus_close(bus, count_gone, NULL);
    for (int i = 0; i < 200 && gone < 2; i++) io_turn(io, 10);
    for (int i = 0; i < 10; i++) io_turn(io, 2);
    http_release(&http);
    io_free(io);
    return gone == 2 ? 0 : -1;
}

static void probed(struct probe *finished, bool is_up, const char *why)
{
    assert_ptr_equal(finished, &probe);
    assert_false(probe.busy); /* it may be started again from here */
    done++;
    success = is_up;
    snprintf(reason, sizeof reason, "%s", why);
}

static void run(void)
{
    int before = done;
    probe_start(&probe, &service, "shop-1-0", &addr, probed);
    assert_int_equal(done, before);
    for (int i = 0; i < 500 && done == before; i++) io_turn(io, 10);
    assert_int_equal(done, before + 1);
}

static void run_http(const char *path)
{
    service.health.kind = MANIFEST_HEALTH_HTTP;
    service.health.path = bytes_str(path);
    run();
}

static void http_is_up_when_it_is_answered_with_2xx(void **state)
{
    run_http("/200");
    assert_true(success);
    run_http("/204");
    assert_true(success);
    run_http("/503");
    assert_false(success);
    assert_string_equal(reason, "GET /503: status 503");
    run_http("/302");
    assert_false(success);
}

static void no_answer_is_down_after_its_time(void **state)
{
    uint64_t begun = io_now_ns(io);
    run_http("/silent");
    assert_false(success);
    assert_string_equal(reason, "no answer within 200 ms");
    assert_in_range((io_now_ns(io) - begun) / 1000000, 190, 400);
    run_http("/200");
    assert_true(success);
}

static void tcp_is_up_when_it_is_accepted(void **state)
{
    service.health.kind = MANIFEST_HEALTH_TCP;
    run();
    assert_true(success);
}

static void nobody_listens(void **state)
{
    http_server_close(server, 0, NULL);
    for (int i = 0; i < 20; i++) io_turn(io, 2);
    gone++;
    service.health.kind = MANIFEST_HEALTH_TCP;
    run();
    assert_false(success);
    assert_string_equal(reason, "connect: connection refused");
    run_http("/200");
    assert_false(success);
    struct http_server_options options = {.request = request};
    gone--;
    assert_int_equal(http_server_open(&http, &addr, &options, &server), 0);
}

static void pong(void *context, struct message *message)
{
    struct message reply = message_borrow(message->reply, BYTES(""), BYTES(""), BYTES("{}"));
    bus_publish(bus, &reply);
    message_done(&reply);
}

static void a_ping_on_the_bus(void **state)
{
    struct bus_subscription *subscription;
    service.health.kind = MANIFEST_HEALTH_BUS;
    run();
    assert_false(success);
    assert_string_equal(reason, "ping on the bus: no healthy instance");
    assert_int_equal(
        bus_subscribe(bus, BYTES("$SRV.PING.shop.shop-1-0"), BYTES(""), pong, NULL, &subscription),
        0);
    run();
    assert_true(success);
    bus_unsubscribe(subscription);
}

static void cancelled_at_any_stage_nothing_comes(void **state)
{
    static const enum manifest_health_kind kinds[] = {MANIFEST_HEALTH_TCP, MANIFEST_HEALTH_HTTP,
                                                      MANIFEST_HEALTH_BUS};
    service.health.path = BYTES("/200");
    for (int turns = 0; turns < 8; turns++)
        for (int i = 0; i < 3; i++) {
            int before = done;
            service.health.kind = kinds[i];
            probe_start(&probe, &service, "shop-1-0", &addr, probed);
            for (int turn = 0; turn < turns && done == before; turn++) io_turn(io, 1);
            if (done > before) continue;
            probe_cancel(&probe);
            probe_cancel(&probe);
            for (int turn = 0; turn < 5; turn++) io_turn(io, 2);
            assert_int_equal(done, before);
        }
    run_http("/200");
    assert_true(success);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(http_is_up_when_it_is_answered_with_2xx),
        TEST(no_answer_is_down_after_its_time),
        TEST(tcp_is_up_when_it_is_accepted),
        TEST(nobody_listens),
        TEST(a_ping_on_the_bus),
        TEST(cancelled_at_any_stage_nothing_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
