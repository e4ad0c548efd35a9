#include "harness.h"

static struct parsed parsed[8];
static size_t parsed_count;

static int setup(void **state)
{
    parsed_count = 0;
    return world_setup(state);
}

static int teardown(void **state)
{
    int err = world_teardown(state);
    for (size_t i = 0; i < parsed_count; i++) parsed_release(&parsed[i]);
    return err;
}

static void make(const char *shop, const char *other)
{
    configure(&parsed[parsed_count++], shop, other);
}

static void make_now(const char *shop, const char *other)
{
    begin_parsing(&parsed[parsed_count++], shop, other);
}

/* Until so many deliveries have come and are settled: one under way comes again after a change. */
static void settle(size_t count)
{
    UNTIL(world.seen_count == count);
    turn_for(100);
    assert_int_equal(world.seen_count, count);
}

/* What the stream captures, in order, divided by spaces. */
static const char *subjects(void)
{
    static char text[4096];
    struct stream *stream = streams_find(world.streams, BYTES(BRIDGE_STREAM));
    text[0] = 0;
    if (!stream) return text;
    const struct stream_config *config = stream_config(stream);
    for (size_t i = 0; i < config->subject_count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", config->subjects[i]);
    }
    return text;
}

static void without_durable_subjects_there_is_no_stream(void **state)
{
    make("answers: [{subject: a.b, path: /x}]", "");
    assert_string_equal(subjects(), "");
}

static void the_stream_captures_what_covers_all(void **state)
{
    make("publishes: [order.placed, order.paid, bill.sent]",
         "subscribes: [{subject: 'order.*', path: /x}, {subject: 'ship.>', path: /y}]");
    assert_string_equal(subjects(), "bill.sent order.* ship.>");
}

/* Two patterns that have some subjects in common, and neither within the other. */
static void patterns_may_cross(void **state)
{
    make("subscribes: [{subject: 'order.*', path: /a}]",
         "subscribes: [{subject: '*.placed', path: /b}]");
    publish("order.placed", "", "both");
    publish("order.paid", "", "one");
    publish("cart.placed", "", "one");
    UNTIL(world.seen_count == 4);
    assert_int_equal(stored(BRIDGE_STREAM), 3); /* each is stored once */
    turn_for(200);
    assert_int_equal(world.seen_count, 4);
}

static void again_and_again(void **state)
{
    make("subscribes: [{subject: 'a.*', path: /a}]", "");
    publish("a.1", "", "1");
    settle(1);
    make("subscribes: [{subject: 'a.*', path: /a}]", "subscribes: [{subject: b.x, path: /b}]");
    UNTIL(strcmp(subjects(), "a.* b.x") == 0);
    publish("b.x", "", "2");
    publish("a.2", "", "3");
    settle(3);
    make("", "subscribes: [{subject: b.x, path: /b}]");
    UNTIL(strcmp(subjects(), "b.x") == 0);
    publish("a.3", "", "not stored");
    publish("b.x", "", "4");
    settle(4);
    assert_int_equal(stored(BRIDGE_STREAM), 4);
    make("", "");
    publish("b.x", "", "5"); /* still stored: for when it is wanted again */
    turn_for(200);
    assert_int_equal(world.seen_count, 4);
    make("subscribes: [{subject: 'a.*', path: /a}]", "subscribes: [{subject: b.x, path: /b}]");
    settle(5);
    assert_string_equal(world.seen[4].body, "5"); /* and nothing that was taken before */
    turn_for(200);
    assert_int_equal(world.seen_count, 5);
}

/* Changes that come faster than the disk: what was in the way is waited for. */
static void gone_and_back_within_a_turn(void **state)
{
    make("subscribes: [{subject: 'a.*', path: /a}]", "");
    publish("a.1", "", "1");
    settle(1);
    make_now("", "publishes: [c.c]");
    make_now("subscribes: [{subject: 'a.*', path: /a2}]", "publishes: [d.d]");
    UNTIL(strcmp(subjects(), "a.* d.d") == 0);
    publish("a.2", "", "2");
    settle(2);
    assert_string_equal(world.seen[1].path, "/a2");
    turn_for(200);
    assert_int_equal(world.seen_count, 2);
}

static void count_settled(void *context)
{
    ++*(int *)context;
}

static void it_is_settled_when_all_is_in_force(void **state)
{
    int settled = 0;
    make("subscribes: [{subject: 'a.*', path: /a}]", "");
    bridge_when_settled(world.bridge, count_settled, &settled);
    UNTIL(settled == 1);
    make_now("", "publishes: [c.c]");
    make_now("subscribes: [{subject: 'a.*', path: /a2}]", "publishes: [d.d]");
    bridge_when_settled(world.bridge, count_settled, &settled);
    assert_int_equal(settled, 1);
    UNTIL(settled == 2);
    assert_string_equal(subjects(), "a.* d.d");
    turn_for(50);
    assert_int_equal(settled, 2);
}

static void closed_in_the_midst_of_changes(void **state)
{
    make("subscribes: [{subject: 'a.*', path: /hold}]", "");
    publish("a.1", "", "1");
    UNTIL(world.held);
    make("", "publishes: [c.c]");
    make("subscribes: [{subject: 'a.*', path: /a2}]", "publishes: [d.d]");
    /* teardown closes it now */
}

static void too_many_subjects_are_told(void **state)
{
    char shop[16384] = "publishes: [";
    for (int i = 0; i < BRIDGE_SUBJECTS_MAX + 1; i++) {
        size_t len = strlen(shop);
        snprintf(shop + len, sizeof shop - len, "%ss.n%d", i ? ", " : "", i);
    }
    snprintf(shop + strlen(shop), 8, "]");
    parse(&parsed[parsed_count++], shop, "");
    bridge_configure(world.bridge, &parsed[0].manifest);
    assert_non_null(strstr(world.complaint, "more than 512"));
    world.complaint[0] = '\0';
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_durable_subjects_there_is_no_stream),
        TEST(the_stream_captures_what_covers_all),
        TEST(patterns_may_cross),
        TEST(again_and_again),
        TEST(gone_and_back_within_a_turn),
        TEST(it_is_settled_when_all_is_in_force),
        TEST(closed_in_the_midst_of_changes),
        TEST(too_many_subjects_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
