#include "proxy/check.h"

#include "proxy/path.h"

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 section 5.6.2 */
static bool is_token_char(char c)
{
    return is_lower(c) || is_upper(c) || is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static struct bytes shown(struct bytes text)
{
    return bytes_head(text, 80);
}

int check_service_name(struct bytes name, struct error *error)
{
    bool valid = name.len > 0 && name.len <= SERVICE_NAME_MAX &&
                 (is_lower(name.data[0]) || is_digit(name.data[0]));
    for (size_t i = 0; valid && i < name.len; i++) {
        char c = name.data[i];
        valid = is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
    }
    if (valid) return 0;
    return error_set(error, ERR_INVALID,
                     "\"%.*s\" is no service name: expected 1 to %d of a-z, 0-9, '-', '.', '_', "
                     "beginning with a letter or digit",
                     BYTES_ARG(shown(name)), SERVICE_NAME_MAX);
}

static bool is_host(struct bytes host)
{
    if (host.len == 0 || host.len > HOST_NAME_MAX) return false;
    if (host.data[0] == '[') { /* an IPv6 address */
        for (size_t i = 1; i + 1 < host.len; i++) {
            char c = host.data[i];
            if (!is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return false;
        }
        return host.len > 3 && host.data[host.len - 1] == ']';
    }
    char before = '.';
    for (size_t i = 0; i < host.len; i++) {
        char c = host.data[i];
        bool legal = is_lower(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
        if (!legal || (c == '.' && before == '.')) return false;
        before = c;
    }
    return before != '.';
}

int check_host(struct arena *arena, struct bytes host, struct bytes *ret_host, struct error *error)
{
    *ret_host = BYTES("");
    if (!host.len || bytes_eq(host, BYTES("*"))) return 0;
    char *lower = arena_copy(arena, host);
    if (!lower) return error_set(error, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < host.len; i++)
        if (is_upper(lower[i])) lower[i] = (char)(lower[i] + 'a' - 'A');
    struct bytes name = bytes_make(lower, host.len);
    if (bytes_starts(name, BYTES("*."))) name = bytes_skip(name, 2);
    if (is_host(name)) {
        *ret_host = bytes_make(lower, host.len);
        return 0;
    }
    error_set(error, ERR_INVALID,
              "\"%.*s\" is no host: expected a name such as shop.example.com or *.example.com",
              BYTES_ARG(shown(host)));
    if (bytes_find(host, ':') < host.len)
        error_remedy(error, "Leave out the scheme and the port: a route is for all ports.");
    return ERR_INVALID;
}

int check_path(struct arena *arena, struct bytes path, bool is_prefix, struct bytes *ret_path,
               struct error *error)
{
    *ret_path = BYTES("/");
    if (!path.len || path.data[0] != '/' || path.len > ROUTE_PATH_MAX)
        return error_set(error, ERR_INVALID,
                         "\"%.*s\" is no path: expected '/' and up to %d characters more",
                         BYTES_ARG(shown(path)), ROUTE_PATH_MAX - 1);
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c > 0x20 && c < 0x7f && c != '?' && c != '#') continue;
        error_set(error, ERR_INVALID, "path \"%.*s\" contains %s, which is not part of a path",
                  BYTES_ARG(shown(path)),
                  c == '?'    ? "a '?'"
                  : c == '#'  ? "a '#'"
                  : c == ' '  ? "a space"
                  : c >= 0x7f ? "a character beyond ASCII"
                              : "a control character");
        if (c != '?' && c != '#') error_remedy(error, "Write it as %%%02X.", c);
        return ERR_INVALID;
    }
    char *text = arena_copy(arena, path);
    if (!text) return error_set(error, ERR_NOMEM, "out of memory");
    size_t len;
    if (path_normalise(path, text, &len))
        return error_set(error, ERR_INVALID,
                         "path \"%.*s\" contains a '%%' that begins no escape of two hexadecimal "
                         "digits (or %%00)",
                         BYTES_ARG(shown(path)));
    while (is_prefix && len > 1 && text[len - 1] == '/') len--;
    *ret_path = bytes_make(text, len);
    return 0;
}

int check_method(struct bytes method, struct error *error)
{
    bool valid = method.len > 0 && method.len <= 32, has_lower = false;
    for (size_t i = 0; i < method.len; i++) {
        valid = valid && is_token_char(method.data[i]);
        has_lower |= is_lower(method.data[i]);
    }
    if (valid && !has_lower) return 0;
    error_set(error, ERR_INVALID, "\"%.*s\" is no method: expected a word such as GET or POST",
              BYTES_ARG(shown(method)));
    if (valid) error_remedy(error, "Write it in upper case.");
    return ERR_INVALID;
}

int check_header(struct bytes name, struct bytes value, struct error *error)
{
    bool valid = name.len > 0 && name.len <= 256;
    for (size_t i = 0; valid && i < name.len; i++) valid = is_token_char(name.data[i]);
    if (!valid)
        return error_set(error, ERR_INVALID, "\"%.*s\" is no header name", BYTES_ARG(shown(name)));
    valid = value.len <= 4096 && bytes_eq(bytes_trim(value), value);
    for (size_t i = 0; valid && i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        valid = c == '\t' || (c >= 0x20 && c != 0x7f);
    }
    if (!valid)
        return error_set(error, ERR_INVALID,
                         "the value of header %.*s contains control characters, or spaces at its "
                         "ends",
                         BYTES_ARG(shown(name)));
    return 0;
}
