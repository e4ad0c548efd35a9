/* Who we are to a server, and TLS: against nats-server with each kind of authorisation. */
#include "program.h"
#include "work.h"

#include "sdk/src/bus_address.h"

#include "base/err.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* From the documentation of NATS: nobody's. */
#define SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"

static char dir[64];

static int connects(struct dure_ctx *ctx)
{
    int err = dure_connect(ctx, 5000);
    if (!err) err = dure_flush(ctx, 5000);
    if (err) print_message("%s: %s\n", dure_error_name(err), dure_reason(ctx));
    return err;
}

static void run_tool(const char *const argv[])
{
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static const char *path(const char *name)
{
    static char paths[8][128];
    static size_t next;
    char *to = paths[next++ % 8];
    snprintf(to, 128, "%s/%s", dir, name);
    return to;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path(name), "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void begin_server(const char *config)
{
    const char *own = getenv("DURE_TEST_BUS");
    if (!nats_server_exists() || own) skip();
    write_file("nats.conf", config);
    work_server = (struct nats_server){.config = path("nats.conf")};
    nats_server_start(&work_server);
}

static int try(struct dure_run_options options)
{
    return work_run_options(options, connects, NULL);
}

static int begin(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/dure-test-identity-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    run_tool(argv);
    return 0;
}

static int stop_server(void **state)
{
    if (work_server.port) nats_server_release(&work_server);
    work_server = (struct nats_server){0};
    return 0;
}

static void urls_are_read(void **state)
{
    struct bus_server s[BUS_SERVERS_MAX];
    assert_int_equal(bus_servers_parse("nats://u:p%40q@h:1,tls://t@[::1]:2, h3 ,unix:/a/b", s), 4);
    assert_string_equal(s[0].user, "u");
    assert_string_equal(s[0].password, "p@q");
    assert_string_equal(s[0].shown, "nats://h:1");
    assert_true(s[1].tls && s[1].port == 2);
    assert_string_equal(s[1].token, "t");
    assert_string_equal(s[1].host, "::1");
    assert_string_equal(s[1].shown, "tls://[::1]:2");
    assert_true(s[2].port == 4222 && strcmp(s[2].host, "h3") == 0);
    assert_true(s[3].port == 0 && strcmp(s[3].host, "/a/b") == 0);
    static const char *const bad[] = {
        "",         ",",     "nats://",        "nats://a:0", "nats://a:x", "nats://a/b",
        "http://a", "unix:", "nats://u:%zz@a", "[::1",       "a,,b",       "a,a,a,a,a,a,a,a,a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(bus_servers_parse(bad[i], s), ERR_INVALID);
}

static void users_and_passwords(void **state)
{
    char url[64];
    begin_server("authorization { user: me, password: \"se:cret\" }\n");
    assert_int_equal(try((struct dure_run_options){.user = "me", .password = "se:cret"}), 0);
    assert_int_equal(try((struct dure_run_options){.user = "me", .password = "no"}), DURE_EDENIED);
    assert_int_equal(try((struct dure_run_options){0}), DURE_EDENIED);
    snprintf(url, sizeof url, "nats://me:se%%3acret@127.0.0.1:%d", work_server.port);
    assert_int_equal(try((struct dure_run_options){.urls = url}), 0);
}

static void tokens(void **state)
{
    char url[64];
    begin_server("authorization { token: T }\n");
    assert_int_equal(try((struct dure_run_options){.token = "T"}), 0);
    assert_int_equal(try((struct dure_run_options){.token = "X"}), DURE_EDENIED);
    snprintf(url, sizeof url, "nats://T@127.0.0.1:%d", work_server.port);
    assert_int_equal(try((struct dure_run_options){.urls = url}), 0);
}

static void nkeys(void **state)
{
    begin_server("authorization { users: [ { nkey: "
                 "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4 } ] }\n");
    write_file("seed", SEED "\n");
    write_file("other", "nothing\n");
    assert_int_equal(try((struct dure_run_options){.nkey = path("seed")}), 0);
    assert_int_equal(try((struct dure_run_options){.nkey = path("other")}), DURE_EUNREACHABLE);
    assert_int_equal(try((struct dure_run_options){.nkey = path("missing")}), DURE_EUNREACHABLE);
}

/* A permission that is missing keeps the connection; flush tells of it. */
static int oversteps(struct dure_ctx *ctx)
{
    struct dure_subscription *subscription;
    DONE(dure_connect(ctx, 5000));
    DONE(dure_publish(ctx, "allowed", "", 0));
    DONE(dure_flush(ctx, 5000));
    DONE(dure_publish(ctx, "forbidden", "", 0));
    CHECK(dure_flush(ctx, 5000) == DURE_EDENIED);
    CHECK(strstr(dure_reason(ctx), "Permissions Violation for Publish to \"forbidden\""));
    DONE(dure_subscribe(ctx, "forbidden", NULL, &subscription));
    CHECK(dure_flush(ctx, 5000) == DURE_EDENIED);
    DONE(dure_flush(ctx, 5000));
    return 0;
}

static void permissions(void **state)
{
    begin_server("authorization { users: [ { user: a, password: b, permissions: { "
                 "publish: allowed, subscribe: [\"_INBOX.>\", \"_DURE.>\"] } } ] }\n");
    assert_int_equal(
        work_run_options((struct dure_run_options){.user = "a", .password = "b"}, oversteps, NULL),
        0);
}

static void make_certificates(void)
{
    const char *const ca[] = {"openssl",  "req",           "-x509",   "-newkey",
                              "rsa:2048", "-nodes",        "-days",   "2",
                              "-subj",    "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                              "-keyout",  path("key.pem"), "-out",    path("cert.pem"),
                              NULL};
    run_tool(ca);
}

static void tls(void **state)
{
    char config[512], url[64];
    if (getenv("DURE_TEST_BUS")) skip();
    make_certificates();
    snprintf(config, sizeof config,
             "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: true }\n",
             path("cert.pem"), path("key.pem"), path("cert.pem"));
    begin_server(config);
    const struct dure_run_options good = {
        .ca = path("cert.pem"), .cert = path("cert.pem"), .key = path("key.pem")};
    assert_int_equal(try(good), 0); /* because the server asks for it */
    struct dure_run_options options = good;
    snprintf(url, sizeof url, "tls://127.0.0.1:%d", work_server.port);
    options.urls = url;
    assert_int_equal(try(options), 0);
    options.ca = NULL; /* nobody knows this authority */
    assert_int_equal(try(options), DURE_EUNREACHABLE);
    options = good;
    options.cert = options.key = NULL; /* it wants to know who we are */
    assert_int_not_equal(try(options), 0);
    options = good;
    snprintf(url, sizeof url, "tls://localhost:%d", work_server.port);
    options.urls = url; /* not the name in the certificate */
    assert_int_equal(try(options), DURE_EUNREACHABLE);
}

/* Large frames both ways through TLS. */
static int echoes(struct dure_ctx *ctx)
{
    enum { SIZE = 900 * 1000, COUNT = 10 };
    struct dure_subscription *subscription;
    struct dure_message message;
    char *body = calloc(1, SIZE);
    int err = body ? dure_connect(ctx, 5000) : DURE_ENOMEM;
    if (!err) err = dure_subscribe(ctx, "e", NULL, &subscription);
    const struct dure_publication publication = {.subject = "e", .body = body, .len = SIZE};
    for (int i = 0; i < COUNT && !err; i++) {
        body[i * 1000] = 'x';
        err = dure_send(ctx, &publication);
        if (!err) err = dure_next(subscription, 5000, &message);
        if (!err && (message.len != SIZE || memcmp(message.body, body, SIZE) != 0)) err = DURE_EIO;
    }
    free(body);
    DONE(err);
    return 0;
}

static void tls_carries_much(void **state)
{
    char config[512];
    if (getenv("DURE_TEST_BUS")) skip();
    make_certificates();
    snprintf(config, sizeof config, "tls { cert_file: \"%s\", key_file: \"%s\" }\n",
             path("cert.pem"), path("key.pem"));
    begin_server(config);
    assert_int_equal(
        work_run_options((struct dure_run_options){.ca = path("cert.pem")}, echoes, NULL), 0);
}

/* Told of one server of a cluster, it goes on with another when that one dies. */
static int changes_server(struct dure_ctx *ctx)
{
    const struct nats_server *first = dure_argument(ctx);
    struct dure_server before, after;
    DONE(dure_connect(ctx, 5000));
    dure_server(ctx, &before);
    DONE(dure_sleep(ctx, 1500)); /* servers tell each other, then us */
    nats_server_kill((struct nats_server *)(uintptr_t)first);
    int err = DURE_EUNREACHABLE;
    for (int i = 0; i < 100 && err; i++) {
        DONE(dure_sleep(ctx, 50));
        err = dure_flush(ctx, 2000);
    }
    DONE(err);
    dure_server(ctx, &after);
    CHECK(after.connected && after.reconnects == 1 && strcmp(before.url, after.url) != 0);
    CHECK(strcmp(after.name, "B") == 0);
    return 0;
}

static void a_cluster_is_learned(void **state)
{
    static struct nats_server other;
    char config[512];
    int ports[2] = {free_port(), free_port()};
    if (!nats_server_exists() || getenv("DURE_TEST_BUS")) skip();
    for (int i = 0; i < 2; i++) {
        snprintf(config, sizeof config,
                 "server_name: %c\ncluster { name: c, listen: \"127.0.0.1:%d\", routes: "
                 "[\"nats://127.0.0.1:%d\"] }\n",
                 "AB"[i], ports[i], ports[!i]);
        write_file(i ? "b.conf" : "a.conf", config);
    }
    work_server = (struct nats_server){.config = path("a.conf")};
    nats_server_start(&work_server);
    other = (struct nats_server){.config = path("b.conf")};
    nats_server_start(&other);
    int err = work_run_options((struct dure_run_options){0}, changes_server, &work_server);
    nats_server_release(&other);
    assert_int_equal(err, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test_teardown(users_and_passwords, stop_server),
        cmocka_unit_test_teardown(tokens, stop_server),
        cmocka_unit_test_teardown(nkeys, stop_server),
        cmocka_unit_test_teardown(permissions, stop_server),
        cmocka_unit_test_teardown(tls, stop_server),
        cmocka_unit_test_teardown(tls_carries_much, stop_server),
        cmocka_unit_test_teardown(a_cluster_is_learned, stop_server),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
