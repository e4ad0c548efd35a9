#include "harness.h"

#define HOOK "subscribes: [{subject: 'thing.*', path: /status, attempts: 3, timeout: 1s}]"

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

static int look(void *context, const struct stream_message *message)
{
    struct bytes reason = BYTES("");
    nats_headers_get(message->message.headers, BYTES("Dure-Dead-Reason"), &reason);
    snprintf(context, 64, "%.*s", BYTES_ARG(reason));
    return 0;
}

/* Why the one dead letter is dead. */
static const char *dead_reason(void)
{
    static char reason[64];
    UNTIL(stored("DEAD") == 1);
    stream_each(streams_find(world.streams, BYTES("DEAD")), look, reason);
    return reason;
}

static void an_event_that_is_taken_comes_once(void **state)
{
    configure(&parsed, HOOK, "");
    publish("thing.made",
            "NATS/1.0\r\nNats-Msg-Id: m1\r\nContent-Type: text/css\r\n"
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
            "{\"x\":1}");
    UNTIL(world.seen_count == 1);
    const struct seen *seen = &world.seen[0];
    assert_string_equal(seen->body, "{\"x\":1}");
    assert_string_equal(seen->id, "m1");
    assert_string_equal(seen->attempt, "1");
    assert_string_equal(seen->subject, "thing.made");
    assert_string_equal(seen->type, "text/css");
    assert_non_null(strstr(seen->trace, "4bf92f3577b34da6a3ce929d0e0e4736"));
    turn_for(500);
    assert_int_equal(world.seen_count, 1);
}

static void what_says_nothing_of_itself_is_described(void **state)
{
    configure(&parsed, HOOK, "");
    publish("thing.a", "", " {\"json\":true}");
    publish("thing.b", "", "\x01\x02");
    UNTIL(world.seen_count == 2);
    int a = strcmp(world.seen[0].subject, "thing.a") == 0 ? 0 : 1;
    assert_string_equal(world.seen[a].type, "application/json");
    assert_string_equal(world.seen[!a].type, "application/octet-stream");
    assert_string_equal(world.seen[a].id, "1"); /* its place in the stream */
    assert_string_equal(world.seen[!a].id, "2");
}

static void what_is_refused_comes_again_after_a_growing_wait_then_is_dead(void **state)
{
    configure(&parsed, HOOK, "");
    world.status = 500;
    publish("thing.made", "", "x");
    UNTIL(world.seen_count == 3);
    assert_in_range(world.seen[1].at_ms - world.seen[0].at_ms, 190, 600);
    assert_in_range(world.seen[2].at_ms - world.seen[1].at_ms, 950, 1600);
    assert_string_equal(world.seen[2].attempt, "3");
    assert_string_equal(world.seen[2].id, world.seen[0].id);
    assert_string_equal(dead_reason(), "max_deliver");
    turn_for(300);
    assert_int_equal(world.seen_count, 3);
}

static void broken_off_and_unanswered_deliveries_count_as_refused(void **state)
{
    configure(&parsed, HOOK, "");
    world.status = 0;
    publish("thing.made", "", "x");
    /* The road itself may try again at once: the event says with its id that it bears that. */
    UNTIL(world.seen_count && strcmp(world.seen[world.seen_count - 1].attempt, "2") == 0);
    world.status = 200;
    size_t before = world.seen_count;
    UNTIL(world.seen_count > before);
    turn_for(100);
    before = world.seen_count;
    turn_for(1500);
    assert_int_equal(world.seen_count, before);
    assert_int_equal(stored("DEAD"), 0);
}

static void a_service_that_is_away_gets_it_when_it_is_back(void **state)
{
    close_service();
    configure(&parsed, HOOK, "");
    publish("thing.made", "", "x");
    turn_for(300);
    open_service();
    open_road();
    UNTIL(world.seen_count == 1);
    turn_for(300);
    assert_int_equal(world.seen_count, 1);
}

static void path_and_attempts_change_under_way(void **state)
{
    struct parsed before = {0};
    configure(&before, "subscribes: [{subject: 'thing.*', path: /status, attempts: 2}]", "");
    world.status = 500;
    publish("thing.made", "", "x");
    UNTIL(world.seen_count == 1);
    configure(&parsed, "subscribes: [{subject: 'thing.*', path: /elsewhere, attempts: 9}]", "");
    parsed_release(&before);
    UNTIL(world.seen_count == 2);
    assert_string_equal(world.seen[1].path, "/elsewhere");
    assert_string_equal(world.seen[1].attempt, "2");
    assert_string_equal(world.seen[1].id, world.seen[0].id);
}

/* The end of this program: what was settled does not come again, all else does. */
static void a_restart_delivers_what_was_not_settled(void **state)
{
    struct parsed before = {0};
    configure(&before, HOOK, "");
    publish("thing.taken", "", "1");
    UNTIL(world.seen_count == 1);
    turn_for(100); /* to the disk */
    parsed_release(&before);
    before = (struct parsed){0};
    configure(&before, "subscribes: [{subject: 'thing.*', path: /hold}]", "");
    publish("thing.held", "", "2");
    UNTIL(world.seen_count == 2);
    close_bus(); /* with the delivery under way */
    parsed_release(&before);
    open_bus();
    turn_for(200);
    assert_int_equal(world.seen_count, 2); /* nothing is delivered before it is asked for */
    configure(&parsed, HOOK, "");
    UNTIL(world.seen_count == 3);
    assert_string_equal(world.seen[2].subject, "thing.held");
    turn_for(300);
    assert_int_equal(world.seen_count, 3);
}

static void many_events_come_all_each_once(void **state)
{
    configure(&parsed, HOOK, "");
    for (int i = 0; i < 200; i++) publish("thing.made", "", "x");
    UNTIL(world.seen_count == 200);
    turn_for(300);
    assert_int_equal(world.seen_count, 200);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_that_is_taken_comes_once),
        TEST(what_says_nothing_of_itself_is_described),
        TEST(what_is_refused_comes_again_after_a_growing_wait_then_is_dead),
        TEST(broken_off_and_unanswered_deliveries_count_as_refused),
        TEST(a_service_that_is_away_gets_it_when_it_is_back),
        TEST(path_and_attempts_change_under_way),
        TEST(a_restart_delivers_what_was_not_settled),
        TEST(many_events_come_all_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
