#include "wire/manifest_bus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static struct errors errors;

static struct manifest_bus *parse(const char *text)
{
    struct manifest_bus *bus;
    manifest_bus_parse(bytes_str(text), "bus.yaml", &arena, &errors, &bus);
    assert_non_null(bus);
    return bus;
}

static struct manifest_bus *good(const char *text)
{
    struct manifest_bus *bus = parse(text);
    if (errors_total(&errors)) fail_msg("%s", errors.items[0].message);
    return bus;
}

static int setup(void **state)
{
    arena_init(&arena, 1 << 24);
    errors_init(&errors, &arena);
    return 0;
}

static int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

static void test_defaults(void **state)
{
    const struct manifest_bus *bus = good("{}");
    assert_true(bytes_eq(bus->listen, BYTES("127.0.0.1:4222")));
    assert_int_equal(bus->max_payload, 1 << 20);
    assert_int_equal(bus->limits.control_line, 4096);
    assert_int_equal(bus->limits.pending, 64 << 20);
    assert_int_equal(bus->ping.interval_ms, 120000);
    assert_int_equal(bus->write_deadline_ms, 10000);
    assert_int_equal(bus->lame_duck.grace_ms, 10000);
    assert_false(bus->tls.given || bus->auth.given);
}

static void test_listeners(void **state)
{
    const struct manifest_bus *bus =
        good("unix: /run/bus.sock\nunix_for: group\nhttp: 127.0.0.1:8222\n"
             "websocket: {listen: '127.0.0.1:9222', same_origin: true,\n"
             "  origins: [https://shop.example, 'http://[::1]:3000']}\n");
    assert_int_equal(bus->unix_for, MANIFEST_BUS_UNIX_GROUP);
    assert_true(bytes_eq(bus->http, BYTES("127.0.0.1:8222")));
    assert_true(bus->websocket.given && bus->websocket.same_origin && !bus->websocket.clear_text);
    assert_true(bytes_eq(bus->websocket.listen, BYTES("127.0.0.1:9222")));
    assert_int_equal(bus->websocket.origin_count, 2);
    bus = good("{}");
    assert_int_equal(bus->unix_for, MANIFEST_BUS_UNIX_OWNER);
    assert_false(bus->websocket.given || bus->http.len);
}

static void test_mistaken_listeners(void **state)
{
    static const char *const wrong[] = {
        "websocket: {}\n",
        "websocket: {listen: nowhere}\n",
        "websocket: {listen: '127.0.0.1:1', origins: [shop.example]}\n",
        "websocket: {listen: '127.0.0.1:1', origins: ['https://shop.example/path']}\n",
        "http: nowhere\n",
        "unix_for: nobody\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t before = errors_total(&errors);
        parse(wrong[i]);
        assert_int_equal(errors_total(&errors), before + 1);
    }
}

static void test_users(void **state)
{
    const struct manifest_bus *bus =
        good("auth:\n"
             "  default_permissions: {publish: {deny: [x]}}\n"
             "  users:\n"
             "    - {user: a, password: p}\n"
             "    - {user: b, password: p, account: two, permissions: {publish: {allow: []},\n"
             "        subscribe: {deny: [$SYS.>, a q]}, responses: {max: 0, ttl: 0s}}}\n"
             "    - {nkey: UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4,\n"
             "       permissions: {responses: {}}}\n"
             "accounts: [{name: one}, {name: two, jetstream: false}]\n");
    const struct manifest_bus_user *users = bus->auth.users;
    assert_true(bus->auth.given && bus->auth.default_permissions.given);
    assert_int_equal(bus->auth.user_count, 3);
    assert_int_equal(users[0].account_index, SIZE_MAX);
    assert_false(users[0].permissions.given);
    assert_int_equal(users[1].account_index, 1);
    const struct nats_permissions *rules = &users[1].permissions.rules;
    assert_true(rules->publish.allow_given && rules->publish.allow_count == 0);
    assert_false(rules->subscribe.allow_given);
    assert_int_equal(rules->subscribe.deny_count, 2);
    assert_true(rules->responses && rules->max_responses < 0 && rules->response_ttl_ms < 0);
    rules = &users[2].permissions.rules;
    assert_true(rules->responses && rules->publish.allow_given);
    assert_int_equal(rules->max_responses, 1);
    assert_int_equal(rules->response_ttl_ms, 120000);
    assert_true(bus->accounts[0].jetstream && !bus->accounts[1].jetstream);
}

static void test_tls(void **state)
{
    const struct manifest_bus *bus =
        good("tls: {certificate: c, key: k, clients: map, first: either}\n"
             "auth: {users: [{user: certified}]}\n");
    assert_true(bus->tls.given);
    assert_int_equal(bus->tls.clients, MANIFEST_BUS_TLS_MAP);
    assert_int_equal(bus->tls.first, MANIFEST_BUS_TLS_EITHER);
    assert_int_equal(bus->tls.first_wait_ms, 50);
}

static void refuse(const char *text, const char *what)
{
    parse(text);
    assert_true(errors_total(&errors) > 0);
    if (!strstr(errors.items[errors.count - 1].message, what))
        fail_msg("\"%s\" is not in \"%s\"", what, errors.items[errors.count - 1].message);
}

/* A cluster instead of a bus is for a system, in the short form too. */
static void test_cluster(void **state)
{
    refuse("nats://a:4222\n", "a NATS cluster instead");
    refuse("url: nats://a:4222\n", "a NATS cluster instead");
    refuse("creds: a.creds\n", "a NATS cluster instead");
}

/* Whether two texts say the same; comments and order of keys do not count, everything else does. */
static void test_same(void **state)
{
    static const char base[] =
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}]}\n";
    static const char *const others[] = {
        "listen: 127.0.0.1:2\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 3KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:3]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: either}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, only_1_3: true}\nauth: {users: [{user: a, password: p}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: q}]}\n",
        "listen: 127.0.0.1:1\nmax_payload: 2KiB\nadvertise: [a:1, b:2]\n"
        "tls: {certificate: c, key: k, first: info}\nauth: {users: [{user: a, password: p}],\n"
        "timeout: 3s}\n",
    };
    const struct manifest_bus *one = good(base);
    assert_true(yaml_same(&manifest_bus_schema, one, good(base)));
    assert_true(yaml_same(&manifest_bus_schema, one,
                          good("# the same\nmax_payload: 2048\nadvertise: [a:1, b:2]\n"
                               "auth: {timeout: 2s, users: [{password: p, user: a}]}\n"
                               "tls: {key: k, certificate: c}\nlisten: 127.0.0.1:1\n")));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(yaml_same(&manifest_bus_schema, one, good(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mistaken_listeners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cluster, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
