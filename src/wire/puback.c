#include "wire/puback.h"

enum { DEPTH_MAX = 8, SURROGATE = 0xD800, SURROGATE_LOW = 0xDC00, SURROGATE_END = 0xE000 };

/* Where a text is read. What is wrong sticks: `wrong` is set, and nothing more is taken. */
struct reader {
    struct bytes rest;
    bool wrong;
};

/* Where a string is copied to, ended by NUL; `to` NULL: it is passed over. */
struct text {
    char *to;
    size_t size, len;
    bool full;
};

static bool refuse(struct reader *reader)
{
    reader->wrong = true;
    reader->rest = BYTES("");
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct reader *reader)
{
    size_t n = 0;
    while (n < reader->rest.len && is_blank(reader->rest.data[n])) n++;
    reader->rest = bytes_skip(reader->rest, n);
}

/* The next byte that is no blank; 0: there is none. */
static char peek(struct reader *reader)
{
    skip_blanks(reader);
    return reader->rest.len ? *reader->rest.data : '\0';
}

static bool take(struct reader *reader, char c)
{
    if (peek(reader) != c || !reader->rest.len) return false;
    reader->rest = bytes_skip(reader->rest, 1);
    return true;
}

static bool take_word(struct reader *reader, struct bytes word)
{
    if (!bytes_starts(reader->rest, word)) return false;
    reader->rest = bytes_skip(reader->rest, word.len);
    return true;
}

/* ---- strings ------------------------------------------------------------------------------ */

/* One character; the first that finds no room is the last that is looked at. */
static void put(struct text *text, const char *bytes, size_t len)
{
    if (!text->to || text->full) return;
    text->full = text->len + len >= text->size;
    if (text->full) return;
    memcpy(text->to + text->len, bytes, len);
    text->len += len;
}

/* The same of plain ASCII, which may be cut anywhere. */
static void put_plain(struct text *text, struct bytes run)
{
    if (!text->to || text->full || !run.len) return;
    struct bytes part = bytes_head(run, text->size - 1 - text->len);
    memcpy(text->to + text->len, part.data, part.len);
    text->len += part.len;
    text->full = part.len < run.len;
}

static size_t plain_len(struct bytes text)
{
    size_t n = 0;
    while (n < text.len && text.data[n] >= 0x20 && text.data[n] != '"' && text.data[n] != '\\') n++;
    return n;
}

static void put_code_point(struct text *text, unsigned c)
{
    const char tail[3] = {(char)(0x80 | (c >> 12 & 0x3F)), (char)(0x80 | (c >> 6 & 0x3F)),
                          (char)(0x80 | (c & 0x3F))};
    char bytes[4];
    size_t more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char heads[] = {0x00, 0xC0, 0xE0, 0xF0};
    bytes[0] = (char)(heads[more] | c >> 6 * more);
    memcpy(bytes + 1, tail + 3 - more, more);
    put(text, bytes, 1 + more);
}

/* Four digits behind "\u". */
static bool take_hex(struct reader *reader, uint64_t *ret_code)
{
    struct bytes digits = bytes_head(reader->rest, 4);
    if (digits.len < 4 || bytes_to_u64_hex(digits, 0xFFFF, ret_code) != 0) return refuse(reader);
    reader->rest = bytes_skip(reader->rest, 4);
    return true;
}

/* U+0000 cannot stand in a string of C, and half a pair of surrogates is no character. */
static bool take_unicode(struct reader *reader, struct text *text)
{
    uint64_t code, low;
    if (!take_hex(reader, &code)) return false;
    if (!code || (code >= SURROGATE_LOW && code < SURROGATE_END)) return refuse(reader);
    if (code >= SURROGATE && code < SURROGATE_LOW) {
        if (!take_word(reader, BYTES("\\u")) || !take_hex(reader, &low)) return refuse(reader);
        if (low < SURROGATE_LOW || low >= SURROGATE_END) return refuse(reader);
        code = 0x10000 + ((code - SURROGATE) << 10) + (low - SURROGATE_LOW);
    }
    put_code_point(text, (unsigned)code);
    return true;
}

static bool take_escape(struct reader *reader, struct text *text)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    reader->rest = bytes_skip(reader->rest, 1);
    if (!reader->rest.len) return refuse(reader);
    char c = *reader->rest.data;
    reader->rest = bytes_skip(reader->rest, 1);
    if (c == 'u') return take_unicode(reader, text);
    const char *at = c ? strchr(names, c) : NULL;
    if (!at) return refuse(reader);
    put(text, &meanings[at - names], 1);
    return true;
}

static bool take_text(struct reader *reader, struct text *text)
{
    if (!take(reader, '"')) return refuse(reader);
    for (;;) {
        size_t plain = plain_len(reader->rest);
        put_plain(text, bytes_head(reader->rest, plain));
        reader->rest = bytes_skip(reader->rest, plain);
        if (!reader->rest.len || *reader->rest.data == '"') break;
        if (*reader->rest.data == '\\') {
            if (!take_escape(reader, text)) return false;
            continue;
        }
        size_t len = (unsigned char)*reader->rest.data < 0x20 ? 0 : bytes_utf8_len(reader->rest);
        if (!len) return refuse(reader);
        put(text, reader->rest.data, len);
        reader->rest = bytes_skip(reader->rest, len);
    }
    if (text->to) text->to[text->len] = '\0';
    return take(reader, '"') || refuse(reader);
}

/* ---- other values ------------------------------------------------------------------------- */

static size_t digits_len(struct bytes text)
{
    size_t n = 0;
    while (n < text.len && text.data[n] >= '0' && text.data[n] <= '9') n++;
    return n;
}

/* A whole number from 0 on. */
static bool take_number(struct reader *reader, uint64_t max, uint64_t *ret)
{
    skip_blanks(reader);
    struct bytes digits = bytes_head(reader->rest, digits_len(reader->rest));
    if (digits.len > 1 && *digits.data == '0') return refuse(reader);
    if (bytes_to_u64(digits, max, ret) != 0) return refuse(reader);
    reader->rest = bytes_skip(reader->rest, digits.len);
    return true;
}

static bool take_code(struct reader *reader, int *ret)
{
    uint64_t code;
    if (!take_number(reader, INT32_MAX, &code)) return false;
    *ret = (int)code;
    return true;
}

static bool take_bool(struct reader *reader, bool *ret)
{
    skip_blanks(reader);
    *ret = take_word(reader, BYTES("true"));
    return *ret || take_word(reader, BYTES("false")) || refuse(reader);
}

static bool skip_digits(struct reader *reader)
{
    size_t n = digits_len(reader->rest);
    reader->rest = bytes_skip(reader->rest, n);
    return n || refuse(reader);
}

static bool skip_number(struct reader *reader)
{
    take_word(reader, BYTES("-"));
    if (!take_word(reader, BYTES("0")) && !skip_digits(reader)) return false;
    if (take_word(reader, BYTES(".")) && !skip_digits(reader)) return false;
    if (!take_word(reader, BYTES("e")) && !take_word(reader, BYTES("E"))) return true;
    if (!take_word(reader, BYTES("+"))) take_word(reader, BYTES("-"));
    return skip_digits(reader);
}

/* A value that nobody asked for. */
static bool skip_value(struct reader *reader, int depth)
{
    struct text none = {0};
    char c = peek(reader), end = c == '{' ? '}' : ']';
    if (c == '"') return take_text(reader, &none);
    if (c != '{' && c != '[')
        return take_word(reader, BYTES("true")) || take_word(reader, BYTES("false")) ||
               take_word(reader, BYTES("null")) || skip_number(reader);
    if (depth == DEPTH_MAX) return refuse(reader);
    take(reader, c);
    if (take(reader, end)) return true;
    do {
        if (c == '{' && (!take_text(reader, &none) || !take(reader, ':'))) return refuse(reader);
        if (!skip_value(reader, depth + 1)) return false;
    } while (take(reader, ','));
    return take(reader, end) || refuse(reader);
}

/* ---- objects ------------------------------------------------------------------------------ */

struct seen {
    bool stream, seq, duplicate, error, code, err_code, description;
};

/* Each member may stand there once. */
static bool once(struct reader *reader, bool *seen)
{
    if (*seen) return refuse(reader);
    return *seen = true;
}

/* Goes through an object; `member` takes one value, whose name it is given. */
static bool take_object(struct reader *reader, struct puback *ack, struct seen *seen,
                        bool (*member)(struct reader *reader, struct bytes name, struct puback *ack,
                                       struct seen *seen))
{
    char name[16];
    if (!take(reader, '{')) return refuse(reader);
    if (take(reader, '}')) return true;
    do {
        struct text key = {.to = name, .size = sizeof name};
        if (!take_text(reader, &key) || !take(reader, ':')) return refuse(reader);
        /* none of ours is that long */
        struct bytes known = key.full ? BYTES("") : bytes_make(name, key.len);
        if (!member(reader, known, ack, seen)) return false;
    } while (take(reader, ','));
    return take(reader, '}') || refuse(reader);
}

static bool error_member(struct reader *reader, struct bytes name, struct puback *ack,
                         struct seen *seen)
{
    struct text description = {.to = ack->description, .size = sizeof ack->description};
    if (bytes_eq(name, BYTES("code")))
        return once(reader, &seen->code) && take_code(reader, &ack->code);
    if (bytes_eq(name, BYTES("err_code")))
        return once(reader, &seen->err_code) && take_code(reader, &ack->err_code);
    if (bytes_eq(name, BYTES("description")))
        return once(reader, &seen->description) && take_text(reader, &description);
    return skip_value(reader, 2);
}

static bool ack_member(struct reader *reader, struct bytes name, struct puback *ack,
                       struct seen *seen)
{
    struct text stream = {.to = ack->stream, .size = sizeof ack->stream};
    if (bytes_eq(name, BYTES("stream")))
        return once(reader, &seen->stream) && take_text(reader, &stream);
    if (bytes_eq(name, BYTES("seq")))
        return once(reader, &seen->seq) && take_number(reader, UINT64_MAX, &ack->seq);
    if (bytes_eq(name, BYTES("duplicate")))
        return once(reader, &seen->duplicate) && take_bool(reader, &ack->duplicate);
    if (bytes_eq(name, BYTES("error")))
        return once(reader, &seen->error) && take_object(reader, ack, seen, error_member);
    return skip_value(reader, 1);
}

int puback_parse(struct bytes text, struct puback *ret_ack)
{
    struct reader reader = {.rest = text};
    struct seen seen = {0};
    *ret_ack = (struct puback){0};
    bool whole =
        take_object(&reader, ret_ack, &seen, ack_member) && !peek(&reader) && !reader.rest.len;
    if (whole && seen.error) {
        if (!ret_ack->code) ret_ack->code = 500;
        return 0;
    }
    if (whole && ret_ack->stream[0] && ret_ack->seq) return 0;
    *ret_ack = (struct puback){0};
    return ERR_SYNTAX;
}
