#include "base/jsonw.h"

#include "base/base64.h"

#include <assert.h>
#include <math.h>

void jsonw_init(struct jsonw *json, struct buf *out)
{
    *json = (struct jsonw){.out = out};
}

static void escape_char(struct buf *out, unsigned char c)
{
    static const char digits[16] = "0123456789abcdef";
    char unicode[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    switch (c) {
    case '"': buf_append(out, BYTES("\\\"")); break;
    case '\\': buf_append(out, BYTES("\\\\")); break;
    case '\n': buf_append(out, BYTES("\\n")); break;
    case '\r': buf_append(out, BYTES("\\r")); break;
    case '\t': buf_append(out, BYTES("\\t")); break;
    default: buf_append(out, bytes_make(unicode, sizeof unicode));
    }
}

void jsonw_escape(struct buf *out, struct bytes text)
{
    buf_append_char(out, '"');
    size_t plain = 0; /* length of the run that needs no escape */
    while (plain < text.len) {
        unsigned char c = (unsigned char)text.data[plain];
        size_t len = bytes_utf8_len(bytes_skip(text, plain));
        bool escape = c < 0x20 || c == '"' || c == '\\' || c == 0x7F;
        if (len && !escape) {
            plain += len;
            continue;
        }
        buf_append(out, bytes_head(text, plain));
        if (len)
            escape_char(out, c);
        else
            buf_append(out, BYTES("\xEF\xBF\xBD"));
        text = bytes_skip(text, plain + 1);
        plain = 0;
    }
    buf_append(out, text);
    buf_append_char(out, '"');
}

static void item(struct jsonw *json, const char *key)
{
    if (json->has_item[json->depth]) buf_append_char(json->out, ',');
    json->has_item[json->depth] = true;
    if (!key) return;
    jsonw_escape(json->out, bytes_str(key));
    buf_append_char(json->out, ':');
}

static void begin(struct jsonw *json, const char *key, char bracket)
{
    item(json, key);
    buf_append_char(json->out, bracket);
    assert(json->depth + 1 < JSONW_DEPTH_MAX);
    json->has_item[++json->depth] = false;
}

static void end(struct jsonw *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    buf_append_char(json->out, bracket);
}

void jsonw_object(struct jsonw *json, const char *key)
{
    begin(json, key, '{');
}

void jsonw_object_end(struct jsonw *json)
{
    end(json, '}');
}

void jsonw_array(struct jsonw *json, const char *key)
{
    begin(json, key, '[');
}

void jsonw_array_end(struct jsonw *json)
{
    end(json, ']');
}

void jsonw_str(struct jsonw *json, const char *key, struct bytes value)
{
    item(json, key);
    jsonw_escape(json->out, value);
}

void jsonw_cstr(struct jsonw *json, const char *key, const char *value)
{
    if (value)
        jsonw_str(json, key, bytes_str(value));
    else
        jsonw_null(json, key);
}

void jsonw_base64(struct jsonw *json, const char *key, struct bytes value)
{
    item(json, key);
    buf_append_char(json->out, '"');
    base64_append(json->out, value);
    buf_append_char(json->out, '"');
}

void jsonw_u64(struct jsonw *json, const char *key, uint64_t value)
{
    item(json, key);
    buf_append_u64(json->out, value);
}

void jsonw_i64(struct jsonw *json, const char *key, int64_t value)
{
    item(json, key);
    if (value < 0) buf_append_char(json->out, '-');
    buf_append_u64(json->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void jsonw_double(struct jsonw *json, const char *key, double value)
{
    item(json, key);
    if (isfinite(value))
        buf_append_format(json->out, "%.17g", value);
    else
        buf_append(json->out, BYTES("null"));
}

void jsonw_bool(struct jsonw *json, const char *key, bool value)
{
    item(json, key);
    buf_append_str(json->out, value ? "true" : "false");
}

void jsonw_null(struct jsonw *json, const char *key)
{
    item(json, key);
    buf_append(json->out, BYTES("null"));
}

void jsonw_raw(struct jsonw *json, const char *key, struct bytes value)
{
    item(json, key);
    buf_append(json->out, value);
}
