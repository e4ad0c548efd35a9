#include "harness.h"

struct asking {
    struct bus_request request;
    int done, result;
    char body[64], type[64], code[16];
};

static struct parsed parsed;

static int setup(void **state)
{
    return world_setup(state);
}

static int teardown(void **state)
{
    int err = world_teardown(state);
    parsed_release(&parsed);
    return err;
}

static void answered(struct bus_request *request, int result, struct message *reply)
{
    struct asking *asking = CONTAINER_OF(request, struct asking, request);
    struct bytes value;
    asking->done++;
    asking->result = result;
    if (!reply) return;
    copy(asking->body, sizeof asking->body, reply->payload);
    if (nats_headers_get(reply->headers, BYTES("Content-Type"), &value) == 0)
        copy(asking->type, sizeof asking->type, value);
    if (nats_headers_get(reply->headers, BYTES("Nats-Service-Error-Code"), &value) == 0)
        copy(asking->code, sizeof asking->code, value);
}

static void ask(struct asking *asking, const char *subject, const char *payload)
{
    struct message message =
        message_borrow(bytes_str(subject), BYTES(""),
                       BYTES("NATS/1.0\r\ntraceparent: "
                             "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"),
                       bytes_str(payload));
    *asking = (struct asking){0};
    assert_int_equal(bus_request(world.bus, &asking->request, &message, 2000, answered), 0);
    message_done(&message);
}

static void the_responses_body_is_the_reply(void **state)
{
    struct asking asking;
    configure(&parsed, "answers: [{subject: pay.charge, path: /charge}]", "");
    ask(&asking, "pay.charge", "{\"amount\":7}");
    UNTIL(asking.done);
    assert_int_equal(asking.result, 0);
    assert_string_equal(asking.body, "{\"amount\":7}");
    assert_string_equal(asking.type, "application/json");
    assert_string_equal(asking.code, "");
    assert_string_equal(world.seen[0].path, "/charge");
    assert_string_equal(world.seen[0].type, "application/json");
    assert_non_null(strstr(world.seen[0].trace, "4bf92f3577b34da6a3ce929d0e0e4736"));
}

static void a_refusal_is_told_with_its_code(void **state)
{
    struct asking asking;
    configure(&parsed, "answers: [{subject: pay.charge, path: /status}]", "");
    world.status = 402;
    ask(&asking, "pay.charge", "");
    UNTIL(asking.done);
    assert_int_equal(asking.result, 0);
    assert_string_equal(asking.code, "402");
    assert_string_equal(asking.body, "said so");
}

static void a_service_that_is_slow_or_breaks_off_is_an_error_too(void **state)
{
    struct asking asking;
    configure(&parsed, "answers: [{subject: pay.charge, path: /hold, timeout: 200ms}]",
              "answers: [{subject: pay.refund, path: /status}]");
    ask(&asking, "pay.charge", "");
    UNTIL(asking.done);
    assert_string_equal(asking.code, "504");
    world.status = 0;
    ask(&asking, "pay.refund", "");
    UNTIL(asking.done);
    assert_string_equal(asking.code, "502");
}

static void every_request_is_answered_once(void **state)
{
    static struct asking askings[300];
    configure(&parsed, "answers: [{subject: 'pay.*', path: /charge}]", "");
    for (int i = 0; i < 100; i++) ask(&askings[i], "pay.charge", "x");
    for (int i = 0; i < 100; i++) UNTIL(askings[i].done);
    assert_int_equal(world.seen_count, 100);
}

static void nobody_waits_for_what_was_only_published(void **state)
{
    configure(&parsed, "answers: [{subject: pay.charge, path: /charge}]", "");
    publish("pay.charge", "", "x");
    UNTIL(world.seen_count == 1);
    turn_for(50);
}

static void path_changes_and_the_end(void **state)
{
    struct asking asking;
    struct parsed before = {0}, middle = {0};
    configure(&before, "answers: [{subject: pay.charge, path: /one}]", "");
    ask(&asking, "pay.charge", "x");
    UNTIL(asking.done);
    configure(&middle, "answers: [{subject: pay.charge, path: /two}]", "");
    parsed_release(&before);
    ask(&asking, "pay.charge", "x");
    UNTIL(asking.done);
    assert_string_equal(world.seen[1].path, "/two");
    configure(&parsed, "answers: [{subject: pay.charge, path: /hold}]", "");
    parsed_release(&middle);
    ask(&asking, "pay.charge", "x");
    UNTIL(world.seen_count == 3);
    struct parsed last = {0};
    configure(&last, "", ""); /* with one under way */
    parsed_release(&parsed);
    parsed = last;
    struct asking late;
    ask(&late, "pay.charge", "x");
    UNTIL(late.done);
    assert_int_equal(late.result, ERR_UNAVAILABLE);
    UNTIL(asking.done);
    assert_int_equal(asking.result, ERR_TIMEOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_responses_body_is_the_reply),
        TEST(a_refusal_is_told_with_its_code),
        TEST(a_service_that_is_slow_or_breaks_off_is_an_error_too),
        TEST(every_request_is_answered_once),
        TEST(nobody_waits_for_what_was_only_published),
        TEST(path_changes_and_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
