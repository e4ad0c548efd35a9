/* What requests and responses have in common: a head means the same however it arrives, all views
 * lie in the input, and what was accepted is accepted again when it is written out. */
#ifndef DURE_FUZZ_HTTP1_H
#define DURE_FUZZ_HTTP1_H

#include <assert.h>
#include <stdlib.h>

#include "wire/http1_write.h"

static void check_view(struct bytes view, struct bytes input)
{
    if (view.len == 0 || bytes_eq(view, BYTES("/")) || bytes_eq(view, BYTES("*"))) return;
    assert(view.data >= input.data && view.data + view.len <= input.data + input.len);
}

static void check_views(const struct http1_head *head, struct bytes input)
{
    check_view(head->method_name, input);
    check_view(head->target, input);
    check_view(head->scheme, input);
    check_view(head->authority, input);
    check_view(head->path, input);
    check_view(head->query, input);
    check_view(head->reason, input);
    for (size_t i = 0; i < head->count; i++) {
        check_view(head->headers[i].name, input);
        check_view(head->headers[i].value, input);
    }
}

/* Smuggling needs a message whose length is in doubt. */
static void check_framing(const struct http1_head *head)
{
    size_t lengths = 0, codings = 0, hosts = 0;
    for (size_t i = 0; i < head->count; i++) {
        lengths += bytes_eq_nocase(head->headers[i].name, BYTES("content-length"));
        codings += bytes_eq_nocase(head->headers[i].name, BYTES("transfer-encoding"));
        hosts += bytes_eq_nocase(head->headers[i].name, BYTES("host"));
    }
    assert(lengths + codings <= 1 && head->has_length == (lengths == 1));
    assert(head->chunked == (codings == 1));
    if (!head->is_response) assert(hosts <= 1 && (hosts == 1 || head->minor == 0));
    (void)http1_body_kind(head, HTTP1_GET);
}

static void write_again(const struct http1_head *head)
{
    struct buf out;
    struct http1_parser parser;
    static struct http1_head again;
    buf_init(&out, 2 * HTTP1_HEAD_MAX);
    if (head->is_response)
        assert(http1_write_status(&out, head->status, head->reason) == 0);
    else
        assert(http1_write_request(&out, head->method_name, head->target) == 0);
    for (size_t i = 0; i < head->count; i++)
        assert(http1_write_header(&out, head->headers[i].name, head->headers[i].value) == 0);
    buf_append(&out, BYTES("\r\n"));
    http1_parser_init(&parser, &again, head->is_response);
    int result = http1_parse(&parser, buf_bytes(&out));
    /* We write 1.1, which asks for a Host, and one space behind each colon. */
    assert(result == (int)buf_len(&out) || parser.error == HTTP1_ERROR_HOST_MISSING ||
           parser.error == HTTP1_ERROR_HEAD_TOO_LARGE);
    if (result > 0) {
        assert(again.count == head->count && again.length == head->length);
        assert(again.chunked == head->chunked && again.has_length == head->has_length);
        assert(bytes_eq(again.path, head->path) && again.status == head->status);
    }
    buf_release(&out);
}

static int fuzz_head(const uint8_t *data, size_t size, bool is_response)
{
    static struct http1_head whole, parts;
    struct http1_parser parser;
    if (size < 1 || size > 2 * HTTP1_HEAD_MAX) return 0;
    size_t step = (size_t)data[0] + 1;
    struct bytes input = bytes_make(data + 1, size - 1);
    http1_parser_init(&parser, &whole, is_response);
    int result = http1_parse(&parser, input);
    enum http1_error error = parser.error;
    size_t error_at = parser.error_at;
    assert((result < 0) == (error != HTTP1_OK) && error_at <= input.len);

    int other = 0;
    http1_parser_init(&parser, &parts, is_response);
    for (size_t len = 0; other == 0 && len < input.len;) {
        len = len + step < input.len ? len + step : input.len;
        char *copy = malloc(len); /* elsewhere each time, and not one byte more */
        memcpy(copy, input.data, len);
        other = http1_parse(&parser, bytes_make(copy, len));
        if (other > 0) http1_head_move(&parts, copy, input.data);
        free(copy);
    }
    assert(other == result && parser.error == error && parser.error_at == error_at);
    if (result <= 0) return 0;
    check_views(&whole, input);
    check_framing(&whole);
    assert(parts.count == whole.count && bytes_eq(parts.authority, whole.authority));
    write_again(&whole);
    return 0;
}

#endif
