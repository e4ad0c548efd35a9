#include "run/output.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct io *io;
static char dir[64], path[128];
static int ended;

static void on_ended(struct output *output)
{
    ended++;
}

static int setup(void **state)
{
    ended = 0;
    snprintf(dir, sizeof dir, "/tmp/dure-output-XXXXXX");
    if (!mkdtemp(dir)) return -1;
    snprintf(path, sizeof path, "%s/order.log", dir);
    return io_new(NULL, &io);
}

static int teardown(void **state)
{
    char older[160];
    snprintf(older, sizeof older, "%s.1", path);
    unlink(path);
    unlink(older);
    io_free(io);
    return rmdir(dir);
}

/* Writes `bytes` into a pipe in pieces of `piece`, reads it through an output. */
static void feed(const char *bytes, size_t len, size_t piece)
{
    int fds[2];
    struct output_file *file;
    struct output output = {0};
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(output_file_open(io, dir, "order", &file), 0);
    assert_int_equal(io_stream_adopt(io, &output.stream, fds[0]), 0);
    output_start(&output, file, "order-1-0", "out", on_ended);
    output_file_unref(file);
    for (size_t at = 0; at < len; at += piece) {
        size_t size = len - at < piece ? len - at : piece;
        assert_int_equal(write(fds[1], bytes + at, size), size);
        io_turn(io, 0);
    }
    close(fds[1]);
    int before = ended;
    for (int turns = 0; turns < 1000 && ended == before; turns++) io_turn(io, 100);
    assert_int_equal(ended, before + 1);
}

/* The n-th line of the log, as JSON. */
static json_t *logged(int n)
{
    FILE *log = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    assert_non_null(log);
    for (int i = 0; i <= n; i++) assert_true(getline(&line, &size, log) > 0);
    fclose(log);
    json_t *object = json_loads(line, 0, NULL);
    assert_non_null(object);
    free(line);
    return object;
}

static void assert_line(int n, const char *text)
{
    json_t *object = logged(n);
    assert_string_equal(json_string_value(json_object_get(object, "line")), text);
    assert_string_equal(json_string_value(json_object_get(object, "service")), "order");
    assert_string_equal(json_string_value(json_object_get(object, "instance")), "order-1-0");
    assert_string_equal(json_string_value(json_object_get(object, "stream")), "out");
    json_decref(object);
}

static void lines_are_lines_however_they_arrive(void **state)
{
    const char text[] = "first\nsecond\r\n\n{\"json\": \"too\"}\nno end";
    const size_t pieces[] = {1, 3, 7, sizeof text};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        feed(text, strlen(text), pieces[i]);
        assert_line(0, "first");
        assert_line(1, "second");
        assert_line(2, "");
        assert_line(3, "{\"json\": \"too\"}");
        assert_line(4, "no end");
        unlink(path);
    }
}

static void a_line_that_is_too_long_is_cut_and_the_next_is_whole(void **state)
{
    size_t len = 3 * OUTPUT_LINE_MAX;
    char *text = malloc(len + 8);
    memset(text, 'x', len);
    memcpy(text + len, "\nnext\n", 6);
    feed(text, len + 6, 4096);
    json_t *object = logged(0);
    const char *line = json_string_value(json_object_get(object, "line"));
    assert_int_equal(strlen(line), OUTPUT_LINE_MAX + 3);
    assert_string_equal(line + OUTPUT_LINE_MAX, "...");
    json_decref(object);
    assert_line(1, "next");
    free(text);
}

static void bytes_that_are_no_text_become_text(void **state)
{
    feed("a\xff\x01z\n", 5, 5);
    assert_line(0, "a\xEF\xBF\xBD\x01z");
}

static void a_full_file_is_rotated_and_nothing_is_lost(void **state)
{
    struct output_file *file;
    char text[8192], older[160];
    int lines = 0;
    memset(text, 'y', sizeof text);
    assert_int_equal(output_file_open(io, dir, "order", &file), 0);
    for (; file->size < OUTPUT_FILE_MAX; lines++)
        output_file_write(file, "order-1-0", "out", bytes_make(text, sizeof text));
    output_file_write(file, "order-1-0", "out", BYTES("after"));
    assert_int_equal(file->dropped, 0);
    output_file_unref(file);
    assert_line(0, "after");
    snprintf(older, sizeof older, "%s.1", path);
    uint64_t size;
    assert_int_equal(io_stat(io, older, &size, &(uint64_t){0}, NULL), 0);
    assert_true(size >= OUTPUT_FILE_MAX && size < OUTPUT_FILE_MAX + 2 * sizeof text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_lines_however_they_arrive, setup, teardown),
        cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_cut_and_the_next_is_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_text_become_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_file_is_rotated_and_nothing_is_lost, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
