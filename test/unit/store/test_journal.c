/* The journal on a real file system. What crashes do to it is proved in test/sim/test_store.c. */
#include "store/folder.h"
#include "store/journal.h"
#include "store/segment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEGMENT = 8192 };

struct fixture {
    struct io *io;
    char dir[64];
    struct journal *journal;
    struct journal_options options;
    uint64_t appended, failed, recovered, last;
    bool closed, read, snapshot;
    int read_result;
};

static void appended(void *context, const struct journal_record *record, int result)
{
    struct fixture *f = context;
    if (result < 0) {
        f->failed++;
        return;
    }
    assert_int_equal(record->seq, f->last + 1);
    f->last = record->seq;
    f->appended++;
}

static int recovered(void *context, const struct journal_record *record)
{
    struct fixture *f = context;
    char expected[32];
    int len = snprintf(expected, sizeof expected, "record %d", (int)record->seq);
    assert_true(bytes_eq(record->payload, bytes_make(expected, (size_t)len)));
    f->last = record->seq;
    f->recovered++;
    return 0;
}

static void open_journal(struct fixture *f)
{
    struct error error;
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
    uint64_t want = journal_next(f->journal) - 1 + (uint64_t)count;
    for (int i = 0; i < count; i++) {
        char payload[32];
        uint64_t seq;
        int len = snprintf(payload, sizeof payload, "record %d", (int)journal_next(f->journal));
        struct iovec parts[] = {{payload, 3}, {payload + 3, (size_t)len - 3}};
        assert_int_equal(journal_append(f->journal, parts, 2, &seq), 0);
    }
    for (int i = 0; i < 1000 && f->last < want; i++) io_turn(f->io, 100);
    assert_int_equal(journal_last(f->journal), want);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/dure-journal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(io_new(NULL, &f->io), 0);
    f->options = (struct journal_options){.dir = f->dir,
                                          .segment_bytes = SEGMENT,
                                          .allocate_bytes = 4096,
                                          .record_max = 2048,
                                          .pending_max = 4096,
                                          .context = f,
                                          .recovered = recovered,
                                          .appended = appended};
    open_journal(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->journal) close_journal(f);
    assert_int_equal(folder_remove(f->io, f->dir), 0);
    io_free(f->io);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    close_journal(f);
    f->recovered = f->last = 0;
    open_journal(f);
}

static void keeps_records_over_segments(void **state)
{
    struct fixture *f = *state;
    append(f, 10);
    for (int i = 0; i < 40; i++) append(f, 20);
    assert_true(journal_second_segment(f->journal) > 1);
    reopen(f);
    assert_int_equal(f->recovered, 810);
    assert_int_equal(journal_next(f->journal), 811);
    append(f, 5);
    reopen(f);
    assert_int_equal(f->recovered, 815);
    struct journal_verify verify;
    assert_int_equal(journal_verify(f->io, f->dir, &verify, NULL), 0);
    assert_int_equal(verify.records, 815);
    assert_int_equal(verify.last, 815);
}

static void refuses_what_is_too_much(void **state)
{
    struct fixture *f = *state;
    static char big[4096];
    uint64_t seq;
    struct iovec iov = {big, 2049};
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), ERR_TOO_BIG);
    iov.iov_len = 1900;
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), 0);
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), 0);
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), ERR_FULL);
    for (int i = 0; i < 1000 && f->last < 2; i++) io_turn(f->io, 100);
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), 0);
    assert_int_equal(seq, 3);
    f->options.recovered = NULL;
}

static void read_done(struct journal_read *read, int result)
{
    struct fixture *f = read->context;
    f->read = true;
    f->read_result = result;
}

static int read_at(struct fixture *f, struct journal_read *read, uint64_t seq, size_t max)
{
    f->read = false;
    read->done = read_done;
    read->context = f;
    int r = journal_read_start(f->journal, read, seq, max);
    for (int i = 0; r == 0 && i < 1000 && !f->read; i++) io_turn(f->io, 100);
    return r < 0 ? r : f->read_result;
}

static void reads_any_record(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 25; i++) append(f, 20);
    struct journal_read read;
    struct journal_record record;
    journal_read_init(&read);
    for (uint64_t seq = 1; seq <= 500; seq += 7) {
        char expected[32];
        int len = snprintf(expected, sizeof expected, "record %d", (int)seq);
        assert_int_equal(read_at(f, &read, seq, 0), 0);
        assert_true(journal_read_next(&read, &record));
        assert_int_equal(record.seq, seq);
        assert_true(bytes_eq(record.payload, bytes_make(expected, (size_t)len)));
        assert_false(journal_read_next(&read, &record));
    }
    assert_int_equal(read_at(f, &read, 100, 480), 0); /* ten records of 48 bytes */
    int count = 0;
    while (journal_read_next(&read, &record)) count++;
    assert_int_equal(count, 10);
    assert_true(journal_read_find(&read, 105, &record));
    assert_false(journal_read_find(&read, 110, &record));
    assert_int_equal(read_at(f, &read, 501, 0), ERR_NOT_FOUND);
    assert_int_equal(read_at(f, &read, 0, 0), ERR_NOT_FOUND);
    journal_read_release(&read);
}

/* Reads that go on where the one before ended, over all segments; and back again. */
static void reads_on_from_where_it_was(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 25; i++) append(f, 20);
    struct journal_read read;
    struct journal_record record;
    journal_read_init(&read);
    for (int turn = 0; turn < 2; turn++) {
        for (uint64_t seq = 1; seq <= 500;) {
            assert_int_equal(read_at(f, &read, seq, 480), 0);
            uint64_t first = seq;
            for (; journal_read_next(&read, &record); seq++) {
                char expected[32];
                int len = snprintf(expected, sizeof expected, "record %d", (int)seq);
                assert_int_equal(record.seq, seq);
                assert_true(bytes_eq(record.payload, bytes_make(expected, (size_t)len)));
            }
            assert_true(seq > first);
        }
    }
    assert_int_equal(read_at(f, &read, 501, 480), ERR_NOT_FOUND);
    append(f, 1);
    assert_int_equal(read_at(f, &read, 501, 480), 0);
    assert_true(journal_read_next(&read, &record));
    assert_int_equal(record.seq, 501);
    journal_read_release(&read);
}

/* Its file may be cut short under the job's hands: that is no damage. */
static void a_read_finds_nothing_of_what_is_trimmed_meanwhile(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 25; i++) append(f, 20);
    char path[128];
    snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->dir);
    assert_int_equal(truncate(path, SEGMENT_HEADER), 0);
    struct journal_read read;
    journal_read_init(&read);
    assert_int_equal(read_at(f, &read, 1, 480), ERR_CORRUPT);
    f->read = false;
    assert_int_equal(journal_read_start(f->journal, &read, 1, 480), 0);
    journal_trim(f->journal, 301);
    for (int i = 0; i < 1000 && !f->read; i++) io_turn(f->io, 100);
    assert_int_equal(f->read_result, ERR_NOT_FOUND);
    journal_read_release(&read);
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct fixture *f = context;
    assert_int_equal(result, 0);
    assert_int_equal(covers, 300);
    f->snapshot = true;
}

static void snapshot_then_trim(void **state)
{
    struct fixture *f = *state;
    struct buf data;
    uint64_t covers;
    for (int i = 0; i < 25; i++) append(f, 20);
    buf_init(&data, 1000);
    assert_int_equal(journal_snapshot_read(f->io, f->dir, &data, &covers, NULL), ERR_NOT_FOUND);
    assert_int_equal(journal_snapshot_write(f->journal, BYTES("state"), 300, snapshot_done), 0);
    assert_int_equal(journal_snapshot_write(f->journal, BYTES("other"), 300, snapshot_done),
                     ERR_FULL);
    for (int i = 0; i < 1000 && !f->snapshot; i++) io_turn(f->io, 100);
    assert_int_equal(journal_snapshot_read(f->io, f->dir, &data, &covers, NULL), 0);
    assert_true(bytes_eq(buf_bytes(&data), BYTES("state")));
    assert_int_equal(covers, 300);
    buf_release(&data);
    journal_trim(f->journal, 301);
    uint64_t first = journal_first(f->journal);
    assert_true(first > 1 && first <= 301);
    reopen(f);
    assert_int_equal(journal_first(f->journal), first);
    assert_int_equal(f->recovered, 500 - first + 1);
    journal_trim(f->journal, 10000); /* the segment that is written to always stays */
    assert_int_equal(journal_second_segment(f->journal), 0);
    append(f, 1);
    assert_int_equal(f->last, 501);
}

static void a_roll_lets_all_before_it_go(void **state)
{
    struct fixture *f = *state;
    append(f, 5);
    journal_roll(f->journal); /* not worth a file yet */
    append(f, 1);
    assert_int_equal(journal_second_segment(f->journal), 0);
    uint64_t bytes = journal_bytes(f->journal);
    while (journal_bytes(f->journal) < f->options.segment_bytes / 2) append(f, 1);
    journal_roll(f->journal);
    assert_int_equal(journal_second_segment(f->journal), 0); /* with the next record */
    append(f, 2);
    assert_int_equal(journal_second_segment(f->journal), f->last - 1);
    journal_trim(f->journal, f->last);
    assert_int_equal(journal_first(f->journal), f->last - 1);
    assert_true(journal_bytes(f->journal) < bytes);
    uint64_t last = f->last;
    reopen(f);
    assert_int_equal(f->recovered, 2);
    append(f, 1);
    assert_int_equal(f->last, last + 1);
}

static void damage_is_told_and_left(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) append(f, 20);
    close_journal(f);
    char path[128], before[SEGMENT], after[SEGMENT];
    snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->dir);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "X", 1, SEGMENT_HEADER + 136), 1);
    ssize_t len = pread(fd, before, sizeof before, 0);
    struct error error;
    struct journal_verify verify;
    assert_int_equal(journal_open(f->io, &f->options, &f->journal, &error), ERR_CORRUPT);
    assert_null(f->journal);
    assert_string_equal(error.file, path);
    assert_non_null(strstr(error.message, "byte 248"));
    assert_int_equal(journal_verify(f->io, f->dir, &verify, &error), ERR_CORRUPT);
    assert_int_equal(pread(fd, after, sizeof after, 0), len);
    assert_memory_equal(before, after, (size_t)len);
    close(fd);
}

/* Reads one record: what it says, or the error. */
static int read_one(struct fixture *f, uint64_t seq)
{
    struct journal_read read;
    struct journal_record record;
    char expected[32];
    journal_read_init(&read);
    int r = journal_read_now(f->journal, &read, seq, 1);
    if (r == 0) {
        assert_true(journal_read_next(&read, &record));
        int len = snprintf(expected, sizeof expected, "record %d", (int)seq);
        assert_int_equal(record.seq, seq);
        assert_true(bytes_eq(record.payload, bytes_make(expected, (size_t)len)));
        assert_false(journal_read_next(&read, &record));
    }
    journal_read_release(&read);
    return r;
}

/* A record that has rotted costs itself, whether its payload has or its header. */
static void damage_is_one_records(void **state)
{
    struct fixture *f = *state;
    char path[128];
    size_t at = SEGMENT_HEADER;
    for (int i = 0; i < 3; i++) append(f, 20);
    snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->dir);
    int fd = open(path, O_RDWR);
    for (uint64_t seq = 1; seq <= 60; seq++) {
        char expected[32];
        int len = snprintf(expected, sizeof expected, "record %d", (int)seq);
        if (seq == 20) assert_int_equal(pwrite(fd, "X", 1, (off_t)at + SEGMENT_RECORD_HEADER), 1);
        if (seq == 30) assert_int_equal(pwrite(fd, "X", 1, (off_t)at + 8), 1);
        at += segment_record_size((size_t)len);
    }
    close(fd);
    for (uint64_t seq = 1; seq <= 60; seq++)
        assert_int_equal(read_one(f, seq), seq == 20 || seq == 30 ? ERR_CORRUPT : 0);

    struct journal_read read; /* a run ends before it */
    struct journal_record record;
    uint64_t count = 0;
    journal_read_init(&read);
    assert_int_equal(journal_read_now(f->journal, &read, 21, 10000), 0);
    while (journal_read_next(&read, &record)) assert_int_equal(record.seq, 21 + count++);
    assert_int_equal(count, 9);
    assert_int_equal(journal_read_now(f->journal, &read, 30, 10000), ERR_CORRUPT);
    assert_int_equal(journal_read_now(f->journal, &read, 31, 10000), 0);
    assert_true(journal_read_next(&read, &record));
    assert_int_equal(record.seq, 31);
    journal_read_release(&read);
}

static void takes_as_much_again_of_the_disk_as_it_has(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat status;
    close_journal(f);
    assert_int_equal(folder_remove(f->io, f->dir), 0);
    f->options.segment_bytes = 4 << 20;
    f->options.allocate_bytes = 256 << 10;
    f->last = 0;
    open_journal(f);
    snprintf(path, sizeof path, "%s/00000000000000000001.seg", f->dir);
    static const struct {
        int records; /* of 48 bytes */
        off_t size;
    } steps[] = {{1, 64 << 10}, {1499, 128 << 10}, {1500, 256 << 10}, {9000, 768 << 10}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        for (int n = 0; n < steps[i].records; n += 20)
            append(f, steps[i].records - n < 20 ? steps[i].records - n : 20);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_size, steps[i].size);
    }
}

static void must_exist_makes_nothing(void **state)
{
    struct fixture *f = *state;
    append(f, 1);
    close_journal(f);
    f->options.must_exist = true;
    open_journal(f);
    close_journal(f);
    assert_int_equal(folder_remove(f->io, f->dir), 0);
    assert_int_equal(journal_open(f->io, &f->options, &f->journal, NULL), ERR_NOT_FOUND);
    assert_null(f->journal);
}

static void flush_makes_durable_at_once(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;
    char payload[] = "record 1";
    struct iovec iov = {payload, 8};
    assert_int_equal(journal_append(f->journal, &iov, 1, &seq), 0);
    assert_int_equal(f->appended, 0);
    assert_int_equal(journal_flush(f->journal), 0);
    assert_int_equal(f->appended, 1);
    assert_int_equal(journal_last(f->journal), 1);
}

static void other_policies_acknowledge_after_the_write(void **state)
{
    struct fixture *f = *state;
    for (int policy = JOURNAL_SYNC_INTERVAL; policy <= JOURNAL_SYNC_NEVER; policy++) {
        f->options.sync = (enum journal_sync)policy;
        f->options.sync_interval_ms = 10;
        reopen(f);
        append(f, 30);
        for (int i = 0; i < 5; i++) io_turn(f->io, 10);
        reopen(f);
        append(f, 1);
    }
    reopen(f);
    assert_int_equal(f->recovered, 62);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keeps_records_over_segments),
        TEST(refuses_what_is_too_much),
        TEST(reads_any_record),
        TEST(reads_on_from_where_it_was),
        TEST(a_read_finds_nothing_of_what_is_trimmed_meanwhile),
        TEST(snapshot_then_trim),
        TEST(a_roll_lets_all_before_it_go),
        TEST(damage_is_told_and_left),
        TEST(damage_is_one_records),
        TEST(takes_as_much_again_of_the_disk_as_it_has),
        TEST(must_exist_makes_nothing),
        TEST(flush_makes_durable_at_once),
        TEST(other_policies_acknowledge_after_the_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
