/* Snappy's framing and tar, which backups consist of. */
#include "wire/snappy_frame.h"
#include "wire/tar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_frame(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    char *large = malloc(100000);
    memset(large, 'x', 100000);
    snappy_frame_begin(&out);
    snappy_frame_put(&out, BYTES("hello"));
    snappy_frame_put(&out, bytes_make(large, 100000));
    /* The checksum of "hello", from the reference implementation. */
    static const char hello[] = "\xFF\x06\0\0sNaPpY\x01\x09\0\0\xbb\x1f\x1c\x19hello";
    assert_memory_equal(buf_bytes(&out).data, hello, sizeof hello - 1);
    struct bytes in = buf_bytes(&out), data;
    size_t found = 0;
    for (int64_t n; (n = snappy_frame_next(in, &data)) > 0;) {
        found += data.len;
        in = bytes_skip(in, (size_t)n);
    }
    assert_int_equal(in.len, 0);
    assert_int_equal(found, 100005);
    buf_release(&out);
    free(large);
}

static void test_frame_refused(void **state)
{
    struct buf out;
    struct bytes data;
    buf_init(&out, 1024);
    snappy_frame_put(&out, BYTES("hello"));
    struct bytes whole = buf_bytes(&out);
    for (size_t len = 0; len < whole.len; len++) {
        char *copy = malloc(len + 1);
        memcpy(copy, whole.data, len);
        assert_int_equal(snappy_frame_next(bytes_make(copy, len), &data), 0);
        free(copy);
    }
    out.data[out.end - 1] ^= 1;
    assert_int_equal(snappy_frame_next(buf_bytes(&out), &data), ERR_CORRUPT);
    assert_int_equal(snappy_frame_next(BYTES("\0\x05\0\0aaaaa"), &data), ERR_UNSUPPORTED);
    assert_int_equal(snappy_frame_next(BYTES("\x02\x05\0\0aaaaa"), &data), ERR_SYNTAX);
    assert_int_equal(snappy_frame_next(BYTES("\x01\x01\0\0a"), &data), ERR_SYNTAX);
    assert_int_equal(snappy_frame_next(BYTES("\xFE\x02\0\0aa"), &data), 6);
    assert_int_equal(data.len, 0);
    buf_release(&out);
}

static void test_tar(void **state)
{
    struct buf out;
    char name[TAR_NAME_MAX + 2];
    uint64_t size;
    buf_init(&out, 1 << 16);
    assert_int_equal(tar_put(&out, "a/b.txt", BYTES("content"), 1000), 0);
    assert_int_equal(tar_put(&out, "empty", BYTES(""), 1000), 0);
    tar_put_end(&out);
    assert_int_equal(buf_len(&out), 5 * TAR_BLOCK);
    struct bytes in = buf_bytes(&out);
    assert_int_equal(tar_read(in, name, &size), 1);
    assert_string_equal(name, "a/b.txt");
    assert_int_equal(size, 7);
    assert_memory_equal(in.data + TAR_BLOCK, "content", 8);
    in = bytes_skip(in, TAR_BLOCK + tar_room(size));
    assert_int_equal(tar_read(in, name, &size), 1);
    assert_string_equal(name, "empty");
    in = bytes_skip(in, TAR_BLOCK + tar_room(size));
    assert_int_equal(tar_read(in, name, &size), 0);
    buf_release(&out);
}

static void test_tar_names(void **state)
{
    struct buf out;
    char long_name[256], name[TAR_NAME_MAX + 2];
    uint64_t size;
    buf_init(&out, 1 << 16);
    memset(long_name, 'n', 200);
    long_name[200] = '\0';
    assert_int_equal(tar_put(&out, long_name, BYTES(""), 0), ERR_TOO_BIG);
    assert_int_equal(buf_len(&out), 0);
    long_name[110] = '/';
    assert_int_equal(tar_put(&out, long_name, BYTES(""), 0), 0);
    assert_int_equal(tar_read(buf_bytes(&out), name, &size), 1);
    assert_string_equal(name, long_name);
    out.data[3] ^= 1;
    assert_int_equal(tar_read(buf_bytes(&out), name, &size), ERR_SYNTAX);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame),
        cmocka_unit_test(test_frame_refused),
        cmocka_unit_test(test_tar),
        cmocka_unit_test(test_tar_names),
    };
    return cmocka_run_group_tests_name("archive", tests, NULL, NULL);
}
