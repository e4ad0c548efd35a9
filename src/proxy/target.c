/* Where a request goes: at the edge by its host, path, method and headers; on the internal road by
 * the name of the service. */
#include "proxy/request.h"

#include "proxy/path.h"

#include <stdio.h>

static bool has_upper(struct bytes text)
{
    bool upper = false;
    for (size_t i = 0; i < text.len; i++) upper |= text.data[i] >= 'A' && text.data[i] <= 'Z';
    return upper;
}

/* host[:port] without the port. */
static struct bytes without_port(struct bytes authority, struct bytes *ret_port)
{
    *ret_port = BYTES("");
    size_t end = authority.len;
    if (end && authority.data[0] == '[') {
        end = bytes_find(authority, ']') + 1;
        if (end > authority.len) end = authority.len;
    } else {
        end = bytes_find(authority, ':');
    }
    if (end < authority.len) *ret_port = bytes_skip(authority, end + 1);
    return bytes_head(authority, end);
}

/* Sets r->host: lower case, without port and without the dot of a full name. A host that is too
 * long to be one is left out: no route names it. */
static void set_host(struct request *r, struct bytes host)
{
    if (host.len && host.data[host.len - 1] == '.') host.len--;
    r->host_len = host.len <= REQUEST_HOST_MAX ? host.len : 0;
    if (r->host_len) memcpy(r->host, host.data, r->host_len);
    if (!has_upper(bytes_make(r->host, r->host_len))) return;
    for (size_t i = 0; i < r->host_len; i++)
        if (r->host[i] >= 'A' && r->host[i] <= 'Z') r->host[i] = (char)(r->host[i] + 'a' - 'A');
}

static void bind_cluster(struct request *r, const struct cluster *cluster,
                         uint32_t request_timeout_ms, uint32_t retries)
{
    r->cluster = cluster;
    r->service = r->generation->services[cluster->index];
    r->retries_max = retries;
    r->service->metrics.in_flight++;
    r->timeout_ns = (uint64_t)request_timeout_ms * 1000000;
    if (!r->deadline_ns) r->deadline_ns = r->begin_ns + r->timeout_ns;
}

/* ---- the edge ---------------------------------------------------------------------------- */

static bool find_header(const void *context, struct bytes name, struct bytes *ret_value)
{
    const struct http1_header *header = http1_find_text(context, name);
    if (!header) return false;
    *ret_value = header->value;
    return true;
}

static int unrouted(struct request *r)
{
    const struct http1_head *in = &r->down->in;
    char detail[512];
    int len =
        snprintf(detail, sizeof detail, "No route matches %.*s %.*s%.*s.",
                 BYTES_ARG(bytes_head(in->method_name, 32)),
                 BYTES_ARG(bytes_head(in->authority, 128)), BYTES_ARG(bytes_head(in->path, 200)));
    r->proxy->metrics.unrouted++;
    r->error = ERR_NOT_FOUND;
    problem_send(r, 404, bytes_make(detail, (size_t)len), BYTES(""));
    return ERR_NOT_FOUND;
}

static int unreadable(struct request *r, struct bytes detail)
{
    r->proxy->metrics.bad_requests++;
    r->error = ERR_SYNTAX;
    problem_send(r, 400, detail, BYTES(""));
    return ERR_SYNTAX;
}

/* What of the path is left when the route's rewrite has taken the place of what it matched. */
static void rewrite(struct request *r, struct bytes path)
{
    const struct route *route = r->route;
    struct bytes rest = BYTES("");
    if (route->match == PATH_PREFIX)
        rest = bytes_skip(path, route->path.len == 1 ? 0 : route->path.len);
    bool root = route->rewrite.len == 1; /* "/" and the rest would be "//rest" */
    if (!root || !rest.len || rest.data[0] != '/') buf_append(&r->text, route->rewrite);
    buf_append(&r->text, bytes_eq(rest, BYTES("/")) && !root ? BYTES("/") : rest);
}

/* The target for the endpoint: as the client sent it whenever that is possible. */
static int set_target(struct request *r, struct bytes path)
{
    const struct http1_head *in = &r->down->in;
    bool as_sent = in->form == HTTP1_ORIGIN_FORM && path.data == in->path.data;
    if (as_sent && !r->route->has_rewrite) {
        r->target = in->target;
        return 0;
    }
    /* `path` may be in r->text itself: what is written goes behind it. */
    size_t path_len = buf_len(&r->text);
    if (!buf_reserve(&r->text, path.len + r->route->rewrite.len + in->query.len + 8))
        return ERR_NOMEM;
    if (path_len) path = bytes_head(buf_bytes(&r->text), path_len);
    if (r->route->has_rewrite)
        rewrite(r, path);
    else
        buf_append(&r->text, path);
    if (in->query.data) {
        buf_append_char(&r->text, '?');
        buf_append(&r->text, in->query);
    }
    r->target = bytes_skip(buf_bytes(&r->text), path_len);
    return r->text.failed ? ERR_NOMEM : 0;
}

int target_edge(struct request *r)
{
    const struct http1_head *in = &r->down->in;
    struct bytes port, path = in->path;
    set_host(r, without_port(in->authority, &port));
    if (!path_is_normal(path)) {
        size_t len;
        char *text = buf_reserve(&r->text, path.len);
        if (!text) goto no_memory;
        if (path_normalise(path, text, &len))
            return unreadable(r, BYTES("The path contains a '%' that begins no escape of two "
                                       "hexadecimal digits, or %00."));
        if (!bytes_eq(path, bytes_make(text, len))) {
            path = bytes_make(text, len);
            buf_commit(&r->text, len);
        }
    }
    struct route_query query = {.host = bytes_make(r->host, r->host_len),
                                .path = path,
                                .method = in->method_name,
                                .header = find_header,
                                .context = in};
    r->route = snapshot_route(r->generation->snapshot, &query);
    if (!r->route) return unrouted(r);
    r->route_traffic = r->generation->routes[r->route->index];
    r->route_traffic->metrics.in_flight++;
    bind_cluster(r, r->route->cluster, r->route->request_timeout_ms, r->route->retries);
    if (set_target(r, path) == 0) return 0;

no_memory:
    request_fail(r, ERR_NOMEM);
    return ERR_NOMEM;
}

/* ---- between services -------------------------------------------------------------------- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The user's name of "Basic dXNlcjpwYXNz": what a service puts into its proxy URL to say who it is
 * (http://order@127.0.0.1:...). RFC 7617, RFC 4648. */
static void read_caller(struct request *r)
{
    struct bytes value = http1_value(&r->down->in, HTTP1_NAME_PROXY_AUTHORIZATION);
    if (value.len < 6 || !bytes_eq_nocase(bytes_head(value, 6), BYTES("Basic "))) return;
    value = bytes_trim(bytes_skip(value, 6));
    size_t len = 0;
    uint32_t bits = 0, count = 0;
    for (size_t i = 0; i < value.len && value.data[i] != '='; i++) {
        int digit = base64_digit(value.data[i]);
        if (digit < 0) return;
        bits = bits << 6 | (uint32_t)digit;
        if ((count += 6) < 8) continue;
        count -= 8;
        char c = (char)(bits >> count);
        if (c == ':') break;
        if (c <= ' ' || c == 0x7f || len == REQUEST_CALLER_MAX) return;
        r->caller_text[len++] = c;
    }
    r->caller = bytes_make(r->caller_text, len);
}

static int unknown_service(struct request *r, struct bytes name)
{
    struct bytes nearest = snapshot_nearest_cluster(r->generation->snapshot, name);
    bool outside = !nearest.len && bytes_find(name, '.') < name.len;
    char detail[512];
    int len = snprintf(detail, sizeof detail, "There is no service \"%.*s\".%s%.*s%s",
                       BYTES_ARG(bytes_head(name, 200)), nearest.len ? " Did you mean \"" : "",
                       BYTES_ARG(nearest),
                       nearest.len ? "\"?"
                       : outside   ? " Calls to hosts outside the system do not go through here: "
                                     "name them in no_proxy."
                                   : "");
    r->proxy->metrics.unrouted++;
    r->error = ERR_NOT_FOUND;
    problem_send(r, 404, bytes_make(detail, (size_t)len), nearest);
    return ERR_NOT_FOUND;
}

/* Whether the authority of an absolute target is this listener itself: a client that sends even
 * such requests through its proxy. */
static bool is_self(const struct http_exchange *x)
{
    struct bytes port, host = without_port(x->in.authority, &port);
    const struct io_addr *addr = http_server_addr(http_exchange_server(x));
    char text[IO_ADDR_TEXT];
    size_t len = io_addr_format(addr, text, sizeof text);
    struct bytes own_port, own_host = without_port(bytes_make(text, len), &own_port);
    return bytes_eq(port, own_port) &&
           (bytes_eq(host, own_host) || bytes_eq_nocase(host, BYTES("localhost")));
}

/* "/payment/charge?x" to the service and "/charge?x". */
static int split_path(struct request *r, struct bytes *ret_name)
{
    const struct http1_head *in = &r->down->in;
    struct bytes rest = bytes_skip(in->path, 1);
    *ret_name = bytes_head(rest, bytes_find(rest, '/'));
    rest = bytes_skip(rest, ret_name->len);
    if (in->form == HTTP1_ORIGIN_FORM && rest.len) {
        /* The rest of the target as it is, query and all. */
        r->target = bytes_skip(in->target, (size_t)(rest.data - in->target.data));
        return 0;
    }
    buf_append(&r->text, rest.len ? rest : BYTES("/"));
    if (in->query.data) {
        buf_append_char(&r->text, '?');
        buf_append(&r->text, in->query);
    }
    r->target = buf_bytes(&r->text);
    return r->text.failed ? ERR_NOMEM : 0;
}

int target_internal(struct request *r)
{
    const struct http1_head *in = &r->down->in;
    struct bytes port, name;
    read_caller(r);
    set_host(r, without_port(in->authority, &port));
    name = bytes_make(r->host, r->host_len);
    int err = 0;
    if (in->form == HTTP1_ABSOLUTE_FORM && !is_self(r->down)) {
        buf_append(&r->text, in->path);
        if (in->query.data) {
            buf_append_char(&r->text, '?');
            buf_append(&r->text, in->query);
        }
        r->target = buf_bytes(&r->text);
        if (r->text.failed) err = ERR_NOMEM;
    } else {
        err = split_path(r, &name);
    }
    if (err) {
        request_fail(r, err);
        return err;
    }
    const struct cluster *cluster = snapshot_cluster(r->generation->snapshot, name);
    if (!cluster) return unknown_service(r, name);
    bind_cluster(r, cluster, cluster->policy.request_timeout_ms, cluster->policy.retries);
    return 0;
}

const struct handler *target_handler(const struct proxy *proxy, const struct http_exchange *x)
{
    struct bytes path = x->in.path;
    if (!bytes_starts(path, BYTES("/-/"))) return NULL;
    if (x->in.form != HTTP1_ORIGIN_FORM && !is_self(x)) return NULL;
    for (size_t i = 0; i < proxy->handler_count; i++)
        if (path_has_prefix(path, proxy->handlers[i].prefix)) return &proxy->handlers[i];
    return NULL;
}
