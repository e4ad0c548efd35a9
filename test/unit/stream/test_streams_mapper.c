/* Mapping of subjects, against the examples of NATS's documentation and more. */
#include "stream/stream_mapper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void maps(const char *src, const char *dest, const char *subject, const char *expected)
{
    char out[256], text[300];
    size_t len = 0;
    const char *why = "";
    struct stream_mapper *mapper;
    if (stream_mapper_new(bytes_str(src), bytes_str(dest), &mapper, &why) < 0) {
        fail_msg("%s -> %s: %s", src, dest, why);
    }
    int r = stream_mapper_map(mapper, bytes_str(subject), out, sizeof out, &len);
    snprintf(text, sizeof text, "%.*s", r == 0 ? (int)len : 64, r == 0 ? out : err_name(r));
    assert_string_equal(text, expected);
    stream_mapper_free(mapper);
}

static void subjects_are_mapped(void **state)
{
    maps("a.*", "b.$1", "a.x", "b.x");
    maps("a.*.*", "{{wildcard(2)}}.{{wildcard(1)}}", "a.x.y", "y.x");
    maps("a.*.*", "{{ Wildcard( 2 ) }}.z", "a.x.y", "y.z");
    maps("a.>", "b.c.>", "a.x.y", "b.c.x.y");
    maps("", "all.>", "x.y", "all.x.y");
    maps(">", "", "x.y", "x.y");
    maps("a", "b", "a", "b");
    maps("a.*", "b.$1", "c.x", "NOT_FOUND");
    maps("*", "{{splitfromleft(1,3)}}", "abcdef", "abc.def");
    maps("*", "{{splitfromright(1,2)}}", "abcdef", "abcd.ef");
    maps("*", "{{splitfromleft(1,6)}}", "abcdef", "abcdef");
    maps("*", "{{slicefromleft(1,3)}}", "1234567890", "123.456.789.0");
    maps("*", "{{slicefromright(1,3)}}", "1234567890", "1.234.567.890");
    maps("*", "{{SliceFromLeft(1,5)}}", "1234567890", "12345.67890");
    maps("*", "{{split(1,-)}}", "-a-b--c-", "a.b.c");
    maps("*", "{{left(1,2)}}.{{right(1,2)}}", "abcdef", "ab.ef");
    maps("*", "{{left(1,9)}}", "ab", "ab");
    maps("*", "x.{{split(1,-)}}", "--", "INVALID");
    /* FNV-1a of "foo" is 0xa9f37ed7, of "foobar" 0xbf9cf968. */
    maps("*", "p.{{partition(10,1)}}", "foo", "p.3");
    maps("*.*", "p.{{partition(100,1,2)}}.$1", "foo.bar", "p.20.foo");
    maps("*", "p.{{partition(1)}}", "foo", "p.0");
}

static void mistakes_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"a..b", "x"},
        {"a.*", "b.$2"},
        {"a.*", "b.*"},
        {"a.>", "b"},
        {"a", "b.>"},
        {"a.*", "b.$0"},
        {"a.*", "b..$1"},
        {"a.*", "{{nothing(1)}}"},
        {"a.*", "{{wildcard()}}"},
        {"a.*", "{{wildcard(1}}"},
        {"a.*", "{{split(1)}}"},
        {"a.*", "{{partition(0,1)}}"},
        {"a.*", "{{left(1,x)}}"},
        {"a.*", "x y"},
        {"a.>", "b.>.c"},
        {"a.*", "{{wildcard(1,2)}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stream_mapper *mapper;
        const char *why = NULL;
        int r = stream_mapper_new(bytes_str(rows[i][0]), bytes_str(rows[i][1]), &mapper, &why);
        if (r != ERR_INVALID || !why) fail_msg("%s -> %s: %s", rows[i][0], rows[i][1], err_name(r));
    }
}

static void room_is_kept_to(void **state)
{
    struct stream_mapper *mapper;
    const char *why;
    char out[8];
    size_t len;
    assert_int_equal(stream_mapper_new(BYTES("*"), BYTES("ab.$1"), &mapper, &why), 0);
    assert_int_equal(stream_mapper_map(mapper, BYTES("12345"), out, 8, &len), 0);
    assert_int_equal(len, 8);
    assert_int_equal(stream_mapper_map(mapper, BYTES("12345"), out, 7, &len), ERR_TOO_BIG);
    stream_mapper_free(mapper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subjects_are_mapped),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(room_is_kept_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
