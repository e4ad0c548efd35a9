/* Calls against a road that is the service itself, so that connections can be watched. */
#include "harness.h"

struct outcome {
    int done, result, status;
    size_t len;
    char type[64], body[64];
};

static struct callers callers;

static void call_ended(void *context, int result, int status, struct bytes type, struct bytes body)
{
    struct outcome *outcome = context;
    outcome->done++;
    outcome->result = result;
    outcome->status = status;
    outcome->len = body.len;
    copy(outcome->type, sizeof outcome->type, type);
    copy(outcome->body, sizeof outcome->body, bytes_head(body, 63));
}

static struct call *begin(struct outcome *outcome, const char *path, const char *body)
{
    struct call *call = NULL;
    struct call_request request = {
        .service = BYTES(""), .path = bytes_str(path), .body = bytes_str(body), .timeout_ms = 1000};
    request.fields[request.field_count++] =
        (struct call_field){BYTES("Content-Type"), BYTES("text/plain")};
    *outcome = (struct outcome){0};
    assert_int_equal(call_start(&callers, &request, call_ended, outcome, &call), 0);
    return call;
}

static int setup(void **state)
{
    int err = world_setup(state);
    callers_init(&callers, &world.http, http_server_addr(world.service));
    return err;
}

static int teardown(void **state)
{
    callers_release(&callers);
    return world_teardown(state);
}

/* The target is "/", the name of the service (none here), and the path. */
#define OK "ok"

static void an_answer_comes_whole_and_the_connection_is_kept(void **state)
{
    struct outcome outcome;
    for (int i = 0; i < 5; i++) {
        begin(&outcome, OK, "hello");
        assert_int_equal(outcome.done, 0);
        UNTIL(outcome.done);
        assert_int_equal(outcome.result, 0);
        assert_int_equal(outcome.status, 200);
        assert_string_equal(outcome.type, "application/json");
        assert_string_equal(outcome.body, "hello");
        assert_int_equal(callers.idle_count, 1);
    }
    assert_int_equal(world.http.metrics.client_connects, 1);
    assert_string_equal(world.seen[0].type, "text/plain");
}

static void as_many_connections_as_calls_at_once(void **state)
{
    struct outcome outcomes[CALLERS_IDLE_MAX + 10];
    size_t count = sizeof outcomes / sizeof *outcomes;
    for (size_t i = 0; i < count; i++) begin(&outcomes[i], OK, "");
    for (size_t i = 0; i < count; i++) {
        UNTIL(outcomes[i].done);
        assert_int_equal(outcomes[i].status, 200);
    }
    turn_for(50);
    assert_in_range(callers.idle_count, 1, CALLERS_IDLE_MAX);
    assert_int_equal(world.http.metrics.client_connections, callers.idle_count);
}

/* A call begun from within the end of another one uses its connection. */
static void chained(void *context, int result, int status, struct bytes type, struct bytes body)
{
    struct outcome *outcome = context;
    assert_int_equal(result, 0);
    if (++outcome->done == 3) return;
    static struct call *call;
    struct call_request request = {.service = BYTES(""), .path = BYTES(OK), .timeout_ms = 1000};
    assert_int_equal(call_start(&callers, &request, chained, outcome, &call), 0);
}

static void a_call_may_begin_where_another_ends(void **state)
{
    struct outcome outcome = {0};
    struct call *call;
    struct call_request request = {.service = BYTES(""), .path = BYTES(OK), .timeout_ms = 1000};
    assert_int_equal(call_start(&callers, &request, chained, &outcome, &call), 0);
    UNTIL(outcome.done == 3);
    assert_int_equal(world.http.metrics.client_connects, 1);
}

static void a_connection_that_the_peer_closed_is_not_used_again(void **state)
{
    struct outcome outcome;
    struct io_addr addr = *http_server_addr(world.service);
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    close_service();
    UNTIL(callers.idle_count == 0); /* noticed while it was idle */
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, ERR_REFUSED);
    struct http_server_options options = {.request = request, .eof_ends = true};
    assert_int_equal(http_server_open(&world.http, &addr, &options, &world.service), 0);
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.status, 200);
}

/* Closed at the moment when it is used again: the call is made on another connection. */
static void a_connection_that_dies_under_a_new_call_costs_nothing(void **state)
{
    struct outcome outcome;
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    http_server_close(world.service, 0, service_closed);
    open_service();
    callers.road = *http_server_addr(world.service);
    begin(&outcome, OK, "again"); /* the end of the idle one has not been seen yet */
    assert_int_equal(callers.idle_count, 0);
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, 0);
    assert_string_equal(outcome.body, "again");
    UNTIL(world.service_gone);
}

static void no_answer_in_time_ends_it(void **state)
{
    struct outcome outcome;
    uint64_t before = io_now_ns(world.io);
    begin(&outcome, "hold", "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, ERR_TIMEOUT);
    assert_int_equal(outcome.status, 0);
    assert_in_range((io_now_ns(world.io) - before) / 1000000, 990, 1500);
    UNTIL(!world.held); /* the service learns that nobody waits */
    assert_int_equal(callers.idle_count, 0);
}

static void an_answer_has_a_limit(void **state)
{
    struct outcome outcome;
    begin(&outcome, "big", "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, 0);
    assert_int_equal(outcome.len, CALL_ANSWER_MAX);
    begin(&outcome, "too-big", "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, ERR_TOO_BIG);
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.status, 200);
}

static void a_connection_broken_off_is_an_error(void **state)
{
    struct outcome outcome;
    world.status = 0;
    begin(&outcome, "status", "");
    UNTIL(outcome.done);
    assert_true(outcome.result == ERR_EOF || outcome.result == ERR_RESET);
    assert_int_equal(world.seen_count, 1); /* on a fresh connection it is not tried again */
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    char path[2048];
    struct outcome outcome;
    memset(path, 'p', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    begin(&outcome, path, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, ERR_TOO_BIG);
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.status, 200);
    begin(&outcome, path, ""); /* on a connection that is there already */
    UNTIL(outcome.done);
    assert_int_equal(outcome.result, ERR_TOO_BIG);
}

static void cancelled_at_any_stage_nothing_comes(void **state)
{
    for (int turns = 0; turns < 40; turns++) {
        struct outcome outcome;
        const char *path = turns % 2 ? "hold" : "big";
        struct call *call = begin(&outcome, path, "x");
        for (int i = 0; i < turns / 2 && !outcome.done; i++) io_turn(world.io, 1);
        if (outcome.done) continue;
        call_cancel(call);
        turn_for(10);
        assert_int_equal(outcome.done, 0);
    }
    call_cancel(NULL);
    struct outcome outcome;
    begin(&outcome, OK, "");
    UNTIL(outcome.done);
    assert_int_equal(outcome.status, 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_comes_whole_and_the_connection_is_kept),
        TEST(as_many_connections_as_calls_at_once),
        TEST(a_call_may_begin_where_another_ends),
        TEST(a_connection_that_the_peer_closed_is_not_used_again),
        TEST(a_connection_that_dies_under_a_new_call_costs_nothing),
        TEST(no_answer_in_time_ends_it),
        TEST(an_answer_has_a_limit),
        TEST(a_connection_broken_off_is_an_error),
        TEST(a_path_that_does_not_fit_is_refused),
        TEST(cancelled_at_any_stage_nothing_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
