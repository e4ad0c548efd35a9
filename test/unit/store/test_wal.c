/* The commit log on a real file system. What crashes do to it is proved in test/sim/test_store.c.
 */
#include "store/folder.h"
#include "store/journal.h"
#include "store/segment.h"
#include "store/wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

enum { JOURNALS = 3 };

struct fixture {
    struct io *io;
    char dir[64];
    struct wal *wal;
    struct store_metrics metrics;
    struct journal *journals[JOURNALS];
    uint64_t appended[JOURNALS], recovered[JOURNALS];
    bool closed;
};

struct owner {
    struct fixture *fixture;
    int number;
};

static struct owner owners[JOURNALS];

static void appended(void *context, const struct journal_record *record, int result)
{
    const struct owner *owner = context;
    assert_int_equal(result, 0);
    assert_int_equal(record->seq, ++owner->fixture->appended[owner->number]);
}

static int recovered(void *context, const struct journal_record *record)
{
    const struct owner *owner = context;
    char expected[64];
    int len = snprintf(expected, sizeof expected, "%d of %d", (int)record->seq, owner->number);
    bool large = record->payload.len > 64;
    assert_true(large || bytes_eq(record->payload, bytes_make(expected, (size_t)len)));
    assert_int_equal(record->seq, ++owner->fixture->recovered[owner->number]);
    return 0;
}

static void open_store(struct fixture *f)
{
    struct error error = {0};
    const struct wal_options options = {
        .dir = f->dir, .file_min = 32 << 10, .file_max = 64 << 10, .metrics = &f->metrics};
    if (wal_open(f->io, &options, &f->wal, &error) < 0) {
        fail_msg("%s: %s", error.file, error.message);
    }
    for (int i = 0; i < JOURNALS; i++) {
        char dir[80];
        snprintf(dir, sizeof dir, "%s/%d", f->dir, i);
        owners[i] = (struct owner){f, i};
        f->recovered[i] = 0;
        const struct journal_options journal = {.dir = dir,
                                                .wal = f->wal,
                                                .segment_bytes = 256 << 10,
                                                .allocate_bytes = 16 << 10,
                                                .context = &owners[i],
                                                .recovered = recovered,
                                                .appended = appended};
        if (journal_open(f->io, &journal, &f->journals[i], &error) < 0) {
            fail_msg("%s: %s", error.file, error.message);
        }
        f->appended[i] = journal_last(f->journals[i]);
    }
}

static void closed(void *context)
{
    ((struct fixture *)context)->closed = true;
}

static void wait_closed(struct fixture *f)
{
    for (int i = 0; i < 1000 && !f->closed; i++) io_turn(f->io, 100);
    assert_true(f->closed);
    f->closed = false;
}

static void close_store(struct fixture *f)
{
    for (int i = 0; i < JOURNALS; i++) {
        if (!f->journals[i]) continue;
        journal_close(f->journals[i], closed, f);
        wait_closed(f);
    }
    wal_close(f->wal, closed, f);
    wait_closed(f);
}

/* As kill -9: what is in the kernel stays. Jobs under way must be over before the memory goes. */
static void abandon_store(struct fixture *f)
{
    for (int i = 0; i < 30; i++) io_turn(f->io, 10);
    for (int i = 0; i < JOURNALS; i++) journal_free(f->journals[i]);
    wal_free(f->wal);
}

static void append(struct fixture *f, int count)
{
    for (int n = 0; n < count; n++) {
        for (int i = 0; i < JOURNALS; i++) {
            char payload[64];
            uint64_t seq;
            int len =
                snprintf(payload, sizeof payload, "%d of %d", (int)journal_next(f->journals[i]), i);
            struct iovec iov = {payload, (size_t)len};
            assert_int_equal(journal_append(f->journals[i], &iov, 1, &seq), 0);
        }
        if (n % 7 == 0) io_turn(f->io, 0);
    }
    for (int turn = 0; turn < 10000; turn++) {
        int behind = 0;
        for (int i = 0; i < JOURNALS; i++) {
            behind += journal_last(f->journals[i]) + 1 < journal_next(f->journals[i]);
        }
        if (!behind) return;
        io_turn(f->io, 100);
    }
    fail_msg("appends do not end");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/dure-wal-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(io_new(NULL, &f->io), 0);
    open_store(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_store(f);
    io_free(f->io);
    char command[128];
    for (int i = 0; i < JOURNALS; i++) {
        snprintf(command, sizeof command, "%s/%d", f->dir, i);
        struct io *io;
        assert_int_equal(io_new(NULL, &io), 0);
        assert_int_equal(folder_remove(io, command), 0);
        io_free(io);
    }
    for (int i = 0; i < 64; i++) {
        snprintf(command, sizeof command, "%s/wal/%04d.wal", f->dir, i);
        unlink(command);
    }
    snprintf(command, sizeof command, "%s/wal", f->dir);
    assert_int_equal(rmdir(command), 0);
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static void keeps_all_journals_over_many_files(void **state)
{
    struct fixture *f = *state;
    for (int round = 0; round < 20; round++) append(f, 200);
    assert_true(f->metrics.checkpoints > 2);
    close_store(f);
    uint64_t replayed = f->metrics.wal_replayed;
    open_store(f);
    for (int i = 0; i < JOURNALS; i++) assert_int_equal(f->recovered[i], 4000);
    assert_int_equal(f->metrics.wal_replayed, replayed); /* all was synced, and the log says so */
}

static void goes_on_after_being_abandoned(void **state)
{
    struct fixture *f = *state;
    for (int life = 1; life <= 5; life++) {
        append(f, 300);
        abandon_store(f);
        open_store(f);
        for (int i = 0; i < JOURNALS; i++) assert_int_equal(f->recovered[i], 300 * life);
    }
}

/* A record too large for the log is written once, to the journal, and synced there. */
/* Up to where the next start need not look after what stands in the journal's first segment. */
static uint64_t marked(const struct fixture *f, int journal)
{
    char path[128], bytes[SEGMENT_HEADER];
    struct segment_header header;
    struct segment_mark mark = {0};
    snprintf(path, sizeof path, "%s/%d/00000000000000000001.seg", f->dir, journal);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
    close(fd);
    assert_int_equal(segment_header_decode(bytes, &header), 0);
    (void)segment_mark_decode(bytes + SEGMENT_MARK_AT, header.salt, &mark);
    return mark.next_seq;
}

/* Also when that was the log's to recover. */
static void a_good_end_leaves_nothing_to_settle(void **state)
{
    struct fixture *f = *state;
    append(f, 50);
    for (int i = 0; i < JOURNALS; i++) assert_int_equal(marked(f, i), 0);
    abandon_store(f);
    open_store(f);
    close_store(f);
    for (int i = 0; i < JOURNALS; i++) assert_int_equal(marked(f, i), 51);
    open_store(f);
}

static void large_records_go_past_the_log(void **state)
{
    struct fixture *f = *state;
    static char large[100 << 10];
    uint64_t seq, before = f->metrics.wal_bytes;
    memset(large, 'l', sizeof large);
    struct iovec iov = {large, sizeof large};
    append(f, 1);
    assert_int_equal(journal_append(f->journals[0], &iov, 1, &seq), 0);
    append(f, 1);
    assert_int_equal(seq, 2);
    assert_true(f->metrics.wal_bytes - before < sizeof large);
    abandon_store(f);
    open_store(f);
    assert_int_equal(f->recovered[0], 3);
    assert_int_equal(f->recovered[1], 2);
}

static void removed(void *context, int result)
{
    assert_int_equal(result, 0);
    closed(context);
}

static void what_is_removed_stays_away(void **state)
{
    struct fixture *f = *state;
    char dir[80];
    append(f, 100);
    journal_close(f->journals[1], closed, f);
    wait_closed(f);
    f->journals[1] = NULL;
    snprintf(dir, sizeof dir, "%s/1", f->dir);
    assert_int_equal(wal_remove(f->wal, "/tmp/elsewhere", removed, f), ERR_INVALID);
    assert_int_equal(wal_remove(f->wal, dir, removed, f), 0);
    wait_closed(f);
    abandon_store(f);
    assert_int_equal(access(dir, F_OK), -1);
    open_store(f);
    assert_int_equal(f->recovered[0], 100);
    assert_int_equal(f->recovered[1], 0);
}

/* A new journal costs no sync of its own; what the cache forgets of it, the log brings back, but
 * not once it has been removed. */
static void the_log_makes_journals(void **state)
{
    struct fixture *f = *state;
    char dir[80], file[120];
    snprintf(dir, sizeof dir, "%s/1", f->dir);
    snprintf(file, sizeof file, "%s/%020d.seg", dir, 1);
    assert_int_equal(access(dir, F_OK), -1);
    append(f, 5);
    assert_int_equal(access(file, F_OK), 0);
    abandon_store(f);
    unlink(file);
    rmdir(dir);
    open_store(f);
    assert_int_equal(f->recovered[1], 5);
    assert_int_equal(f->recovered[2], 5);
    append(f, 5);
    abandon_store(f);
    open_store(f);
    assert_int_equal(f->recovered[1], 10);
}

static void is_open_once(void **state)
{
    struct fixture *f = *state;
    const struct wal_options options = {.dir = f->dir};
    struct wal *second;
    struct error error;
    assert_int_equal(wal_open(f->io, &options, &second, &error), ERR_IN_USE);
    assert_null(second);
    assert_string_equal(error.file, f->dir);
}

static void is_only_for_journals_below_it(void **state)
{
    struct fixture *f = *state;
    struct journal *journal;
    struct journal_options options = {.dir = "/tmp/elsewhere", .wal = f->wal};
    assert_int_equal(journal_open(f->io, &options, &journal, NULL), ERR_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keeps_all_journals_over_many_files),  TEST(goes_on_after_being_abandoned),
        TEST(a_good_end_leaves_nothing_to_settle), TEST(large_records_go_past_the_log),
        TEST(what_is_removed_stays_away),          TEST(the_log_makes_journals),
        TEST(is_only_for_journals_below_it),       TEST(is_open_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
