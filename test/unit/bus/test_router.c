/* The trie and the router against a walk over all subscriptions, under churn. */
#include "bus/router.h"
#include "bus/subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SUBSCRIPTIONS = 300, ROUNDS = 30000 };

struct known {
    struct subscription subscription;
    char pattern[32], sid[8], queue[4];
    bool in;
    bool hit; /* found by the router in this round */
};

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static void random_subject(char *text, bool wild)
{
    size_t at = 0, tokens = 1 + below(4);
    for (size_t i = 0; i < tokens; i++) {
        if (i) text[at++] = '.';
        uint32_t choice = below(10);
        if (wild && choice == 0 && i == tokens - 1)
            text[at++] = '>';
        else if (wild && choice < 3)
            text[at++] = '*';
        else
            text[at++] = (char)('a' + below(4));
    }
    text[at] = '\0';
}

static void add(struct router *router, struct known *k, int number)
{
    random_subject(k->pattern, true);
    snprintf(k->sid, sizeof k->sid, "%d", number);
    snprintf(k->queue, sizeof k->queue, "%s", below(3) ? "" : below(2) ? "q" : "p");
    k->subscription = (struct subscription){
        .session = below(4) ? (struct session *)k : NULL, /* never looked into by the router */
        .queue = bytes_str(k->queue),
        .sid = bytes_str(k->sid)};
    assert_int_equal(router_add(router, &k->subscription, bytes_str(k->pattern)), 0);
    k->in = true;
}

static void check_prefix(const struct route_target *t, struct bytes subject)
{
    char expected[64];
    if (!t->subscription->session) {
        assert_int_equal(t->prefix_len, 0);
        return;
    }
    snprintf(expected, sizeof expected, "HMSG %.*s %.*s", BYTES_ARG(subject),
             BYTES_ARG(t->subscription->sid));
    assert_true(bytes_eq(bytes_make(t->prefix, t->prefix_len), bytes_str(expected)));
}

static void hit(const struct route_target *t, struct bytes subject, bool queue)
{
    struct known *k = CONTAINER_OF(t->subscription, struct known, subscription);
    assert_true(k->in && !k->hit);
    assert_int_equal(k->subscription.queue.len > 0, queue);
    k->hit = true;
    check_prefix(t, subject);
}

static void check(struct router *router, struct known *all, const char *text)
{
    struct bytes subject = bytes_str(text);
    const struct route *route = router_find(router, subject);
    assert_non_null(route);
    assert_true(bytes_eq(route->subject, subject));
    for (int i = 0; i < SUBSCRIPTIONS; i++) all[i].hit = false;
    for (uint32_t i = 0; i < route->target_count; i++) hit(&route->targets[i], subject, false);
    for (uint32_t g = 0; g < route->group_count; g++) {
        struct route_group *group = &route->groups[g];
        for (uint32_t i = 0; i < group->count; i++) {
            hit(&group->members[i], subject, true);
            assert_true(bytes_eq(group->members[i].subscription->queue,
                                 group->members[0].subscription->queue));
        }
        for (uint32_t other = 0; other < g; other++)
            assert_false(bytes_eq(route->groups[other].members[0].subscription->queue,
                                  group->members[0].subscription->queue));
    }
    for (int i = 0; i < SUBSCRIPTIONS; i++) {
        bool wanted = all[i].in && subject_matches(bytes_str(all[i].pattern), subject);
        if (wanted != all[i].hit) fail_msg("%s and %s", all[i].pattern, text);
    }
}

static void test_churn(void **state)
{
    struct router router;
    static struct known all[SUBSCRIPTIONS];
    assert_int_equal(router_init(&router), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct known *k = &all[below(SUBSCRIPTIONS)];
        char subject[32];
        random_subject(subject, false);
        if (below(8) == 0 && k->in) {
            router_remove(&router, &k->subscription);
            k->in = false;
        } else if (below(6) == 0 && !k->in) {
            add(&router, k, (int)(k - all));
        } else {
            check(&router, all, subject);
        }
    }
    assert_true(router.hits > 1000 && router.misses > 1000);
    for (int i = 0; i < SUBSCRIPTIONS; i++) router_remove(&router, &all[i].subscription);
    assert_int_equal(router.count, 0);
    assert_int_equal(router.trie.nodes, 0);
    assert_null(router.trie.root);
    assert_null(router.trie.table);
    router_release(&router);
}

/* A subject seen once is not remembered, one seen again is, and a change makes it stale. */
static void test_cache(void **state)
{
    struct router router;
    static struct known one;
    assert_int_equal(router_init(&router), 0);
    add(&router, &one, 1);
    for (int i = 0; i < 5; i++) router_find(&router, bytes_str("x.y"));
    assert_int_equal(router.misses, 2);
    assert_int_equal(router.hits, 3);
    router_invalidate(&router);
    router_find(&router, bytes_str("x.y"));
    assert_int_equal(router.misses, 3);
    for (int i = 0; i < 100000; i++) {
        char subject[32];
        snprintf(subject, sizeof subject, "_INBOX.%d", i);
        router_find(&router, bytes_str(subject));
    }
    router_remove(&router, &one.subscription);
    router_release(&router);
}

static void test_invalid_subjects_go_nowhere(void **state)
{
    struct router router;
    static struct known k;
    assert_int_equal(router_init(&router), 0);
    k.subscription.session = NULL;
    assert_int_equal(router_add(&router, &k.subscription, bytes_str(">")), 0);
    const char *const bad[] = {"", ".", "a.", ".a", "a..b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct route *route = router_find(&router, bytes_str(bad[i]));
        assert_false(route->valid);
        assert_int_equal(route->target_count, 0);
    }
    assert_int_equal(router_find(&router, bytes_str("a.*"))->target_count, 1);
    router_remove(&router, &k.subscription);
    router_release(&router);
}

static void *captures_dollar(void *context, struct bytes subject)
{
    ++*(int *)context;
    return bytes_starts(subject, BYTES("$")) ? context : NULL;
}

static void test_capture(void **state)
{
    struct router router;
    int asked = 0;
    assert_int_equal(router_init(&router), 0);
    router.captures = captures_dollar;
    router.captures_context = &asked;
    for (int i = 0; i < 10; i++)
        assert_ptr_equal(router_find(&router, bytes_str("$x"))->captured, &asked);
    assert_int_equal(asked, 2);
    assert_null(router_find(&router, bytes_str("x"))->captured);
    assert_null(router_find(&router, bytes_str("$x.*"))->captured);
    assert_null(router_find(&router, bytes_str("$x..y"))->captured);
    router_release(&router);
}

/* A group takes turns: after n rounds over m members each has had n messages. */
static void test_turns(void **state)
{
    struct router router;
    static struct known all[5];
    int count[5] = {0};
    assert_int_equal(router_init(&router), 0);
    for (int i = 0; i < 5; i++) {
        all[i].subscription = (struct subscription){.queue = BYTES("q")};
        assert_int_equal(router_add(&router, &all[i].subscription, bytes_str("a.*")), 0);
    }
    router_find(&router, bytes_str("a.b"));
    for (int i = 0; i < 500; i++) {
        struct route *route = router_find(&router, bytes_str("a.b"));
        assert_int_equal(route->group_count, 1);
        struct route_group *group = &route->groups[0];
        struct route_target *t = &group->members[group->turn++ % group->count];
        count[CONTAINER_OF(t->subscription, struct known, subscription) - all]++;
    }
    for (int i = 0; i < 5; i++) assert_in_range(count[i], 99, 101);
    for (int i = 0; i < 5; i++) router_remove(&router, &all[i].subscription);
    router_release(&router);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_churn),   cmocka_unit_test(test_cache),
        cmocka_unit_test(test_capture), cmocka_unit_test(test_invalid_subjects_go_nowhere),
        cmocka_unit_test(test_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
