/* What the server tells of its connections and subscriptions. */
#include "bus_test.h"

#include "base/buf.h"
#include "bus/bus_report.h"

static void list_connection(void *context, const struct bus_connection *c)
{
    buf_append_format(context, "%u %s/%s/%s %s '%s' in %u/%u out %u/%u subs %u %s; ",
                      (unsigned)c->id, c->name, c->lang, c->version, c->account, c->user,
                      (unsigned)c->traffic.in_messages, (unsigned)c->traffic.in_bytes,
                      (unsigned)c->traffic.out_messages, (unsigned)c->traffic.out_bytes,
                      (unsigned)c->subscriptions, c->reason ? c->reason : "open");
    assert_true(c->began_ns && c->active_ns >= c->began_ns);
    assert_int_equal(c->ended_ns != 0, c->reason != NULL);
    assert_int_equal(c->peer.ip[0], 127);
    assert_true(c->peer.port);
    assert_int_equal(c->transport, BUS_TRANSPORT_TCP);
}

static void list_interest(void *context, const struct bus_interest *i)
{
    buf_append_format(context, "%s %.*s %.*s %.*s %u/%u %u; ", i->account, BYTES_ARG(i->subject),
                      BYTES_ARG(i->queue), BYTES_ARG(i->sid), (unsigned)i->delivered,
                      (unsigned)i->max, (unsigned)i->connection);
}

static void expect_text(struct buf *out, const char *expected)
{
    if (!bytes_eq(buf_bytes(out), bytes_str(expected)))
        fail_msg("expected \"%s\", found \"%.*s\"", expected, BYTES_ARG(buf_bytes(out)));
    buf_clear(out);
}

static void count_interest(void *context, const struct bus_interest *i)
{
    ++*(size_t *)context;
}

static void test_connections_and_interests(void **state)
{
    struct test_bus t;
    struct client a, b;
    struct buf out;
    buf_init(&out, 1 << 20);
    start(&t, NULL);
    open_client(&t, &a,
                "{\"verbose\":false,\"headers\":true,\"name\":\"alice\",\"lang\":\"c\","
                "\"version\":\"1.2\"}");
    open_client(&t, &b, "{\"verbose\":false}");
    say(&a, "SUB orders.*.new.> q 1\r\nUNSUB 1 9\r\n");
    expect_all(&a, "");
    say(&b, "PUB orders.eu.new.1 5\r\nhello\r\n");
    expect_all(&b, "");
    expect_all(&a, "MSG orders.eu.new.1 1 5\r\nhello\r\n");
    bus_server_connections(t.server, list_connection, &out);
    expect_text(&out, "1 alice/c/1.2 $G '' in 0/0 out 1/5 subs 1 open; "
                      "2 // $G '' in 1/5 out 0/0 subs 0 open; ");
    bus_connection_interests(t.server, 1, list_interest, &out);
    expect_text(&out, "$G orders.*.new.> q 1 1/9 1; ");
    bus_connection_interests(t.server, 2, list_interest, &out);
    expect_text(&out, "");
    bus_interests(t.bus, BYTES("orders.eu.new.7"), list_interest, &out);
    expect_text(&out, "$G orders.*.new.> q 1 1/9 1; ");
    bus_interests(t.bus, BYTES("orders.eu.old.7"), list_interest, &out);
    expect_text(&out, "");
    close_client(&a);
    close_client(&b);
    buf_release(&out);
    stop(&t);
}

/* Every pattern comes back as it was written, whatever the nodes of the trie are. */
static void test_all_patterns(void **state)
{
    static const char *const patterns[] = {"a", "a.b",   "a.*",   "a.>",     "*.b",    ">",
                                           "*", "a.*.c", "*.*.>", "x.y.z.w", "a.*.*.d"};
    struct test_bus t;
    struct client c;
    struct bus_interest_facts before, facts;
    size_t own = 0, all = 0;
    start(&t, NULL);
    bus_interests(t.bus, (struct bytes){0}, count_interest, &own);
    bus_interest_facts(t.bus, &before);
    assert_int_equal(before.subscriptions, own);
    open_client(&t, &c, QUIET);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct buf out;
        char line[64], expected[64];
        buf_init(&out, 1 << 20);
        snprintf(line, sizeof line, "SUB %s %zu\r\n", patterns[i], i);
        say(&c, line);
        expect_all(&c, "");
        snprintf(line, sizeof line, "UNSUB %zu\r\n", i);
        bus_connection_interests(t.server, 1, list_interest, &out);
        snprintf(expected, sizeof expected, "$G %s  %zu 0/0 1; ", patterns[i], i);
        expect_text(&out, expected);
        say(&c, line);
        buf_release(&out);
    }
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        char line[64];
        snprintf(line, sizeof line, "SUB %s %zu\r\n", patterns[i], i);
        say(&c, line);
    }
    expect_all(&c, "");
    bus_interests(t.bus, (struct bytes){0}, count_interest, &all);
    assert_int_equal(all, own + sizeof patterns / sizeof *patterns);
    bus_interest_facts(t.bus, &facts);
    assert_int_equal(facts.subscriptions, all);
    assert_int_equal(facts.inserts, before.inserts + 2 * 11);
    assert_int_equal(facts.removes, before.removes + 11);
    close_client(&c);
    stop(&t);
}

static void test_those_that_have_ended(void **state)
{
    struct test_bus t;
    struct client c;
    struct buf out;
    buf_init(&out, 1 << 20);
    start(&t, NULL);
    open_client(&t, &c, "{\"verbose\":false,\"name\":\"one\"}");
    say(&c, "SUB a 1\r\n");
    expect_all(&c, "");
    close_client(&c);
    turn(&t, 5);
    open_client(&t, &c, "{\"verbose\":false,\"name\":\"two\"}");
    say(&c, "XYZ\r\n");
    client_wait(&c, CLIENT_BUFFER);
    close_client(&c);
    turn(&t, 5);
    open_client(&t, &c, QUIET);
    say(&c, "PUB a 99999999\r\n");
    client_wait(&c, CLIENT_BUFFER);
    close_client(&c);
    turn(&t, 5);
    bus_server_connections(t.server, list_connection, &out);
    expect_text(&out, "");
    bus_server_ended_connections(t.server, list_connection, &out);
    expect_text(&out, "1 one// $G '' in 0/0 out 0/0 subs 1 Client Closed; "
                      "2 two// $G '' in 0/0 out 0/0 subs 0 Protocol Violation; "
                      "3 // $G '' in 0/0 out 0/0 subs 0 Maximum Message Payload Exceeded; ");
    buf_release(&out);
    stop(&t);
}

struct count {
    size_t count;
    uint64_t first, last;
};

static void count_connection(void *context, const struct bus_connection *c)
{
    struct count *count = context;
    if (!count->count++) count->first = c->id;
    assert_true(c->id > count->last);
    count->last = c->id;
}

static void test_ended_ones_are_bounded(void **state)
{
    struct test_bus t;
    struct count count = {0};
    start(&t, NULL);
    for (int i = 0; i < BUS_ENDED_MAX + 10; i++) {
        struct client c;
        open_client(&t, &c, NULL);
        close_client(&c);
        turn(&t, 2);
    }
    turn(&t, 5);
    bus_server_ended_connections(t.server, count_connection, &count);
    assert_int_equal(count.count, BUS_ENDED_MAX);
    assert_int_equal(count.first, 11);
    stop(&t);
}

static void keep_rtt(void *context, const struct bus_connection *c)
{
    *(uint64_t *)context = c->rtt_ns;
}

static void test_round_trip_time(void **state)
{
    struct bus_server_options options = {.ping_interval_ms = 20};
    struct test_bus t;
    struct client c;
    struct bus_server_facts facts;
    start(&t, &options);
    bus_server_facts(t.server, &facts);
    assert_int_equal(facts.options.ping_interval_ms, 20);
    assert_int_equal(facts.addr.port, t.addr.port);
    assert_int_equal(facts.websocket_addr.port, 0);
    assert_false(facts.tls || facts.auth_required);
    open_client(&t, &c, QUIET);
    expect(&c, "PING\r\n");
    uint64_t rtt_ns = 1;
    bus_server_connections(t.server, keep_rtt, &rtt_ns);
    assert_int_equal(rtt_ns, 0);
    say(&c, "PONG\r\n");
    for (int i = 0; i < TURNS_MAX && !rtt_ns; i++) {
        io_turn(t.io, 1);
        bus_server_connections(t.server, keep_rtt, &rtt_ns);
    }
    assert_true(rtt_ns > 0);
    close_client(&c);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_and_interests),
        cmocka_unit_test(test_all_patterns),
        cmocka_unit_test(test_those_that_have_ended),
        cmocka_unit_test(test_ended_ones_are_bounded),
        cmocka_unit_test(test_round_trip_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
