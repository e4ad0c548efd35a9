#include "fake_parent.h"

static size_t alive(const char *prefix)
{
    size_t found = 0;
    for (size_t i = 0; i < world.child_count; i++)
        found +=
            world.children[i].pid && strncmp(world.children[i].id, prefix, strlen(prefix)) == 0;
    return found;
}

/* Where in the story this stands; it must. */
static size_t place(const char *part)
{
    const char *at = strstr(world.story, part);
    if (!at) fail_msg("no \"%s\" in: %s", part, world.story);
    return (size_t)(at - world.story);
}

static void has_not(const char *part)
{
    if (strstr(world.story, part)) fail_msg("\"%s\" in: %s", part, world.story);
}

static const char *health_of(const char *id)
{
    const struct instance *instance = registry_find(world.registry, bytes_str(id));
    return instance ? instance_health_name(instance->health) : "none";
}

static struct service_status status_of(size_t index)
{
    struct service_status status;
    supervisor_service_status(world.supervisor, index, &status);
    return status;
}

static void first_deployment_starts_everything(void **state)
{
    assert_int_equal(APPLY({"a", "1.0.0", "well", 2}, {"b", "1.0.0", "well", 1}), 0);
    assert_true(supervisor_busy(world.supervisor));
    assert_int_equal(world.accepted, 1); /* at once: there is nothing to keep */
    UNTIL(world.applied);
    assert_int_equal(world.result, 0);
    assert_int_equal(alive(""), 3);
    UNTIL(strcmp(health_of("b-1-0"), "up") == 0);
    assert_string_equal(health_of("a-1-0"), "up");
    assert_string_equal(health_of("a-1-1"), "up");
    assert_int_equal(registry_find(world.registry, BYTES("a-1-1"))->addr.port,
                     world.children[1].port);
    assert_int_equal(status_of(0).up, 2);
    assert_int_equal(status_of(0).wanted, 2);
    assert_string_equal(status_of(0).health, "up");
}

static void scale_goes_up_and_down_without_touching_the_others(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    int pid = world.children[0].pid;
    APPLY({"a", "1.0.0", "well", 3});
    UNTIL(world.applied);
    assert_int_equal(world.result, 0);
    assert_int_equal(alive("a"), 3);
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied && alive("a") == 1);
    assert_int_equal(world.children[0].pid, pid);
    has_not("a-1-0");
    UNTIL(strcmp(health_of("a-1-2"), "none") == 0);
}

static void a_new_version_is_healthy_before_the_old_one_goes(void **state)
{
    APPLY({"a", "1.0.0", "well", 1}, {"b", "1.0.0", "well", 1});
    UNTIL(world.applied);
    world.accepted = 0;
    APPLY({"a", "1.0.1", "well", 1}, {"b", "1.0.0", "well", 1});
    assert_int_equal(world.accepted, 0);
    UNTIL(world.applied && alive("") == 2);
    assert_int_equal(world.accepted, 1);
    assert_true(place("a-2-0 starts") < place("accepted"));
    assert_true(place("accepted") < place("done"));
    assert_true(place("accepted") < place("drain"));
    assert_true(place("drain") < place("a-1-0 gets TERM"));
    has_not("b-");
    UNTIL(strcmp(health_of("a-1-0"), "none") == 0);
    assert_string_equal(health_of("a-2-0"), "up");
}

/* Requests must not go to a process that is told to end. */
static void what_leaves_is_draining_in_the_registry_before_it_is_waited_for(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    world.hold_drains = true;
    APPLY({"a", "1.0.1", "well", 1});
    UNTIL(world.applied);
    assert_string_not_equal(health_of("a-1-0"), "draining"); /* not on the disk yet */
    has_not("drain;");
    UNTIL(strstr(world.story, "drain;"));
    assert_string_equal(health_of("a-1-0"), "draining");
    assert_int_equal(world.drain.port, world.children[0].port);
    turn_for(100);
    has_not("TERM"); /* as long as something is in flight */
    world.drain.done(world.drain.context);
    UNTIL(alive("a-1") == 0);
    place("a-1-0 gets TERM");
}

static const char own_store[] = "stores: [a.db]\n";

static void stores_that_are_not_shared_are_handed_over(void **state)
{
    APPLY({"a", "1.0.0", "well", 1, own_store}, {"b", "1.0.0", "well", 1});
    UNTIL(world.applied);
    APPLY({"a", "1.0.1", "well", 1, own_store}, {"b", "1.0.1", "well", 1});
    UNTIL(world.applied && alive("") == 2);
    assert_int_equal(world.result, 0);
    /* What shares nothing is there first; then one ends, and only then the other starts. */
    assert_true(place("b-2-0 starts") < place("a-1-0 gets TERM"));
    assert_true(place("a-1-0 ends") < place("a-2-0 starts"));
    assert_true(place("a-2-0 starts") < place("accepted"));
    UNTIL(strcmp(health_of("a-2-0"), "up") == 0);
}

static void a_new_version_that_fails_gives_the_stores_back(void **state)
{
    APPLY({"a", "1.0.0", "well", 1, own_store});
    UNTIL(world.applied);
    world.accepted = 0;
    APPLY({"a", "1.0.1", "dead", 1, own_store});
    UNTIL(world.applied);
    assert_int_equal(world.result, ERR_UNAVAILABLE);
    assert_int_equal(world.accepted, 0);
    UNTIL(alive("a-1-0") == 1 && alive("") == 1);
    assert_true(place("a-2-0 ends") < place("a-1-0 starts"));
    UNTIL(status_of(0).up == 1);
}

static void stopping_ends_what_is_held_for_stores(void **state)
{
    APPLY({"a", "1.0.0", "well", 1, own_store});
    UNTIL(world.applied);
    APPLY({"a", "1.0.1", "well", 1, own_store}, {"b", "1.0.0", "deaf", 1});
    turn_for(50); /* b is never healthy, so a is never handed over */
    has_not("a-2-0 starts");
    supervisor_stop(world.supervisor);
    UNTIL(world.stopped);
    assert_int_equal(alive(""), 0);
}

static void what_ends_while_it_drains_is_not_started_again(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    world.hold_drains = true;
    APPLY({"a", "1.0.1", "well", 1});
    UNTIL(strstr(world.story, "drain;"));
    child_end(child_of("a-1-0"), 0);
    turn_for(400);
    has_not("a-1-0 starts");
    place("drain cancelled");
    assert_string_equal(health_of("a-1-0"), "none");
}

static void a_version_that_keeps_ending_is_taken_back(void **state)
{
    APPLY({"a", "1.0.0", "well", 2});
    UNTIL(world.applied);
    world.accepted = 0;
    APPLY({"a", "1.0.1", "dead", 3}, {"b", "1.0.0", "well", 1});
    UNTIL(world.applied);
    assert_int_equal(world.result, ERR_UNAVAILABLE);
    assert_non_null(strstr(world.error.message, "ended 5 times in a row: exited with status 1"));
    assert_non_null(strstr(world.error.remedy, "dure logs a"));
    assert_int_equal(world.accepted, 0);
    UNTIL(alive("b") == 0);
    assert_int_equal(alive("a-1"), 2);
    has_not("a-1-");
    assert_false(supervisor_busy(world.supervisor));
    /* and the next one has its chance */
    APPLY({"a", "1.0.2", "well", 1});
    UNTIL(world.applied);
    assert_int_equal(world.result, 0);
    UNTIL(alive("") == 1);
}

static void a_program_that_is_missing_says_so(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    APPLY({"a", "1.0.1", "missing", 1});
    UNTIL(world.applied);
    assert_int_equal(world.result, ERR_UNAVAILABLE);
    assert_non_null(strstr(world.error.message, "no such program"));
    assert_int_equal(alive("a-1"), 1);
}

static void a_first_deployment_that_fails_goes_on_trying(void **state)
{
    APPLY({"a", "1.0.0", "dead", 1});
    UNTIL(world.child_count >= 3);
    assert_int_equal(world.applied, 0);
    assert_int_equal(status_of(0).up, 0);
    assert_true(status_of(0).restarts >= 2);
    assert_string_equal(status_of(0).reason, "exited with status 1");
    supervisor_stop(world.supervisor);
    UNTIL(world.stopped);
    place("failed");
}

static void a_deployment_under_way_comes_to_its_end_first(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    struct wish wish = {"a", "1.0.1", "well", 1};
    struct deployment *deployment = make_deployment(&wish, 1);
    assert_int_equal(supervisor_apply(world.supervisor, deployment, applied, NULL), ERR_FULL);
    deployment_unref(deployment);
    UNTIL(world.applied);
    assert_int_equal(world.result, 0);
    assert_int_equal(world.applied, 1);
}

static void what_dies_is_started_again_with_growing_waits(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    for (int i = 0; i < 3; i++) {
        child_end(child_of("a-1-0"), SIGSEGV);
        UNTIL(status_of(0).up == 0);
        assert_string_equal(status_of(0).reason, "killed by signal 11");
        UNTIL(strcmp(health_of("a-1-0"), "up") != 0);
        UNTIL(status_of(0).up == 1);
    }
    assert_int_equal(status_of(0).restarts, 3);
    UNTIL(strcmp(health_of("a-1-0"), "up") == 0);
    assert_int_equal(registry_find(world.registry, BYTES("a-1-0"))->restarts, 3);
}

static void stopping_ends_all_the_stubborn_by_force(void **state)
{
    APPLY({"a", "1.0.0", "well", 2}, {"b", "1.0.0", "stubborn", 1});
    UNTIL(world.applied);
    supervisor_stop(world.supervisor);
    supervisor_stop(world.supervisor);
    UNTIL(world.stopped);
    assert_int_equal(world.stopped, 1);
    assert_int_equal(alive(""), 0);
    assert_true(place("b-1-0 gets TERM") < place("b-1-0 gets KILL"));
    has_not("a-1-0 gets KILL");
    assert_int_equal(APPLY({"a", "1.0.0", "well", 1}), ERR_CLOSED);
}

static void stopping_while_everything_waits_to_start_again_ends(void **state)
{
    APPLY({"a", "1.0.0", "dead", 1}, {"b", "1.0.0", "missing", 1});
    UNTIL(strstr(world.story, "a-1-0 ends") && strstr(world.story, "b-1-0 starts"));
    turn_for(30); /* both are in their back-off now */
    supervisor_stop(world.supervisor);
    UNTIL(world.stopped);
}

static void stopping_in_a_deployment_cancels_it(void **state)
{
    APPLY({"a", "1.0.0", "well", 1});
    UNTIL(world.applied);
    APPLY({"a", "1.0.1", "deaf", 1});
    UNTIL(alive("a-2"));
    supervisor_stop(world.supervisor);
    assert_int_equal(world.applied, 1);
    assert_int_equal(world.result, ERR_CANCELLED);
    UNTIL(world.stopped);
    assert_int_equal(alive(""), 0);
}

/* A worker died; the next one gets the list of what lives. */
static json_t *hello_of_the_living(void)
{
    json_t *children = json_array();
    for (size_t i = 0; i < world.child_count; i++) {
        const struct fake_child *child = &world.children[i];
        if (child->pid)
            json_array_append_new(children, json_pack("{s:s, s:i, s:O}", "id", child->id, "pid",
                                                      child->pid, "tag", child->tag));
    }
    return json_pack("{s:o}", "children", children);
}

static void the_living_are_taken_over_and_strangers_killed(void **state)
{
    APPLY({"a", "1.0.0", "well", 2}, {"b", "1.0.0", "well", 1}, {"c", "1.0.0", "well", 1});
    UNTIL(world.applied);
    UNTIL(strcmp(health_of("c-1-0"), "up") == 0 && strcmp(health_of("b-1-0"), "up") == 0);
    int pid = child_of("a-1-0")->pid;
    uint16_t port = child_of("a-1-0")->port;
    supervisor_free(world.supervisor);
    world.supervisor = make_supervisor();
    world.accepted = 0;
    child_of("a-1-1")->pid = 0; /* this one has died in the meantime */
    /* b is as it was; of a one process is enough; c has another version. */
    const struct wish wishes[] = {
        {"b", "1.0.0", "well", 1}, {"a", "1.0.0", "well", 2}, {"c", "1.0.1", "well", 1}};
    struct deployment *deployment = make_deployment(wishes, 3);
    json_t *hello = hello_of_the_living();
    world.story[0] = 0;
    supervisor_adopt(world.supervisor, deployment, hello);
    json_decref(hello);
    assert_int_equal(world.accepted, 1); /* the data plane goes on at once */
    assert_string_equal(health_of("a-1-0"), "up");
    world.applied = 0;
    supervisor_apply(world.supervisor, deployment, applied, NULL);
    deployment_unref(deployment);
    UNTIL(world.applied && alive("c-1") == 0);
    assert_int_equal(world.result, 0);
    assert_int_equal(child_of("a-1-0")->pid, pid);
    assert_int_equal(registry_find(world.registry, BYTES("a-1-0"))->addr.port, port);
    place("c-1-0 gets KILL");
    has_not("a-1-0 starts");
    has_not("b-1-0 starts");
    place("a-1-1 starts");
    place("c-2-0 starts");
    UNTIL(strcmp(health_of("c-1-0"), "none") == 0);
    /* Taken over is owned: it stops, and is started again when it dies. */
    child_end(child_of("b-1-0"), 0);
    UNTIL(strstr(world.story, "b-1-0 starts"));
    supervisor_stop(world.supervisor);
    UNTIL(world.stopped);
    assert_int_equal(alive(""), 0);
}

static void a_tag_that_is_garbage_is_a_strangers(void **state)
{
    static const char *const tags[] = {
        "null",
        "{}",
        "[1]",
        "{\"host\":7}",
        "{\"host\":\"a\",\"index\":0,\"generation\":1,\"fingerprint\":\"0\",\"ports\":{}}",
        "{\"host\":\"a\",\"index\":-1,\"generation\":-1,\"fingerprint\":\"zz\",\"ports\":7}",
    };
    const struct wish wish = {"a", "1.0.0", "well", 1};
    struct deployment *deployment = make_deployment(&wish, 1);
    json_t *children = json_array();
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        json_array_append_new(children, json_pack("{s:s, s:i, s:o}", "id", "x", "pid", 4, "tag",
                                                  json_loads(tags[i], JSON_DECODE_ANY, NULL)));
    json_array_append_new(children, json_object());
    json_t *hello = json_pack("{s:o}", "children", children);
    supervisor_adopt(world.supervisor, deployment, hello);
    json_decref(hello);
    assert_int_equal(world.accepted, 0);
    supervisor_apply(world.supervisor, deployment, applied, NULL);
    deployment_unref(deployment);
    UNTIL(world.applied);
    assert_int_equal(world.result, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_deployment_starts_everything),
        TEST(scale_goes_up_and_down_without_touching_the_others),
        TEST(a_new_version_is_healthy_before_the_old_one_goes),
        TEST(what_leaves_is_draining_in_the_registry_before_it_is_waited_for),
        TEST(stores_that_are_not_shared_are_handed_over),
        TEST(a_new_version_that_fails_gives_the_stores_back),
        TEST(stopping_ends_what_is_held_for_stores),
        TEST(what_ends_while_it_drains_is_not_started_again),
        TEST(a_version_that_keeps_ending_is_taken_back),
        TEST(a_program_that_is_missing_says_so),
        TEST(a_first_deployment_that_fails_goes_on_trying),
        TEST(a_deployment_under_way_comes_to_its_end_first),
        TEST(what_dies_is_started_again_with_growing_waits),
        TEST(stopping_ends_all_the_stubborn_by_force),
        TEST(stopping_while_everything_waits_to_start_again_ends),
        TEST(stopping_in_a_deployment_cancels_it),
        TEST(the_living_are_taken_over_and_strangers_killed),
        TEST(a_tag_that_is_garbage_is_a_strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
