#include "store/wal_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"

enum { SALT = 77 };

/* A good header is found in either copy; a block in which both are bad is none. */
static void header_is_there_twice(void **state)
{
    char block[WAL_BLOCK];
    const struct wal_header header = {SALT, 5, 3, 1 << 20};
    struct wal_header found;
    wal_header_encode(&header, block);
    for (int i = 0; i < 64; i++) {
        block[i] ^= 4;
        assert_int_equal(wal_header_decode(block, &found), 0);
        assert_int_equal(found.generation, 5);
        assert_int_equal(found.replay_from, 3);
        block[WAL_BLOCK / 2 + i] ^= 4;
        assert_int_equal(wal_header_decode(block, &found), ERR_CORRUPT);
        block[i] ^= 4;
        assert_int_equal(wal_header_decode(block, &found), 0);
        assert_int_equal(found.size, 1 << 20);
        block[WAL_BLOCK / 2 + i] ^= 4;
    }
}

/* Whichever half of a torn write has reached the disk. */
static void newer_copy_of_a_torn_header_counts(void **state)
{
    char older[WAL_BLOCK], newer[WAL_BLOCK], torn[WAL_BLOCK];
    const struct wal_header headers[] = {{SALT, 5, 3, 1 << 20}, {SALT + 1, 9, 6, 1 << 20}};
    struct wal_header found;
    wal_header_encode(&headers[0], older);
    wal_header_encode(&headers[1], newer);
    for (int half = 0; half < 2; half++) {
        memcpy(torn, half ? newer : older, WAL_BLOCK / 2);
        memcpy(torn + WAL_BLOCK / 2, (half ? older : newer) + WAL_BLOCK / 2, WAL_BLOCK / 2);
        assert_int_equal(wal_header_decode(torn, &found), 0);
        assert_int_equal(found.generation, 9);
        assert_int_equal(found.replay_from, 6);
        assert_int_equal(found.salt, SALT + 1);
    }
}

static size_t frame_of(char *frame, bool end)
{
    const struct wal_extent extents[] = {
        {BYTES("streams/A"), 1, 9, 128, 24, WAL_EXTENT_BEGINS, BYTES("twenty-four bytes of it.")},
        {BYTES("streams/B/consumers/c"), 700, 10, 4096, 1 << 20, WAL_EXTENT_EXTERNAL, BYTES("")},
    };
    char *at = frame + WAL_HEAD;
    for (int i = 0; i < 2; i++) {
        char *next = wal_extent_encode(at, &extents[i]);
        assert_int_equal(next - at, wal_extent_size(extents[i].name.len, extents[i].data.len));
        at = next;
    }
    struct wal_head head = {.number = 8, .acked = 7, .first = 2, .replay_from = 1, .blocks = 1};
    head.length = (uint32_t)(at - frame);
    head.end = end;
    wal_frame_seal(frame, &head, SALT);
    return head.length;
}

static void frame_comes_back_as_it_was(void **state)
{
    char frame[WAL_BLOCK];
    struct wal_head head;
    struct wal_extent extent;
    memset(frame, 'x', sizeof frame);
    size_t length = frame_of(frame, true);
    assert_int_equal(wal_head_decode(frame, SALT, &head), 0);
    assert_int_equal(head.number, 8);
    assert_int_equal(head.acked, 7);
    assert_int_equal(head.first, 2);
    assert_true(head.end);
    assert_int_equal(wal_frame_check(frame, &head, SALT), 0);
    assert_int_equal(wal_head_decode(frame, SALT + 1, &head), ERR_CORRUPT);
    for (size_t i = length; i < WAL_BLOCK; i++) assert_int_equal(frame[i], 0);
    struct bytes body = bytes_make(frame + WAL_HEAD, length - WAL_HEAD);
    assert_int_equal(wal_extent_next(&body, &extent), 1);
    assert_true(bytes_eq(extent.name, BYTES("streams/A")));
    assert_true(bytes_eq(extent.data, BYTES("twenty-four bytes of it.")));
    assert_int_equal(extent.offset, 128);
    assert_int_equal(wal_extent_next(&body, &extent), 1);
    assert_true(bytes_eq(extent.name, BYTES("streams/B/consumers/c")));
    assert_int_equal(extent.kind, WAL_EXTENT_EXTERNAL);
    assert_int_equal(extent.length, 1 << 20);
    assert_int_equal(wal_extent_next(&body, &extent), 0);
}

/* Any flipped bit is seen, by the head's hash or the body's. */
static void frame_is_checked_whole(void **state)
{
    char frame[WAL_BLOCK];
    struct wal_head head;
    size_t length = frame_of(frame, false);
    for (size_t i = 0; i < length; i++) {
        frame[i] ^= 32;
        bool good =
            wal_head_decode(frame, SALT, &head) == 0 && wal_frame_check(frame, &head, SALT) == 0;
        assert_false(good);
        frame[i] ^= 32;
    }
}

/* A body cut anywhere, with a guard page behind it, is an error or ends between two extents. */
static void body_is_read_within_its_bounds(void **state)
{
    char frame[WAL_BLOCK];
    size_t length = frame_of(frame, false) - WAL_HEAD;
    size_t first = wal_extent_size(9, 24);
    struct guard guard;
    guard_init(&guard, sizeof frame);
    for (size_t len = 0; len <= length; len++) {
        struct bytes body = guard_bytes(&guard, bytes_make(frame + WAL_HEAD, len));
        struct wal_extent extent;
        int r, count = 0;
        while ((r = wal_extent_next(&body, &extent)) > 0) count++;
        bool whole = len == 0 || len == first || len == length;
        assert_int_equal(r, whole ? 0 : ERR_CORRUPT);
        assert_int_equal(count, len < first ? 0 : len < length ? 1 : 2);
    }
    guard_release(&guard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_there_twice),
        cmocka_unit_test(newer_copy_of_a_torn_header_counts),
        cmocka_unit_test(frame_comes_back_as_it_was),
        cmocka_unit_test(frame_is_checked_whole),
        cmocka_unit_test(body_is_read_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
