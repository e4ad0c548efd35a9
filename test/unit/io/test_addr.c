#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/io.h"

static void test_text_that_parses(void **state)
{
    static const struct {
        const char *text, *formatted;
    } cases[] = {
        {"127.0.0.1:80", "127.0.0.1:80"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {":8080", "0.0.0.0:8080"},
        {"localhost:1", "127.0.0.1:1"},
        {"LocalHost:1", "127.0.0.1:1"},
        {"[::1]:80", "[::1]:80"},
        {"[::]:0", "[::]:0"},
        {"[2001:DB8::0001]:443", "[2001:db8::1]:443"},
        {"[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:5"},
        {"unix:/run/a.sock", "unix:/run/a.sock"},
        {"unix:rel", "unix:rel"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct io_addr addr;
        char text[IO_ADDR_TEXT];
        assert_int_equal(io_addr_parse(bytes_str(cases[i].text), &addr), 0);
        size_t len = io_addr_format(&addr, text, sizeof text);
        assert_string_equal(text, cases[i].formatted);
        assert_int_equal(len, strlen(text));
    }
}

static void test_text_that_does_not(void **state)
{
    static const char *const texts[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "256.1.1.1:80",
        "example.com:80",
        "::1:80",
        "[::1]",
        "[::1:80",
        "[]:80",
        "[1.2.3.4]:80",
        "[::1]x:80",
        "[::1%lo]:80",
        "unix:",
        " 127.0.0.1:80",
        "localhost",
        "[::::::::::::::::::::::::::::::::::::::::::::::::]:80",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct io_addr addr = {.port = 77};
        assert_int_equal(io_addr_parse(bytes_str(texts[i]), &addr), ERR_SYNTAX);
        assert_int_equal(addr.port, 77); /* untouched */
    }
}

static void test_too_big(void **state)
{
    struct io_addr addr;
    char text[5 + 108 + 1] = "unix:";
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:65536"), &addr), ERR_TOO_BIG);
    memset(text + 5, 'p', 108);
    assert_int_equal(io_addr_parse(bytes_make(text, 5 + 108), &addr), ERR_TOO_BIG);
    assert_int_equal(io_addr_parse(bytes_make(text, 5 + 107), &addr), 0);
    assert_int_equal(strlen(addr.path), 107);
    assert_int_equal(io_addr_parse(BYTES("unix:a\0b"), &addr), ERR_SYNTAX);
    assert_int_equal(io_addr_parse(BYTES("1.1.1.1\0:80"), &addr), ERR_SYNTAX);
}

/* Every prefix of an address is refused or is an address of its own; none reads past its end. */
static void test_cut_at_every_byte(void **state)
{
    static const char whole[] = "[2001:db8::1]:4433";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        struct io_addr addr;
        char *copy = test_malloc(len ? len : 1);
        memcpy(copy, whole, len);
        int err = io_addr_parse(bytes_make(copy, len), &addr);
        assert_int_equal(err == 0, len > strlen("[2001:db8::1]:"));
        test_free(copy);
    }
}

static void test_format_is_cut(void **state)
{
    struct io_addr addr;
    char text[8];
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:80"), &addr), 0);
    assert_int_equal(io_addr_format(&addr, text, sizeof text), 7);
    assert_string_equal(text, "127.0.0");
    assert_int_equal(io_addr_format(&addr, text, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_that_parses), cmocka_unit_test(test_text_that_does_not),
        cmocka_unit_test(test_too_big),          cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_format_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
