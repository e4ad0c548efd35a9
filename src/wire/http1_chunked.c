#include "wire/http1_chunked.h"

#include "wire/http1_scan.h"

enum chunk_state {
    SIZE_FIRST, /* a digit must come */
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_LINE, /* a field's name, or the CR of the last line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    END,
    FAILED,
};

void http1_chunked_init(struct http1_chunked *chunked)
{
    *chunked = (struct http1_chunked){.state = SIZE_FIRST};
}

static enum http1_error fail(struct http1_chunked *chunked, enum http1_error error)
{
    chunked->state = FAILED;
    chunked->error = error;
    return error;
}

static enum http1_error control_error(char c)
{
    return c == '\n' ? HTTP1_ERROR_BARE_LF : c == '\0' ? HTTP1_ERROR_NUL : HTTP1_ERROR_CONTROL;
}

static unsigned hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static enum http1_error size_byte(struct http1_chunked *chunked, char c)
{
    if (http1_is(c, HTTP1_CLASS_HEX)) {
        if (++chunked->count > 16) return fail(chunked, HTTP1_ERROR_CHUNK_SIZE_DIGITS);
        chunked->left = chunked->left << 4 | hex_value(c);
        chunked->state = SIZE;
        return HTTP1_OK;
    }
    if (chunked->state == SIZE_FIRST) return fail(chunked, HTTP1_ERROR_CHUNK_SIZE);
    chunked->count = 0;
    chunked->state = c == '\r' ? SIZE_LF : EXTENSION;
    if (c == '\n') return fail(chunked, HTTP1_ERROR_BARE_LF);
    return c == '\r' || c == ';' ? HTTP1_OK : fail(chunked, HTTP1_ERROR_CHUNK_SIZE);
}

static enum http1_error extension_byte(struct http1_chunked *chunked, char c)
{
    if (c == '\r') {
        chunked->state = SIZE_LF;
        return HTTP1_OK;
    }
    if (http1_is(c, HTTP1_CLASS_CONTROL)) return fail(chunked, control_error(c));
    if (++chunked->count > HTTP1_CHUNK_EXTENSION_MAX)
        return fail(chunked, HTTP1_ERROR_CHUNK_EXTENSION);
    return HTTP1_OK;
}

static enum http1_error trailer_byte(struct http1_chunked *chunked, char c)
{
    if (++chunked->count > HTTP1_TRAILER_MAX) return fail(chunked, HTTP1_ERROR_TRAILER_TOO_LARGE);
    switch (chunked->state) {
    case TRAILER_LINE:
        if (c == '\r') {
            chunked->state = END_LF;
            return HTTP1_OK;
        }
        if (c == ' ' || c == '\t') return fail(chunked, HTTP1_ERROR_FOLD);
        if (c == ':') return fail(chunked, HTTP1_ERROR_NAME_EMPTY);
        if (++chunked->fields > HTTP1_TRAILER_FIELDS_MAX)
            return fail(chunked, HTTP1_ERROR_TRAILER_TOO_LARGE);
        chunked->state = TRAILER_NAME;
        /* fall through */
    case TRAILER_NAME:
        if (c == ':')
            chunked->state = TRAILER_VALUE;
        else if (http1_is(c, HTTP1_CLASS_CONTROL))
            return fail(chunked, c == '\r' ? HTTP1_ERROR_NO_COLON : control_error(c));
        else if (!http1_is(c, HTTP1_CLASS_TOKEN))
            return fail(chunked, c == ' ' || c == '\t' ? HTTP1_ERROR_NAME_SPACE : HTTP1_ERROR_NAME);
        return HTTP1_OK;
    default:
        if (c == '\r')
            chunked->state = TRAILER_LF;
        else if (http1_is(c, HTTP1_CLASS_CONTROL))
            return fail(chunked, control_error(c));
        return HTTP1_OK;
    }
}

/* A byte that must be LF, after which `state` follows. */
static enum http1_error lf_byte(struct http1_chunked *chunked, char c, enum http1_error error,
                                enum chunk_state state)
{
    if (c != '\n') return fail(chunked, error);
    chunked->state = (uint8_t)state;
    return HTTP1_OK;
}

static enum http1_error step(struct http1_chunked *chunked, char c)
{
    switch ((enum chunk_state)chunked->state) {
    case SIZE_FIRST:
    case SIZE: return size_byte(chunked, c);
    case EXTENSION: return extension_byte(chunked, c);
    case SIZE_LF:
        chunked->count = 0;
        return lf_byte(chunked, c, HTTP1_ERROR_BARE_CR, chunked->left ? DATA : TRAILER_LINE);
    case DATA_CR:
        chunked->state = DATA_LF;
        return c == '\r' ? HTTP1_OK : fail(chunked, HTTP1_ERROR_CHUNK_END);
    case DATA_LF: chunked->count = 0; return lf_byte(chunked, c, HTTP1_ERROR_CHUNK_END, SIZE_FIRST);
    case TRAILER_LINE:
    case TRAILER_NAME:
    case TRAILER_VALUE: return trailer_byte(chunked, c);
    case TRAILER_LF: return lf_byte(chunked, c, HTTP1_ERROR_BARE_CR, TRAILER_LINE);
    case END_LF: return lf_byte(chunked, c, HTTP1_ERROR_BARE_CR, END);
    case DATA:
    case END:
    case FAILED: break;
    }
    return chunked->error;
}

enum http1_chunk http1_chunked_next(struct http1_chunked *chunked, struct bytes *input,
                                    struct bytes *ret_piece)
{
    for (;;) {
        if (chunked->state == END) return HTTP1_CHUNK_END;
        if (chunked->state == FAILED) return HTTP1_CHUNK_ERROR;
        if (input->len == 0) return HTTP1_CHUNK_MORE;
        if (chunked->state == DATA) {
            *ret_piece =
                bytes_head(*input, chunked->left < input->len ? (size_t)chunked->left : input->len);
            *input = bytes_skip(*input, ret_piece->len);
            chunked->left -= ret_piece->len;
            if (chunked->left == 0) chunked->state = DATA_CR;
            return HTTP1_CHUNK_DATA;
        }
        if (step(chunked, input->data[0])) return HTTP1_CHUNK_ERROR;
        *input = bytes_skip(*input, 1);
    }
}

size_t http1_chunk_head(char ret_text[HTTP1_CHUNK_HEAD_MAX], uint64_t size)
{
    size_t digits = size ? (67 - (size_t)__builtin_clzll(size)) / 4 : 1;
    for (size_t i = 0; i < digits; i++)
        ret_text[i] = "0123456789abcdef"[size >> (4 * (digits - 1 - i)) & 15];
    ret_text[digits] = '\r';
    ret_text[digits + 1] = '\n';
    return digits + 2;
}
