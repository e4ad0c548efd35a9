#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"
#include "http1_cases.h"
#include "wire/http1_scan.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct guard guard;

/* What one way of feeding gave. */
struct outcome {
    int result;
    enum http1_error error;
    size_t at;
};

static struct outcome feed_whole(struct bytes text, bool is_response, struct http1_head *head)
{
    struct http1_parser parser;
    http1_parser_init(&parser, head, is_response);
    int result = http1_parse(&parser, guard_bytes(&guard, text));
    return (struct outcome){result, parser.error, parser.error_at};
}

/* In two parts that lie in different places (each time directly before the guard). */
static struct outcome feed_cut(struct bytes text, size_t cut, bool is_response,
                               struct http1_head *head)
{
    struct http1_parser parser;
    http1_parser_init(&parser, head, is_response);
    int result = http1_parse(&parser, guard_bytes(&guard, bytes_head(text, cut)));
    if (result == 0) result = http1_parse(&parser, guard_bytes(&guard, text));
    return (struct outcome){result, parser.error, parser.error_at};
}

static struct outcome feed_bytes(struct bytes text, bool is_response, struct http1_head *head)
{
    struct http1_parser parser;
    int result = 0;
    http1_parser_init(&parser, head, is_response);
    for (size_t len = 0; len <= text.len && result == 0; len++)
        result = http1_parse(&parser, guard_bytes(&guard, bytes_head(text, len)));
    return (struct outcome){result, parser.error, parser.error_at};
}

static void check(const struct head_case *it, struct outcome outcome)
{
    int result = it->error ? ERR_PROTOCOL : (int)it->text.len;
    if (outcome.error != it->error || outcome.result != result ||
        (it->at != ANY && outcome.at != it->at))
        fail_msg("\"%.*s\": %s at %zu (%d), expected %s at %zu", BYTES_ARG(it->text),
                 http1_error_name(outcome.error), outcome.at, outcome.result,
                 http1_error_name(it->error), it->at);
}

static void same_views(const struct http1_head *a, const struct http1_head *b)
{
    assert_true(bytes_eq(a->method_name, b->method_name));
    assert_true(bytes_eq(a->target, b->target));
    assert_true(bytes_eq(a->authority, b->authority));
    assert_true(bytes_eq(a->scheme, b->scheme));
    assert_true(bytes_eq(a->path, b->path));
    assert_true(bytes_eq(a->query, b->query));
    assert_true(bytes_eq(a->reason, b->reason));
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_true(bytes_eq(a->headers[i].name, b->headers[i].name));
        assert_true(bytes_eq(a->headers[i].value, b->headers[i].value));
    }
}

static void check_all_ways(const struct head_case *it, bool is_response)
{
    struct http1_head whole, other;
    check(it, feed_whole(it->text, is_response, &whole));
    char *copy = malloc(it->text.len);
    memcpy(copy, it->text.data, it->text.len);
    if (!it->error) http1_head_move(&whole, guard.end - it->text.len, copy);
    for (size_t cut = 0; cut <= it->text.len; cut++) {
        check(it, feed_cut(it->text, cut, is_response, &other));
        if (!it->error) same_views(&whole, &other);
    }
    check(it, feed_bytes(it->text, is_response, &other));
    if (!it->error) same_views(&whole, &other);
    free(copy);
}

static void requests(void **state)
{
    (void)state;
    assert_true(COUNT(request_cases) >= 150);
    for (size_t i = 0; i < COUNT(request_cases); i++) check_all_ways(&request_cases[i], false);
}

static void responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(response_cases); i++) check_all_ways(&response_cases[i], true);
}

static struct http1_head parsed(struct bytes text, bool is_response)
{
    struct http1_head head;
    struct http1_parser parser;
    http1_parser_init(&parser, &head, is_response);
    assert_int_equal(http1_parse(&parser, text), text.len);
    return head;
}

#define REQUEST(text) parsed(BYTES(text), false)
#define RESPONSE(text) parsed(BYTES(text), true)
#define assert_bytes(view, text) assert_true(bytes_eq(view, BYTES(text)))

static void values_of_a_request(void **state)
{
    (void)state;
    struct http1_head head = REQUEST("\r\nPOST /a%20b?c=d HTTP/1.1\r\nHost: x:1\r\nX-a:  b c \r\n"
                                     "Content-Length: 12\r\nExpect: 100-Continue\r\n"
                                     "Set-Cookie: 1\r\nx-A: second\r\nset-cookie: 2\r\n\r\n");
    assert_int_equal(head.method, HTTP1_POST);
    assert_int_equal(head.form, HTTP1_ORIGIN_FORM);
    assert_bytes(head.target, "/a%20b?c=d");
    assert_bytes(head.path, "/a%20b");
    assert_bytes(head.query, "c=d");
    assert_bytes(head.authority, "x:1");
    assert_bytes(head.scheme, "");
    assert_int_equal(head.minor, 1);
    assert_true(head.keep_alive && head.has_length && head.expect_continue);
    assert_false(head.chunked || head.upgrade || head.is_response || head.names_in_connection);
    assert_int_equal(head.length, 12);
    assert_int_equal(head.count, 7);
    const struct http1_header *header = http1_find_text(&head, BYTES("X-A"));
    assert_bytes(header->value, "b c");
    header = http1_find_next(&head, header);
    assert_bytes(header->value, "second");
    assert_null(http1_find_next(&head, header));
    header = http1_find(&head, HTTP1_NAME_SET_COOKIE);
    assert_bytes(header->value, "1");
    assert_bytes(http1_find_next(&head, header)->value, "2");
    assert_null(http1_find(&head, HTTP1_NAME_COOKIE));
    assert_null(http1_find_text(&head, BYTES("nowhere")));
    assert_null(http1_value(&head, HTTP1_NAME_COOKIE).data);
    assert_int_equal(http1_body_kind(&head, 0), HTTP1_BODY_LENGTH);
}

static void targets(void **state)
{
    (void)state;
    struct http1_head head = REQUEST("GET http://a:80?q HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(head.form, HTTP1_ABSOLUTE_FORM);
    assert_bytes(head.scheme, "http");
    assert_bytes(head.authority, "a:80");
    assert_bytes(head.path, "/");
    assert_bytes(head.query, "q");
    head = REQUEST("OPTIONS https://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_bytes(head.path, "*");
    assert_null(head.query.data);
    head = REQUEST("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_bytes(head.path, "/");
    head = REQUEST("GET /? HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(head.query.data);
    assert_int_equal(head.query.len, 0);
    head = REQUEST("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
    assert_int_equal(head.form, HTTP1_AUTHORITY_FORM);
    assert_bytes(head.authority, "a:443");
    assert_bytes(head.path, "");
    head = REQUEST("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(head.form, HTTP1_ASTERISK_FORM);
    assert_bytes(head.authority, "a");
}

static void connection_options(void **state)
{
    (void)state;
    assert_false(REQUEST("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n").keep_alive);
    assert_false(REQUEST("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert_true(REQUEST("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert_false(REQUEST("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: x,close\r\n\r\n")
                     .keep_alive);
    struct http1_head head = REQUEST("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-hop , Upgrade,\r\n"
                                     "X-Hop: 1\r\nX-End: 2\r\nUpgrade: websocket\r\n\r\n");
    assert_true(head.upgrade && head.keep_alive && head.names_in_connection);
    assert_false(http1_hop_by_hop(&head, &head.headers[0]));
    assert_true(http1_hop_by_hop(&head, &head.headers[1]));
    assert_true(http1_hop_by_hop(&head, &head.headers[2]));
    assert_false(http1_hop_by_hop(&head, &head.headers[3]));
    assert_true(http1_hop_by_hop(&head, &head.headers[4]));
    head = REQUEST("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, host\r\n\r\n");
    assert_false(head.upgrade);
    assert_false(http1_hop_by_hop(&head, http1_find(&head, HTTP1_NAME_HOST)));
}

static void body_kinds(void **state)
{
    (void)state;
    struct http1_head none = REQUEST("POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http1_head zero = REQUEST("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    struct http1_head chunked =
        REQUEST("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(http1_body_kind(&none, 0), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&zero, 0), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&chunked, 0), HTTP1_BODY_CHUNKED);
    struct http1_head until_close = RESPONSE("HTTP/1.1 200 OK\r\n\r\n");
    struct http1_head length = RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    struct http1_head empty = RESPONSE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct http1_head pieces = RESPONSE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct http1_head early = RESPONSE("HTTP/1.1 103 X\r\nContent-Length: 3\r\n\r\n");
    struct http1_head no_content = RESPONSE("HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n");
    struct http1_head unmodified = RESPONSE("HTTP/1.1 304 X\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(http1_body_kind(&until_close, HTTP1_GET), HTTP1_BODY_UNTIL_CLOSE);
    assert_int_equal(http1_body_kind(&until_close, HTTP1_HEAD), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&length, HTTP1_GET), HTTP1_BODY_LENGTH);
    assert_int_equal(http1_body_kind(&length, HTTP1_HEAD), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&empty, HTTP1_GET), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&pieces, HTTP1_GET), HTTP1_BODY_CHUNKED);
    assert_int_equal(http1_body_kind(&early, HTTP1_GET), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&no_content, HTTP1_GET), HTTP1_BODY_NONE);
    assert_int_equal(http1_body_kind(&unmodified, HTTP1_GET), HTTP1_BODY_NONE);
}

/* A head with `count` headers besides Host, each with `value_len` bytes of value. */
static struct bytes big_head(size_t count, size_t value_len)
{
    size_t room = 64 + count * (value_len + 8), len = 0;
    char *text = malloc(room);
    memcpy(text, GET_ H, sizeof(GET_ H) - 1);
    len = sizeof(GET_ H) - 1;
    for (size_t i = 0; i < count; i++) {
        memcpy(text + len, "X: ", 3);
        memset(text + len + 3, 'v', value_len);
        memcpy(text + len + 3 + value_len, "\r\n", 2);
        len += value_len + 5;
    }
    memcpy(text + len, "\r\n", 2);
    return bytes_make(text, len + 2);
}

static void limits(void **state)
{
    (void)state;
    struct http1_head head;
    struct bytes text = big_head(99, 1);
    assert_int_equal(feed_whole(text, false, &head).result, text.len);
    assert_int_equal(head.count, 100);
    free((char *)text.data);
    text = big_head(100, 1);
    assert_int_equal(feed_whole(text, false, &head).error, HTTP1_ERROR_TOO_MANY_HEADERS);
    free((char *)text.data);

    size_t fixed = sizeof(GET_ H) - 1 + 5 + 2;
    text = big_head(1, HTTP1_HEAD_MAX - fixed);
    assert_int_equal(text.len, HTTP1_HEAD_MAX);
    assert_int_equal(feed_whole(text, false, &head).result, HTTP1_HEAD_MAX);
    assert_int_equal(feed_bytes(text, false, &head).result, HTTP1_HEAD_MAX);
    free((char *)text.data);
    text = big_head(1, HTTP1_HEAD_MAX - fixed + 1);
    assert_int_equal(feed_whole(text, false, &head).error, HTTP1_ERROR_HEAD_TOO_LARGE);
    assert_int_equal(feed_bytes(text, false, &head).error, HTTP1_ERROR_HEAD_TOO_LARGE);
    free((char *)text.data);
}

static void the_next_message_is_left(void **state)
{
    (void)state;
    static const char first[] = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http1_head head;
    struct http1_parser parser;
    http1_parser_init(&parser, &head, false);
    struct bytes both = BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2\0\n\n garbage");
    assert_int_equal(http1_parse(&parser, both), sizeof first - 1);
    assert_int_equal(head.size, sizeof first - 1);
}

static void names(void **state)
{
    (void)state;
    char upper[32];
    for (int id = 1; id < HTTP1_NAME_COUNT; id++) {
        struct bytes text = http1_name_text(id);
        assert_int_equal(http1_name_find(text), id);
        for (size_t i = 0; i < text.len; i++)
            upper[i] = (char)(text.data[i] >= 'a' ? text.data[i] - 32 : text.data[i]);
        assert_int_equal(http1_name_find(bytes_make(upper, text.len)), id);
        upper[text.len - 1] ^= 1;
        assert_int_equal(http1_name_find(bytes_make(upper, text.len)), HTTP1_OTHER_NAME);
    }
    assert_int_equal(http1_name_find(BYTES("")), HTTP1_OTHER_NAME);
    assert_int_equal(http1_name_find(BYTES("Content_Length")), HTTP1_OTHER_NAME);
    for (int method = 1; method < HTTP1_METHOD_COUNT; method++)
        assert_int_equal(http1_method_find(http1_method_name(method)), method);
    assert_int_equal(http1_method_find(BYTES("get")), HTTP1_OTHER_METHOD);
    assert_true(http1_method_idempotent(HTTP1_PUT));
    assert_false(http1_method_idempotent(HTTP1_POST));
    assert_false(http1_method_idempotent(HTTP1_PATCH));
    assert_int_equal(http1_error_status(HTTP1_ERROR_CODING_UNKNOWN), 501);
    assert_string_equal(http1_error_name(HTTP1_ERROR_FOLD), "FOLD");
}

/* The table of classes against the grammar's own words. */
static void classes(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool alnum =
            i < 128 && ((i >= '0' && i <= '9') || (i >= 'A' && i <= 'Z') || (i >= 'a' && i <= 'z'));
        bool in_token = i && i < 128 && strchr("!#$%&'*+-.^_`|~", i);
        bool in_path = i && i < 128 && strchr("-._~!$&'()*+,;=:@/%[]|^{}", i);
        bool in_query = in_path || (i && i < 128 && strchr("?\\`", i));
        bool in_host = i && i < 128 && strchr("-._~", i);
        assert_int_equal(http1_is(c, HTTP1_CLASS_TOKEN), alnum || in_token);
        assert_int_equal(http1_is(c, HTTP1_CLASS_PATH), alnum || in_path);
        assert_int_equal(http1_is(c, HTTP1_CLASS_QUERY), alnum || in_query);
        assert_int_equal(http1_is(c, HTTP1_CLASS_HOST), alnum || in_host);
        bool control = (i < 32 && i != '\t') || i == 127;
        assert_int_equal(http1_is(c, HTTP1_CLASS_CONTROL), control);
        /* The vector scan finds it wherever it stands. */
        char line[40];
        for (size_t at = 0; at < sizeof line; at++) {
            memset(line, 0x80, sizeof line);
            line[at] = c;
            size_t found = http1_scan_control(bytes_make(line, sizeof line), 0);
            assert_int_equal(found, control ? at : sizeof line);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    guard_init(&guard, 256 * 1024);
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
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
        cmocka_unit_test(values_of_a_request),
        cmocka_unit_test(targets),
        cmocka_unit_test(connection_options),
        cmocka_unit_test(body_kinds),
        cmocka_unit_test(limits),
        cmocka_unit_test(the_next_message_is_left),
        cmocka_unit_test(names),
        cmocka_unit_test(classes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
