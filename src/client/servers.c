#include "client/servers.h"

#include <stdio.h>

static int bad(struct error *error, struct bytes url, const char *why)
{
    /* The part behind the '@' only: what is before it is secret. */
    size_t at = bytes_find(url, '@');
    struct bytes shown = at < url.len ? bytes_skip(url, at + 1) : url;
    error_set(error, ERR_INVALID, "'%.*s' is no server of a bus: %s",
              BYTES_ARG(bytes_head(shown, 100)), why);
    error_remedy(error, "Write nats://HOST:PORT, several divided by commas.");
    return ERR_INVALID;
}

/* Copies with %XX decoded. False: too long, or not so written. */
static bool unescape(struct bytes from, char *to, size_t size)
{
    size_t len = 0;
    while (from.len) {
        if (len + 1 >= size) return false;
        uint64_t byte = (unsigned char)from.data[0];
        size_t used = 1;
        if (byte == '%') {
            if (from.len < 3 || bytes_to_u64_hex(bytes_make(from.data + 1, 2), 255, &byte) != 0)
                return false;
            used = 3;
        }
        if (!byte) return false;
        to[len++] = (char)byte;
        from = bytes_skip(from, used);
    }
    to[len] = '\0';
    return true;
}

static bool take_address(struct server *server, struct bytes address)
{
    struct bytes host, port;
    uint64_t number = SERVER_PORT;
    if (bytes_starts(address, BYTES("["))) {
        size_t end = bytes_find(address, ']');
        if (end == address.len) return false;
        host = bytes_make(address.data + 1, end - 1);
        port = bytes_skip(address, end + 1);
        if (port.len && port.data[0] != ':') return false;
        port = bytes_skip(port, 1);
    } else {
        size_t colon = bytes_find(address, ':');
        host = bytes_head(address, colon);
        port = bytes_skip(address, colon + 1);
    }
    if (!host.len || host.len >= sizeof server->host) return false;
    for (size_t i = 0; i < host.len; i++)
        if ((unsigned char)host.data[i] <= ' ' || host.data[i] == '/') return false;
    if (port.len && (bytes_to_u64(port, UINT16_MAX, &number) != 0 || !number)) return false;
    snprintf(server->host, sizeof server->host, "%.*s", BYTES_ARG(host));
    server->port = (uint16_t)number;
    return true;
}

static int parse_one(struct server *server, struct bytes url, struct error *error)
{
    struct bytes rest = url;
    *server = (struct server){0};
    if (bytes_starts(rest, BYTES("unix:"))) {
        rest = bytes_skip(rest, 5);
        if (bytes_starts(rest, BYTES("//"))) rest = bytes_skip(rest, 2);
        if (!bytes_starts(rest, BYTES("/")) || rest.len >= 100)
            return bad(error, url, "a Unix socket is written unix:/path");
        snprintf(server->host, sizeof server->host, "%.*s", BYTES_ARG(rest));
        server->is_unix = true;
        return 0;
    }
    for (size_t i = 0; i + 3 <= rest.len; i++) {
        if (memcmp(rest.data + i, "://", 3) != 0) continue;
        struct bytes scheme = bytes_head(rest, i);
        server->tls = bytes_eq(scheme, BYTES("tls"));
        if (!server->tls && !bytes_eq(scheme, BYTES("nats")))
            return bad(error, url, "only nats:, tls: and unix: are known");
        rest = bytes_skip(rest, i + 3);
        break;
    }
    if (bytes_ends(rest, BYTES("/"))) rest = bytes_head(rest, rest.len - 1);
    for (size_t at = rest.len; at-- > 0;) {
        if (rest.data[at] != '@') continue;
        struct bytes secret = bytes_head(rest, at), user = bytes_cut(&secret, ':');
        rest = bytes_skip(rest, at + 1);
        if (!unescape(user, server->user, sizeof server->user) ||
            !unescape(secret, server->password, sizeof server->password))
            return bad(error, url, "what stands before the @ is not user:password");
        break;
    }
    return take_address(server, rest) ? 0 : bad(error, url, "it needs a host and a port");
}

int servers_parse(struct servers *servers, const char *urls, struct error *error)
{
    struct bytes rest = bytes_str(urls);
    servers->count = servers->at = servers->failures = 0;
    do {
        struct bytes url = bytes_trim(bytes_cut(&rest, ','));
        if (servers->count == CLIENT_SERVERS_MAX)
            return error_set(error, ERR_FULL, "more than %d servers", CLIENT_SERVERS_MAX);
        int err = parse_one(&servers->list[servers->count], url, error);
        if (err) return err;
        servers->count++;
    } while (rest.data);
    return 0;
}

void servers_shuffle(struct servers *servers, uint64_t random)
{
    servers->at = random % servers->count;
}

uint32_t servers_next(struct servers *servers, uint64_t random)
{
    servers->at = (servers->at + 1) % servers->count;
    size_t rounds = ++servers->failures / servers->count;
    if (!rounds) return 0;
    uint64_t wait = servers->backoff_min_ms;
    while (--rounds && wait < servers->backoff_max_ms) wait *= 2;
    if (wait > servers->backoff_max_ms) wait = servers->backoff_max_ms;
    return (uint32_t)(wait - random % (wait / 2 + 1));
}

void servers_up(struct servers *servers)
{
    servers->failures = 0;
}

void servers_forget(struct servers *servers)
{
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < servers->count; i++) {
        if (servers->list[i].learned && i != servers->at) continue;
        if (i == servers->at) at = kept;
        if (kept != i) servers->list[kept] = servers->list[i];
        kept++;
    }
    servers->count = kept;
    servers->at = at;
}

void servers_learn(struct servers *servers, struct bytes address)
{
    struct server server = {.learned = true};
    if (!take_address(&server, address)) return;
    for (size_t i = 0; i < servers->count; i++) {
        const struct server *known = &servers->list[i];
        if (known->port == server.port &&
            bytes_eq_nocase(bytes_str(known->host), bytes_str(server.host)))
            return;
    }
    if (servers->count == CLIENT_SERVERS_MAX) return; /* enough to choose from */
    server.tls = servers_current(servers)->tls;
    memcpy(server.user, servers_current(servers)->user, sizeof server.user);
    memcpy(server.password, servers_current(servers)->password, sizeof server.password);
    servers->list[servers->count++] = server;
}

size_t server_format(const struct server *server, char *text, size_t size)
{
    int len;
    if (server->is_unix)
        len = snprintf(text, size, "unix:%s", server->host);
    else if (strchr(server->host, ':'))
        len = snprintf(text, size, "[%s]:%u", server->host, server->port);
    else
        len = snprintf(text, size, "%s:%u", server->host, server->port);
    return (size_t)len < size ? (size_t)len : size - 1;
}
