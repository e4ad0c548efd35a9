#include "registry/registry.h"

#include "stream/kv.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { TOLD_MAX = 64 };

/* A registry on a disk, and what its watch was told. */
struct world {
    struct temp_dir dir;
    struct io *io;
    struct streams *streams;
    struct messaging *messaging;
    struct registry *registry;
    struct registry_watch watch;
    char told[TOLD_MAX][200]; /* "id before->after" */
    size_t told_count;
    bool closed, opened;
};

static struct world world;

static const char *health_of(const struct instance *instance)
{
    return instance ? instance_health_name(instance->health) : "-";
}

static void changed(struct registry_watch *watch, const struct instance *before,
                    const struct instance *after)
{
    assert_true(world.told_count < TOLD_MAX);
    const struct instance *either = after ? after : before;
    /* The projection is what the watch is told. */
    assert_ptr_equal(registry_find(world.registry, bytes_str(either->id)), after);
    snprintf(world.told[world.told_count++], sizeof *world.told, "%s %s->%s", either->id,
             health_of(before), health_of(after));
}

static void registry_opened(void *context)
{
    world.opened = true;
}

static void open_world(void)
{
    char store[96];
    struct error error = {0};
    snprintf(store, sizeof store, "%s/store", world.dir.path);
    struct streams_options options = {.dir = store};
    assert_int_equal(io_new(NULL, &world.io), 0);
    assert_int_equal(streams_open(world.io, NULL, &options, &world.streams, &error), 0);
    assert_int_equal(messaging_embed(world.io, NULL, world.streams, &world.messaging), 0);
    world.opened = false;
    assert_int_equal(
        registry_open(world.messaging, NULL, registry_opened, NULL, &world.registry, &error), 0);
    for (int i = 0; i < 1000 && !world.opened; i++) io_turn(world.io, 10);
    assert_true(world.opened);
    registry_watch(world.registry, &world.watch, changed);
    world.told_count = 0;
    world.closed = false;
}

static void streams_closed(void *context)
{
    world.closed = true;
}

static void close_world(void)
{
    registry_close(world.registry);
    messaging_close(world.messaging, NULL, NULL);
    streams_close(world.streams, streams_closed, NULL);
    for (int i = 0; i < 1000 && !world.closed; i++) io_turn(world.io, 10);
    assert_true(world.closed);
    io_free(world.io);
}

static int setup(void **state)
{
    temp_dir_make(&world.dir);
    open_world();
    return 0;
}

static int teardown(void **state)
{
    close_world();
    temp_dir_remove(&world.dir);
    return 0;
}

static void turn_until_told(size_t count)
{
    for (int i = 0; i < 1000 && world.told_count < count; i++) io_turn(world.io, 10);
    assert_int_equal(world.told_count, count);
}

static void turn_a_while(void)
{
    for (int i = 0; i < 10; i++) io_turn(world.io, 5);
}

static struct instance make(const char *id, enum instance_health health)
{
    struct instance instance = {.service = "s", .version = "1.0.0", .process = "s", .pid = 9};
    snprintf(instance.id, sizeof instance.id, "%s", id);
    instance.health = health;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:20000"), &instance.addr), 0);
    return instance;
}

static void put(const char *id, enum instance_health health)
{
    struct instance instance = make(id, health);
    assert_int_equal(registry_put(world.registry, &instance), 0);
}

static void a_change_shows_when_it_is_durable_not_before(void **state)
{
    put("a", INSTANCE_STARTING);
    assert_null(registry_find(world.registry, BYTES("a")));
    assert_int_equal(world.told_count, 0);
    turn_until_told(1);
    assert_string_equal(world.told[0], "a -->starting");
    assert_int_equal(registry_find(world.registry, BYTES("a"))->pid, 9);
}

static void a_watch_sees_every_change_in_order(void **state)
{
    put("a", INSTANCE_STARTING);
    put("b", INSTANCE_STARTING);
    put("a", INSTANCE_UP);
    put("a", INSTANCE_DRAINING);
    assert_int_equal(registry_remove(world.registry, BYTES("a")), 0);
    put("a", INSTANCE_STARTING);
    turn_until_told(6);
    static const char *const expected[] = {"a -->starting",  "b -->starting", "a starting->up",
                                           "a up->draining", "a draining->-", "a -->starting"};
    for (size_t i = 0; i < 6; i++) assert_string_equal(world.told[i], expected[i]);
}

static void the_same_again_is_no_change(void **state)
{
    put("a", INSTANCE_UP);
    turn_until_told(1);
    uint64_t before = stream_state(streams_find(world.streams, BYTES("KV_dure_registry"))).last_seq;
    put("a", INSTANCE_UP);
    assert_int_equal(registry_remove(world.registry, BYTES("nobody")), 0);
    turn_a_while();
    assert_int_equal(world.told_count, 1);
    uint64_t after = stream_state(streams_find(world.streams, BYTES("KV_dure_registry"))).last_seq;
    assert_true(before == after);
    /* There and back is two changes, though the projection is still as it was when asked. */
    put("a", INSTANCE_DOWN);
    put("a", INSTANCE_UP);
    turn_until_told(3);
    assert_string_equal(world.told[2], "a down->up");
}

static void collect(void *context, const struct instance *instance)
{
    char *ids = context;
    snprintf(ids + strlen(ids), 16 - strlen(ids), "%s", instance->id);
}

static void each_goes_in_order_of_the_ids(void **state)
{
    put("c", INSTANCE_UP);
    put("a", INSTANCE_UP);
    put("b", INSTANCE_UP);
    turn_until_told(3);
    char ids[16] = "";
    registry_each(world.registry, collect, ids);
    assert_string_equal(ids, "abc");
}

static void reopening_finds_what_was_and_tells_nothing(void **state)
{
    put("a", INSTANCE_UP);
    put("b", INSTANCE_DOWN);
    put("c", INSTANCE_UP);
    assert_int_equal(registry_remove(world.registry, BYTES("c")), 0);
    turn_until_told(4);
    close_world();
    open_world();
    assert_int_equal(registry_find(world.registry, BYTES("a"))->health, INSTANCE_UP);
    assert_int_equal(registry_find(world.registry, BYTES("b"))->health, INSTANCE_DOWN);
    assert_null(registry_find(world.registry, BYTES("c")));
    turn_a_while();
    assert_int_equal(world.told_count, 0); /* nothing has changed */
}

static void closing_lets_changes_under_way_reach_the_disk(void **state)
{
    put("a", INSTANCE_UP);
    close_world();
    open_world();
    assert_non_null(registry_find(world.registry, BYTES("a")));
}

static void there_is_a_limit_and_what_is_under_way_counts(void **state)
{
    registry_unwatch(&world.watch);
    struct instance instance = make("", INSTANCE_UP);
    for (int i = 0; i < REGISTRY_MAX; i++) {
        snprintf(instance.id, sizeof instance.id, "i%d", i);
        assert_int_equal(registry_put(world.registry, &instance), 0);
    }
    snprintf(instance.id, sizeof instance.id, "one-more");
    assert_int_equal(registry_put(world.registry, &instance), ERR_FULL);
    for (int i = 0; i < 2000 && !registry_find(world.registry, BYTES("i4095")); i++)
        io_turn(world.io, 10);
    turn_a_while();
    assert_int_equal(registry_put(world.registry, &instance), ERR_FULL);
    /* One that is there may still change, and room that is made is room. */
    put("i7", INSTANCE_DOWN);
    assert_int_equal(registry_remove(world.registry, BYTES("i8")), 0);
    for (int i = 0; i < 1000 && registry_find(world.registry, BYTES("i8")); i++)
        io_turn(world.io, 10);
    assert_int_equal(registry_find(world.registry, BYTES("i7"))->health, INSTANCE_DOWN);
    assert_int_equal(registry_put(world.registry, &instance), 0);
}

static void written(struct kv_op *op, int result)
{
    assert_int_equal(result, 0);
}

/* Somebody else may write to the bucket: it is open to every client of the bus. */
static void an_entry_that_is_no_instance_is_left_out(void **state)
{
    struct kv *kv;
    static struct kv_op ops[2];
    struct buf other;
    struct instance instance = make("other", INSTANCE_UP);
    buf_init(&other, 4096);
    instance_encode(&instance, &other);
    struct kv_config config = {.bucket = REGISTRY_BUCKET, .max_value_bytes = 2048};
    assert_int_equal(kv_open(world.streams, &config, &kv, NULL), 0);
    kv_put(kv, &ops[0], BYTES("instance.x"), BYTES("{\"id\":\"x\"}"), written);
    kv_put(kv, &ops[1], BYTES("instance.y"), buf_bytes(&other), written);
    buf_release(&other);
    turn_a_while();
    kv_close(kv);
    assert_null(registry_find(world.registry, BYTES("x")));
    assert_null(registry_find(world.registry, BYTES("other")));
    assert_int_equal(world.told_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_change_shows_when_it_is_durable_not_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_watch_sees_every_change_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_again_is_no_change, setup, teardown),
        cmocka_unit_test_setup_teardown(each_goes_in_order_of_the_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(reopening_finds_what_was_and_tells_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_lets_changes_under_way_reach_the_disk, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(there_is_a_limit_and_what_is_under_way_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_entry_that_is_no_instance_is_left_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
