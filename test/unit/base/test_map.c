#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/map.h"

enum { KEYS = 3000 };

static char names[KEYS][8];

static struct bytes key(int i)
{
    snprintf(names[i], sizeof names[i], "k%d", i);
    return bytes_str(names[i]);
}

static void test_put_get_remove(void **state)
{
    struct map map;
    int one, two;
    void *old = &one;
    map_init(&map, 10);
    assert_null(map_get(&map, BYTES("a")));
    assert_null(map_remove(&map, BYTES("a")));
    assert_int_equal(map_put(&map, BYTES("a"), &one, &old), 0);
    assert_null(old);
    assert_int_equal(map_put(&map, BYTES("a"), &two, &old), 0);
    assert_ptr_equal(old, &one);
    assert_int_equal(map.count, 1);
    assert_int_equal(map_put(&map, (struct bytes){NULL, 0}, &one, NULL), 0); /* the empty key */
    assert_ptr_equal(map_get(&map, BYTES("")), &one);
    assert_int_equal(map_put(&map, BYTES("a\0b"), &one, NULL), 0);
    assert_ptr_equal(map_get(&map, BYTES("a")), &two);
    assert_ptr_equal(map_remove(&map, BYTES("a")), &two);
    assert_null(map_get(&map, BYTES("a")));
    map_release(&map);
    assert_null(map_get(&map, BYTES("")));
    map_release(NULL);
}

static void test_replacing_replaces_the_key(void **state)
{
    struct map map;
    char first[] = "name", second[] = "name";
    int value;
    map_init(&map, 10);
    map_put(&map, bytes_str(first), &value, NULL);
    map_put(&map, bytes_str(second), &value, NULL);
    memset(first, 'x', 4); /* nobody looks at it any more */
    assert_ptr_equal(map_get(&map, BYTES("name")), &value);
    map_release(&map);
}

static void test_limit(void **state)
{
    for (size_t max = 0; max < 40; max++) {
        struct map map;
        map_init(&map, max);
        for (int i = 0; i < (int)max; i++) assert_int_equal(map_put(&map, key(i), names, NULL), 0);
        assert_int_equal(map_put(&map, key(100), names, NULL), ERR_FULL);
        assert_int_equal(map.count, max);
        if (max) assert_int_equal(map_put(&map, key(0), &map, NULL), 0); /* replacing still works */
        map_release(&map);
    }
}

/* Random puts and removes against an array; the walk sees each entry once. */
static void test_against_naive_model(void **state)
{
    static bool there[KEYS], seen[KEYS];
    struct map map;
    size_t count = 0;
    uint64_t seed = 88172645463325252ull;
    map_init(&map, KEYS);
    for (int step = 0; step < 200000; step++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        int i = (int)(seed % KEYS);
        if (seed >> 60 < 7 + 4 * (uint64_t)(step % 20000 < 10000)) {
            assert_int_equal(map_put(&map, key(i), names[i], NULL), 0);
            count += !there[i];
            there[i] = true;
        } else {
            assert_ptr_equal(map_remove(&map, key(i)), there[i] ? names[i] : NULL);
            count -= there[i];
            there[i] = false;
        }
        assert_int_equal(map.count, count);
        int other = (int)((seed >> 20) % KEYS);
        assert_ptr_equal(map_get(&map, key(other)), there[other] ? names[other] : NULL);
    }
    size_t cursor = 0;
    for (char *name; (name = map_next(&map, &cursor)); count--) {
        size_t i = (size_t)(name - names[0]) / sizeof names[0];
        assert_true(there[i] && !seen[i]);
        seen[i] = true;
    }
    assert_int_equal(count, 0);
    map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get_remove),
        cmocka_unit_test(test_replacing_replaces_the_key),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_against_naive_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
