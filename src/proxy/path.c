#include "proxy/path.h"

#include "base/err.h"

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

bool path_is_normal(struct bytes path)
{
    if (memchr(path.data, '%', path.len)) return false;
    /* Only an element that begins with a dot can be a dot segment. */
    const char *at = path.data, *end = path.data + path.len;
    while ((at = memchr(at, '.', (size_t)(end - at)))) {
        if (at > path.data && at[-1] == '/') return false;
        at++;
    }
    return true;
}

/* Copies with escapes of unreserved characters decoded and the others in upper case. */
static int decode(struct bytes path, char *text, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        if (c != '%') {
            text[len++] = c;
            continue;
        }
        uint64_t value;
        struct bytes digits = bytes_head(bytes_skip(path, i + 1), 2);
        if (digits.len < 2 || bytes_to_u64_hex(digits, 255, &value) != 0 || value == 0)
            return ERR_SYNTAX;
        if (is_unreserved((unsigned char)value)) {
            text[len++] = (char)value;
        } else {
            static const char hex[] = "0123456789ABCDEF";
            text[len++] = '%';
            text[len++] = hex[value >> 4];
            text[len++] = hex[value & 15];
        }
        i += 2;
    }
    *ret_len = len;
    return 0;
}

/* Removes dot segments in place: the output never overtakes the input. */
static size_t remove_dots(char *text, size_t len)
{
    size_t out = 0, at = 0;
    while (at < len) { /* text[at] is the '/' that begins a segment */
        const char *slash = memchr(text + at + 1, '/', len - at - 1);
        size_t end = slash ? (size_t)(slash - text) : len;
        struct bytes segment = bytes_make(text + at + 1, end - at - 1);
        bool up = bytes_eq(segment, BYTES(".."));
        if (up || bytes_eq(segment, BYTES("."))) {
            while (up && out > 0 && text[--out] != '/') {
            }
            if (end == len) text[out++] = '/';
        } else {
            memmove(text + out, text + at, end - at);
            out += end - at;
        }
        at = end;
    }
    return out;
}

int path_normalise(struct bytes path, char *text, size_t *ret_len)
{
    if (!path.len || path.data[0] != '/') return ERR_SYNTAX;
    size_t len;
    int err = decode(path, text, &len);
    if (err) return err;
    *ret_len = remove_dots(text, len);
    return 0;
}

bool path_has_prefix(struct bytes path, struct bytes prefix)
{
    if (prefix.len == 1) return path.len > 0 && path.data[0] == '/';
    return bytes_starts(path, prefix) && (path.len == prefix.len || path.data[prefix.len] == '/');
}
