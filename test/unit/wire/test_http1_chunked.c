#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "guard.h"
#include "wire/http1_chunked.h"

static struct guard guard;

struct chunked_case {
    struct bytes text;
    enum http1_error error;
    struct bytes body; /* what came out before the end or the error */
    size_t left;       /* bytes behind the end; or from the wrong byte on */
};

#define OK(text, body, left)                                               \
    {                                                                      \
        {text, sizeof(text) - 1}, HTTP1_OK, {body, sizeof(body) - 1}, left \
    }
#define NO(text, error, body, left)                                                   \
    {                                                                                 \
        {text, sizeof(text) - 1}, HTTP1_ERROR_##error, {body, sizeof(body) - 1}, left \
    }
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct chunked_case cases[] = {
    OK("0\r\n\r\n", "", 0),
    OK("0\r\n\r\nGET", "", 3),
    OK("3\r\nabc\r\n0\r\n\r\n", "abc", 0),
    OK("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", 0),
    OK("0000000000000003\r\nabc\r\n0000\r\n\r\n", "abc", 0),
    OK("3;name=value;x=\"a b\"\r\nabc\r\n0;last\r\n\r\n", "abc", 0),
    OK("3;\r\nabc\r\n0\r\n\r\n", "abc", 0),
    OK("4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", 0),
    OK("0\r\nTrailer: value\r\nOther:\r\n\r\nX", "", 1),
    OK("3;" X64 X64 X64 X64 "\r\nabc\r\n0\r\n\r\n", "abc", 0),
    NO("", CHUNK_SIZE, "", 0), /* never decided: see below */
    NO("\r\n", CHUNK_SIZE, "", 2),
    NO(" 3\r\nabc", CHUNK_SIZE, "", 7),
    NO("3 \r\nabc", CHUNK_SIZE, "", 6),
    NO("3 ;x\r\nabc", CHUNK_SIZE, "", 8),
    NO("+3\r\nabc", CHUNK_SIZE, "", 7),
    NO("-3\r\nabc", CHUNK_SIZE, "", 7),
    NO("0x3\r\nabc", CHUNK_SIZE, "", 7),
    NO("g\r\n", CHUNK_SIZE, "", 3),
    NO("3,\r\nabc", CHUNK_SIZE, "", 6),
    NO("00000000000000003\r\nabc", CHUNK_SIZE_DIGITS, "", 6),
    NO("fffffffffffffffff\r\n", CHUNK_SIZE_DIGITS, "", 3),
    NO("3\nabc\n0\n\n", BARE_LF, "", 8),
    NO("3\rabc", BARE_CR, "", 3),
    NO("3;a\nabc", BARE_LF, "", 4),
    NO("3;\x01\r\nabc", CONTROL, "", 6),
    NO("3;\0\r\nabc", NUL, "", 6),
    NO("3;" X64 X64 X64 X64 "y\r\nabc", CHUNK_EXTENSION, "", 6),
    NO("3\r\nabcd\r\n", CHUNK_END, "abc", 3),
    NO("3\r\nabc\n0\r\n", CHUNK_END, "abc", 4),
    NO("3\r\nabc\rx", CHUNK_END, "abc", 1),
    NO("3\r\nabc\r\n\r\n", CHUNK_SIZE, "abc", 2),
    NO("0\r\n folded\r\n\r\n", FOLD, "", 11),
    NO("0\r\nX : y\r\n\r\n", NAME_SPACE, "", 8),
    NO("0\r\n: y\r\n\r\n", NAME_EMPTY, "", 7),
    NO("0\r\nX(: y\r\n\r\n", NAME, "", 8),
    NO("0\r\nno colon\r\n\r\n", NAME_SPACE, "", 10),
    NO("0\r\nnocolon\r\n\r\n", NO_COLON, "", 4),
    NO("0\r\nX: y\nZ: 1\r\n\r\n", BARE_LF, "", 9),
    NO("0\r\nX: y\rZ", BARE_CR, "", 1),
    NO("0\r\n\rX", BARE_CR, "", 1),
    NO("0\r\nX: \0\r\n\r\n", NUL, "", 5),
};

struct outcome {
    enum http1_chunk last;
    enum http1_error error;
    char body[4096];
    size_t body_len, left;
};

/* Feeds text in pieces of at most `step` bytes, the first cut at `cut`. */
static void feed(struct bytes text, size_t cut, size_t step, struct outcome *ret)
{
    struct http1_chunked chunked;
    http1_chunked_init(&chunked);
    *ret = (struct outcome){.last = HTTP1_CHUNK_MORE};
    for (size_t at = 0; at < text.len && ret->last == HTTP1_CHUNK_MORE;) {
        size_t len = at < cut ? cut - at : step;
        struct bytes part = bytes_head(bytes_skip(text, at), len);
        struct bytes input = guard_bytes(&guard, part), piece;
        while ((ret->last = http1_chunked_next(&chunked, &input, &piece)) == HTTP1_CHUNK_DATA) {
            assert_true(piece.len > 0);
            memcpy(ret->body + ret->body_len, piece.data, piece.len);
            ret->body_len += piece.len;
        }
        at += part.len - input.len;
        ret->left = text.len - at;
    }
    ret->error = chunked.error;
}

static void check(const struct chunked_case *it, const struct outcome *outcome)
{
    enum http1_chunk last = it->error ? HTTP1_CHUNK_ERROR : HTTP1_CHUNK_END;
    if (it->text.len == 0) last = HTTP1_CHUNK_MORE;
    if (outcome->last != last || (it->text.len && outcome->error != it->error) ||
        outcome->left != it->left ||
        !bytes_eq(bytes_make(outcome->body, outcome->body_len), it->body))
        fail_msg("\"%.*s\": %d %s, %zu left, body \"%.*s\"", BYTES_ARG(it->text), outcome->last,
                 http1_error_name(outcome->error), outcome->left, (int)outcome->body_len,
                 outcome->body);
}

static void all_cases_all_ways(void **state)
{
    (void)state;
    static struct outcome outcome;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes text = cases[i].text;
        for (size_t cut = 0; cut <= text.len; cut++) {
            feed(text, cut, text.len, &outcome);
            check(&cases[i], &outcome);
        }
        feed(text, 0, 1, &outcome);
        check(&cases[i], &outcome);
    }
}

static void ends_stay_ends(void **state)
{
    (void)state;
    struct http1_chunked chunked;
    struct bytes input = BYTES("0\r\n\r\nnext"), piece;
    http1_chunked_init(&chunked);
    assert_int_equal(http1_chunked_next(&chunked, &input, &piece), HTTP1_CHUNK_END);
    assert_int_equal(http1_chunked_next(&chunked, &input, &piece), HTTP1_CHUNK_END);
    assert_int_equal(input.len, 4);
    input = BYTES("x");
    http1_chunked_init(&chunked);
    assert_int_equal(http1_chunked_next(&chunked, &input, &piece), HTTP1_CHUNK_ERROR);
    assert_int_equal(http1_chunked_next(&chunked, &input, &piece), HTTP1_CHUNK_ERROR);
    assert_int_equal(input.len, 1);
}

static void trailers_are_bounded(void **state)
{
    (void)state;
    static struct outcome outcome;
    char text[HTTP1_TRAILER_MAX + 64];
    size_t len = (size_t)snprintf(text, sizeof text, "0\r\n");
    for (int i = 0; i < HTTP1_TRAILER_FIELDS_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "X: %d\r\n", i);
    memcpy(text + len, "\r\n", 2);
    feed(bytes_make(text, len + 2), 0, len + 2, &outcome);
    assert_int_equal(outcome.last, HTTP1_CHUNK_END);
    memcpy(text + len, "X: 1\r\n", 6);
    feed(bytes_make(text, len + 6), 0, len + 6, &outcome);
    assert_int_equal(outcome.error, HTTP1_ERROR_TRAILER_TOO_LARGE);
    memcpy(text, "0\r\nX:", 5);
    memset(text + 5, 'y', sizeof text - 5);
    feed(bytes_make(text, sizeof text), 0, sizeof text, &outcome);
    assert_int_equal(outcome.error, HTTP1_ERROR_TRAILER_TOO_LARGE);
}

static void chunk_heads(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 15, 16, 255, 256, 65536, 0xdeadbeef, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char text[HTTP1_CHUNK_HEAD_MAX], expected[32];
        size_t len = http1_chunk_head(text, sizes[i]);
        int want = snprintf(expected, sizeof expected, "%llx\r\n", (unsigned long long)sizes[i]);
        assert_int_equal(len, want);
        assert_memory_equal(text, expected, len);
    }
}

static int setup(void **state)
{
    (void)state;
    guard_init(&guard, 16384);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases_all_ways),
        cmocka_unit_test(ends_stay_ends),
        cmocka_unit_test(trailers_are_bounded),
        cmocka_unit_test(chunk_heads),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
