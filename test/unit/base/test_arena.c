#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/arena.h"

static void test_memory_is_zero_aligned_and_apart(void **state)
{
    struct arena arena;
    char *last = NULL;
    arena_init(&arena, 1 << 20);
    for (size_t size = 1; size < 300; size++) {
        char *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(memory[i], 0);
        memset(memory, 0xAA, size);
        if (last) assert_int_equal((unsigned char)last[size - 2], 0xAA);
        last = memory;
    }
    assert_non_null(arena_alloc(&arena, 0));
    assert_true(arena.used <= 1 << 20);
    arena_release(&arena);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_release(&arena);
    arena_release(NULL);
}

static void test_larger_than_a_block(void **state)
{
    struct arena arena;
    arena_init(&arena, 100000);
    char *small = arena_alloc(&arena, 10), *large = arena_alloc(&arena, 50000);
    assert_true(small && large);
    memset(large, 1, 50000);
    memset(small, 2, 10);
    assert_null(arena_alloc(&arena, 50001));
    assert_true(arena.failed);
    arena_release(&arena);
    assert_false(arena.failed);
}

/* With each limit: either all allocations succeed, or from one on all fail. */
static void test_every_limit(void **state)
{
    size_t fewest = SIZE_MAX;
    for (size_t max = 0; max < 10000; max += 13) {
        struct arena arena;
        bool failed = false;
        arena_init(&arena, max);
        for (size_t i = 0; i < 60; i++) {
            char *memory = arena_alloc(&arena, 100);
            assert_false(failed && memory);
            failed = !memory;
            if (memory) memset(memory, 1, 100);
        }
        assert_int_equal(arena.failed, failed);
        assert_true(arena.used <= max);
        if (!failed && max < fewest) fewest = max;
        if (failed) assert_int_equal(fewest, SIZE_MAX);
        arena_release(&arena);
    }
    assert_in_range(fewest, 60 * 100, 60 * 112 + 200);
}

static void test_copies(void **state)
{
    struct arena arena;
    arena_init(&arena, 1000);
    struct bytes text = BYTES("a\0b");
    char *copy = arena_copy(&arena, text);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(arena_copy(&arena, (struct bytes){NULL, 0}), "");
    assert_true(bytes_eq(arena_bytes(&arena, text), text));
    assert_string_equal(arena_format(&arena, "%d-%s", 7, "x"), "7-x");
    assert_null(arena_format(&arena, "%2000d", 1));
    assert_true(arena.failed);
    assert_null(arena_copy(&arena, text));
    struct bytes failed = arena_bytes(&arena, text);
    assert_non_null(failed.data);
    assert_int_equal(failed.len, 0);
    arena_release(&arena);
}

/* What was taken before the mark stays, what is taken again is zero, and nothing is used up. */
static void test_rewinding(void **state)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct arena empty = arena;
    arena_rewind(&arena, &empty);
    assert_null(arena.blocks);
    char *kept = arena_copy(&arena, BYTES("kept"));
    const struct arena mark = arena;
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < 10; i++) {
            size_t size = round % 3 ? 100 : 60000;
            char *memory = arena_alloc(&arena, size);
            assert_non_null(memory);
            for (size_t at = 0; at < size; at++) assert_int_equal(memory[at], 0);
            memset(memory, 'x', size);
        }
        if (round % 10 == 0) assert_null(arena_alloc(&arena, 1 << 21));
        arena_rewind(&arena, &mark);
        assert_false(arena.failed);
        assert_int_equal(arena.used, mark.used);
    }
    assert_string_equal(kept, "kept");
    arena_rewind(&arena, &empty);
    assert_int_equal(arena.used, 0);
    arena_release(&arena);
}

static void test_sizes_that_overflow(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 40,
                                   SIZE_MAX / 2 + 1};
    struct arena arena;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        arena_init(&arena, SIZE_MAX);
        assert_null(arena_alloc(&arena, sizes[i]));
        assert_true(arena.failed);
        arena_release(&arena);
    }
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_array(&arena, SIZE_MAX / 8 + 2, 8));
    arena_release(&arena);
    assert_non_null(arena_array(&arena, 3, 8));
    assert_non_null(arena_array(&arena, 0, 8));
    assert_null(arena_copy(&arena, bytes_make("", SIZE_MAX)));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zero_aligned_and_apart),
        cmocka_unit_test(test_larger_than_a_block),
        cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_rewinding),
        cmocka_unit_test(test_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
