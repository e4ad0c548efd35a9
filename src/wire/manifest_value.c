#include "wire/manifest_value.h"

#include <arpa/inet.h>

#include "wire/manifest.h"

enum { NAME_MAX_LEN = 63, SUBJECT_MAX_LEN = 255, PATH_MAX_LEN = 1024 };

#define SHOWN(value) BYTES_ARG(yaml_shown(value))

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

static bool is_alnum(char c)
{
    return is_lower(c) || is_upper(c) || is_digit(c);
}

/* RFC 9110 section 5.6.2 */
static bool is_tchar(char c)
{
    return is_alnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool refuse(struct error *error, const char *remedy)
{
    error_remedy(error, "%s", remedy);
    return false;
}

/* ---- names ---- */

static bool is_label(struct bytes label)
{
    if (label.len == 0 || label.len > NAME_MAX_LEN) return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.data[i]) && label.data[i] != '-') return false;
    return label.data[0] != '-' && label.data[label.len - 1] != '-';
}

/* The nearest valid name: lower case, and `-` for what is not allowed; "" when nothing is left. */
static void repair_name(struct bytes value, char repaired[NAME_MAX_LEN + 1])
{
    size_t used = 0;
    for (size_t i = 0; i < value.len && used < NAME_MAX_LEN; i++) {
        char c = value.data[i];
        if (is_upper(c)) c = (char)(c - 'A' + 'a');
        if (!is_alnum(c)) c = '-';
        if (c == '-' && (used == 0 || repaired[used - 1] == '-')) continue;
        repaired[used++] = c;
    }
    while (used && repaired[used - 1] == '-') used--;
    repaired[used] = 0;
}

bool manifest_check_name(struct bytes value, struct error *error)
{
    static const char *const reserved[] = {"alone", "localhost"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        if (!bytes_eq(value, bytes_str(reserved[i]))) continue;
        error_set(error, ERR_INVALID, "`%s` cannot be a name: it has a meaning of its own",
                  reserved[i]);
        return refuse(error, "Choose another name.");
    }
    bool valid = is_label(value);
    for (size_t i = 0; i < value.len; i++) valid = valid && !is_upper(value.data[i]);
    if (valid) return true;
    error_set(error, ERR_INVALID,
              "`%.*s` is no valid name: it becomes a host name, so it has 1 to 63 lower-case "
              "letters, digits and hyphens, no hyphen first or last",
              SHOWN(value));
    char repaired[NAME_MAX_LEN + 1];
    repair_name(value, repaired);
    if (repaired[0])
        error_remedy(error, "Write, for example, `%s`.", repaired);
    else
        refuse(error, "Write, for example, `order`.");
    return false;
}

bool manifest_check_version(struct bytes value, struct error *error)
{
    struct manifest_version version;
    return manifest_version_parse(value, &version, error) == 0;
}

bool manifest_check_host(struct bytes value, struct error *error)
{
    struct bytes rest = bytes_starts(value, BYTES("*.")) ? bytes_skip(value, 2) : value;
    bool valid = value.len <= 253;
    while (valid && rest.data) valid = is_label(bytes_cut(&rest, '.'));
    if (valid) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no host name", SHOWN(value));
    return refuse(error,
                  bytes_find(value, ':') < value.len || bytes_find(value, '/') < value.len
                      ? "Write the name alone, without scheme, port and path: `shop.example.org`."
                      : "Write a name such as `shop.example.org` or \"*.example.org\".");
}

bool manifest_check_environment(struct bytes value, struct error *error)
{
    bool valid = !is_digit(value.data[0]);
    for (size_t i = 0; i < value.len; i++)
        valid = valid && (is_alnum(value.data[i]) || value.data[i] == '_');
    if (!valid) {
        error_set(error, ERR_INVALID, "`%.*s` is no name of an environment variable", SHOWN(value));
        return refuse(error, "Use letters, digits and `_`, no digit first.");
    }
    if (!bytes_eq(value, BYTES("PORT")) && !bytes_starts(value, BYTES("DURE_"))) return true;
    error_set(error, ERR_INVALID, "the variable `%.*s` is set by dure, for each instance anew",
              SHOWN(value));
    return refuse(error, "Remove it, or use a name of your own.");
}

/* ---- files ---- */

bool manifest_check_folder(struct bytes value, struct error *error)
{
    bool valid = value.len <= PATH_MAX_LEN;
    for (size_t i = 0; i < value.len; i++)
        valid = valid && (unsigned char)value.data[i] >= ' ' && value.data[i] != 0x7f;
    if (valid) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no path of a folder", SHOWN(value));
    return refuse(error, "Write a path of at most 1024 bytes without control characters.");
}

bool manifest_same_folder(struct bytes a, struct bytes b)
{
    while (bytes_starts(a, BYTES("./"))) a = bytes_skip(a, 2);
    while (bytes_starts(b, BYTES("./"))) b = bytes_skip(b, 2);
    while (a.len > 1 && bytes_ends(a, BYTES("/"))) a.len--;
    while (b.len > 1 && bytes_ends(b, BYTES("/"))) b.len--;
    return bytes_eq(a, b);
}

bool manifest_check_file(struct bytes value, struct error *error)
{
    if (!manifest_check_folder(value, error)) return false;
    struct bytes rest = value;
    bool valid = true;
    while (valid && rest.data) {
        struct bytes element = bytes_cut(&rest, '/');
        valid = element.len && !bytes_eq(element, BYTES(".")) && !bytes_eq(element, BYTES(".."));
    }
    if (valid) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no file within the service's data folder",
              SHOWN(value));
    return refuse(error, "Write a relative path without `.` and `..`, such as `order.db`.");
}

bool manifest_check_module(struct bytes value, struct error *error)
{
    if (!manifest_check_folder(value, error)) return false;
    if (bytes_ends(value, BYTES(".so"))) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no module: its name does not end with `.so`",
              SHOWN(value));
    return refuse(error, "Name the shared object that `build` makes, such as `order.so`; for a "
                         "program write `run:` instead.");
}

/* ---- HTTP ---- */

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* pchar of RFC 3986, appendix A; `%` is looked at by its two digits. */
static bool is_element(struct bytes element)
{
    for (size_t i = 0; i < element.len; i++) {
        char c = element.data[i];
        if (c == '%') {
            if (i + 2 >= element.len || !is_hex(element.data[i + 1]) ||
                !is_hex(element.data[i + 2]))
                return false;
        } else if (!is_alnum(c) && !(c && strchr("-._~!$&'()*+,;=:@", c))) {
            return false;
        }
    }
    return !bytes_eq(element, BYTES(".")) && !bytes_eq(element, BYTES(".."));
}

bool manifest_check_path(struct bytes value, struct error *error)
{
    if (value.data[0] != '/') {
        error_set(error, ERR_INVALID, "the path `%.*s` does not start with `/`", SHOWN(value));
        error_remedy(error, "Write `/%.*s`.", SHOWN(value));
        return false;
    }
    if (bytes_find(value, '*') < value.len) {
        error_set(error, ERR_INVALID, "the path `%.*s` has a `*`, which would only match itself",
                  SHOWN(value));
        return refuse(error, "Leave it out: a path matches all that is below it.");
    }
    struct bytes rest = bytes_skip(value, 1);
    bool valid = value.len <= PATH_MAX_LEN;
    while (valid && rest.data) {
        struct bytes element = bytes_cut(&rest, '/');
        valid = is_element(element) && (element.len || !rest.data);
    }
    if (valid) return true;
    error_set(error, ERR_INVALID,
              "`%.*s` is no valid path: it has spaces, `?`, `#`, `//`, `.`, `..` or other "
              "characters that no request's path can have",
              SHOWN(value));
    return refuse(error, "Write a plain path such as `/orders`; %XX for a special character.");
}

bool manifest_check_method(struct bytes value, struct error *error)
{
    static const char *const methods[] = {"GET",    "HEAD",    "POST",  "PUT",  "PATCH",
                                          "DELETE", "OPTIONS", "TRACE", "QUERY"};
    enum { METHODS = sizeof methods / sizeof methods[0] };
    for (size_t i = 0; i < METHODS; i++)
        if (bytes_eq(value, bytes_str(methods[i]))) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no HTTP method", SHOWN(value));
    for (size_t i = 0; i < METHODS; i++) {
        if (!bytes_eq_nocase(value, bytes_str(methods[i]))) continue;
        error_remedy(error, "Methods are written in capitals: `%s`.", methods[i]);
        return false;
    }
    const char *near = bytes_nearest(value, methods, METHODS);
    if (near)
        error_remedy(error, "Did you mean `%s`?", near);
    else
        refuse(error, "Known are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, QUERY.");
    return false;
}

bool manifest_check_header(struct bytes value, struct error *error)
{
    bool valid = true;
    for (size_t i = 0; i < value.len; i++) valid = valid && is_tchar(value.data[i]);
    if (valid) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no name of an HTTP header field", SHOWN(value));
    return refuse(error, "Write the name alone, such as `X-Canary`.");
}

/* ---- addresses ---- */

static bool is_ip(int family, struct bytes host)
{
    char copy[INET6_ADDRSTRLEN] = "";
    unsigned char address[sizeof(struct in6_addr)];
    if (host.len >= sizeof copy) return false;
    memcpy(copy, host.data, host.len);
    return inet_pton(family, copy, address) == 1;
}

static bool is_host_address(struct bytes host)
{
    if (host.len == 0 || bytes_eq(host, BYTES("localhost"))) return true;
    if (host.data[0] != '[') return is_ip(AF_INET, host);
    if (host.len < 2 || host.data[host.len - 1] != ']') return false;
    return is_ip(AF_INET6, bytes_make(host.data + 1, host.len - 2));
}

/* Cuts at the last colon. */
static struct bytes cut_port(struct bytes listen, struct bytes *ret_port)
{
    size_t at = listen.len;
    while (at > 0 && listen.data[at - 1] != ':') at--;
    *ret_port = at ? bytes_skip(listen, at) : bytes_str("");
    return bytes_head(listen, at ? at - 1 : listen.len);
}

int manifest_listen_port(struct bytes listen)
{
    struct bytes port_text;
    uint64_t port;
    if (bytes_starts(listen, BYTES("unix:"))) return -1;
    cut_port(listen, &port_text);
    return bytes_to_u64(port_text, UINT16_MAX, &port) ? -1 : (int)port;
}

bool manifest_check_listen(struct bytes value, struct error *error)
{
    uint64_t number;
    if (bytes_starts(value, BYTES("unix:"))) {
        if (value.len > 5 && value.len - 5 < 108) return true;
        error_set(error, ERR_INVALID, "`%.*s` is no address: a socket's path has 1 to 107 bytes",
                  SHOWN(value));
        return refuse(error, "Use a shorter path.");
    }
    struct bytes port, host = cut_port(value, &port);
    if (is_host_address(host) && bytes_to_u64(port, UINT16_MAX, &number) == 0) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no address to listen on: %s", SHOWN(value),
              bytes_find(value, ':') == value.len ? "it has no `:` and port"
              : is_host_address(host)             ? "the port must be a number from 0 to 65535"
                                                  : "the part before the port is no IP address");
    if (bytes_to_u64(value, UINT16_MAX, &number) == 0)
        error_remedy(error, "Write `127.0.0.1:%.*s`, or `:%.*s` for all interfaces.", SHOWN(value),
                     SHOWN(value));
    else
        refuse(error, "Write ADDRESS:PORT: `127.0.0.1:8080`, `[::1]:8080`, `:8080` for all "
                      "interfaces, or `unix:/path`.");
    return false;
}

/* ---- the bus ---- */

static bool is_bus_url(struct bytes url)
{
    static const struct bytes schemes[] = {{"nats://", 7}, {"tls://", 6}, {"unix:", 5}};
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.data[i] <= ' ') return false;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (bytes_starts(url, schemes[i])) return url.len > schemes[i].len;
    return url.len && bytes_find(url, '/') == url.len;
}

bool manifest_check_bus_url(struct bytes value, struct error *error)
{
    struct bytes rest = value;
    bool first = true;
    while (rest.data) {
        struct bytes url = bytes_trim(bytes_cut(&rest, ','));
        bool bare = first && bytes_find(url, '/') == url.len && !bytes_starts(url, BYTES("unix:"));
        first = false;
        if (is_bus_url(url) && !bare) continue;
        /* What stands before an `@` is secret. */
        error_set(
            error, ERR_INVALID, "`%.*s` is no URL of a bus",
            SHOWN(bytes_skip(url, bytes_find(url, '@') < url.len ? bytes_find(url, '@') : 0)));
        return refuse(error, "Write `nats://HOST:PORT`, several servers divided by commas.");
    }
    return true;
}

static const char *subject_mistake(struct bytes value)
{
    if (value.len > SUBJECT_MAX_LEN) return "it is longer than 255 bytes";
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == 0x7f)
            return "it has white space or a control character";
    if (value.data[0] == '$') return "names that start with `$` belong to the bus itself";
    if (bytes_starts(value, BYTES("_INBOX."))) return "`_INBOX` holds the replies to requests";
    struct bytes rest = value;
    while (rest.data) {
        struct bytes token = bytes_cut(&rest, '.');
        if (token.len == 0) return "one of the parts between its dots is empty";
        if (token.len == 1) {
            if (token.data[0] == '>' && rest.data) return "`>` can only be its last part";
        } else if (bytes_find(token, '*') < token.len || bytes_find(token, '>') < token.len) {
            return "`*` and `>` must be whole parts between dots";
        }
    }
    return NULL;
}

bool manifest_check_subject(struct bytes value, struct error *error)
{
    const char *mistake = subject_mistake(value);
    if (!mistake) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no subject: %s", SHOWN(value), mistake);
    return refuse(error, "Write words with dots between them, such as `order.placed`, `order.*` "
                         "(one part) or `order.>` (all below).");
}

bool manifest_subjects_overlap(struct bytes a, struct bytes b)
{
    while (a.data && b.data) {
        struct bytes x = bytes_cut(&a, '.'), y = bytes_cut(&b, '.');
        if (bytes_eq(x, BYTES(">")) || bytes_eq(y, BYTES(">"))) return true;
        if (!bytes_eq(x, BYTES("*")) && !bytes_eq(y, BYTES("*")) && !bytes_eq(x, y)) return false;
    }
    return !a.data && !b.data;
}
