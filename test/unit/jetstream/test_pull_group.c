/* Pull requests of priority groups: pinned clients and overflow. */
#include "delivery_test.h"

/* Only JSON can name a group: who asks with a number, or nothing, is of none. */
static void needs_no_group(void **state)
{
    static const char *const policies[] = {"overflow", "pinned_client"};
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct api_test t;
        char config[96];
        snprintf(config, sizeof config, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"%s\"",
                 policies[i]);
        api_start(&t);
        make_stream(&t);
        put(&t, "s.a", "one");
        put(&t, "s.a", "two");
        make_consumer(&t, config);
        ask(&t, NEXT, "1");
        await(&t, 1);
        expect_message(&t, 0, "s.a", "one");
        assert_string_equal(info_of(&t).groups[0].pinned_id, "");
        ask(&t, NEXT, "");
        await(&t, 2);
        expect_message(&t, 1, "s.a", "two");
        api_stop(&t);
    }
}

static void one_client_is_pinned(void **state)
{
    struct api_test t;
    char id[64], request[128];
    api_start(&t);
    make_stream(&t);
    for (int i = 0; i < 4; i++) put(&t, "s.a", "x");
    make_consumer(&t, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"pinned_client\","
                      "\"priority_timeout\":800000000");
    ask(&t, NEXT, "{\"group\":\"A\"}");
    await(&t, 1);
    struct bytes headers = t.answers[0]->headers;
    struct bytes start = BYTES("NATS/1.0\r\nNats-Pin-Id: ");
    assert_true(bytes_starts(headers, start));
    snprintf(id, sizeof id, "%.*s", (int)(headers.len - start.len - 4), headers.data + start.len);
    assert_string_equal(info_of(&t).groups[0].pinned_id, id);
    ask(&t, NEXT, "{\"group\":\"A\",\"expires\":5000000000}"); /* waits until that one is silent */
    turns(&t, 3);
    assert_int_equal(t.count, 1);
    snprintf(request, sizeof request, "{\"group\":\"A\",\"id\":\"%s\"}", id);
    ask(&t, NEXT, request);
    await(&t, 2);
    ask(&t, NEXT, "{\"group\":\"A\",\"id\":\"another\"}");
    await(&t, 3);
    expect_status(&t, 2, "423 Nats-Wrong-Pin-Id");
    await(&t, 4); /* the time of the pinned one is over */
    assert_string_not_equal(info_of(&t).groups[0].pinned_id, id);
    api_stop(&t);
}

static void overflow_waits_for_enough(void **state)
{
    struct api_test t;
    api_start(&t);
    make_stream(&t);
    put(&t, "s.a", "x");
    make_consumer(&t, ",\"priority_groups\":[\"A\"],\"priority_policy\":\"overflow\"");
    ask(&t, NEXT, "{\"group\":\"A\",\"min_pending\":2,\"expires\":5000000000}");
    turns(&t, 3);
    assert_int_equal(t.count, 0);
    ask(&t, NEXT,
        "{\"group\":\"A\",\"min_pending\":2,\"no_wait\":true}"); /* not for it, nor later */
    await(&t, 1);
    expect_status(&t, 0, "NATS/1.0 404 No Messages\r\n\r\n");
    put(&t, "s.a", "y");
    await(&t, 2);
    expect_message(&t, 1, "s.a", "x");
    api_stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_no_group),
        cmocka_unit_test(one_client_is_pinned),
        cmocka_unit_test(overflow_waits_for_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
