#include "bus/permissions.h"
#include "bus/responses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LIST_MAX = 8 };

static struct bytes lists[4][LIST_MAX];

/* "a.> b" as a list; NULL: left out. */
static size_t split(const char *text, struct bytes *list)
{
    size_t count = 0;
    for (struct bytes rest = bytes_str(text); text && *text && rest.data;)
        list[count++] = bytes_cut(&rest, ',');
    return count;
}

static struct permissions *make(const char *pub, const char *not_pub, const char *sub,
                                const char *not_sub)
{
    struct permissions *p;
    struct nats_permissions rules = {
        .publish = {lists[0], split(pub, lists[0]), lists[1], split(not_pub, lists[1]), pub},
        .subscribe = {lists[2], split(sub, lists[2]), lists[3], split(not_sub, lists[3]), sub},
    };
    assert_int_equal(permissions_new(&rules, &p), 0);
    return p;
}

static bool pub(struct permissions *p, const char *subject)
{
    bool first = permissions_may_publish(p, bytes_str(subject));
    assert_int_equal(permissions_may_publish(p, bytes_str(subject)), first); /* remembered */
    return first;
}

static bool sub(struct permissions *p, const char *pattern, const char *queue)
{
    return permissions_may_subscribe(p, bytes_str(pattern), bytes_str(queue));
}

static void test_publish(void **state)
{
    struct permissions *p = make("a.>,b,c.*", "a.x,a.y.>", NULL, NULL);
    assert_true(pub(p, "a.b") && pub(p, "b") && pub(p, "c.d") && pub(p, "a.x.y"));
    assert_false(pub(p, "a") || pub(p, "a.x") || pub(p, "a.y.z") || pub(p, "c.d.e") || pub(p, ""));
    assert_true(sub(p, "anything.>", ""));
    permissions_unref(p);

    p = make("", NULL, NULL, NULL);
    assert_false(pub(p, "a"));
    permissions_unref(p);
    p = make(NULL, "a", NULL, NULL);
    assert_true(pub(p, "b") && !pub(p, "a"));
    permissions_unref(p);
}

/* The cache is small, and long subjects are not in it: answers stay right. */
static void test_cache(void **state)
{
    struct permissions *p = make("even.*", NULL, NULL, NULL);
    char subject[300];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3000; i++) {
            snprintf(subject, sizeof subject, "%s.%0*d", i % 2 ? "odd" : "even", i % 3 * 100 + 1,
                     i);
            assert_int_equal(permissions_may_publish(p, bytes_str(subject)), i % 2 == 0);
        }
    }
    permissions_unref(p);
}

static void test_subscribe(void **state)
{
    struct permissions *p = make(NULL, NULL, "a.>,b.*", "a.x.*,secret");
    assert_true(sub(p, "a.b", "") && sub(p, "a.>", "") && sub(p, "b.*", "") && sub(p, "b.c", "q"));
    /* What is wider than what is allowed is not allowed. */
    assert_false(sub(p, ">", "") || sub(p, "b.>", "") || sub(p, "*.c", "") || sub(p, "b", ""));
    assert_false(sub(p, "a.x.y", "") || sub(p, "a.x.*", ""));
    assert_true(permissions_overlap_denied(p, bytes_str("a.>")));
    assert_true(permissions_overlap_denied(p, bytes_str("a.*.y")));
    assert_false(permissions_overlap_denied(p, bytes_str("a.b.*")));
    assert_false(permissions_may_receive(p, bytes_str("a.x.y")));
    assert_true(permissions_may_receive(p, bytes_str("a.x.y.z")));
    permissions_unref(p);
}

static void test_queues(void **state)
{
    struct permissions *p = make(NULL, NULL, "foo,bar v1,baz v.*,foo v2", NULL);
    assert_true(sub(p, "foo", "") && sub(p, "foo", "v2"));
    assert_false(sub(p, "foo", "v1")); /* queues are named for it: only those */
    assert_true(sub(p, "bar", "v1") && sub(p, "baz", "v.7"));
    assert_false(sub(p, "bar", "") || sub(p, "bar", "v2") || sub(p, "baz", "v"));
    permissions_unref(p);

    p = make(NULL, NULL, NULL, "foo prod.>,bar");
    assert_true(sub(p, "foo", "") && sub(p, "foo", "dev"));
    assert_false(sub(p, "foo", "prod.a") || sub(p, "bar", "") || sub(p, "bar", "q"));
    assert_false(permissions_overlap_denied(p, bytes_str("foo")));
    permissions_unref(p);
}

static void test_responses(void **state)
{
    struct responses r;
    responses_init(&r, 2, 1000);
    assert_false(responses_take(&r, BYTES("inbox"), 0));
    responses_expect(&r, BYTES("inbox"), 0);
    assert_true(responses_take(&r, BYTES("inbox"), 10));
    assert_true(responses_take(&r, BYTES("inbox"), 20));
    assert_false(responses_take(&r, BYTES("inbox"), 30));
    responses_expect(&r, BYTES("late"), 100);
    assert_true(responses_take(&r, BYTES("late"), 1100));
    assert_false(responses_take(&r, BYTES("late"), 1101));
    responses_release(&r);

    responses_init(&r, -1, -1);
    char subject[32];
    for (int i = 0; i < RESPONSES_MAX + 10; i++) {
        snprintf(subject, sizeof subject, "i.%d", i);
        responses_expect(&r, bytes_str(subject), 0);
    }
    assert_int_equal(r.replies.count, RESPONSES_MAX);
    assert_false(responses_take(&r, BYTES("i.9"), 0));
    for (int i = 0; i < 5; i++) assert_true(responses_take(&r, BYTES("i.10"), 1u << 30));
    responses_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish),   cmocka_unit_test(test_cache),
        cmocka_unit_test(test_subscribe), cmocka_unit_test(test_queues),
        cmocka_unit_test(test_responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
