#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/errors.h"

static void add(struct errors *errors, const char *file, int line, int column)
{
    struct error *error = errors_add(errors);
    error_set(error, ERR_INVALID, "wrong");
    error_at(error, file, line, column);
}

static void assert_at(const struct errors *errors, size_t index, const char *file, int line,
                      int column)
{
    assert_string_equal(errors->items[index].file, file);
    assert_int_equal(errors->items[index].line, line);
    assert_int_equal(errors->items[index].column, column);
}

static void test_sort(void **state)
{
    struct arena arena;
    struct errors errors;
    arena_init(&arena, 1 << 20);
    errors_init(&errors, &arena);
    assert_int_equal(errors_total(&errors), 0);
    add(&errors, "z", 9, 1);
    add(&errors, "a", 3, 2);
    add(&errors, "z", 1, 1);
    add(&errors, "a", 3, 1);
    add(&errors, "z", 1, 0);
    errors_sort(&errors);
    assert_at(&errors, 0, "z", 1, 0);
    assert_at(&errors, 1, "z", 1, 1);
    assert_at(&errors, 2, "z", 9, 1);
    assert_at(&errors, 3, "a", 3, 1);
    assert_at(&errors, 4, "a", 3, 2);
    arena_release(&arena);
}

static void test_limit(void **state)
{
    struct arena arena;
    struct errors errors;
    struct buf out;
    arena_init(&arena, 1 << 20);
    errors_init(&errors, &arena);
    buf_init(&out, 1 << 20);
    for (int i = 0; i < ERRORS_MAX + 3; i++) add(&errors, "a", i + 1, 1);
    assert_int_equal(errors.count, ERRORS_MAX);
    assert_int_equal(errors_total(&errors), ERRORS_MAX + 3);
    errors_format(&errors, &out);
    struct bytes text = buf_bytes(&out);
    assert_true(bytes_starts(text, BYTES("a:1:1: wrong\n")));
    assert_true(bytes_ends(text, BYTES("a:50:1: wrong\n... and 3 more\n")));
    buf_release(&out);
    arena_release(&arena);
}

static void test_without_memory(void **state)
{
    struct arena arena;
    struct errors errors;
    arena_init(&arena, 64);
    errors_init(&errors, &arena);
    add(&errors, "a", 1, 1);
    add(&errors, "a", 2, 1);
    assert_int_equal(errors.count, 0);
    assert_int_equal(errors_total(&errors), 2);
    errors_sort(&errors);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
