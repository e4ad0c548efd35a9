#include "wire/http1_target.h"
#include "wire/http1_scan.h"

/* Splits host[:port]; false when it is malformed. The host may be empty here. */
static bool host_split(struct bytes text, struct bytes *ret_host, struct bytes *ret_port)
{
    size_t host_len;
    if (text.len && text.data[0] == '[') {
        size_t close = bytes_find(text, ']');
        if (close == text.len || close < 3) return false;
        for (size_t i = 1; i < close; i++)
            if (!http1_is(text.data[i], HTTP1_CLASS_HEX) && text.data[i] != ':' &&
                text.data[i] != '.')
                return false;
        host_len = close + 1;
    } else {
        host_len = http1_span(text, HTTP1_CLASS_HOST);
    }
    *ret_host = bytes_head(text, host_len);
    struct bytes rest = bytes_skip(text, host_len);
    *ret_port = bytes_skip(rest, 1);
    if (rest.len == 0) return true;
    if (rest.data[0] != ':') return false;
    uint64_t port;
    return ret_port->len == 0 || (ret_port->len <= 5 && bytes_to_u64(*ret_port, 65535, &port) == 0);
}

bool http1_host_valid(struct bytes host)
{
    struct bytes name, port;
    return host_split(host, &name, &port) && (name.len > 0 || host.len == 0);
}

bool http1_host_same(struct bytes scheme, struct bytes a, struct bytes b)
{
    struct bytes default_port = scheme.len == 5 ? BYTES("443") : BYTES("80");
    struct bytes a_host, a_port, b_host, b_port;
    if (!host_split(a, &a_host, &a_port) || !host_split(b, &b_host, &b_port)) return false;
    if (a_port.len == 0) a_port = default_port;
    if (b_port.len == 0) b_port = default_port;
    return bytes_eq_nocase(a_host, b_host) && bytes_eq(a_port, b_port);
}

/* Path and query from `at` on to the end of the target. Escapes in the path must be whole: they
 * decide which route a request takes. */
static enum http1_error parse_path(struct http1_head *head, size_t at, size_t *ret_at)
{
    struct bytes target = head->target;
    size_t end = at + http1_span(bytes_skip(target, at), HTTP1_CLASS_PATH);
    for (size_t i = at; i < end; i++) {
        if (target.data[i] != '%') continue;
        *ret_at = i;
        if (end - i < 3 || !http1_is(target.data[i + 1], HTTP1_CLASS_HEX) ||
            !http1_is(target.data[i + 2], HTTP1_CLASS_HEX))
            return HTTP1_ERROR_TARGET;
    }
    head->path = bytes_make(target.data + at, end - at);
    if (end < target.len && target.data[end] == '?') {
        struct bytes query = bytes_skip(target, end + 1);
        size_t len = http1_span(query, HTTP1_CLASS_QUERY);
        head->query = bytes_make(query.data, len);
        end += 1 + len;
    }
    *ret_at = end;
    return end == target.len ? HTTP1_OK : HTTP1_ERROR_TARGET;
}

static enum http1_error parse_authority(struct http1_head *head, size_t *ret_at)
{
    struct bytes host, port;
    *ret_at = 0;
    head->form = HTTP1_AUTHORITY_FORM;
    head->authority = head->target;
    if (!host_split(head->target, &host, &port) || host.len == 0 || port.len == 0)
        return HTTP1_ERROR_AUTHORITY;
    return HTTP1_OK;
}

/* `colon` is where "://" stands in the target. */
static enum http1_error parse_absolute(struct http1_head *head, size_t colon, size_t *ret_at)
{
    struct bytes target = head->target, host, port;
    head->form = HTTP1_ABSOLUTE_FORM;
    head->scheme = bytes_head(target, colon);
    *ret_at = 0;
    if (!bytes_eq_nocase(head->scheme, BYTES("http")) &&
        !bytes_eq_nocase(head->scheme, BYTES("https")))
        return HTTP1_ERROR_TARGET_SCHEME;
    size_t from = colon + 3, to = from;
    while (to < target.len && target.data[to] != '/' && target.data[to] != '?') to++;
    head->authority = bytes_make(target.data + from, to - from);
    *ret_at = from;
    if (!host_split(head->authority, &host, &port) || host.len == 0) return HTTP1_ERROR_AUTHORITY;
    enum http1_error error = parse_path(head, to, ret_at);
    if (error) return error;
    /* RFC 9112 section 3.2.4: OPTIONS with an empty path asks about the server as a whole. */
    if (head->path.len == 0)
        head->path = head->method == HTTP1_OPTIONS && !head->query.data ? BYTES("*") : BYTES("/");
    return HTTP1_OK;
}

enum http1_error http1_target_parse(struct http1_head *head, size_t *ret_at)
{
    struct bytes target = head->target;
    *ret_at = 0;
    if (head->method == HTTP1_CONNECT) return parse_authority(head, ret_at);
    if (target.data[0] == '/') {
        head->form = HTTP1_ORIGIN_FORM;
        return parse_path(head, 0, ret_at);
    }
    if (bytes_eq(target, BYTES("*"))) {
        head->form = HTTP1_ASTERISK_FORM;
        head->path = target;
        return head->method == HTTP1_OPTIONS ? HTTP1_OK : HTTP1_ERROR_TARGET_FORM;
    }
    size_t colon = bytes_find(target, ':');
    if (bytes_starts(bytes_skip(target, colon), BYTES("://")))
        return parse_absolute(head, colon, ret_at);
    size_t good = http1_span(target, HTTP1_CLASS_QUERY);
    *ret_at = good < target.len ? good : 0;
    return good < target.len ? HTTP1_ERROR_TARGET : HTTP1_ERROR_TARGET_FORM;
}
