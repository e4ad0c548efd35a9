#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/http1_write.h"

static void writes_what_the_parser_reads(void **state)
{
    (void)state;
    struct buf out, again;
    struct http1_head head;
    struct http1_parser parser;
    buf_init(&out, HTTP1_HEAD_MAX);
    buf_init(&again, HTTP1_HEAD_MAX);
    assert_int_equal(http1_write_request(&out, BYTES("PATCH"), BYTES("/a?b=%20c")), 0);
    assert_int_equal(http1_write_header(&out, BYTES("Host"), BYTES("example:80")), 0);
    assert_int_equal(http1_write_header(&out, BYTES("X-Empty"), BYTES("")), 0);
    assert_int_equal(http1_write_header(&out, BYTES("X-Text"), BYTES("a\tb \xe2\x82\xac")), 0);
    http1_write_length(&out, 1234567890123);
    buf_append(&out, BYTES("\r\n"));
    http1_parser_init(&parser, &head, false);
    assert_int_equal(http1_parse(&parser, buf_bytes(&out)), buf_len(&out));
    assert_int_equal(head.method, HTTP1_PATCH);
    assert_int_equal(head.length, 1234567890123);
    assert_int_equal(http1_write_request(&again, head.method_name, head.target), 0);
    for (size_t i = 0; i < head.count; i++) http1_write_parsed(&again, &head.headers[i]);
    buf_append(&again, BYTES("\r\n"));
    assert_true(bytes_eq(buf_bytes(&out), buf_bytes(&again)));

    buf_clear(&out);
    assert_int_equal(http1_write_status(&out, 404, (struct bytes){NULL, 0}), 0);
    assert_int_equal(http1_write_status(&out, 299, (struct bytes){NULL, 0}), 0);
    assert_int_equal(http1_write_status(&out, 200, BYTES("Fine")), 0);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("HTTP/1.1 404 Not Found\r\n"
                                                "HTTP/1.1 299 \r\nHTTP/1.1 200 Fine\r\n")));
    buf_append(&out, BYTES("\r\n"));
    http1_parser_init(&parser, &head, true);
    assert_true(http1_parse(&parser, bytes_skip(buf_bytes(&out), 24)) < 0);
    buf_release(&out);
    buf_release(&again);
}

static void writes_nothing_that_reads_in_another_way(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    static const struct bytes names[] = {{"", 0},     {"a b", 3}, {"a:", 2}, {"a\r\n", 3},
                                         {"\xc3", 1}, {"a\0", 2}, {"(", 1}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(http1_write_header(&out, names[i], BYTES("x")), ERR_INVALID);
        assert_int_equal(http1_write_request(&out, names[i], BYTES("/")), ERR_INVALID);
    }
    static const struct bytes values[] = {{"a\r\nb", 4}, {"a\n", 2},  {"\r", 1},
                                          {"a\0b", 3},   {"\x7f", 1}, {"\x1b[", 2}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        assert_int_equal(http1_write_header(&out, BYTES("X"), values[i]), ERR_INVALID);
        assert_int_equal(http1_write_status(&out, 200, values[i]), ERR_INVALID);
        assert_int_equal(http1_write_request(&out, BYTES("GET"), values[i]), ERR_INVALID);
    }
    assert_int_equal(http1_write_request(&out, BYTES("GET"), BYTES("")), ERR_INVALID);
    assert_int_equal(http1_write_request(&out, BYTES("GET"), BYTES("/a b")), ERR_INVALID);
    assert_int_equal(http1_write_request(&out, BYTES("GET"), BYTES("/\xc3")), ERR_INVALID);
    assert_int_equal(http1_write_status(&out, 99, BYTES("")), ERR_INVALID);
    assert_int_equal(http1_write_status(&out, 600, BYTES("")), ERR_INVALID);
    assert_int_equal(buf_len(&out), 0);
    buf_release(&out);
}

static void fails_once_and_stays_so(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 20);
    assert_int_equal(http1_write_request(&out, BYTES("GET"), BYTES("/")), 0);
    assert_int_equal(http1_write_header(&out, BYTES("Name"), BYTES("value")), 0);
    assert_true(out.failed);
    http1_write_length(&out, 1);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("GET / HTTP/1.1\r\n")));
    buf_release(&out);
}

static void reasons(void **state)
{
    (void)state;
    int previous = 0, count = 0;
    for (int status = 0; status < 700; status++) {
        if (!http1_reason(status).len) continue;
        assert_true(status > previous);
        previous = status;
        count++;
    }
    assert_true(count >= 45);
    assert_true(bytes_eq(http1_reason(200), BYTES("OK")));
    assert_true(bytes_eq(http1_reason(511), BYTES("Network Authentication Required")));
    assert_int_equal(http1_reason(299).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_the_parser_reads),
        cmocka_unit_test(writes_nothing_that_reads_in_another_way),
        cmocka_unit_test(fails_once_and_stays_so),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
