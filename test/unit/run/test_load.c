#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "run/load.h"

struct fixture {
    struct io *io;
    char dir[64];
    struct arena arena;
    struct errors errors;
    struct manifest manifest;
};

static void put(const struct fixture *f, const char *name, const char *text, size_t len)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    fclose(file);
}

static void put_text(const struct fixture *f, const char *name, const char *text)
{
    put(f, name, text, strlen(text));
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/dure-load-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(io_new(NULL, &f->io), 0);
    char path[128];
    snprintf(path, sizeof path, "%s/order", f->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put_text(f, "dure.yaml", "system: shop\nservices: [{path: order}]\n");
    put_text(f, "order/service.yaml", "name: order\nversion: 1.0.0\nrun: order\n");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"dure.yaml", "order/service.yaml", "order", ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        remove(path);
    }
    io_free(f->io);
    free(f);
    return 0;
}

static int load(struct fixture *f, const char *dir, size_t max)
{
    arena_init(&f->arena, max);
    errors_init(&f->errors, &f->arena);
    return load_system(f->io, dir, &f->arena, &f->errors, &f->manifest);
}

static void test_load(void **state)
{
    struct fixture *f = *state;
    char with_slash[80];
    snprintf(with_slash, sizeof with_slash, "%s/", f->dir);
    const char *const dirs[] = {f->dir, with_slash};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(load(f, dirs[i], LOAD_ARENA_MAX), 0);
        assert_int_equal(f->manifest.service_count, 1);
        assert_true(bytes_eq(f->manifest.services[0]->name, BYTES("order")));
        char folder[80];
        snprintf(folder, sizeof folder, "%s/order", f->dir);
        assert_string_equal(load_service_dir(dirs[i], &f->manifest, 0, &f->arena), folder);
        arena_release(&f->arena);
    }
}

static void test_too_big(void **state)
{
    struct fixture *f = *state;
    size_t size = YAML_SIZE_MAX + 1;
    char *text = malloc(size);
    memset(text, '#', size);
    put(f, "order/service.yaml", text, size);
    assert_int_equal(load(f, f->dir, LOAD_ARENA_MAX), ERR_TOO_BIG);
    assert_non_null(strstr(f->errors.items[0].file, "/order/service.yaml"));
    arena_release(&f->arena);
    put(f, "dure.yaml", text, size);
    assert_int_equal(load(f, f->dir, LOAD_ARENA_MAX), ERR_TOO_BIG);
    assert_non_null(strstr(f->errors.items[0].file, "/dure.yaml"));
    assert_null(f->manifest.system);
    arena_release(&f->arena);
    free(text);
}

static void test_no_folder(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(load(f, "/nowhere/at/all", LOAD_ARENA_MAX), ERR_NOT_FOUND);
    assert_string_equal(f->errors.items[0].message, "there is no folder `/nowhere/at/all`");
    arena_release(&f->arena);
}

/* A folder where a file should be. */
static void test_not_a_file(void **state)
{
    struct fixture *f = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/order/service.yaml", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(load(f, f->dir, LOAD_ARENA_MAX) < 0);
    assert_int_equal(f->errors.count, 1);
    assert_int_equal(f->errors.items[0].line, 2);
    arena_release(&f->arena);
    assert_int_equal(rmdir(path), 0);
}

static void test_without_memory(void **state)
{
    struct fixture *f = *state;
    int succeeded = 0;
    for (size_t max = 0; max < 1 << 20 && succeeded < 3; max += 1021) {
        int err = load(f, f->dir, max);
        assert_int_equal(err != 0, errors_total(&f->errors) > 0);
        succeeded += err == 0;
        arena_release(&f->arena);
    }
    assert_int_equal(succeeded, 3);
}

/* What the manifest takes as an address, io takes too. */
static void test_addresses(void **state)
{
    static const char *const texts[] = {
        "127.0.0.1:80", ":80",     "localhost:0", "[::1]:65535",       "[::]:80", "unix:/a",
        "127.0.1:80",   "[::g]:1", "a:80",        "[1:2:3:4:5:6:7]:1", "[]:80",   "127.0.0.1:65536",
        "127.0.0.1",    "unix:",   "1.2.3.04:80", "[::1:80",           "[]:0",    "[:1"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct fixture f = {0};
        struct io_addr addr;
        char text[256];
        snprintf(text, sizeof text, "system: s\nservices: []\ngateway: {listen: \"%s\"}\n",
                 texts[i]);
        arena_init(&f.arena, 1 << 20);
        errors_init(&f.errors, &f.arena);
        int err =
            manifest_system_parse(bytes_str(text), "f", &f.arena, &f.errors, &f.manifest.system);
        assert_int_equal(err == 0, io_addr_parse(bytes_str(texts[i]), &addr) == 0);
        arena_release(&f.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test_setup_teardown(test_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_big, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
