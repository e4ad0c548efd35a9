/* The bus without sockets: subscriptions and requests of this program, the capture, the observer.
 */
#include "bus_test.h"

enum { GOT_MAX = 64 };

struct got {
    char text[GOT_MAX][64]; /* "subject|reply|payload" */
    size_t count;
    struct bus_subscription *leave; /* unsubscribed inside the first delivery */
    struct message *kept;
};

static void take(void *context, struct message *message)
{
    struct got *got = context;
    assert_true(got->count < GOT_MAX);
    snprintf(got->text[got->count++], 64, "%.*s|%.*s|%.*s", BYTES_ARG(message->subject),
             BYTES_ARG(message->reply), BYTES_ARG(message->payload));
    if (got->leave) bus_unsubscribe(got->leave);
    got->leave = NULL;
    if (!got->kept) got->kept = message_ref(message);
}

static int publish(struct test_bus *t, const char *subject, const char *payload)
{
    struct message m = message_borrow(bytes_str(subject), (struct bytes){0}, (struct bytes){0},
                                      bytes_str(payload));
    return bus_publish(t->bus, &m);
}

static struct bus_subscription *subscribe(struct test_bus *t, const char *pattern,
                                          const char *queue, struct got *got)
{
    struct bus_subscription *s;
    *got = (struct got){0};
    assert_int_equal(bus_subscribe(t->bus, bytes_str(pattern), bytes_str(queue), take, got, &s), 0);
    return s;
}

struct test_service {
    struct bus_service service;
    unsigned taken;
    bool nobody;
};

static bool serve(struct bus_service *service, struct message *message)
{
    struct test_service *s = CONTAINER_OF(service, struct test_service, service);
    assert_true(bytes_starts(message->subject, bytes_str(service->prefix)));
    s->taken++;
    return !s->nobody;
}

static void test_service(void **state)
{
    struct test_bus t;
    struct got got;
    start(&t, NULL);
    struct test_service api = {.service = {.prefix = "$JS.API.", .take = serve}};
    struct test_service next = {.service = {.prefix = "$JS.API.NEXT.", .take = serve}};
    bus_add_service(t.bus, &api.service);
    bus_add_service(t.bus, &next.service);
    assert_int_equal(publish(&t, "$JS.API.NEXT.a", "1"), 1); /* at once, and the longer one */
    assert_int_equal(next.taken, 1);
    assert_int_equal(publish(&t, "$JS.API.INFO", "2"), 1);
    assert_int_equal(api.taken, 1);
    assert_int_equal(publish(&t, "$JS.API", "3"), 0);
    assert_int_equal(publish(&t, "$JS.ACK.x", "4"), 0);
    assert_true(bus_has_interest(t.bus, bytes_str("$JS.API.INFO")));
    /* Those who listen there get it too, but are not mistaken for it. */
    struct bus_subscription *s = subscribe(&t, "*.API.>", "", &got);
    assert_int_equal(publish(&t, "$JS.API.INFO", "5"), 2);
    next.nobody = true;
    assert_int_equal(publish(&t, "$JS.API.NEXT.b", "6"), 1);
    bus_unsubscribe(s);
    assert_int_equal(publish(&t, "$JS.API.NEXT.b", "7"), 0);
    bus_remove_service(&next.service);
    assert_int_equal(publish(&t, "$JS.API.NEXT.b", "8"), 1);
    assert_int_equal(api.taken, 3);
    bus_remove_service(&api.service);
    message_unref(got.kept);
    stop(&t);
}

static void test_inbox(void **state)
{
    struct test_bus t;
    struct bus_inbox inbox;
    struct got plain, one, two;
    start(&t, NULL);
    assert_false(bus_inbox_find(t.bus, bytes_str("in.x"), &inbox));
    subscribe(&t, "in.*", "", &plain);
    subscribe(&t, "in.x", "q", &one);
    subscribe(&t, "in.x", "q", &two);
    assert_true(bus_inbox_find(t.bus, bytes_str("in.x"), &inbox));
    for (int i = 0; i < 4; i++) {
        struct message m = message_borrow(bytes_str("orders.1"), bytes_str("$JS.ACK.S"),
                                          (struct bytes){0}, bytes_str("p"));
        assert_int_equal(bus_inbox_put(&inbox, &m), 2);
        message_done(&m);
    }
    turn(&t, 2);
    assert_int_equal(plain.count, 4);
    assert_int_equal(one.count, 2);
    assert_int_equal(two.count, 2);
    assert_string_equal(plain.text[3], "orders.1|$JS.ACK.S|p");
    message_unref(plain.kept);
    message_unref(one.kept);
    message_unref(two.kept);
    stop(&t);
}

static void test_inbox_of_a_client(void **state)
{
    struct test_bus t;
    struct client c;
    struct bus_inbox inbox;
    char big[2049] = {0};
    memset(big, 'x', sizeof big - 1);
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    say(&c, "SUB in.x 9\r\nUNSUB 9 3\r\n");
    expect_all(&c, "");
    assert_true(bus_inbox_find(t.bus, bytes_str("in.x"), &inbox));
    struct message m = message_borrow(bytes_str("orders.1"), bytes_str("$JS.ACK.S"),
                                      (struct bytes){0}, bytes_str("hi"));
    assert_int_equal(bus_inbox_put(&inbox, &m), 1);
    m.headers = bytes_str("NATS/1.0\r\n\r\n");
    assert_int_equal(bus_inbox_put(&inbox, &m), 1);
    m.payload = bytes_str(big);
    assert_int_equal(bus_inbox_put(&inbox, &m), 1);
    message_done(&m);
    assert_int_equal(bus_inbox_put(&inbox, &m), 0); /* has had its last */
    assert_false(bus_inbox_find(t.bus, bytes_str("in.x"), &inbox));
    expect(&c, "MSG orders.1 9 $JS.ACK.S 2\r\nhi\r\n"
               "HMSG orders.1 9 $JS.ACK.S 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
               "HMSG orders.1 9 $JS.ACK.S 12 2060\r\nNATS/1.0\r\n\r\n");
    expect(&c, big);
    expect_all(&c, "\r\n");
    close_client(&c);
    stop(&t);
}

static void test_publish_and_subscribe(void **state)
{
    struct test_bus t;
    struct got star, rest;
    start(&t, NULL);
    subscribe(&t, "a.*", "", &star);
    struct bus_subscription *s = subscribe(&t, "a.>", "", &rest);
    assert_int_equal(publish(&t, "a.b", "1"), 2);
    assert_int_equal(publish(&t, "a.b.c", "2"), 1);
    assert_int_equal(publish(&t, "b", "3"), 0);
    assert_int_equal(star.count + rest.count, 0); /* never inside the publish */
    turn(&t, 2);
    assert_int_equal(star.count, 1);
    assert_string_equal(star.text[0], "a.b||1");
    assert_int_equal(rest.count, 2);
    assert_string_equal(rest.text[1], "a.b.c||2");
    assert_true(bus_has_interest(t.bus, bytes_str("a.b.c")));
    bus_unsubscribe(s);
    assert_false(bus_has_interest(t.bus, bytes_str("a.b.c")));
    /* A message that is kept outlives everything. */
    assert_true(bytes_eq(rest.kept->subject, BYTES("a.b")));
    stop(&t);
    message_unref(rest.kept);
    message_unref(star.kept);
}

static void test_invalid(void **state)
{
    struct test_bus t;
    struct bus_subscription *s;
    start(&t, &(struct bus_server_options){.max_payload = 4});
    assert_int_equal(publish(&t, "a.*", "x"), ERR_INVALID);
    assert_int_equal(publish(&t, "", "x"), ERR_INVALID);
    assert_int_equal(publish(&t, "a", "12345"), ERR_TOO_BIG);
    assert_int_equal(bus_subscribe(t.bus, BYTES("a..b"), BYTES(""), take, NULL, &s), ERR_INVALID);
    bus_unsubscribe(NULL);
    stop(&t);
}

/* What is queued for a subscription that leaves is dropped, even from inside its own delivery. */
static void test_unsubscribe_inside(void **state)
{
    struct test_bus t;
    struct got got;
    start(&t, NULL);
    got.leave = NULL;
    struct bus_subscription *s = subscribe(&t, "a", "", &got);
    got.leave = s;
    for (int i = 0; i < 3; i++) publish(&t, "a", "x");
    turn(&t, 2);
    assert_int_equal(got.count, 1);
    assert_int_equal(publish(&t, "a", "x"), 0);
    assert_int_equal(bus_metrics(t.bus)->pending_bytes, 0);
    stop(&t);
    message_unref(got.kept);
}

static void test_queue_group(void **state)
{
    struct test_bus t;
    struct got a, b, c;
    start(&t, NULL);
    subscribe(&t, "w", "q", &a);
    subscribe(&t, "w", "q", &b);
    subscribe(&t, "w", "", &c);
    for (int i = 0; i < 20; i++) assert_int_equal(publish(&t, "w", "x"), 2);
    turn(&t, 2);
    assert_int_equal(a.count + b.count, 20);
    assert_in_range(a.count, 9, 11);
    assert_int_equal(c.count, 20);
    stop(&t);
    message_unref(a.kept);
    message_unref(b.kept);
    message_unref(c.kept);
}

static void test_full(void **state)
{
    struct test_bus t;
    struct got got;
    start(&t, &(struct bus_server_options){.max_pending = 300});
    subscribe(&t, "a", "", &got);
    int taken = 0;
    for (int i = 0; i < 10; i++) taken += publish(&t, "a", "0123456789");
    assert_int_equal(taken, 4); /* 75 bytes each */
    assert_int_equal(bus_metrics(t.bus)->dropped, 6);
    turn(&t, 2);
    assert_int_equal(got.count, 4);
    assert_int_equal(publish(&t, "a", "x"), 1);
    stop(&t);
    message_unref(got.kept);
}

/* This program and clients see each other. */
static void test_with_clients(void **state)
{
    struct test_bus t;
    struct client c;
    struct got got;
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    subscribe(&t, "to.us", "", &got);
    say(&c, "SUB to.them 1\r\nPUB to.us r 2\r\nhi\r\n");
    expect_all(&c, "");
    assert_string_equal(got.text[0], "to.us|r|hi");
    struct message m =
        message_borrow(BYTES("to.them"), BYTES("back"), BYTES("NATS/1.0\r\n\r\n"), BYTES("hello"));
    assert_int_equal(bus_publish(t.bus, &m), 1);
    expect_all(&c, "HMSG to.them 1 back 12 17\r\nNATS/1.0\r\n\r\nhello\r\n");
    char large[5000];
    memset(large, 'L', sizeof large);
    m = message_borrow(BYTES("to.them"), BYTES(""), BYTES(""), bytes_make(large, sizeof large));
    assert_int_equal(bus_publish(t.bus, &m), 1);
    expect(&c, "MSG to.them 1 5000\r\nLLL");
    client_wait(&c, 5000 - 3 + 2);
    assert_int_equal(c.len, 5000 - 3 + 2);
    c.len = 0;
    /* A counted message can be published again. */
    assert_int_equal(bus_publish(t.bus, got.kept), 1);
    turn(&t, 2);
    assert_int_equal(got.count, 2);
    close_client(&c);
    stop(&t);
    message_unref(got.kept);
}

/* ---- requests ------------------------------------------------------------------------------- */

struct asked {
    struct bus_request request;
    int result, count;
    char reply[64];
};

static struct bus *closing_bus;

static void answered(struct bus_request *request, int result, struct message *reply)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    asked->result = result;
    asked->count++;
    /* Who asks again when the bus goes is told at once. */
    if (result == ERR_CLOSED) {
        struct message m = message_borrow(BYTES("deaf"), BYTES(""), BYTES(""), BYTES(""));
        assert_int_equal(bus_request(closing_bus, request, &m, 1, answered), ERR_CLOSED);
    }
    if (reply) snprintf(asked->reply, sizeof asked->reply, "%.*s", BYTES_ARG(reply->payload));
}

static void ask(struct test_bus *t, struct asked *asked, const char *subject, uint32_t timeout_ms)
{
    struct message m =
        message_borrow(bytes_str(subject), (struct bytes){0}, (struct bytes){0}, BYTES("question"));
    memset(asked, 0, sizeof *asked);
    assert_int_equal(bus_request(t->bus, &asked->request, &m, timeout_ms, answered), 0);
    assert_int_equal(asked->count, 0);
}

/* The beginning of a long run is on its way before the turn ends, the rest when it does. */
static void test_early(void **state)
{
    enum { FIRST = 128, ALL = 200 };
    struct test_bus t;
    struct client c;
    const size_t len = strlen("MSG a 1 1\r\nx\r\n");
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    say(&c, "SUB a 1\r\n");
    expect_all(&c, "");
    for (int i = 0; i < ALL; i++) {
        struct message m = message_borrow(BYTES("a"), BYTES(""), BYTES(""), BYTES("x"));
        assert_int_equal(bus_publish(t.bus, &m), 1);
        client_read(&c);
        assert_int_equal(c.len, i + 1 < FIRST ? 0 : FIRST * len);
    }
    client_wait(&c, ALL * len);
    for (int i = 0; i < ALL; i++) expect(&c, "MSG a 1 1\r\nx\r\n");
    expect_all(&c, "");
    close_client(&c);
    stop(&t);
}

/* Deliveries are longer than acknowledgements: what is sent early is counted in bytes. */
static void test_early_deliveries(void **state)
{
    enum { FIRST = 32000, ALL = 1200 };
    struct test_bus t;
    struct client c;
    struct bus_inbox inbox;
    const char *delivery = "MSG orders.1 1 $JS.ACK.S 2\r\nhi\r\n";
    size_t len = strlen(delivery), first = (FIRST + len - 1) / len;
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    say(&c, "SUB in 1\r\n");
    expect_all(&c, "");
    assert_true(bus_inbox_find(t.bus, BYTES("in"), &inbox));
    for (size_t i = 0; i < ALL; i++) {
        struct message m =
            message_borrow(BYTES("orders.1"), BYTES("$JS.ACK.S"), BYTES(""), BYTES("hi"));
        assert_int_equal(bus_inbox_put(&inbox, &m), 1);
        client_read(&c);
        assert_int_equal(c.len, i + 1 < first ? 0 : first * len);
    }
    client_wait(&c, ALL * len);
    for (int i = 0; i < ALL; i++) expect(&c, delivery);
    expect_all(&c, "");
    close_client(&c);
    stop(&t);
}

static void wait_answer(struct test_bus *t, struct asked *asked)
{
    for (int i = 0; i < TURNS_MAX && !asked->count; i++) io_turn(t->io, 10);
    assert_int_equal(asked->count, 1);
}

static void echo(void *context, struct message *message)
{
    struct test_bus *t = context;
    for (int i = 0; i < 2; i++) { /* only the first answer counts */
        struct message m = message_borrow(message->reply, (struct bytes){0}, (struct bytes){0},
                                          i ? BYTES("late") : message->payload);
        bus_publish(t->bus, &m);
    }
}

static void ignore(void *context, struct message *message)
{
}

static void test_request(void **state)
{
    struct test_bus t;
    struct asked asked, other;
    struct bus_subscription *s;
    start(&t, NULL);
    assert_int_equal(bus_subscribe(t.bus, BYTES("echo"), BYTES(""), echo, &t, &s), 0);
    assert_int_equal(bus_subscribe(t.bus, BYTES("deaf"), BYTES(""), ignore, &t, &s), 0);
    ask(&t, &asked, "echo", 1000);
    wait_answer(&t, &asked);
    assert_int_equal(asked.result, 0);
    assert_string_equal(asked.reply, "question");

    ask(&t, &asked, "nobody", 1000);
    wait_answer(&t, &asked);
    assert_int_equal(asked.result, ERR_UNAVAILABLE);

    ask(&t, &asked, "deaf", 20);
    wait_answer(&t, &asked);
    assert_int_equal(asked.result, ERR_TIMEOUT);

    ask(&t, &asked, "echo", 1000);
    bus_request_cancel(&asked.request);
    bus_request_cancel(&asked.request);
    turn(&t, 5);
    assert_int_equal(asked.count, 0);

    struct message m = message_borrow(BYTES("a.*"), BYTES(""), BYTES(""), BYTES(""));
    assert_int_equal(bus_request(t.bus, &asked.request, &m, 1, answered), ERR_INVALID);

    ask(&t, &asked, "deaf", 60000);
    ask(&t, &other, "deaf", 60000);
    closing_bus = t.bus;
    stop(&t);
    assert_int_equal(asked.result, ERR_CLOSED);
    assert_int_equal(other.result, ERR_CLOSED);
}

static void test_request_to_a_client(void **state)
{
    struct test_bus t;
    struct client c;
    struct asked asked;
    start(&t, NULL);
    open_client(&t, &c, QUIET);
    say(&c, "SUB svc 1\r\n");
    expect_all(&c, "");
    ask(&t, &asked, "svc", 1000);
    expect(&c, "MSG svc 1 _INBOX.");
    client_wait(&c, 30);
    char *blank = memchr(c.data, ' ', c.len);
    assert_non_null(blank);
    char text[128];
    snprintf(text, sizeof text, "PUB _INBOX.%.*s 3\r\nyes\r\n", (int)(blank - c.data), c.data);
    c.len = 0;
    say(&c, text);
    wait_answer(&t, &asked);
    assert_string_equal(asked.reply, "yes");
    close_client(&c);
    stop(&t);
}

/* ---- capture -------------------------------------------------------------------------------- */

struct store {
    struct bus_capture capture;
    struct message *kept[GOT_MAX];
    size_t count;
    bool on;
};

static void *store_captures(struct bus_capture *capture, struct bytes subject)
{
    struct store *store = CONTAINER_OF(capture, struct store, capture);
    return store->on && bytes_starts(subject, BYTES("order.")) ? store : NULL;
}

/* Hides what says so in its payload. */
static bool store_append(struct bus_capture *capture, void *target, struct message *message)
{
    struct store *store = CONTAINER_OF(capture, struct store, capture);
    assert_ptr_equal(target, store);
    store->kept[store->count++] = message_ref(message);
    return !bytes_eq(message->payload, BYTES("later"));
}

static void test_capture(void **state)
{
    struct test_bus t;
    struct client c;
    struct store store = {.capture = {store_captures, store_append}, .on = true};
    start(&t, NULL);
    bus_set_capture(t.bus, &store.capture);
    open_client(&t, &c, QUIET);
    say(&c,
        "SUB in 1\r\nPUB order.placed in 2\r\n{}\r\nPUB other in 1\r\nx\r\nPUB order.* 1\r\nx\r\n");
    expect_all(&c, "HMSG in 1 37 37\r\nNATS/1.0 503\r\nNats-Subject: other\r\n\r\n\r\n");
    assert_int_equal(store.count, 1);
    assert_true(bytes_eq(store.kept[0]->payload, BYTES("{}")));
    /* The answer comes when the data is safe. */
    struct message ack = message_borrow(store.kept[0]->reply, BYTES(""), BYTES(""),
                                        BYTES("{\"stream\":\"EVENTS\",\"seq\":1}"));
    assert_int_equal(bus_publish(t.bus, &ack), 1);
    expect_all(&c, "MSG in 1 27\r\n{\"stream\":\"EVENTS\",\"seq\":1}\r\n");
    assert_int_equal(publish(&t, "order.x", ""), 1);
    /* What is not to be seen yet goes to nobody else; when it is, it is not stored again. */
    say(&c, "SUB order.y 2\r\nPUB order.y 5\r\nlater\r\n");
    expect_all(&c, "");
    assert_int_equal(store.count, 3);
    struct message later = message_borrow(BYTES("order.y"), BYTES(""), BYTES(""), BYTES("later"));
    assert_int_equal(bus_publish_stored(t.bus, &later), 1);
    expect_all(&c, "MSG order.y 2 5\r\nlater\r\n");
    store.on = false;
    bus_capture_changed(t.bus);
    assert_int_equal(publish(&t, "order.x", ""), 0);
    assert_int_equal(bus_metrics(t.bus)->captured, 3);
    close_client(&c);
    stop(&t);
    for (size_t i = 0; i < store.count; i++) message_unref(store.kept[i]);
}

/* ---- observer ------------------------------------------------------------------------------- */

struct seen {
    struct bus_observer observer;
    char text[GOT_MAX][128];
    size_t count;
};

static void note(struct bus_observer *observer, const struct bus_event *e)
{
    struct seen *seen = CONTAINER_OF(observer, struct seen, observer);
    snprintf(seen->text[seen->count++], 128, "%d %.*s %.*s %.*s %zu %u %llu", e->kind,
             BYTES_ARG(e->subject), BYTES_ARG(e->reply), BYTES_ARG(e->trace), e->bytes,
             e->deliveries, (unsigned long long)e->connection);
}

static void test_observer(void **state)
{
    struct test_bus t;
    struct client c;
    struct seen seen = {.observer = {note}};
    start(&t, NULL);
    bus_set_observer(t.bus, &seen.observer);
    open_client(&t, &c, QUIET);
    const char *headers = "NATS/1.0\r\ntraceparent: 00-1-2-01\r\n\r\n";
    char text[256];
    snprintf(text, sizeof text,
             "SUB a 1\r\nHPUB a _INBOX.1 %zu %zu\r\n%shi\r\nPUB _INBOX.1 2\r\nyo\r\n",
             strlen(headers), strlen(headers) + 2, headers);
    say(&c, text);
    turn(&t, 5);
    publish(&t, "b", "x");
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.text[0], "1 a _INBOX.1 00-1-2-01 38 1 1");
    assert_string_equal(seen.text[1], "2 _INBOX.1   2 0 1");
    assert_string_equal(seen.text[2], "0 b   1 0 0");
    bus_set_observer(t.bus, NULL);
    publish(&t, "b", "x");
    assert_int_equal(seen.count, 3);
    close_client(&c);
    stop(&t);
}

static void test_message(void **state)
{
    struct message m =
        message_borrow(BYTES("s"), BYTES("r"), BYTES("NATS/1.0\r\n\r\n"), BYTES("p"));
    message_done(&m);
    struct message *a = message_ref(&m), *b = message_ref(&m), *c = message_ref(a);
    assert_ptr_equal(a, b);
    assert_ptr_equal(a, c);
    message_done(&m);
    assert_true(bytes_eq(message_body(a), BYTES("NATS/1.0\r\n\r\np\r\n")));
    assert_true(bytes_eq(a->subject, BYTES("s")) && bytes_eq(a->reply, BYTES("r")));
    assert_int_equal(message_trace(a).len, 0);
    message_unref(a);
    message_unref(b);
    message_unref(c);
    message_unref(NULL);
}

static void test_no_bus(void **state)
{
    bus_free(NULL);
    bus_server_free(NULL);
    bus_server_close(NULL, NULL, NULL);
    bus_close(NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_and_subscribe),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_unsubscribe_inside),
        cmocka_unit_test(test_queue_group),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_with_clients),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_request_to_a_client),
        cmocka_unit_test(test_capture),
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_inbox),
        cmocka_unit_test(test_inbox_of_a_client),
        cmocka_unit_test(test_observer),
        cmocka_unit_test(test_message),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_early_deliveries),
        cmocka_unit_test(test_no_bus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
