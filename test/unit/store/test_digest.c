/* The digests' format, and what a journal on a real file system does with it. What crashes do is
 * proved in test/sim/test_digest.c. */
#include "store/digest.h"
#include "store/folder.h"
#include "store/journal.h"
#include "store/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "guard.h"

enum { SALT = 77, SEGMENT = 8192 };

/* ---- the format ---- */

static const struct segment_point points[] = {{0, 128}, {3, 400}};
static const struct digest_chunk chunk = {
    .first = 5,
    .count = 9,
    .point_count = 2,
    .offset = 128,
    .end = 1000,
    .last_offset = 950,
    .last_hash = 4711,
};

static void make(struct buf *out, const struct digest_chunk *of)
{
    buf_init(out, 4096);
    digest_begin(out, points, 2);
    buf_append_str(out, "what is said");
    digest_end(out, of, SALT);
    assert_false(out->failed);
}

static void a_chunk_comes_back(void **state)
{
    struct buf out;
    struct digest_chunk found;
    make(&out, &chunk);
    assert_int_equal(digest_decode(buf_bytes(&out), SALT, &found), buf_len(&out));
    assert_int_equal(found.first, 5);
    assert_int_equal(found.count, 9);
    assert_int_equal(found.offset, 128);
    assert_int_equal(found.end, 1000);
    assert_int_equal(found.last_offset, 950);
    assert_int_equal(found.last_hash, 4711);
    assert_int_equal(found.point_count, 2);
    assert_int_equal(digest_point(&found, 1).index, 3);
    assert_int_equal(digest_point(&found, 1).offset, 400);
    assert_true(bytes_eq(found.said, BYTES("what is said")));
    assert_int_equal(digest_decode(buf_bytes(&out), SALT + 1, &found), ERR_CORRUPT);
    buf_release(&out);
}

static void cut_or_flipped_it_is_none(void **state)
{
    struct buf out;
    struct digest_chunk found;
    struct guard guard;
    make(&out, &chunk);
    struct bytes bytes = buf_bytes(&out);
    guard_init(&guard, bytes.len);
    for (size_t len = 0; len < bytes.len; len++) {
        struct bytes cut = guard_bytes(&guard, bytes_head(bytes, len));
        assert_int_equal(digest_decode(cut, SALT, &found), ERR_CORRUPT);
    }
    for (size_t i = 0; i < bytes.len; i++) {
        out.data[out.start + i] ^= 16;
        assert_int_equal(digest_decode(buf_bytes(&out), SALT, &found), ERR_CORRUPT);
        out.data[out.start + i] ^= 16;
    }
    guard_release(&guard);
    buf_release(&out);
}

static void nonsense_is_told(void **state)
{
    struct digest_chunk bad[4] = {chunk, chunk, chunk, chunk}, found;
    bad[0].first = 0;
    bad[1].count = 0;
    bad[2].last_offset = 1000;
    bad[3].point_count = 1 << 20;
    for (int i = 0; i < 4; i++) {
        struct buf out;
        make(&out, &bad[i]);
        assert_int_equal(digest_decode(buf_bytes(&out), SALT, &found), ERR_CORRUPT);
        buf_release(&out);
    }
    uint64_t seq;
    assert_true(digest_name_parse("00000000000000000012.dig", &seq) && seq == 12);
    assert_false(digest_name_parse("00000000000000000012.seg", &seq));
}

/* ---- a journal whose owner says how many records there were, and their sum ---- */

struct fixture {
    struct io *io;
    char dir[64];
    struct journal *journal;
    struct journal_options options;
    uint64_t sum, count; /* of all */
    uint64_t unsaid_sum, unsaid;
    uint64_t recovered, digested, last;
    bool closed, refuse;
};

static void add(struct fixture *f, const struct journal_record *record)
{
    uint64_t value;
    memcpy(&value, record->payload.data, sizeof value);
    f->sum += value;
    f->unsaid_sum += value;
    f->count++;
    f->unsaid++;
    f->last = record->seq;
}

static int recovered(void *context, const struct journal_record *record)
{
    struct fixture *f = context;
    assert_int_equal(record->seq, f->last + 1);
    add(f, record);
    f->recovered++;
    return 0;
}

static void appended(void *context, const struct journal_record *record, int result)
{
    assert_int_equal(result, 0);
    add(context, record);
}

static int digest(void *context, struct buf *out)
{
    struct fixture *f = context;
    buf_append(out, bytes_make((char *)&f->unsaid_sum, 8));
    f->unsaid_sum = f->unsaid = 0;
    return f->refuse ? ERR_NOMEM : 0;
}

static int digested(void *context, uint64_t first_seq, uint32_t count, struct bytes said)
{
    struct fixture *f = context;
    uint64_t sum;
    assert_int_equal(first_seq, f->last + 1);
    assert_int_equal(said.len, 8);
    memcpy(&sum, said.data, 8);
    f->sum += sum;
    f->count += count;
    f->digested += count;
    f->last = first_seq + count - 1;
    return 0;
}

static void open_journal(struct fixture *f)
{
    struct error error;
    f->sum = f->count = f->unsaid_sum = f->unsaid = f->recovered = f->digested = f->last = 0;
    int r = journal_open(f->io, &f->options, &f->journal, &error);
    if (r < 0) fail_msg("%s: %s", error.file, error.message);
}

static void closed(void *context)
{
    ((struct fixture *)context)->closed = true;
}

static void close_journal(struct fixture *f)
{
    f->closed = false;
    journal_close(f->journal, closed, f);
    for (int i = 0; i < 1000 && !f->closed; i++) io_turn(f->io, 100);
    assert_true(f->closed);
}

static void append(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        char payload[40] = {0};
        uint64_t seq, value = journal_next(f->journal) * 3;
        memcpy(payload, &value, sizeof value);
        struct iovec iov = {payload, sizeof payload};
        assert_int_equal(journal_append(f->journal, &iov, 1, &seq), 0);
        if (i % 7) continue;
        for (int j = 0; j < 1000 && f->last < seq; j++) io_turn(f->io, 100);
    }
    for (int i = 0; i < 1000 && f->last + 1 < journal_next(f->journal); i++) io_turn(f->io, 100);
}

static void is_all(const struct fixture *f, uint64_t count)
{
    assert_int_equal(f->count, count);
    assert_int_equal(f->last, count);
    assert_int_equal(f->sum, 3 * count * (count + 1) / 2);
    assert_int_equal(f->recovered + f->digested, count);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/dure-digest-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    f->options = (struct journal_options){
        .dir = f->dir,
        .segment_bytes = SEGMENT,
        .allocate_bytes = 4096,
        .context = f,
        .recovered = recovered,
        .appended = appended,
        .digest = digest,
        .digested = digested,
    };
    if (io_new(&(struct io_options){0}, &f->io) < 0) return -1;
    open_journal(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->journal) close_journal(f);
    int r = folder_remove(f->io, f->dir);
    io_free(f->io);
    free(f);
    return r;
}

static void reopen(struct fixture *f)
{
    close_journal(f);
    open_journal(f);
}

static void most_records_are_not_read(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    reopen(f);
    is_all(f, 1000);
    assert_true(f->digested > 900);
    append(f, 500);
    reopen(f);
    is_all(f, 1500);
    assert_true(f->digested > 1400);
}

static void without_them_all_are_and_then_not_again(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    f->options.digested = NULL;
    reopen(f);
    is_all(f, 1000);
    assert_int_equal(f->digested, 0);
    f->options.digested = digested;
    reopen(f);
    is_all(f, 1000);
    assert_true(f->digested > 900);
}

static void other_policies_digest_whole_segments(void **state)
{
    struct fixture *f = *state;
    f->options.sync = JOURNAL_SYNC_NEVER;
    reopen(f);
    append(f, 1000);
    reopen(f);
    is_all(f, 1000);
    assert_true(f->digested > 700);
    assert_true(f->recovered > 0);
    reopen(f);
    is_all(f, 1000);
    append(f, 300);
    reopen(f);
    is_all(f, 1300);
}

static void an_owner_who_cannot_say_is_not_asked_to_know(void **state)
{
    struct fixture *f = *state;
    f->refuse = true;
    append(f, 1000);
    f->refuse = false;
    reopen(f);
    is_all(f, 1000);
    assert_int_equal(f->digested, 0);
}

/* One byte of the first segment's digest or of the last record that it knows. */
static void spoil(struct fixture *f, const char *suffix, off_t at)
{
    char path[128], byte;
    snprintf(path, sizeof path, "%s/00000000000000000001.%s", f->dir, suffix);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void a_rotten_one_is_not_believed(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    reopen(f);
    uint64_t before = f->digested;
    close_journal(f);
    spoil(f, "dig", 200);
    open_journal(f);
    is_all(f, 1000);
    assert_true(f->digested < before);
    reopen(f); /* it was made anew */
    is_all(f, 1000);
    assert_int_equal(f->digested, before);
}

static void rot_in_a_segment_is_found_by_who_reads(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    close_journal(f);
    spoil(f, "seg", SEGMENT_HEADER + SEGMENT_RECORD_HEADER + 3);
    open_journal(f); /* the digest knows nothing of it */
    is_all(f, 1000);
    struct journal_read read;
    journal_read_init(&read);
    assert_int_equal(journal_read_now(f->journal, &read, 1, 1), ERR_CORRUPT);
    journal_read_release(&read);
    struct journal_verify verify;
    struct error error;
    assert_int_equal(journal_verify(f->io, f->dir, &verify, &error), ERR_CORRUPT);
}

static void reads_find_records_that_were_not_read(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    reopen(f);
    for (uint64_t seq = 1; seq <= 1000; seq += 37) {
        struct journal_read read;
        struct journal_record record;
        uint64_t value;
        journal_read_init(&read);
        assert_int_equal(journal_read_now(f->journal, &read, seq, 1), 0);
        assert_true(journal_read_next(&read, &record));
        memcpy(&value, record.payload.data, sizeof value);
        assert_int_equal(record.seq, seq);
        assert_int_equal(value, seq * 3);
        journal_read_release(&read);
    }
}

static void trimmed_segments_take_theirs_along(void **state)
{
    struct fixture *f = *state;
    append(f, 1000);
    journal_trim(f->journal, 990);
    close_journal(f);
    char path[128];
    snprintf(path, sizeof path, "%s/00000000000000000001.dig", f->dir);
    assert_int_not_equal(access(path, F_OK), 0);
    int fd = open(path, O_RDWR | O_CREAT, 0600); /* an orphan */
    close(fd);
    f->last = 0;
    f->options.recovered = NULL;
    f->options.digested = NULL;
    open_journal(f);
    assert_int_not_equal(access(path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_comes_back),
        cmocka_unit_test(cut_or_flipped_it_is_none),
        cmocka_unit_test(nonsense_is_told),
        cmocka_unit_test_setup_teardown(most_records_are_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(without_them_all_are_and_then_not_again, setup, teardown),
        cmocka_unit_test_setup_teardown(other_policies_digest_whole_segments, setup, teardown),
        cmocka_unit_test_setup_teardown(an_owner_who_cannot_say_is_not_asked_to_know, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_rotten_one_is_not_believed, setup, teardown),
        cmocka_unit_test_setup_teardown(rot_in_a_segment_is_found_by_who_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_find_records_that_were_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(trimmed_segments_take_theirs_along, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
