#include "monitor/query.h"

/* Unescapes as forms do it: "+" is a blank. Returns the length, or an error. */
static int unescape(struct bytes text, char *to, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t c = (uint8_t)text.data[i];
        if (c == '+') c = ' ';
        if (c == '%') {
            if (bytes_to_u64_hex(bytes_head(bytes_skip(text, i + 1), 2), 255, &c) ||
                i + 2 >= text.len || !c)
                return ERR_SYNTAX;
            i += 2;
        }
        if (len == size) return ERR_TOO_BIG;
        to[len++] = (char)c;
    }
    return (int)len;
}

int query_text(struct bytes query, const char *name, char ret_text[QUERY_TEXT_MAX + 1])
{
    while (query.data && query.len) {
        struct bytes value = bytes_cut(&query, '&'), key = bytes_cut(&value, '=');
        if (!bytes_eq(key, bytes_str(name))) continue;
        int len = unescape(value, ret_text, QUERY_TEXT_MAX);
        if (len < 0) return len;
        ret_text[len] = '\0';
        return 0;
    }
    return ERR_NOT_FOUND;
}

int query_u64(struct bytes query, const char *name, uint64_t otherwise, uint64_t *ret)
{
    char text[QUERY_TEXT_MAX + 1];
    int r = query_text(query, name, text);
    if (r == ERR_NOT_FOUND || (!r && !*text)) {
        *ret = otherwise;
        return 0;
    }
    if (!r) r = bytes_to_u64(bytes_str(text), INT64_MAX, ret);
    return r ? ERR_SYNTAX : 0;
}

int query_bool(struct bytes query, const char *name, bool *ret)
{
    static const char *const words[2][6] = {{"0", "f", "F", "false", "FALSE", "False"},
                                            {"1", "t", "T", "true", "TRUE", "True"}};
    char text[QUERY_TEXT_MAX + 1];
    int r = query_text(query, name, text);
    *ret = false;
    if (r == ERR_NOT_FOUND || (!r && !*text)) return 0;
    for (int value = 0; !r && value < 2; value++)
        for (size_t i = 0; i < 6; i++)
            if (strcmp(text, words[value][i]) == 0) {
                *ret = value;
                return 0;
            }
    return ERR_SYNTAX;
}
