#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list link;
};

static struct item items[6];
static struct list head, other;

static int setup_items(void)
{
    list_init(&head);
    list_init(&other);
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        list_init(&items[i].link);
    }
    return 0;
}

static int as_number(struct list *of)
{
    int number = 0;
    LIST_EACH(of, struct item, link, it) number = number * 10 + it->number;
    return number;
}

static void test_order(void **state)
{
    setup_items();
    assert_true(list_empty(&head));
    assert_null(list_pop(&head));
    for (int i = 1; i <= 3; i++) list_push(&head, &items[i].link);
    list_push_front(&head, &items[4].link);
    list_insert_before(&items[2].link, &items[5].link);
    assert_int_equal(as_number(&head), 41523);
    assert_ptr_equal(list_pop(&head), &items[4].link);
    assert_false(list_linked(&items[4].link));
    assert_true(list_linked(&items[1].link));
    assert_int_equal(as_number(&head), 1523);
}

static void test_remove_twice(void **state)
{
    setup_items();
    for (int i = 1; i <= 3; i++) list_push(&head, &items[i].link);
    list_remove(&items[2].link);
    list_remove(&items[2].link);
    assert_int_equal(as_number(&head), 13);
    list_remove(&items[1].link);
    list_remove(&items[3].link);
    assert_true(list_empty(&head));
}

static void test_walk_may_remove_the_one_at_hand(void **state)
{
    setup_items();
    for (int i = 1; i <= 5; i++) list_push(&head, &items[i].link);
    LIST_EACH(&head, struct item, link, it)
        if (it->number % 2) list_remove(&it->link);
    assert_int_equal(as_number(&head), 24);
}

static void test_splice(void **state)
{
    setup_items();
    list_push(&head, &items[1].link);
    list_splice(&head, &other);
    assert_int_equal(as_number(&head), 1);
    list_push(&other, &items[2].link);
    list_push(&other, &items[3].link);
    list_splice(&head, &other);
    assert_true(list_empty(&other));
    assert_int_equal(as_number(&head), 123);
    list_splice(&other, &head);
    assert_true(list_empty(&head));
    assert_int_equal(as_number(&other), 123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_remove_twice),
        cmocka_unit_test(test_walk_may_remove_the_one_at_hand),
        cmocka_unit_test(test_splice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
