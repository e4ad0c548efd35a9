#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/buf.h"

static void expect(const struct buf *buf, const char *expected)
{
    struct bytes live = buf_bytes(buf);
    assert_non_null(live.data);
    assert_int_equal(live.len, strlen(expected));
    assert_memory_equal(live.data, expected, live.len);
}

static void test_append_and_consume(void **state)
{
    struct buf buf;
    buf_init(&buf, 1000);
    expect(&buf, "");
    buf_append(&buf, (struct bytes){NULL, 0});
    buf_append_str(&buf, "n=");
    buf_append_u64(&buf, 0);
    buf_append_char(&buf, ' ');
    buf_append_u64(&buf, UINT64_MAX);
    buf_append_format(&buf, "[%s %d]", "x", -3);
    expect(&buf, "n=0 18446744073709551615[x -3]");
    buf_consume(&buf, 2);
    expect(&buf, "0 18446744073709551615[x -3]");
    buf_consume(&buf, buf_len(&buf));
    expect(&buf, "");
    buf_release(&buf);
    buf_append_str(&buf, "again");
    expect(&buf, "again");
    buf_release(&buf);
    buf_release(NULL);
}

static void test_stays_a_queue(void **state)
{
    struct buf buf;
    unsigned char next_in = 0, next_out = 0;
    buf_init(&buf, 700);
    for (int i = 0; i < 10000; i++) {
        for (int n = i * 7 % 311; n > 0 && buf_len(&buf) < 700; n--)
            buf_append_char(&buf, (char)next_in++);
        for (size_t n = (size_t)(i * 5 % 307); n && buf_len(&buf); n--) {
            assert_int_equal((unsigned char)buf_bytes(&buf).data[0], next_out++);
            buf_consume(&buf, 1);
        }
    }
    assert_false(buf.failed);
    assert_true(buf.size <= 701);
    buf_release(&buf);
}

static void append_everything(struct buf *buf)
{
    buf_append_str(buf, "abc");
    buf_append_format(buf, "%d", 4567);
    buf_append_u64(buf, 89);
    buf_append_char(buf, '!');
}

/* With each limit the writer ends with all of it, or with a failure that sticks. */
static void test_every_limit(void **state)
{
    const char *whole = "abc456789!";
    for (size_t max = 0; max <= strlen(whole) + 2; max++) {
        struct buf buf;
        buf_init(&buf, max);
        append_everything(&buf);
        assert_int_equal(buf.failed, max < strlen(whole));
        assert_true(buf_len(&buf) <= max);
        assert_memory_equal(buf_bytes(&buf).data, whole, buf_len(&buf));
        if (buf.failed) {
            size_t len = buf_len(&buf);
            buf_append_char(&buf, 'x');
            assert_int_equal(buf_len(&buf), len);
            buf_clear(&buf);
            assert_false(buf.failed);
        } else {
            expect(&buf, whole);
        }
        buf_release(&buf);
    }
}

static void test_consumed_room_is_used_again(void **state)
{
    struct buf buf;
    buf_init(&buf, 8);
    for (int i = 0; i < 100; i++) {
        buf_append_str(&buf, "12345");
        buf_consume(&buf, 2);
        buf_append_str(&buf, "678");
        expect(&buf, "345678");
        buf_consume(&buf, 6);
    }
    buf_append_str(&buf, "123456789");
    assert_true(buf.failed);
    buf_release(&buf);
}

static void test_reserve(void **state)
{
    struct buf buf;
    buf_init(&buf, 5000);
    char *room = buf_reserve(&buf, 5000);
    assert_non_null(room);
    memset(room, 'x', 5000);
    buf_commit(&buf, 4999);
    assert_non_null(buf_reserve(&buf, 1));
    assert_null(buf_reserve(&buf, 2));
    assert_true(buf.failed);
    buf_release(&buf);
    buf_init(&buf, 0);
    assert_non_null(buf_reserve(&buf, 0));
    assert_null(buf_reserve(&buf, 1));
    buf_release(&buf);
}

static void test_sizes_that_overflow(void **state)
{
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    buf_append_str(&buf, "x");
    assert_null(buf_reserve(&buf, SIZE_MAX));
    buf_clear(&buf);
    assert_null(buf_reserve(&buf, SIZE_MAX / 2 + 2));
    buf_clear(&buf);
    buf_append_str(&buf, "y");
    expect(&buf, "y");
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_and_consume),
        cmocka_unit_test(test_stays_a_queue),
        cmocka_unit_test(test_every_limit),
        cmocka_unit_test(test_consumed_room_is_used_again),
        cmocka_unit_test(test_reserve),
        cmocka_unit_test(test_sizes_that_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
