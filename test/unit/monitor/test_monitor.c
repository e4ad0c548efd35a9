/* The monitor's pages, asked over HTTP, of a bus with clients and streams. */
#include "bus/bus_test.h"

#include <jansson.h>

#include "jetstream/jetstream.h"
#include "monitor/monitor.h"
#include "stream/streams.h"
#include "temp_dir.h"

struct world {
    struct test_bus t;
    struct temp_dir dir;
    struct http http;
    struct streams *streams;
    struct jetstream *jetstream;
    struct monitor *monitor;
    int closed;
};

static void start_world(struct world *w, bool durable)
{
    *w = (struct world){0};
    start(&w->t, NULL);
    temp_dir_make(&w->dir);
    char data[100];
    snprintf(data, sizeof data, "%s/js", w->dir.path);
    struct streams_options streams = {.dir = data};
    if (durable) {
        assert_int_equal(streams_open(w->t.io, w->t.bus, &streams, &w->streams, NULL), 0);
        assert_int_equal(jetstream_open(w->t.io, w->t.bus, w->streams, NULL, &w->jetstream, NULL),
                         0);
    }
    http_init(&w->http, w->t.io, NULL);
    struct io_addr addr;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    struct monitor_account account = {w->t.bus, w->streams, w->jetstream};
    struct monitor_options options = {.server = w->t.server,
                                      .accounts = &account,
                                      .account_count = 1,
                                      .store_dir = durable ? data : NULL};
    assert_int_equal(monitor_open(&w->http, &addr, &options, &w->monitor), 0);
}

static void count_closed(void *context)
{
    ++*(int *)context;
}

static void wait_closed(struct world *w, int count)
{
    for (int i = 0; i < TURNS_MAX && w->closed < count; i++) io_turn(w->t.io, 10);
    assert_int_equal(w->closed, count);
}

static void stop_world(struct world *w)
{
    monitor_close(w->monitor, count_closed, &w->closed);
    wait_closed(w, 1);
    jetstream_close(w->jetstream, count_closed, &w->closed);
    wait_closed(w, 2);
    streams_close(w->streams, count_closed, &w->closed);
    wait_closed(w, 3);
    http_release(&w->http);
    stop(&w->t);
    temp_dir_remove(&w->dir);
}

/* The answer to a GET: its status and its body, which is JSON unless `ret_text` is given. */
static json_t *get(struct world *w, const char *path, int expected_status, char *ret_text)
{
    static char data[1 << 20];
    const struct io_addr *addr = monitor_addr(w->monitor);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    size_t len = 0;
    for (int i = 0; i < TURNS_MAX; i++) {
        io_turn(w->t.io, 1);
        ssize_t n = recv(fd, data + len, sizeof data - len - 1, MSG_DONTWAIT);
        if (n == 0) break;
        if (n > 0) len += (size_t)n;
    }
    close(fd);
    data[len] = '\0';
    int status = 0;
    assert_int_equal(sscanf(data, "HTTP/1.1 %d", &status), 1);
    char *body = strstr(data, "\r\n\r\n");
    assert_non_null(body);
    if (status != expected_status) fail_msg("%s: %s", path, data);
    if (ret_text) {
        strcpy(ret_text, body + 4);
        return NULL;
    }
    json_error_t error;
    json_t *json = json_loads(body + 4, 0, &error);
    if (!json) fail_msg("%s: %s in %s", path, error.text, body);
    return json;
}

static int64_t number(const json_t *json, const char *key)
{
    json_t *value = json_object_get(json, key);
    if (!json_is_number(value)) fail_msg("no number %s", key);
    return (int64_t)json_number_value(value);
}

static const char *text(const json_t *json, const char *key)
{
    const char *value = json_string_value(json_object_get(json, key));
    return value ? value : "(none)";
}

static json_t *first(const json_t *json, const char *list)
{
    json_t *item = json_array_get(json_object_get(json, list), 0);
    if (!item) fail_msg("%s is empty", list);
    return item;
}

static void test_varz(void **state)
{
    struct world w;
    struct client c;
    start_world(&w, false);
    open_client(&w.t, &c, QUIET);
    say(&c, "SUB a 1\r\nPUB a 5\r\nhello\r\nPUB b 1\r\nx\r\n");
    expect_all(&c, "MSG a 1 5\r\nhello\r\n");
    json_t *varz = get(&w, "/varz", 200, NULL);
    assert_string_equal(text(varz, "version"), BUS_NATS_VERSION);
    assert_int_equal(number(varz, "port"), w.t.addr.port);
    assert_string_equal(text(varz, "host"), "127.0.0.1");
    assert_int_equal(number(varz, "http_port"), monitor_addr(w.monitor)->port);
    assert_int_equal(number(varz, "connections"), 1);
    assert_int_equal(number(varz, "total_connections"), 1);
    assert_int_equal(number(varz, "in_msgs"), 2);
    assert_int_equal(number(varz, "in_bytes"), 6);
    assert_int_equal(number(varz, "out_msgs"), 1);
    assert_int_equal(number(varz, "out_bytes"), 5);
    assert_int_equal(number(varz, "max_payload"), 1 << 20);
    assert_int_equal(number(varz, "ping_interval"), 120000000000);
    assert_true(number(varz, "mem") > 1 << 20);
    assert_true(number(varz, "cores") >= 1);
    assert_string_equal(text(varz, "uptime"), "0s");
    assert_int_equal(number(json_object_get(varz, "http_req_stats"), "/varz"), 1);
    assert_int_equal(json_object_size(json_object_get(varz, "jetstream")), 0);
    json_decref(varz);
    close_client(&c);
    stop_world(&w);
}

static void test_connz(void **state)
{
    struct world w;
    struct client c[3];
    start_world(&w, false);
    for (int i = 0; i < 3; i++) {
        char connect[128];
        snprintf(connect, sizeof connect, "{\"verbose\":false,\"name\":\"n%d\",\"lang\":\"c\"}", i);
        open_client(&w.t, &c[i], connect);
        for (int k = 0; k <= i; k++) say(&c[i], "PUB x 1\r\nx\r\n");
        expect_all(&c[i], "");
    }
    say(&c[1], "SUB a.> q 7\r\nSUB b 8\r\nUNSUB 8 4\r\n");
    expect_all(&c[1], "");
    json_t *connz = get(&w, "/connz?sort=msgs_from&limit=2&offset=0", 200, NULL), *one;
    assert_int_equal(number(connz, "num_connections"), 2);
    assert_int_equal(number(connz, "total"), 3);
    one = first(connz, "connections");
    assert_string_equal(text(one, "name"), "n2");
    assert_int_equal(number(one, "in_msgs"), 3);
    assert_string_equal(text(one, "kind"), "Client");
    assert_string_equal(text(one, "ip"), "127.0.0.1");
    assert_null(json_object_get(one, "account"));
    json_decref(connz);
    connz = get(&w, "/connz?cid=2&subs=detail&auth=1", 200, NULL);
    assert_int_equal(number(connz, "total"), 1);
    one = first(connz, "connections");
    assert_string_equal(text(one, "account"), "$G");
    assert_int_equal(number(one, "subscriptions"), 2);
    assert_int_equal(json_array_size(json_object_get(one, "subscriptions_list_detail")), 2);
    json_decref(connz);
    connz = get(&w, "/connz?subs=1&sort=subs&limit=1", 200, NULL);
    one = first(connz, "connections");
    assert_int_equal(json_array_size(json_object_get(one, "subscriptions_list")), 2);
    json_decref(connz);
    connz = get(&w, "/connz?filter_subject=a.b&subs=1", 200, NULL);
    assert_int_equal(number(connz, "total"), 1);
    json_decref(connz);
    connz = get(&w, "/connz?acc=nobody", 200, NULL);
    assert_int_equal(number(connz, "total"), 0);
    json_decref(connz);
    say(&c[0], "XYZ\r\n");
    client_wait(&c[0], CLIENT_BUFFER);
    close_client(&c[0]);
    turn(&w.t, 5);
    connz = get(&w, "/connz?state=closed", 200, NULL);
    one = first(connz, "connections");
    assert_string_equal(text(one, "reason"), "Protocol Violation");
    assert_string_equal(text(one, "name"), "n0");
    json_decref(connz);
    connz = get(&w, "/connz?state=any&sort=cid&offset=1", 200, NULL);
    assert_int_equal(number(connz, "total"), 3);
    assert_int_equal(number(connz, "num_connections"), 2);
    assert_int_equal(number(first(connz, "connections"), "cid"), 2);
    json_decref(connz);
    close_client(&c[1]);
    close_client(&c[2]);
    stop_world(&w);
}

static void test_wrong_questions(void **state)
{
    static const char *const paths[] = {
        "/connz?sort=bogus",   "/connz?limit=x",   "/connz?state=half", "/connz?subs=some",
        "/connz?offset=-1",    "/connz?sort=stop", "/connz?acc=%zz",    "/subsz?test=a.*",
        "/subsz?subs=perhaps", "/jsz?streams=2",   "/jsz?offset=a",     "/healthz?js-enabled=x",
        "/accountz?acc=%",
    };
    struct world w;
    char body[4096];
    start_world(&w, false);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) get(&w, paths[i], 400, body);
    get(&w, "/nowhere", 404, body);
    get(&w, "/connz/", 404, body);
    get(&w, "/", 200, body);
    assert_non_null(strstr(body, "connz"));
    stop_world(&w);
}

static void test_subsz_and_accounts(void **state)
{
    struct world w;
    struct client c;
    start_world(&w, false);
    open_client(&w.t, &c, QUIET);
    say(&c, "SUB a.* 1\r\nSUB b q 2\r\n");
    expect_all(&c, "");
    json_t *subsz = get(&w, "/subsz", 200, NULL);
    assert_null(json_object_get(subsz, "subscriptions_list"));
    int64_t count = number(subsz, "num_subscriptions");
    assert_true(count >= 2);
    json_decref(subsz);
    subsz = get(&w, "/subsz?subs=1&limit=1", 200, NULL);
    assert_int_equal(number(subsz, "total"), count);
    assert_int_equal(json_array_size(json_object_get(subsz, "subscriptions_list")), 1);
    json_decref(subsz);
    subsz = get(&w, "/subsz?subs=1&test=a.x", 200, NULL);
    assert_int_equal(number(subsz, "total"), 1);
    json_t *one = first(subsz, "subscriptions_list");
    assert_string_equal(text(one, "subject"), "a.*");
    assert_string_equal(text(one, "account"), "$G");
    assert_int_equal(number(one, "cid"), 1);
    json_decref(subsz);
    json_t *accountz = get(&w, "/accountz", 200, NULL);
    assert_int_equal(json_array_size(json_object_get(accountz, "accounts")), 1);
    json_decref(accountz);
    accountz = get(&w, "/accountz?acc=$G", 200, NULL);
    json_t *detail = json_object_get(accountz, "account_detail");
    assert_int_equal(number(detail, "client_connections"), 1);
    assert_false(json_is_true(json_object_get(detail, "jetstream_enabled")));
    json_decref(accountz);
    json_t *statz = get(&w, "/accstatz", 200, NULL);
    assert_int_equal(number(first(statz, "account_statz"), "conns"), 1);
    json_decref(statz);
    close_client(&c);
    stop_world(&w);
}

static void ask(struct client *c, const char *subject, const char *body, const char *answer)
{
    char request[512];
    snprintf(request, sizeof request, "PUB %s _INBOX.x %zu\r\n%s\r\n", subject, strlen(body), body);
    say(c, request);
    for (int i = 0; i < 10 && !memmem(c->data, c->len, answer, strlen(answer)); i++)
        client_wait(c, c->len + 1);
    if (!memmem(c->data, c->len, answer, strlen(answer)))
        fail_msg("no \"%s\" in \"%.*s\"", answer, (int)c->len, c->data);
    c->len = 0;
}

static void test_jsz(void **state)
{
    struct world w;
    struct client c;
    start_world(&w, true);
    open_client(&w.t, &c, QUIET);
    say(&c, "SUB _INBOX.x 1\r\n");
    ask(&c, "$JS.API.STREAM.CREATE.S", "{\"name\":\"S\",\"subjects\":[\"s.>\"]}", "did_create");
    ask(&c, "s.1", "hello", "\"seq\":1");
    ask(&c, "$JS.API.CONSUMER.DURABLE.CREATE.S.C",
        "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"C\",\"ack_policy\":\"explicit\"}}",
        "\"num_pending\":1");
    json_t *jsz = get(&w, "/jsz", 200, NULL);
    assert_null(json_object_get(jsz, "account_details"));
    assert_int_equal(number(jsz, "streams"), 1);
    assert_int_equal(number(jsz, "messages"), 1);
    assert_true(number(jsz, "bytes") > 0 && number(jsz, "storage") == number(jsz, "bytes"));
    assert_int_equal(number(json_object_get(jsz, "api"), "total"), 2);
    assert_int_equal(number(jsz, "consumers"), 1);
    json_decref(jsz);
    jsz = get(&w, "/jsz?streams=1&config=1&consumers=1", 200, NULL);
    json_t *stream = first(first(jsz, "account_details"), "stream_detail");
    assert_string_equal(text(stream, "name"), "S");
    assert_int_equal(number(json_object_get(stream, "state"), "messages"), 1);
    assert_string_equal(text(json_object_get(stream, "config"), "retention"), "limits");
    json_t *consumer = first(stream, "consumer_detail");
    assert_string_equal(text(consumer, "name"), "C");
    assert_int_equal(number(consumer, "num_pending"), 1);
    json_decref(jsz);
    jsz = get(&w, "/jsz?streams=1", 200, NULL);
    stream = first(first(jsz, "account_details"), "stream_detail");
    assert_null(json_object_get(stream, "consumer_detail"));
    json_decref(jsz);
    jsz = get(&w, "/varz", 200, NULL);
    json_t *stats = json_object_get(json_object_get(jsz, "jetstream"), "stats");
    assert_int_equal(number(stats, "accounts"), 1);
    json_decref(jsz);
    close_client(&c);
    stop_world(&w);
}

static void test_healthz(void **state)
{
    struct world w;
    start_world(&w, false);
    json_t *health = get(&w, "/healthz", 200, NULL);
    assert_string_equal(text(health, "status"), "ok");
    json_decref(health);
    json_decref(get(&w, "/healthz?js-enabled-only=true", 503, NULL));
    bus_server_lame_duck(w.t.server, 60000, 1000, NULL, NULL);
    health = get(&w, "/healthz", 503, NULL);
    assert_string_equal(text(health, "status"), "unavailable");
    json_decref(health);
    json_decref(get(&w, "/routez", 200, NULL));
    json_decref(get(&w, "/gatewayz", 200, NULL));
    json_decref(get(&w, "/leafz", 200, NULL));
    stop_world(&w);
    start_world(&w, true);
    json_decref(get(&w, "/healthz?js-enabled-only=true", 200, NULL));
    stop_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varz),
        cmocka_unit_test(test_connz),
        cmocka_unit_test(test_wrong_questions),
        cmocka_unit_test(test_subsz_and_accounts),
        cmocka_unit_test(test_jsz),
        cmocka_unit_test(test_healthz),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
