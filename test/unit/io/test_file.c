#include "harness.h"

#include <stdio.h>

static char folder[64];

static int setup(void **state)
{
    make_folder(folder);
    return make_loop(state);
}

static int teardown(void **state)
{
    free_loop(state);
    return rmdir(folder); /* fails when a test left something behind */
}

static const char *at(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void test_open_flags(void **state)
{
    struct io_file file;
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ), ERR_NOT_FOUND);
    io_file_close(&file); /* harmless */
    assert_int_equal(io_file_open(io, &file, at("f"), IO_CREATE), ERR_INVALID);
    assert_int_equal(io_file_open(io, &file, at("f"), IO_WRITE | IO_CREATE | IO_EXCLUSIVE), 0);
    struct iovec iov = {(char *)"text", 4};
    char text[8];
    assert_int_equal(io_file_write(&file, &iov, 1, 0), 0);
    assert_int_equal(io_file_read(&file, text, 4, 0), ERR_CLOSED); /* EBADF: not open to read */
    io_file_close(&file);
    assert_int_equal(io_file_open(io, &file, at("f"), IO_WRITE | IO_CREATE | IO_EXCLUSIVE),
                     ERR_EXISTS);
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_CREATE), 0);
    assert_int_equal(io_file_size(&file), 4);
    io_file_close(&file);
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_TRUNCATE), 0);
    assert_int_equal(io_file_size(&file), 0);
    io_file_close(&file);
    assert_int_equal(io_unlink(io, at("f")), 0);
    assert_int_equal(io_unlink(io, at("f")), ERR_NOT_FOUND);
}

static void test_read_and_write(void **state)
{
    struct io_file file;
    char text[16];
    struct iovec iov[] = {{(char *)"", 0}, {(char *)"abc", 3}, {(char *)"", 0}, {(char *)"de", 2}};
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_CREATE), 0);
    assert_int_equal(io_file_write(&file, iov, 4, 10), 0);
    assert_int_equal(io_file_write(&file, iov, 0, 0), 0);
    assert_int_equal(io_file_write(&file, iov, 1, 0), 0);
    assert_int_equal(io_file_size(&file), 15);
    assert_int_equal(io_file_read(&file, text, sizeof text, 9), 6);
    assert_memory_equal(text, "\0abcde", 6);
    assert_int_equal(io_file_read(&file, text, 2, 11), 2);
    assert_memory_equal(text, "bc", 2);
    assert_int_equal(io_file_read(&file, text, 2, 15), 0);
    assert_int_equal(io_file_sync(&file), 0);
    assert_int_equal(io_file_truncate(&file, 12), 0);
    assert_int_equal(io_file_size(&file), 12);
    io_file_close(&file);
    io_unlink(io, at("f"));
}

/* More pieces than one call of the kernel takes. */
static void test_write_of_many_pieces(void **state)
{
    enum { PIECES = 3000 };
    static struct iovec iov[PIECES];
    static char written[PIECES * 5], back[PIECES * 5 + 1];
    struct io_file file;
    size_t len = 0;
    for (int i = 0; i < PIECES; i++) {
        iov[i] = (struct iovec){written + len, (size_t)i % 6};
        for (int j = 0; j < i % 6; j++) written[len++] = (char)(i * 7 + j);
    }
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_CREATE), 0);
    assert_int_equal(io_file_write(&file, iov, PIECES, 3), 0);
    assert_int_equal(io_file_read(&file, back, sizeof back, 3), len);
    assert_memory_equal(back, written, len);
    io_file_close(&file);
    io_unlink(io, at("f"));
}

static void test_full_disk(void **state)
{
    struct io_file file;
    struct iovec iov = {(char *)"x", 1};
    assert_int_equal(io_file_open(io, &file, "/dev/full", IO_WRITE), 0);
    assert_int_equal(io_file_write(&file, &iov, 1, 0), ERR_NO_SPACE);
    io_file_close(&file);
}

/* Past the cache and back, where the file system can; with the same result where it cannot. */
static void test_durable_write(void **state)
{
    struct io_file file;
    char *block = aligned_alloc(IO_ALIGN, IO_ALIGN), back[8];
    assert_non_null(block);
    memset(block, 'd', IO_ALIGN);
    int flags = IO_READ | IO_WRITE | IO_CREATE;
    assert_int_equal(io_file_open(io, &file, at("f"), flags | IO_DIRECT), 0);
    assert_int_equal(io_file_write_durable(&file, block, IO_ALIGN, 0), 0);
    assert_int_equal(io_file_write_durable(&file, block, IO_ALIGN, IO_ALIGN), 0);
    memset(block, 0, IO_ALIGN);
    assert_int_equal(io_file_read(&file, block, IO_ALIGN, IO_ALIGN), IO_ALIGN);
    assert_int_equal(block[IO_ALIGN - 1], 'd');
    io_file_close(&file);
    assert_int_equal(io_file_open(io, &file, at("f"), flags), 0);
    assert_int_equal(io_file_size(&file), 2 * IO_ALIGN);
    assert_int_equal(io_file_write_durable(&file, "odd", 3, 7), 0);
    assert_int_equal(io_file_read(&file, back, 5, 6), 5);
    assert_memory_equal(back, "doddd", 5);
    io_file_close(&file);
    assert_int_equal(io_file_open(io, &file, "/dev/full", IO_WRITE), 0);
    assert_int_equal(io_file_write_durable(&file, "x", 1, 0), ERR_NO_SPACE);
    io_file_close(&file);
    free(block);
    io_unlink(io, at("f"));
}

static void test_allocate(void **state)
{
    struct io_file file;
    struct stat status;
    char zeros[100];
    struct iovec iov = {(char *)"keep", 4};
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_CREATE), 0);
    assert_int_equal(io_file_write(&file, &iov, 1, 0), 0);
    assert_int_equal(io_file_allocate(&file, 1 << 20), 0);
    assert_int_equal(io_file_size(&file), 1 << 20);
    assert_int_equal(fstat(file.fd, &status), 0);
    assert_true(status.st_blocks >= (1 << 20) / 512);
    assert_int_equal(io_file_allocate(&file, 100), 0); /* never shrinks */
    assert_int_equal(io_file_allocate(&file, 0), 0);
    assert_int_equal(io_file_size(&file), 1 << 20);
    assert_int_equal(io_file_read(&file, zeros, 4, 0), 4);
    assert_memory_equal(zeros, "keep", 4);
    assert_int_equal(io_file_read(&file, zeros, 100, 500000), 100);
    for (int i = 0; i < 100; i++) assert_int_equal(zeros[i], 0);
    io_file_close(&file);
    io_unlink(io, at("f"));
}

static int collect(void *context, const char *name)
{
    char *names = context;
    strncat(names, name, 8);
    strncat(names, " ", 2);
    return strcmp(name, "stop") == 0 ? ERR_FULL : 0;
}

static void touch(const char *name)
{
    struct io_file file;
    assert_int_equal(io_file_open(io, &file, at(name), IO_WRITE | IO_CREATE), 0);
    io_file_close(&file);
}

static void test_directories(void **state)
{
    char names[64] = "";
    uint64_t size, mtime;
    bool is_dir;
    assert_int_equal(io_mkdir(io, at("d")), 0);
    assert_int_equal(io_mkdir(io, at("d")), 0);
    assert_int_equal(io_mkdir(io, at("no/d")), ERR_NOT_FOUND);
    touch("d/b");
    touch("d/B");
    touch("d/a1");
    touch("d/a");
    assert_int_equal(io_mkdir(io, at("d/a")), ERR_EXISTS); /* a file is in its place */
    assert_int_equal(io_list_dir(io, at("d"), collect, names), 0);
    assert_string_equal(names, "B a a1 b ");
    assert_int_equal(io_rename(io, at("d/a1"), at("d/stop")), 0);
    assert_int_equal(io_rename(io, at("d/B"), at("d/zz")), 0);
    names[0] = '\0';
    assert_int_equal(io_list_dir(io, at("d"), collect, names), ERR_FULL);
    assert_string_equal(names, "a b stop ");
    assert_int_equal(io_list_dir(io, at("none"), collect, names), ERR_NOT_FOUND);
    assert_int_equal(io_list_dir(io, at("d/a"), collect, names), ERR_NOT_FOUND);
    assert_int_equal(io_sync_dir(io, at("d")), 0);
    assert_int_equal(io_sync_dir(io, at("none")), ERR_NOT_FOUND);
    assert_int_equal(io_stat(io, at("d"), &size, &mtime, &is_dir), 0);
    assert_true(is_dir);
    assert_int_equal(io_rename(io, at("none"), at("d/x")), ERR_NOT_FOUND);
    static const char *const left[] = {"d/a", "d/b", "d/stop", "d/zz"};
    for (int i = 0; i < 4; i++) assert_int_equal(io_unlink(io, at(left[i])), 0);
    rmdir(at("d"));
}

static void test_unlink_large(void **state)
{
    enum { SIZE = 5 << 20 };
    struct io_file file;
    uint64_t size, mtime;
    char byte;
    assert_int_equal(io_file_open(io, &file, at("f"), IO_READ | IO_WRITE | IO_CREATE), 0);
    assert_int_equal(io_file_truncate(&file, SIZE), 0);
    assert_int_equal(link(at("f"), at("other")), 0);
    assert_int_equal(io_unlink(io, at("f")), 0);
    assert_int_equal(io_stat(io, at("other"), &size, &mtime, NULL), 0);
    assert_int_equal(size, SIZE); /* the file is someone else's too */
    assert_int_equal(symlink(at("other"), at("f")), 0);
    assert_int_equal(io_unlink(io, at("f")), 0);
    assert_int_equal(io_file_read(&file, &byte, 1, SIZE - 1), 1);
    assert_int_equal(io_unlink(io, at("other")), 0);
    assert_int_equal(io_file_read(&file, &byte, 1, SIZE - 1), 0); /* its room came back */
    assert_int_equal(io_file_read(&file, &byte, 1, 0), 1);
    io_file_close(&file);
    assert_int_equal(io_stat(io, at("other"), &size, &mtime, NULL), ERR_NOT_FOUND);
}

static void test_stat_and_disk_free(void **state)
{
    uint64_t size, mtime, bytes = 0;
    bool is_dir = true;
    touch("f");
    assert_int_equal(io_stat(io, at("f"), &size, &mtime, &is_dir), 0);
    assert_int_equal(size, 0);
    assert_false(is_dir);
    uint64_t now = (uint64_t)time(NULL);
    assert_in_range(mtime / 1000000000u, now - 60, now + 60);
    assert_int_equal(io_stat(io, at("none"), &size, &mtime, NULL), ERR_NOT_FOUND);
    assert_int_equal(io_disk_free(io, folder, &bytes), 0);
    assert_true(bytes > 0);
    assert_int_equal(io_disk_free(io, at("none"), &bytes), ERR_NOT_FOUND);
    io_unlink(io, at("f"));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_open_flags),           IN_FOLDER(test_read_and_write),
        IN_FOLDER(test_write_of_many_pieces), IN_FOLDER(test_full_disk),
        IN_FOLDER(test_durable_write),        IN_FOLDER(test_allocate),
        IN_FOLDER(test_directories),          IN_FOLDER(test_stat_and_disk_free),
        IN_FOLDER(test_unlink_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
