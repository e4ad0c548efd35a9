/* The heads that are passed on: what the client said, without what belongs to its connection, and
 * with what a gateway must say (RFC 9110 section 7.6, RFC 7239, W3C Trace Context). */
#include "proxy/request.h"

enum { FORWARDED_HOST_MAX = 256 };

static char *append_decimal(char *at, unsigned value)
{
    if (value >= 100) *at++ = (char)('0' + value / 100);
    if (value >= 10) *at++ = (char)('0' + value / 10 % 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* The client's address without port; "" when it has none (a Unix socket). */
static struct bytes peer_text(const struct io_addr *peer, char text[IO_ADDR_TEXT])
{
    char *at = text;
    if (peer->family == IO_IPV4) {
        for (int i = 0; i < 4; i++) {
            if (i) *at++ = '.';
            at = append_decimal(at, peer->ip[i]);
        }
        return bytes_make(text, (size_t)(at - text));
    }
    if (peer->family != IO_IPV6) return BYTES("");
    size_t len = io_addr_format(peer, text, IO_ADDR_TEXT);
    struct bytes address =
        bytes_head(bytes_make(text, len), bytes_find(bytes_make(text, len), ']'));
    return bytes_skip(address, 1);
}

static char *append_bytes(char *at, struct bytes bytes)
{
    memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

/* RFC 7239: for=192.0.2.1;proto=http;host="shop.example.com". Built by hand: it is on the way of
 * every request. */
static struct bytes forwarded_text(struct bytes address, struct bytes authority,
                                   char text[IO_ADDR_TEXT + FORWARDED_HOST_MAX + 64])
{
    bool is_v6 = bytes_find(address, ':') < address.len;
    char *at = append_bytes(text, BYTES("for="));
    if (is_v6) at = append_bytes(at, BYTES("\"["));
    at = append_bytes(at, address.len ? address : BYTES("unknown"));
    if (is_v6) at = append_bytes(at, BYTES("]\""));
    at = append_bytes(at, BYTES(";proto=http"));
    /* A host that is longer is none; it stays in Host and X-Forwarded-Host. */
    if (authority.len && authority.len <= FORWARDED_HOST_MAX) {
        at = append_bytes(at, BYTES(";host=\""));
        at = append_bytes(at, authority);
        *at++ = '"';
    }
    return bytes_make(text, (size_t)(at - text));
}

/* Who asked, as far as this edge knows. What the client claimed has been left out: it could have
 * been anything, and services trust these fields. */
static void add_forwarded(struct http_head *out, const struct http_exchange *down,
                          struct bytes authority)
{
    struct io_addr peer;
    char peer_buf[IO_ADDR_TEXT], text[IO_ADDR_TEXT + FORWARDED_HOST_MAX + 64];
    struct bytes address = BYTES("");
    if (http_exchange_peer(down, &peer) == 0) address = peer_text(&peer, peer_buf);
    http_head_add(out, BYTES("Forwarded"), forwarded_text(address, authority, text));
    if (address.len) http_head_add(out, BYTES("X-Forwarded-For"), address);
    http_head_add(out, BYTES("X-Forwarded-Proto"), BYTES("http"));
    if (authority.len) http_head_add(out, BYTES("X-Forwarded-Host"), authority);
}

void heads_request(struct request *r)
{
    const struct http1_head *in = &r->down->in;
    struct http_head *out = &r->up->out;
    bool by_path = r->side == PROXY_INTERNAL && in->form == HTTP1_ORIGIN_FORM;
    /* On the internal road by path, Host is this proxy's own address: the service's name says more.
     * HTTP/1.0 may have none. */
    struct bytes host = by_path || !in->authority.len ? r->cluster->name : in->authority;
    uint64_t except = HTTP_EXCEPT(HOST) | HTTP_EXCEPT(TRACEPARENT) | HTTP_EXCEPT(TRACESTATE);
    if (r->side == PROXY_EDGE)
        except |= HTTP_EXCEPT(FORWARDED) | HTTP_EXCEPT(X_FORWARDED_FOR) |
                  HTTP_EXCEPT(X_FORWARDED_HOST) | HTTP_EXCEPT(X_FORWARDED_PROTO);

    http_head_request(out, in->method_name, r->target);
    http_head_add(out, BYTES("Host"), host);
    http_head_copy_all(out, in, except);
    if (r->side == PROXY_EDGE) add_forwarded(out, r->down, in->authority);
    http_head_add(out, BYTES("Via"), in->minor == 0 ? r->proxy->via_1_0 : r->proxy->via);
    char parent[TRACE_PARENT_TEXT];
    trace_format(&r->trace, parent);
    http_head_add(out, BYTES("traceparent"), bytes_make(parent, sizeof parent));
    struct bytes state = trace_intake_state_out(&r->intake);
    if (state.len) http_head_add(out, BYTES("tracestate"), state);
}

void heads_response(struct request *r)
{
    const struct http1_head *in = &r->up->in;
    struct http_head *out = &r->down->out;
    http_head_response(out, in->status);
    http_head_copy_all(out, in, 0);
    if (!http1_find(in, HTTP1_NAME_DATE))
        http_head_add(out, BYTES("Date"), http_date(&r->proxy->http));
    if (r->side == PROXY_INTERNAL)
        http_head_add(out, BYTES("Via"), in->minor == 0 ? r->proxy->via_1_0 : r->proxy->via);
}
