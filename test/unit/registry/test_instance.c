#include "registry/instance.h"

#include "guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct instance example(void)
{
    struct instance instance = {
        .id = "order-3-0",
        .service = "order",
        .version = "v1_20261121-1",
        .process = "member",
        .health = INSTANCE_UP,
        .pid = 4711,
        .restarts = 2,
        .since_wall_ns = 1795262400123456789,
    };
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:20123"), &instance.addr), 0);
    return instance;
}

static void what_is_encoded_is_decoded(void **state)
{
    for (int health = 0; health < INSTANCE_HEALTH_COUNT; health++) {
        struct instance before = example(), after;
        before.health = (enum instance_health)health;
        struct buf text, again;
        buf_init(&text, 4096);
        buf_init(&again, 4096);
        instance_encode(&before, &text);
        assert_false(text.failed);
        assert_int_equal(instance_decode(buf_bytes(&text), &after), 0);
        assert_int_equal(after.health, health);
        assert_string_equal(after.id, before.id);
        assert_int_equal(after.pid, 4711);
        assert_int_equal(after.addr.port, 20123);
        assert_true(after.since_wall_ns == before.since_wall_ns);
        instance_encode(&after, &again);
        assert_true(bytes_eq(buf_bytes(&text), buf_bytes(&again)));
        buf_release(&text);
        buf_release(&again);
    }
}

static void every_cut_is_refused(void **state)
{
    struct instance before = example(), after;
    struct buf text;
    buf_init(&text, 4096);
    instance_encode(&before, &text);
    struct guard guard;
    guard_init(&guard, buf_len(&text));
    for (size_t len = 0; len < buf_len(&text); len++) {
        struct bytes cut = guard_bytes(&guard, bytes_head(buf_bytes(&text), len));
        assert_int_equal(instance_decode(cut, &after), ERR_SYNTAX);
    }
    guard_release(&guard);
    buf_release(&text);
}

#define REST                                                               \
    "\"version\":\"1.0.0\",\"process\":\"p\",\"address\":\"127.0.0.1:1\"," \
    "\"health\":\"up\""

static void what_does_not_fit_is_refused(void **state)
{
    static const char *const refused[] = {
        "",
        "null",
        "[]",
        "7",
        "{}",
        "{\"service\":\"s\"," REST "}",                           /* no id */
        "{\"id\":7,\"service\":\"s\"," REST "}",                  /* no text */
        "{\"id\":\"i\",\"service\":\"s\",\"id\":\"j\"," REST "}", /* twice */
        "{\"id\":\"i\",\"service\":\"s\",\"version\":\"1.0.0\",\"process\":\"p\","
        "\"address\":\"127.0.0.1:1\",\"health\":\"well\"}",
        "{\"id\":\"i\",\"service\":\"s\",\"version\":\"1.0.0\",\"process\":\"p\","
        "\"address\":\"nowhere\",\"health\":\"up\"}",
    };
    struct instance instance = {.pid = 5};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_int_equal(instance_decode(bytes_str(refused[i]), &instance), ERR_SYNTAX);
    assert_int_equal(instance.pid, 5); /* what is refused leaves no trace */
    char text[512];
    snprintf(text, sizeof text, "{\"id\":\"i\",\"service\":\"%064d\"," REST "}", 0);
    assert_int_equal(instance_decode(bytes_str(text), &instance), ERR_SYNTAX);
    snprintf(text, sizeof text, "{\"id\":\"i\",\"service\":\"%063d\"," REST "}", 0);
    assert_int_equal(instance_decode(bytes_str(text), &instance), 0);
}

static void unknown_members_are_ignored(void **state)
{
    struct instance instance;
    const char *text = "{\"id\":\"i\",\"service\":\"s\",\"zone\":[1,2]," REST "}";
    assert_int_equal(instance_decode(bytes_str(text), &instance), 0);
    assert_string_equal(instance.version, "1.0.0");
    assert_int_equal(instance.pid, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(unknown_members_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
