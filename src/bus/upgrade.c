#include "bus/upgrade.h"

#include "wire/http1_write.h"
#include "wire/websocket.h"

#include <stdio.h>

/* ---- origins ------------------------------------------------------------------------------- */

static uint16_t usual_port(bool encrypted)
{
    return encrypted ? 443 : 80;
}

/* host[:port] */
static int parse_authority(struct bytes text, uint16_t port, struct upgrade_origin *origin)
{
    size_t colon = text.len;
    if (!text.len || !http1_host_valid(text)) return ERR_SYNTAX;
    for (size_t i = text.len; i-- > 0 && text.data[i] != ']';)
        if (text.data[i] == ':') colon = i;
    struct bytes host = bytes_head(text, colon), digits = bytes_skip(text, colon + 1);
    uint64_t number = port;
    if (!host.len || host.len >= sizeof origin->host) return ERR_SYNTAX;
    if (colon < text.len && bytes_to_u64(digits, UINT16_MAX, &number)) return ERR_SYNTAX;
    snprintf(origin->host, sizeof origin->host, "%.*s", BYTES_ARG(host));
    origin->port = (uint16_t)number;
    return 0;
}

int upgrade_origin_parse(struct bytes text, struct upgrade_origin *ret_origin)
{
    bool encrypted = bytes_eq_nocase(bytes_head(text, 8), BYTES("https://"));
    if (!encrypted && !bytes_eq_nocase(bytes_head(text, 7), BYTES("http://"))) return ERR_SYNTAX;
    snprintf(ret_origin->scheme, sizeof ret_origin->scheme, encrypted ? "https" : "http");
    return parse_authority(bytes_skip(text, encrypted ? 8 : 7), usual_port(encrypted), ret_origin);
}

static bool same_place(const struct upgrade_origin *a, const struct upgrade_origin *b)
{
    return a->port == b->port && bytes_eq_nocase(bytes_str(a->host), bytes_str(b->host));
}

static bool origin_allowed(const struct http1_head *head, const struct upgrade_policy *policy)
{
    const struct http1_header *header = http1_find(head, HTTP1_NAME_ORIGIN);
    struct upgrade_origin origin, here;
    if (!header || (!policy->same_origin && !policy->origin_count)) return true;
    if (http1_find_next(head, header) || upgrade_origin_parse(header->value, &origin)) return false;
    if (policy->same_origin) {
        uint16_t port = usual_port(policy->encrypted);
        if (parse_authority(head->authority, port, &here) || !same_place(&origin, &here))
            return false;
    }
    for (size_t i = 0; i < policy->origin_count; i++) {
        const struct upgrade_origin *allowed = &policy->origins[i];
        if (strcmp(origin.scheme, allowed->scheme) == 0 && same_place(&origin, allowed))
            return true;
    }
    return !policy->origin_count;
}

/* ---- the request --------------------------------------------------------------------------- */

static struct bytes value_of(const struct http1_head *head, struct bytes name)
{
    const struct http1_header *header = http1_find_text(head, name);
    return header ? header->value : (struct bytes){0};
}

static void header(struct buf *out, const char *name, const char *value)
{
    http1_write_header(out, bytes_str(name), bytes_str(value));
}

void upgrade_refuse(struct buf *out, int status, const char *why)
{
    struct bytes text = bytes_str(why);
    http1_write_status(out, status, (struct bytes){0});
    if (status == 426) {
        header(out, "Upgrade", "websocket");
        header(out, "Sec-WebSocket-Version", "13");
    }
    header(out, "Connection", "close");
    header(out, "Content-Type", "text/plain; charset=utf-8");
    http1_write_length(out, text.len + 1);
    buf_append(out, BYTES("\r\n"));
    buf_append(out, text);
    buf_append_char(out, '\n');
}

/* NULL: it is a good one. */
static const char *fault(const struct http1_head *head, const struct upgrade_policy *policy,
                         int *ret_status)
{
    bool wants = http1_list_has(http1_value(head, HTTP1_NAME_UPGRADE), BYTES("websocket"));
    *ret_status = 405;
    if (head->method != HTTP1_GET) return "a WebSocket is opened with GET";
    *ret_status = 426;
    if (!head->upgrade || !wants) return "this is the bus's port for WebSocket";
    if (!bytes_eq(value_of(head, BYTES("Sec-WebSocket-Version")), BYTES("13")))
        return "the version of WebSocket here is 13";
    *ret_status = 400;
    if (head->minor != 1) return "a WebSocket is opened with HTTP/1.1";
    if (http1_body_kind(head, HTTP1_GET) != HTTP1_BODY_NONE) return "a body was not expected";
    if (!ws_key_valid(value_of(head, BYTES("Sec-WebSocket-Key"))))
        return "Sec-WebSocket-Key is not 16 bytes in base64";
    *ret_status = 403;
    if (!origin_allowed(head, policy)) return "pages of this origin may not come in";
    return NULL;
}

int upgrade_answer(const struct http1_head *head, const struct upgrade_policy *policy,
                   struct buf *out)
{
    int status;
    char accept[WS_ACCEPT_LEN + 1];
    const char *why = fault(head, policy, &status);
    if (why) {
        upgrade_refuse(out, status, why);
        return status;
    }
    ws_accept(value_of(head, BYTES("Sec-WebSocket-Key")), accept);
    http1_write_status(out, 101, (struct bytes){0});
    header(out, "Upgrade", "websocket");
    header(out, "Connection", "Upgrade");
    header(out, "Sec-WebSocket-Accept", accept);
    buf_append(out, BYTES("\r\n"));
    return 0;
}
