/* What was lent to an outbox and could not be sent is kept: alone when it is little, with the
 * others' when it is much; and it does not change when the receive buffer is used again. */
#include "bus/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LENT = 40000, MESSAGE = 1000, FEW = 3, MANY = 30 };

struct scene {
    struct outbox_pool pool;
    struct lender lender;
    char received[LENT];
};

static void set_up(struct scene *scene)
{
    outbox_pool_init(&scene->pool);
    for (size_t i = 0; i < LENT; i++) scene->received[i] = (char)('a' + i / MESSAGE % 26);
    scene->lender = (struct lender){.bytes = bytes_make(scene->received, LENT)};
}

/* The buffer is used for something else. */
static void receive_again(struct scene *scene)
{
    lender_end(&scene->lender);
    memset(scene->received, '!', LENT);
}

static void put(struct scene *scene, struct outbox *outbox, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char *room = outbox_reserve(outbox, 4);
        assert_non_null(room);
        memcpy(room, "MSG ", 4);
        outbox_commit(outbox, 4);
        outbox_put_lent(outbox, bytes_make(scene->received + (size_t)i * MESSAGE, MESSAGE));
    }
}

/* Takes all that is there; `first`: the number of the message that it begins with. */
static void expect(struct outbox *outbox, unsigned first, unsigned count)
{
    unsigned seen = first;
    int pieces;
    for (const struct iovec *iov; (iov = outbox_begin(outbox, &pieces)); outbox_sent(outbox)) {
        for (int i = 0; i < pieces; i += 2, seen++) {
            const char *body = iov[i + 1].iov_base;
            assert_memory_equal(iov[i].iov_base, "MSG ", 4);
            assert_int_equal(iov[i + 1].iov_len, MESSAGE);
            for (size_t at = 0; at < MESSAGE; at++)
                assert_int_equal(body[at], 'a' + (int)(seen % 26));
        }
    }
    assert_int_equal(seen, first + count);
    assert_true(outbox_is_empty(outbox));
}

static void test_little_is_kept_alone(void **state)
{
    struct scene scene;
    struct outbox outbox;
    set_up(&scene);
    outbox_init(&outbox, &scene.pool);
    put(&scene, &outbox, FEW);
    assert_true(outbox_keep(&outbox, &scene.lender, false));
    assert_null(scene.lender.copy);
    receive_again(&scene);
    expect(&outbox, 0, FEW);
    outbox_release(&outbox);
    outbox_pool_release(&scene.pool);
}

static void test_much_is_shared(void **state)
{
    struct scene scene;
    struct outbox outboxes[2];
    set_up(&scene);
    for (int i = 0; i < 2; i++) {
        outbox_init(&outboxes[i], &scene.pool);
        put(&scene, &outboxes[i], MANY);
        assert_true(outbox_keep(&outboxes[i], &scene.lender, false));
    }
    assert_non_null(scene.lender.copy);
    assert_int_equal(scene.lender.copy->refs, 1 + 2 * MANY);
    receive_again(&scene);
    for (int i = 0; i < 2; i++) {
        expect(&outboxes[i], 0, MANY);
        outbox_release(&outboxes[i]);
    }
    outbox_pool_release(&scene.pool);
}

/* A batch in flight that is still looked at is kept too; one that was taken is not. */
static void test_in_flight(void **state)
{
    for (int taken = 0; taken < 2; taken++) {
        struct scene scene;
        struct outbox outbox;
        int pieces;
        set_up(&scene);
        outbox_init(&outbox, &scene.pool);
        put(&scene, &outbox, MANY);
        const struct iovec *iov = outbox_begin(&outbox, &pieces);
        assert_int_equal(pieces, 2 * MANY);
        assert_true(outbox_keep(&outbox, &scene.lender, taken));
        assert_int_equal(scene.lender.copy != NULL, !taken);
        receive_again(&scene);
        if (!taken) assert_int_equal(*(char *)iov[3].iov_base, 'b');
        outbox_sent(&outbox);
        assert_true(outbox_is_empty(&outbox));
        outbox_release(&outbox);
        outbox_pool_release(&scene.pool);
    }
}

/* What was cut is not copied. */
static void test_cut(void **state)
{
    struct scene scene;
    struct outbox outbox;
    set_up(&scene);
    outbox_init(&outbox, &scene.pool);
    put(&scene, &outbox, MANY);
    outbox_cut(&outbox);
    assert_true(outbox_keep(&outbox, &scene.lender, false));
    assert_null(scene.lender.copy);
    assert_true(outbox_is_empty(&outbox));
    outbox_release(&outbox);
    outbox_pool_release(&scene.pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_little_is_kept_alone),
        cmocka_unit_test(test_much_is_shared),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
