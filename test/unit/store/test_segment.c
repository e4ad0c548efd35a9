#include "store/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"

enum { SALT = 99 };

static size_t record(char *at, uint64_t seq, const char *payload, uint32_t unsynced)
{
    size_t len = strlen(payload);
    segment_record_begin(at, seq, (uint32_t)len);
    memcpy(at + SEGMENT_RECORD_HEADER, payload, len);
    segment_record_seal(at, SALT, unsynced);
    return segment_record_size(len);
}

static void header_is_checked_whole(void **state)
{
    char bytes[SEGMENT_HEADER];
    struct segment_header header = {SALT, 17}, found;
    segment_header_encode(&header, bytes);
    assert_int_equal(segment_header_decode(bytes, &found), 0);
    assert_int_equal(found.first_seq, 17);
    for (int i = 0; i < SEGMENT_MARK_AT; i++) {
        bytes[i] ^= 4;
        assert_int_equal(segment_header_decode(bytes, &found), ERR_CORRUPT);
        bytes[i] ^= 4;
    }
}

static void names_sort_as_sequences(void **state)
{
    char a[SEGMENT_NAME], b[SEGMENT_NAME];
    uint64_t seq;
    segment_name(9, a);
    segment_name(UINT64_MAX, b);
    assert_true(strcmp(a, b) < 0);
    assert_true(segment_name_parse(b, &seq) && seq == UINT64_MAX);
    assert_false(segment_name_parse("00000000000000000009.tmp", &seq));
    assert_false(segment_name_parse("0000000000000000000x.seg", &seq));
    assert_false(segment_name_parse("99999999999999999999.seg", &seq));
    assert_false(segment_name_parse("9.seg", &seq));
}

/* Cut anywhere, a record asks for more and touches nothing behind; any flipped bit is seen. */
static void record_is_checked_whole(void **state)
{
    char bytes[128];
    size_t size = record(bytes, 5, "the payload of a record", 2), need;
    struct segment_record found;
    struct guard guard;
    guard_init(&guard, sizeof bytes);
    for (size_t len = 0; len < size; len++) {
        struct bytes cut = guard_bytes(&guard, bytes_make(bytes, len));
        assert_int_equal(segment_record_decode(cut, SALT, 1000, &found, &need), 0);
        assert_true(need > len && need <= size);
    }
    struct bytes whole = guard_bytes(&guard, bytes_make(bytes, size));
    assert_int_equal(segment_record_decode(whole, SALT, 1000, &found, &need), size);
    assert_int_equal(found.seq, 5);
    assert_int_equal(found.unsynced, 2);
    assert_true(bytes_eq(found.payload, BYTES("the payload of a record")));
    assert_int_equal(segment_record_decode(whole, SALT, 10, &found, &need), ERR_CORRUPT);
    assert_int_equal(segment_record_decode(whole, SALT + 1, 1000, &found, &need), ERR_CORRUPT);
    for (size_t i = 0; i < SEGMENT_RECORD_HEADER + 23; i++) {
        ((char *)whole.data)[i] ^= 64;
        assert_int_equal(segment_record_decode(whole, SALT, 1000, &found, &need), ERR_CORRUPT);
        ((char *)whole.data)[i] ^= 64;
    }
    guard_release(&guard);
}

static int64_t read_bytes(void *context, void *buf, size_t size, uint64_t offset)
{
    const struct bytes *file = context;
    struct bytes rest = bytes_head(bytes_skip(*file, (size_t)offset), size);
    memcpy(buf, rest.data, rest.len);
    return (int64_t)rest.len;
}

static int tail_of(struct bytes file, int *ret_records)
{
    struct segment_scan scan;
    struct segment_record found;
    *ret_records = 0;
    assert_int_equal(segment_scan_init(&scan, read_bytes, &file, file.len, 1, 1000), 0);
    while (segment_scan_next(&scan, &found) == 1) ++*ret_records;
    int tail = segment_scan_tail(&scan);
    segment_scan_release(&scan);
    return tail;
}

static size_t file_of(char *bytes, const char *third, uint32_t third_unsynced)
{
    struct segment_header header = {SALT, 1};
    memset(bytes, 0, 512);
    segment_header_encode(&header, bytes);
    size_t len = SEGMENT_HEADER;
    len += record(bytes + len, 1, "one", 0);
    len += record(bytes + len, 2, "two", 0);
    len += record(bytes + len, 3, third, third_unsynced);
    return len;
}

/* What follows a bad record tells whether that one had been acknowledged. */
static void tail_is_judged_by_what_follows(void **state)
{
    char bytes[512];
    int count;
    file_of(bytes, "three", 0);
    assert_int_equal(tail_of(bytes_make(bytes, 512), &count), SEGMENT_TAIL_CLEAN);
    assert_int_equal(count, 3);
    size_t second = SEGMENT_HEADER + segment_record_size(3);
    bytes[second + SEGMENT_RECORD_HEADER] ^= 1;
    assert_int_equal(tail_of(bytes_make(bytes, 512), &count), SEGMENT_TAIL_DAMAGED);
    assert_int_equal(count, 1);
    file_of(bytes, "three", 1); /* written together with the second */
    bytes[second + SEGMENT_RECORD_HEADER] ^= 1;
    assert_int_equal(tail_of(bytes_make(bytes, 512), &count), SEGMENT_TAIL_TORN);
    assert_int_equal(count, 1);
}

/* A payload of 24 bytes stands behind its hash as a head does; this one would vouch for everything.
 */
static void payload_is_no_head(void **state)
{
    static const char head[] = "\xff\xff\xff\xff\xff\xff\xff\x7f"
                               "16 bytes of more";
    char bytes[512];
    int count;
    assert_int_equal(sizeof head - 1, 24);
    file_of(bytes, head, 0);
    size_t third = SEGMENT_HEADER + 2 * segment_record_size(3);
    bytes[third] ^= 1;
    assert_int_equal(tail_of(bytes_make(bytes, 512), &count), SEGMENT_TAIL_TORN);
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_is_checked_whole),        cmocka_unit_test(names_sort_as_sequences),
        cmocka_unit_test(record_is_checked_whole),        cmocka_unit_test(payload_is_no_head),
        cmocka_unit_test(tail_is_judged_by_what_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
