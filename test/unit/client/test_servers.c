#include "client/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct servers servers;

static void parse(const char *urls)
{
    struct error error = {0};
    servers = (struct servers){.backoff_min_ms = 100, .backoff_max_ms = 1000};
    if (servers_parse(&servers, urls, &error)) fail_msg("%s: %s", urls, error.message);
}

static void refused(const char *urls, const char *words)
{
    struct error error = {0};
    servers = (struct servers){0};
    assert_true(servers_parse(&servers, urls, &error) < 0);
    if (!strstr(error.message, words)) fail_msg("%s: %s", urls, error.message);
    assert_null(strstr(error.message, "secret"));
}

static void check(size_t i, const char *text)
{
    char found[CLIENT_SERVER_TEXT];
    server_format(&servers.list[i], found, sizeof found);
    assert_string_equal(found, text);
}

static void urls_are_read(void **state)
{
    parse("nats://a:4223, b,tls://[::1]:99,nats://10.0.0.1/,unix:/run/bus.sock");
    assert_int_equal(servers.count, 5);
    check(0, "a:4223");
    check(1, "b:4222");
    check(2, "[::1]:99");
    check(3, "10.0.0.1:4222");
    check(4, "unix:/run/bus.sock");
    assert_true(servers.list[2].tls && !servers.list[0].tls && servers.list[4].is_unix);
}

static void secrets_are_read(void **state)
{
    parse("nats://anna:a%40b:c@a,nats://token@b");
    assert_string_equal(servers.list[0].user, "anna");
    assert_string_equal(servers.list[0].password, "a@b:c");
    assert_string_equal(servers.list[1].user, "token");
    assert_string_equal(servers.list[1].password, "");
    check(0, "a:4222");
}

static void mistakes_are_refused(void **state)
{
    refused("", "needs a host");
    refused("nats://", "needs a host");
    refused("a,,b", "needs a host");
    refused("nats://a:0", "port");
    refused("nats://a:70000", "port");
    refused("nats://a:x", "port");
    refused("http://a", "only nats:");
    refused("nats://u:secret%@a", "user:password");
    refused("nats://u:secret@a b", "host");
    refused("nats://[::1", "host");
    refused("unix:relative", "unix:/path");
    char many[CLIENT_SERVERS_MAX * 3 + 8] = "a";
    for (int i = 0; i < CLIENT_SERVERS_MAX; i++) memcpy(many + 1 + 2 * i, ",a", 3);
    refused(many, "more than");
}

static void waits_grow_after_each_round(void **state)
{
    parse("a,b");
    assert_int_equal(servers_next(&servers, 0), 0);
    assert_int_equal(servers.at, 1);
    assert_int_equal(servers_next(&servers, 0), 100); /* all were tried once */
    assert_int_equal(servers_next(&servers, 0), 100);
    assert_int_equal(servers_next(&servers, 0), 200);
    for (int i = 0; i < 100; i++) {
        uint32_t wait = servers_next(&servers, (uint64_t)i * 977);
        assert_true(wait >= 100 && wait <= 1000);
    }
    servers_up(&servers);
    assert_int_equal(servers_next(&servers, 0), 0);
}

static void servers_are_learned_and_forgotten(void **state)
{
    parse("nats://u:p@a,b");
    servers.at = 0;
    servers_forget(&servers);
    servers_learn(&servers, BYTES("A:4222")); /* known */
    servers_learn(&servers, BYTES("c:4224"));
    servers_learn(&servers, BYTES("[fd00::1]:4222"));
    servers_learn(&servers, BYTES("not an address"));
    assert_int_equal(servers.count, 4);
    check(2, "c:4224");
    assert_string_equal(servers.list[2].user, "u");
    servers.at = 3;
    servers_forget(&servers); /* the one in use stays */
    assert_int_equal(servers.count, 3);
    assert_int_equal(servers.at, 2);
    check(2, "[fd00::1]:4222");
    for (int i = 0; i < 2 * CLIENT_SERVERS_MAX; i++) {
        char text[16];
        snprintf(text, sizeof text, "h%d:1", i);
        servers_learn(&servers, bytes_str(text));
    }
    assert_int_equal(servers.count, CLIENT_SERVERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(secrets_are_read),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(waits_grow_after_each_round),
        cmocka_unit_test(servers_are_learned_and_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
