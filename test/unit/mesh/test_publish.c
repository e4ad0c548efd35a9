/* Every answer that publish.h promises, over the internal road. */
#include "harness.h"

static struct parsed parsed;
static struct bus_subscription *subscription;

struct posted {
    int done, result, status;
    char type[64], body[512];
};

static int setup(void **state)
{
    int err = world_setup(state);
    subscription = NULL;
    configure(&parsed, "publishes: [thing.made]", "");
    return err;
}

static int teardown(void **state)
{
    bus_unsubscribe(subscription);
    int err = world_teardown(state);
    parsed_release(&parsed);
    return err;
}

static void piece_read(struct http_exchange *x, int result, struct bytes piece)
{
    struct posted *posted = x->context;
    if (result < 0) return;
    size_t len = strlen(posted->body);
    copy(posted->body + len, sizeof posted->body - len, piece);
    if (result == HTTP_MORE) http_read(x, piece_read);
}

static void response(struct http_exchange *x)
{
    struct posted *posted = x->context;
    posted->status = x->in.status;
    copy_header(posted->type, sizeof posted->type, x, "content-type");
    http_read(x, piece_read);
}

static void posted_closed(struct http_exchange *x, int result)
{
    struct posted *posted = x->context;
    posted->result = result;
    posted->done++;
}

struct letter {
    const char *method, *target, *id_field, *id;
    struct bytes body;
    struct posted *posted;
};

static void connected(struct http_client *client, int result)
{
    const struct letter *letter = http_client_context(client);
    assert_int_equal(result, 0);
    struct http_exchange *x = http_client_begin(client, response);
    x->context = letter->posted;
    x->closed = posted_closed;
    http_head_request(&x->out, bytes_str(letter->method), bytes_str(letter->target));
    http_head_add(&x->out, BYTES("Host"), BYTES("dure"));
    http_head_add(&x->out, BYTES("Content-Type"), BYTES("text/plain"));
    if (letter->id) http_head_add(&x->out, bytes_str(letter->id_field), bytes_str(letter->id));
    assert_int_equal(http_send_head(x, letter->body.len), 0);
    if (letter->body.len) http_write(x, letter->body, true, NULL);
}

static struct posted send_letter(struct letter letter)
{
    static const struct http_client_options options;
    struct http_client *client;
    struct posted posted = {0};
    letter.posted = &posted;
    assert_int_equal(http_client_new(&world.http, &options, &letter, &client), 0);
    http_client_connect(client, &world.road, connected);
    UNTIL(posted.done);
    http_client_close(client);
    return posted;
}

static struct posted post(const char *target, const char *body)
{
    return send_letter((struct letter){"POST", target, NULL, NULL, bytes_str(body), NULL});
}

static struct posted post_with_id(const char *target, const char *field, const char *id)
{
    return send_letter((struct letter){"POST", target, field, id, BYTES("x"), NULL});
}

static char heard[64], heard_type[64];

static void hear(void *context, struct message *message)
{
    struct bytes type = BYTES("");
    copy(heard, sizeof heard, message->payload);
    nats_headers_get(message->headers, BYTES("Content-Type"), &type);
    copy(heard_type, sizeof heard_type, type);
}

static void reply_with_reversed(void *context, struct message *message)
{
    const char *headers = context;
    char text[64] = "";
    for (size_t i = 0; i < message->payload.len; i++)
        text[i] = message->payload.data[message->payload.len - 1 - i];
    struct message reply =
        message_borrow(message->reply, BYTES(""), bytes_str(headers), bytes_str(text));
    bus_publish(world.bus, &reply);
    message_done(&reply);
}

static void a_durable_subject_is_acknowledged_with_its_place(void **state)
{
    struct posted posted = post("/-/bus/publish/thing.made", "{}");
    assert_int_equal(posted.status, 200);
    assert_string_equal(posted.type, "application/json");
    assert_string_equal(posted.body, "{\"stream\":\"EVENTS\",\"seq\":1}");
    posted = post("/-/bus/publish/thing.made", "");
    assert_string_equal(posted.body, "{\"stream\":\"EVENTS\",\"seq\":2}");
    assert_int_equal(stored("EVENTS"), 2);
}

static void with_an_id_it_is_stored_once(void **state)
{
    static const char *const fields[] = {"Nats-Msg-Id", "Idempotency-Key", "ce-id"};
    for (int i = 0; i < 3; i++) {
        struct posted first = post_with_id("/-/bus/publish/thing.made", fields[i], i ? "b" : "a");
        assert_int_equal(first.status, 200);
    }
    assert_int_equal(stored("EVENTS"), 2); /* a, and b that is the same under both names */
    struct posted again = post_with_id("/-/bus/publish/thing.made", "Nats-Msg-Id", "a");
    assert_string_equal(again.body, "{\"stream\":\"EVENTS\",\"seq\":1,\"duplicate\":true}");
}

static void whoever_listens_gets_what_is_not_durable(void **state)
{
    assert_int_equal(
        bus_subscribe(world.bus, BYTES("news.*"), BYTES(""), hear, NULL, &subscription), 0);
    struct posted posted = post("/-/bus/publish/news.today", "rain");
    assert_int_equal(posted.status, 202);
    assert_string_equal(posted.body, "{\"deliveries\":1}");
    UNTIL(heard[0]);
    assert_string_equal(heard, "rain");
    assert_string_equal(heard_type, "text/plain");
}

static void nobody_there_is_said(void **state)
{
    struct posted posted = post("/-/bus/publish/news.today", "rain");
    assert_int_equal(posted.status, 404);
    assert_non_null(strstr(posted.body, "nobody stores or listens to news.today"));
    posted = post("/-/bus/request/news.today", "");
    assert_int_equal(posted.status, 503);
    assert_non_null(strstr(posted.body, "nobody answers requests to news.today"));
}

static void a_request_brings_the_reply(void **state)
{
    assert_int_equal(bus_subscribe(world.bus, BYTES("turn.round"), BYTES(""), reply_with_reversed,
                                   (char *)"NATS/1.0\r\nContent-Type: text/x\r\n\r\n",
                                   &subscription),
                     0);
    struct posted posted = post("/-/bus/request/turn.round", "abc");
    assert_int_equal(posted.status, 200);
    assert_string_equal(posted.body, "cba");
    assert_string_equal(posted.type, "text/x");
}

static void an_error_of_the_answerer_is_the_status(void **state)
{
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"NATS/1.0\r\nNats-Service-Error-Code: 409\r\n\r\n", 409},
        {"NATS/1.0\r\nNats-Service-Error-Code: 7\r\n\r\n", 502},
        {"NATS/1.0\r\nNats-Service-Error-Code: 100000\r\n\r\n", 502},
        {"NATS/1.0\r\nNats-Service-Error-Code: bad\r\n\r\n", 502},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bus_unsubscribe(subscription);
        assert_int_equal(bus_subscribe(world.bus, BYTES("turn.round"), BYTES(""),
                                       reply_with_reversed, (char *)cases[i].headers,
                                       &subscription),
                         0);
        assert_int_equal(post("/-/bus/request/turn.round", "x").status, cases[i].status);
    }
}

static void a_request_without_an_answer_times_out(void **state)
{
    assert_int_equal(bus_subscribe(world.bus, BYTES("slow"), BYTES(""), hear, NULL, &subscription),
                     0);
    struct posted posted = post("/-/bus/request/slow?timeout=100ms", "");
    assert_int_equal(posted.status, 504);
    assert_non_null(strstr(posted.body, "no answer to slow within 100 ms"));
}

static void what_is_wrong_with_a_request_is_said(void **state)
{
    static const struct {
        const char *method, *target;
        int status;
    } cases[] = {
        {"GET", "/-/bus/publish/thing.made", 405},
        {"PUT", "/-/bus/request/x", 405},
        {"POST", "/-/bus/publish", 400},
        {"POST", "/-/bus/publish/", 400},
        {"POST", "/-/bus/publish/thing.*", 400},
        {"POST", "/-/bus/publish/.a", 400},
        {"POST", "/-/bus/publish/a..b", 400},
        {"POST", "/-/bus/publish/a%20b", 404},
        {"POST", "/-/bus/request/>", 400},
        {"POST", "/-/bus/request/x?timeout=soon", 400},
        {"POST", "/-/bus/request/x?timeout=", 400},
        {"POST", "/-/bus/request/x?timeout=0s", 400},
        {"POST", "/-/bus/publish/thing.made/more", 404},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct posted posted = send_letter(
            (struct letter){cases[i].method, cases[i].target, NULL, NULL, BYTES(""), NULL});
        if (posted.status != cases[i].status)
            fail_msg("%s %s: %d %s", cases[i].method, cases[i].target, posted.status, posted.body);
    }
    assert_int_equal(stored("EVENTS"), 0);
}

static void a_body_has_the_limit_of_a_payload(void **state)
{
    static char text[64 * 1024 + 1];
    memset(text, 'x', sizeof text);
    struct letter letter = {"POST", "/-/bus/publish/thing.made",   NULL,
                            NULL,   bytes_make(text, sizeof text), NULL};
    struct posted posted = send_letter(letter);
    assert_int_equal(posted.status, 413);
    assert_non_null(strstr(posted.body, "65536 bytes at most"));
    letter.body.len--;
    letter.body.len -= 100; /* headers count as well */
    assert_int_equal(send_letter(letter).status, 200);
}

static void a_client_that_leaves_is_forgotten(void **state)
{
    static const struct http_client_options options;
    assert_int_equal(bus_subscribe(world.bus, BYTES("slow"), BYTES(""), hear, NULL, &subscription),
                     0);
    struct posted posted = {0};
    struct letter letter = {"POST", "/-/bus/request/slow", NULL, NULL, BYTES("left"), &posted};
    struct http_client *client;
    heard[0] = 0;
    assert_int_equal(http_client_new(&world.http, &options, &letter, &client), 0);
    http_client_connect(client, &world.road, connected);
    UNTIL(heard[0]);
    http_client_close(client);
    turn_for(100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_durable_subject_is_acknowledged_with_its_place),
        TEST(with_an_id_it_is_stored_once),
        TEST(whoever_listens_gets_what_is_not_durable),
        TEST(nobody_there_is_said),
        TEST(a_request_brings_the_reply),
        TEST(an_error_of_the_answerer_is_the_status),
        TEST(a_request_without_an_answer_times_out),
        TEST(what_is_wrong_with_a_request_is_said),
        TEST(a_body_has_the_limit_of_a_payload),
        TEST(a_client_that_leaves_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
