#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "wire/http1_chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes in pieces of `step` bytes; returns how it ended. */
static enum http1_chunk decode(struct bytes text, size_t step, struct buf *body, size_t *ret_left,
                               enum http1_error *ret_error)
{
    struct http1_chunked chunked;
    enum http1_chunk next = HTTP1_CHUNK_MORE;
    size_t at = 0;
    http1_chunked_init(&chunked);
    while (next == HTTP1_CHUNK_MORE && at < text.len) {
        struct bytes part = bytes_head(bytes_skip(text, at), step), piece;
        char *copy = malloc(part.len);
        memcpy(copy, part.data, part.len);
        struct bytes input = bytes_make(copy, part.len);
        while ((next = http1_chunked_next(&chunked, &input, &piece)) == HTTP1_CHUNK_DATA) {
            assert(piece.len && piece.data >= copy && piece.data + piece.len <= copy + part.len);
            buf_append(body, piece);
        }
        assert(next != HTTP1_CHUNK_MORE || input.len == 0);
        at += part.len - input.len;
        free(copy);
    }
    *ret_left = text.len - at;
    *ret_error = chunked.error;
    assert((next == HTTP1_CHUNK_ERROR) == (chunked.error != HTTP1_OK));
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    struct bytes text = bytes_make(data + 1, size - 1);
    struct buf whole, parts;
    size_t whole_left, parts_left;
    enum http1_error whole_error, parts_error;
    buf_init(&whole, size);
    buf_init(&parts, size);
    enum http1_chunk a = decode(text, text.len, &whole, &whole_left, &whole_error);
    enum http1_chunk b = decode(text, (size_t)data[0] + 1, &parts, &parts_left, &parts_error);
    assert(a == b && whole_left == parts_left && whole_error == parts_error);
    assert(bytes_eq(buf_bytes(&whole), buf_bytes(&parts)));
    buf_release(&whole);
    buf_release(&parts);
    return 0;
}
