/* The header block of ADR-4: like HTTP's, but with its own first line and no folding. */
#include "wire/nats.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const struct bytes first_word = {"NATS/1.0", 8};

/* The line at the start of `rest`, without its CRLF, which is required. */
static int cut_line(struct bytes *rest, struct bytes *ret_line)
{
    size_t end = bytes_find(*rest, '\n');
    if (end == rest->len || end == 0 || rest->data[end - 1] != '\r') return ERR_SYNTAX;
    *ret_line = bytes_head(*rest, end - 1);
    *rest = bytes_skip(*rest, end + 1);
    return 0;
}

int nats_headers_parse(struct bytes block, struct nats_headers *ret_headers)
{
    struct bytes line, rest = block;
    if (cut_line(&rest, &line) || !bytes_starts(line, first_word)) return ERR_SYNTAX;
    *ret_headers = (struct nats_headers){.rest = rest, .description = BYTES("")};
    line = bytes_skip(line, first_word.len);
    if (line.len && line.data[0] != ' ' && line.data[0] != '\t') return ERR_SYNTAX;
    line = bytes_trim(line);
    if (!line.len) return 0;

    uint64_t status;
    struct bytes digits = bytes_head(line, 3);
    if (bytes_to_u64(digits, 999, &status) || digits.len != 3) return ERR_SYNTAX;
    ret_headers->status = (int)status;
    ret_headers->description = bytes_trim(bytes_skip(line, 3));
    return 0;
}

int nats_headers_next(struct nats_headers *headers, struct bytes *ret_name, struct bytes *ret_value)
{
    struct bytes line;
    if (cut_line(&headers->rest, &line)) return ERR_SYNTAX;
    if (!line.len) return headers->rest.len ? ERR_SYNTAX : 0;
    size_t colon = bytes_find(line, ':');
    if (colon == 0 || colon == line.len) return ERR_SYNTAX;
    *ret_name = bytes_head(line, colon);
    *ret_value = bytes_trim(bytes_skip(line, colon + 1));
    return 1;
}

int nats_headers_get(struct bytes block, struct bytes name, struct bytes *ret_value)
{
    struct nats_headers headers;
    struct bytes found, value;
    if (!block.len) return ERR_NOT_FOUND;
    int r = nats_headers_parse(block, &headers);
    if (r) return r;
    while ((r = nats_headers_next(&headers, &found, &value)) > 0) {
        if (!bytes_eq_nocase(found, name)) continue;
        *ret_value = value;
        return 0;
    }
    return r ? r : ERR_NOT_FOUND;
}

void nats_headers_begin(struct buf *out, int status, const char *description)
{
    buf_append(out, first_word);
    if (status) buf_append_format(out, " %03d", status);
    if (status && description && *description) {
        buf_append_char(out, ' ');
        buf_append_str(out, description);
    }
    buf_append(out, BYTES("\r\n"));
}

int nats_headers_add(struct buf *out, struct bytes name, struct bytes value)
{
    if (!name.len) return ERR_INVALID;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.data[i] <= ' ' || name.data[i] == ':') return ERR_INVALID;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] == '\r' || value.data[i] == '\n') return ERR_INVALID;
    buf_append(out, name);
    buf_append(out, BYTES(": "));
    buf_append(out, value);
    buf_append(out, BYTES("\r\n"));
    return 0;
}

void nats_headers_add_u64(struct buf *out, struct bytes name, uint64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    int err = nats_headers_add(out, name, bytes_make(text, (size_t)len));
    assert(err == 0);
}

void nats_headers_end(struct buf *out)
{
    buf_append(out, BYTES("\r\n"));
}
