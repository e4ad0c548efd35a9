/* On a simulated disk, which can be full and looked at. */
#include "telemetry/line_file.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct sim *sim;
static struct sim_host *host;
static struct line_file file;
static int closed;

static int setup(void **state)
{
    sim = sim_new(1, NULL);
    host = sim_host_new(sim, "a");
    closed = 0;
    return line_file_init(&file, sim_host_io(host), "/access.jsonl");
}

static int teardown(void **state)
{
    sim_free(sim);
    return 0;
}

static void on_closed(void *context)
{
    closed++;
}

static void close_file(void)
{
    line_file_close(&file, on_closed, NULL);
    sim_run_ms(sim, 60000);
    assert_int_equal(closed, 1);
}

static const char *content(const char *path)
{
    static char text[4096];
    int64_t len = sim_disk_peek(host, path, text, sizeof text - 1, 0);
    text[len > 0 ? len : 0] = 0;
    return text;
}

static void nothing_is_made_before_the_first_line(void **state)
{
    sim_run_ms(sim, 1000);
    char byte;
    assert_int_equal(sim_disk_peek(host, "/access.jsonl", &byte, 1, 0), ERR_NOT_FOUND);
    close_file();
    assert_int_equal(sim_disk_peek(host, "/access.jsonl", &byte, 1, 0), ERR_NOT_FOUND);
}

static void lines_are_written_soon_in_order_together(void **state)
{
    uint64_t before = sim_host_file_operations(host);
    line_file_add(&file, BYTES("one\n"));
    line_file_add(&file, BYTES("two\n"));
    line_file_add(&file, BYTES("three\n"));
    sim_run_ms(sim, 300);
    assert_string_equal(content("/access.jsonl"), "one\ntwo\nthree\n");
    uint64_t batch = sim_host_file_operations(host) - before;
    line_file_add(&file, BYTES("four\n"));
    sim_run_ms(sim, 300);
    assert_string_equal(content("/access.jsonl"), "one\ntwo\nthree\nfour\n");
    assert_true(sim_host_file_operations(host) - before - batch <= batch);
    close_file();
    assert_int_equal(file.dropped, 0);
}

static void closing_writes_what_waits(void **state)
{
    line_file_add(&file, BYTES("last\n"));
    line_file_close(&file, on_closed, NULL);
    line_file_add(&file, BYTES("too late\n"));
    assert_int_equal(closed, 0);
    sim_run_ms(sim, 1000);
    assert_int_equal(closed, 1);
    assert_string_equal(content("/access.jsonl"), "last\n");
    assert_int_equal(file.dropped, 1);
}

static void an_older_file_is_continued(void **state)
{
    line_file_add(&file, BYTES("one\n"));
    close_file();
    closed = 0;
    assert_int_equal(line_file_init(&file, sim_host_io(host), "/access.jsonl"), 0);
    line_file_add(&file, BYTES("two\n"));
    close_file();
    assert_string_equal(content("/access.jsonl"), "one\ntwo\n");
}

static void a_full_disk_costs_lines_which_are_counted(void **state)
{
    line_file_add(&file, BYTES("one\n"));
    sim_run_ms(sim, 300);
    sim_disk_limit(host, sim_disk_used(host));
    char line[600];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 7; i++) line_file_add(&file, bytes_make(line, sizeof line));
    sim_run_ms(sim, 300);
    assert_int_equal(file.dropped, 7);
    sim_disk_limit(host, 1 << 30);
    line_file_add(&file, BYTES("two\n"));
    sim_run_ms(sim, 300);
    assert_int_equal(file.dropped, 7);
    assert_int_equal(strncmp(content("/access.jsonl"), "one\ntwo\n", 8), 0);
    close_file();
}

static void more_than_may_wait_is_dropped_and_counted(void **state)
{
    static char line[64 * 1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    /* Nothing runs in between: one batch is under way, the next may hold 4 MiB. */
    for (int i = 0; i < 200; i++) line_file_add(&file, bytes_make(line, sizeof line));
    assert_int_equal(file.dropped, 200 - 1 - LINE_FILE_PENDING_MAX / (int)sizeof line);
    close_file();
    assert_int_equal(file.size, (LINE_FILE_PENDING_MAX / (int)sizeof line + 1) * sizeof line);
}

static void at_its_limit_the_file_begins_anew(void **state)
{
    static char line[1024 * 1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 66; i++) {
        line_file_add(&file, bytes_make(line, sizeof line));
        sim_run_ms(sim, 1000);
    }
    assert_int_equal(file.dropped, 0);
    char byte;
    assert_int_equal(sim_disk_peek(host, "/access.jsonl.1", &byte, 1, LINE_FILE_MAX - 1), 1);
    assert_int_equal(byte, '\n');
    assert_int_equal(file.size, 2 * sizeof line);
    close_file();
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    struct line_file other;
    char path[600];
    memset(path, 'p', sizeof path);
    path[sizeof path - 1] = 0;
    assert_int_equal(line_file_init(&other, sim_host_io(host), path), ERR_TOO_BIG);
    close_file();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_made_before_the_first_line),
        TEST(lines_are_written_soon_in_order_together),
        TEST(closing_writes_what_waits),
        TEST(an_older_file_is_continued),
        TEST(a_full_disk_costs_lines_which_are_counted),
        TEST(more_than_may_wait_is_dropped_and_counted),
        TEST(at_its_limit_the_file_begins_anew),
        TEST(a_path_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
