/* Handlers, asks and tells over a real NATS server. */
#include "nats_server.h"
#include "program.h"

#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct nats_server server;
static struct program front, back;
static char url[64];
static const char *const env[] = {url, NULL};
static const char *const front_path[] = {MODULES "/front.so", NULL};
static const char *const back_path[] = {MODULES "/back.so", NULL};
static int bare;
static bool has_streams;

static void start_on_bus(struct program *program, const struct dure_module *module,
                         const char *const *paths, const char *const *with)
{
    program_start(program, module, paths, 1, with);
    program_wait_log(program, "\"event\":\"bus_connected\"", 1);
}

static int begin(void **state)
{
    if (!nats_server_exists()) return 0;
    nats_server_start(&server);
    snprintf(url, sizeof url, "NATS_URL=nats://127.0.0.1:%d", server.port);
    bare = bare_connect(&server);
    has_streams = bare_make_stream(bare, "EVENTS", "event.>");
    start_on_bus(&back, NULL, back_path, env);
    start_on_bus(&front, NULL, front_path, env);
    return 0;
}

static int end(void **state)
{
    if (!server.port) return 0;
    int codes = program_stop(&front) | program_stop(&back);
    nats_server_release(&server);
    return codes;
}

static void need_server(void)
{
    if (server.port) return;
    print_message("no nats-server on this machine: skipped\n");
    skip();
}

static void need_streams(void)
{
    need_server();
    if (has_streams) return;
    print_message("this bus has no JetStream API: skipped\n");
    skip();
}

static const char *get(const char *target)
{
    struct response *r = client_request(front.ports[0], "GET", target, NULL, NULL);
    assert_int_equal(r->status, 200);
    return r->body;
}

/* ---- asking ------------------------------------------------------------------------------- */

static void asks_are_answered(void **state)
{
    need_server();
    assert_string_equal(get("/ask/back.greet"), "OK 200 hello to you (back.greet)");
    assert_string_equal(get("/ask/back.wild.a.x.b.c"), "OK 200 a|b.c");
    assert_string_equal(get("/ask/nobody.there"), "NOBODY 0 -");
    const char *ids = get("/trace");
    assert_memory_equal(ids, ids + 33, 32);
    struct response *r =
        client_request(front.ports[0], "GET", "/remaining", "Dure-Deadline-Ms: 700\r\n", NULL);
    long ms = strtol(r->body, NULL, 10);
    assert_true(ms > 200 && ms <= 700);
}

static void several_at_once(void **state)
{
    need_server();
    assert_string_equal(get("/all"), "OK 119 together");
    assert_string_equal(get("/all?fail=1"), "REMOTE 119 together");
    assert_string_equal(get("/race"), "2 50 CANCELLED REMOTE REMOTE INVALID");
    assert_string_equal(get("/short"), "TIMEOUT goes on");
}

/* The neighbour on the bus is told, and does not work for nobody. */
static void giving_up_goes_all_the_way(void **state)
{
    need_server();
    struct response *r = NULL;
    int fd = client_connect(front.ports[0]);
    client_send(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 500; i++) {
        r = client_request(back.ports[0], "GET", "/stats", NULL, NULL);
        if (strstr(r->body, "running=1")) break;
        usleep(5000);
    }
    assert_non_null(strstr(r->body, "running=1"));
    close(fd);
    for (int i = 0; i < 500; i++) {
        r = client_request(back.ports[0], "GET", "/stats", NULL, NULL);
        if (strstr(r->body, "running=0")) break;
        usleep(5000);
    }
    assert_non_null(strstr(r->body, "running=0"));
}

static void any_client_may_ask(void **state)
{
    need_server();
    const char *reply = bare_ask(bare, "back.greet", NULL, "hi");
    assert_non_null(strstr(reply, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(reply, "\r\n\r\nhi to you (back.greet)\r\n"));
    reply = bare_ask(bare, "back.nap", NULL, "-1");
    assert_non_null(strstr(reply, "Nats-Service-Error-Code: 409\r\n"));
    assert_non_null(strstr(reply, "Nats-Service-Error: changed by somebody else"));
    reply = bare_ask(bare, "back.nap", "Dure-Deadline-Ms: 20\r\n", "10000");
    assert_non_null(strstr(reply, "Nats-Service-Error-Code: 504\r\n"));
    reply =
        bare_ask(bare, "back.trace",
                 "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", "");
    assert_non_null(strstr(reply, "\r\n\r\n0af7651916cd43dd8448eb211c80319c\r\n"));
    struct response *r = client_request(back.ports[0], "GET", "/health", NULL, NULL);
    assert_non_null(strstr(r->body, "\"bus\":\"connected\""));
}

static void spans_are_reported(void **state)
{
    need_server();
    int fd = bare_connect(&server);
    bare_subscribe(fd, "_DURE.SPANS");
    bare_ask(bare, "back.trace",
             "traceparent: 00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-01\r\n", "");
    const char *spans;
    do spans = bare_next(fd);
    while (!strstr(spans, "{\"trace\":\"0af7651916cd43dd8448eb211c80319d\","));
    assert_non_null(strstr(spans, "\"parent\":\"b7ad6b7169203331\",\"name\":\"back.trace\","
                                  "\"service\":\"back\",\"kind\":\"server\",\"start_ns\":"));
    assert_non_null(strstr(spans, ",\"status\":200}"));
    close(fd);
}

static void instances_share(void **state)
{
    need_server();
    struct program second;
    start_on_bus(&second, NULL, back_path, env);
    for (int i = 0; i < 20; i++)
        assert_non_null(strstr(bare_ask(bare, "back.greet", NULL, "x"), "x to you"));
    struct pollfd more = {.fd = bare, .events = POLLIN};
    assert_int_equal(poll(&more, 1, 100), 0); /* one answer each */
    assert_int_equal(program_stop(&second), 0);
    assert_non_null(strstr(bare_ask(bare, "back.greet", NULL, "x"), "x to you"));
}

/* ---- every wait ends with its caller, and with its deadline ------------------------------- */

static const char *const ways[] = {"sleep", "ask", "call", "tell",
                                   "wait",  "all", "race", "blocking"};
enum { WAYS = sizeof ways / sizeof *ways };

/* Listens on any port; `format` gets it. */
static int listen_anywhere(const char *format, char text[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    snprintf(text, 64, "%s%d", format, ntohs(at.sin_port));
    return listener;
}

/* With a bus on which somebody listens to silent.x and says nothing, and a road that does too. */
static void every_wait_can_be_ended(void **state)
{
    need_server();
    char road[64], text[256];
    struct program p;
    int listener = listen_anywhere("DURE_HTTP=http://127.0.0.1:", road);
    int fd = bare_connect(&server);
    const char *const with[] = {url, road, NULL};
    start_on_bus(&p, NULL, front_path, with);
    bare_subscribe(fd, "silent.x");
    for (int i = 0; i < WAYS; i++) {
        snprintf(text, sizeof text, "GET /wait/%s HTTP/1.1\r\nHost: x\r\n\r\n", ways[i]);
        int client = client_connect(p.ports[0]);
        client_send(client, text);
        program_wait_log(&p, "\"waits\"", i + 1);
        usleep(20000);
        close(client);
        snprintf(text, sizeof text, "\"how\":\"%s\",\"end\":\"CANCELLED\",\"sleep\":\"CANCELLED\"",
                 ways[i]);
        program_wait_log(&p, text, 1);
    }
    for (int i = 0; i < WAYS; i++) {
        snprintf(text, sizeof text, "/wait/%s", ways[i]);
        struct response *r =
            client_request(p.ports[0], "GET", text, "Dure-Deadline-Ms: 60\r\n", NULL);
        assert_int_equal(r->status, 504);
        snprintf(text, sizeof text, "\"how\":\"%s\",\"end\":\"TIMEOUT\"", ways[i]);
        program_wait_log(&p, text, 1);
    }
    assert_int_equal(program_stop(&p), 0);
    close(listener);
    close(fd);
}

/* ---- telling ------------------------------------------------------------------------------ */

static void told_is_stored(void **state)
{
    need_streams();
    int before = bare_stream_messages(bare, "EVENTS");
    assert_string_equal(get("/tell/event.one"), "OK");
    assert_string_equal(get("/tell/event.one"), "OK");
    assert_int_equal(bare_stream_messages(bare, "EVENTS"), before + 2);
    assert_string_equal(get("/tell/event.two?id=order-7"), "OK");
    assert_string_equal(get("/tell/event.two?id=order-7"), "OK");
    assert_int_equal(bare_stream_messages(bare, "EVENTS"), before + 3);
    assert_string_equal(get("/tell/other.one"), "NOSTREAM");
    assert_string_equal(get("/tell/back.greet"), "NOSTREAM"); /* an answer, but not a stream's */
}

static void published_is_heard(void **state)
{
    need_server();
    int fd = bare_connect(&server);
    bare_subscribe(fd, "loud.>");
    struct response *r = client_request(front.ports[0], "POST", "/publish/loud.x", NULL, "boo");
    assert_string_equal(r->body, "OK");
    assert_string_equal(bare_next(fd), "MSG loud.x 77 3\r\nboo\r\n");
    close(fd);
}

/* ---- work from a stream ------------------------------------------------------------------- */

static int work(struct dure_ctx *ctx)
{
    static int tries;
    dure_log(ctx, DURE_INFO, "work", DURE_S("body", dure_body(ctx, NULL)), DURE_I("try", ++tries),
             DURE_I("wants_reply", dure_wants_reply(ctx)));
    return tries < 3 ? DURE_EIO : 0;
}

static int nap(struct dure_ctx *ctx)
{
    int err = dure_sleep(ctx, strtol(dure_body(ctx, NULL), NULL, 10));
    return err ? err : dure_reply_text(ctx, 200, "woke");
}

static int worker_start(struct dure_ctx *ctx)
{
    int err = dure_on_group(ctx, "deliver.work", "workers", work);
    if (!err) err = dure_on(ctx, "worker.nap", nap);
    return err;
}

static const struct dure_module worker = {DURE_ABI, sizeof worker, "worker", worker_start, NULL};

static void failed_work_comes_again(void **state)
{
    need_streams();
    struct program p;
    start_on_bus(&p, &worker, NULL, env);
    bare_make_stream(bare, "WORK", "work.>");
    assert_null(strstr(
        bare_ask(bare, "$JS.API.CONSUMER.DURABLE.CREATE.WORK.w", NULL,
                 "{\"stream_name\":\"WORK\",\"config\":{\"durable_name\":\"w\","
                 "\"deliver_subject\":\"deliver.work\",\"deliver_group\":\"workers\","
                 "\"ack_policy\":\"explicit\",\"ack_wait\":30000000000,\"max_deliver\":10}}"),
        "\"error\""));
    bare_ask(bare, "work.a", NULL, "first");
    program_wait_log(&p, "\"body\":\"first\",\"try\":3,\"wants_reply\":0", 1);
    bare_ask(bare, "work.a", NULL, "second");
    program_wait_log(&p, "\"body\":\"second\",\"try\":4", 1);
    usleep(100000);
    const char *info = bare_ask(bare, "$JS.API.CONSUMER.INFO.WORK.w", NULL, "");
    assert_non_null(strstr(info, "\"num_ack_pending\":0"));
    assert_int_equal(program_stop(&p), 0);
}

static void too_many_are_refused(void **state)
{
    need_server();
    static const char *const few[] = {url, "DURE_MAX_FIBERS=2", NULL};
    struct program p;
    start_on_bus(&p, &worker, NULL, few);
    int fd = bare_connect(&server);
    bare_subscribe(fd, "inbox.x");
    for (int i = 0; i < 2; i++) client_send(fd, "PUB worker.nap inbox.x 3\r\n500\r\n");
    usleep(100000);
    assert_non_null(
        strstr(bare_ask(bare, "worker.nap", NULL, "1"), "Nats-Service-Error-Code: 503"));
    for (int i = 0; i < 2; i++) assert_non_null(strstr(bare_next(fd), "woke"));
    close(fd);
    assert_int_equal(program_stop(&p), 0);
}

static void sigterm_drains(void **state)
{
    need_server();
    struct program p;
    start_on_bus(&p, &worker, NULL, env);
    int fd = bare_connect(&server);
    bare_subscribe(fd, "inbox.y");
    client_send(fd, "PUB worker.nap inbox.y 3\r\n400\r\n");
    usleep(100000);
    kill(p.pid, SIGTERM);
    usleep(100000);
    assert_non_null(
        strstr(bare_ask(bare, "worker.nap", NULL, "1"), "503")); /* not taken any more */
    assert_non_null(strstr(bare_next(fd), "woke"));
    assert_int_equal(program_wait(&p), 0);
    close(fd);
}

/* ---- a bus that goes away ----------------------------------------------------------------- */

static int begin_get(const char *target)
{
    char text[256];
    int fd = client_connect(front.ports[0]);
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
    client_send(fd, text);
    return fd;
}

static void assert_says(int fd, const char *want)
{
    struct response r;
    assert_true(client_response(fd, &r));
    assert_string_equal(r.body, want);
    close(fd);
}

static void requests_in_flight_survive_a_restart(void **state)
{
    need_server();
    int slow = begin_get("/all"); /* 20 asks of 100 ms */
    usleep(40000);
    close(bare);
    nats_server_kill(&server);
    int asked = begin_get("/ask/back.greet");
    int told = has_streams ? begin_get("/tell/event.down?id=once") : -1;
    struct response *r = client_request(front.ports[0], "POST", "/publish/loud.x", NULL, "boo");
    usleep(200000);
    r = client_request(front.ports[0], "POST", "/publish/loud.x", NULL, "boo");
    assert_string_equal(r->body, "UNREACHABLE");
    nats_server_start(&server);
    assert_says(asked, "OK 200 hello to you (back.greet)");
    if (has_streams) assert_says(told, "OK");
    struct response late;
    assert_true(client_response(slow, &late));
    assert_memory_equal(late.body, "OK 119", 6);
    close(slow);
    bare = bare_connect(&server);
    if (has_streams) {
        int count = bare_stream_messages(bare, "EVENTS");
        assert_string_equal(get("/tell/event.down?id=once"), "OK");
        assert_int_equal(bare_stream_messages(bare, "EVENTS"), count); /* it was there: once */
    }
    program_wait_log(&front, "\"event\":\"bus_lost\"", 1);
    program_wait_log(&front, "\"event\":\"bus_connected\"", 2);
}

static void a_service_starts_before_its_bus(void **state)
{
    need_server();
    static char later[64];
    static const char *const with[] = {later, NULL};
    struct nats_server other = {0};
    struct program p;
    nats_server_start(&other);
    nats_server_kill(&other);
    snprintf(later, sizeof later, "NATS_URL=nats://127.0.0.1:1,nats://127.0.0.1:%d", other.port);
    program_start(&p, &worker, NULL, 1, with);
    nats_server_start(&other);
    program_wait_log(&p, "\"event\":\"bus_connected\"", 1);
    int fd = bare_connect(&other);
    assert_non_null(strstr(bare_ask(fd, "worker.nap", NULL, "1"), "woke"));
    close(fd);
    nats_server_kill(&other);
    assert_int_equal(program_stop(&p), 0); /* a bus that is away holds nobody back */
    nats_server_release(&other);
}

/* Reads from the service until this text has come, and returns all of it. */
static const char *expect(int fd, const char *want)
{
    static char text[65536];
    size_t len = 0;
    memset(text, 0, sizeof text);
    while (!strstr(text, want)) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        if (poll(&in, 1, 5000) != 1) fail_msg("the service does not say %s but %s", want, text);
        ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
        assert_true(got > 0);
        len += (size_t)got;
    }
    return text;
}

/* Only the one who answers has lost the bus: the asker still waits for the reply. */
static void a_reply_waits_for_the_next_connection(void **state)
{
    static const char info[] = "INFO {\"max_payload\":1048576,\"headers\":true}\r\n";
    char where[64];
    const char *const with[] = {where, NULL};
    struct program p;
    int listener = listen_anywhere("NATS_URL=nats://ana:secret@127.0.0.1:", where);
    program_start(&p, &worker, NULL, 1, with);
    int fd = accept(listener, NULL, NULL);
    client_send(fd, info);
    expect(fd, "PING\r\n");
    client_send(fd, "PONG\r\nMSG worker.nap 4 _INBOX.asker.1 3\r\n100\r\n");
    usleep(30000);
    close(fd);
    usleep(150000); /* the handler answers now */
    fd = accept(listener, NULL, NULL);
    client_send(fd, info);
    const char *said = expect(fd, "HPUB _INBOX.asker.1 ");
    assert_non_null(strstr(said, "\"user\":\"ana\",\"pass\":\"secret\""));
    close(fd);
    close(listener);
    assert_int_equal(program_stop(&p), 0);
}

/* ---- a bus that talks nonsense ------------------------------------------------------------ */

static void garbage_is_survived(void **state)
{
    static const char *const lines[] = {
        "garbage\r\n",
        "INFO {broken\r\n",
        "INFO {}\r\nMSG a 1 -5\r\n",
        "INFO {\"max_payload\":1048576}\r\nMSG x 2 99999999999\r\n",
        "INFO {\"max_payload\":1048576}\r\nHMSG x 2 9 3\r\nNATS/1.0\r\n",
        ("INFO {\"max_payload\":1048576}\r\nPONG\r\nMSG x 99 2\r\nhi\r\nMSG x 0 2\r\nhi\r\n"
         "MSG worker.nap 4 2\r\nhi\r\nMSG _INBOX.x.1 1 2\r\nhi\r\n-ERR 'no'\r\n"),
    };
    static char where[64];
    static const char *const with[] = {where, NULL};
    struct program p;
    int listener = listen_anywhere("NATS_URL=nats://127.0.0.1:", where);
    program_start(&p, &worker, NULL, 1, with);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int fd = accept(listener, NULL, NULL);
        assert_true(fd >= 0);
        client_send(fd, lines[i]);
        usleep(20000);
        close(fd);
    }
    close(listener);
    assert_int_equal(client_get(p.ports[0], "/health"), 200);
    assert_int_equal(program_stop(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_are_answered),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(giving_up_goes_all_the_way),
        cmocka_unit_test(any_client_may_ask),
        cmocka_unit_test(every_wait_can_be_ended),
        cmocka_unit_test(spans_are_reported),
        cmocka_unit_test(instances_share),
        cmocka_unit_test(told_is_stored),
        cmocka_unit_test(published_is_heard),
        cmocka_unit_test(failed_work_comes_again),
        cmocka_unit_test(too_many_are_refused),
        cmocka_unit_test(sigterm_drains),
        cmocka_unit_test(requests_in_flight_survive_a_restart),
        cmocka_unit_test(a_service_starts_before_its_bus),
        cmocka_unit_test(a_reply_waits_for_the_next_connection),
        cmocka_unit_test(garbage_is_survived),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
