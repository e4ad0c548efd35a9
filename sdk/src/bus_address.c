#include "sdk/src/bus_address.h"

#include "base/bytes.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

enum { DEFAULT_PORT = 4222 };

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

void bus_settings_read(struct bus_settings *ret_settings)
{
    *ret_settings = (struct bus_settings){
        .urls = variable("NATS_URL"),
        .user = variable("NATS_USER"),
        .password = variable("NATS_PASSWORD"),
        .token = variable("NATS_TOKEN"),
        .creds = variable("NATS_CREDS"),
        .nkey = variable("NATS_NKEY"),
        .ca = variable("NATS_CA"),
        .cert = variable("NATS_CERT"),
        .key = variable("NATS_KEY"),
    };
}

/* Copies what fits whole; percent-escapes stand for bytes (RFC 3986). */
static int take(struct bytes text, bool escaped, char ret[static BUS_TEXT])
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint64_t byte = (unsigned char)text.data[i];
        if (escaped && byte == '%') {
            if (bytes_to_u64_hex(bytes_head(bytes_skip(text, i + 1), 2), 255, &byte) != 0)
                return ERR_INVALID;
            i += 2;
        }
        if (len + 1 >= BUS_TEXT || !byte) return ERR_INVALID;
        ret[len++] = (char)byte;
    }
    ret[len] = '\0';
    return 0;
}

static int take_credentials(struct bytes text, struct bus_server *server)
{
    struct bytes password = text, user = bytes_cut(&password, ':');
    if (!password.data) return take(user, true, server->token);
    int err = take(user, true, server->user);
    return err ? err : take(password, true, server->password);
}

/* "host", "host:port", "[v6]", "[v6]:port" */
static int take_host(struct bytes text, struct bus_server *server)
{
    struct bytes port, host;
    if (bytes_starts(text, BYTES("["))) {
        size_t end = bytes_find(text, ']');
        if (end == text.len) return ERR_INVALID;
        host = bytes_head(bytes_skip(text, 1), end - 1);
        port = bytes_skip(text, end + 1);
        if (port.len && port.data[0] != ':') return ERR_INVALID;
        port = bytes_skip(port, 1);
    } else {
        port = text;
        host = bytes_cut(&port, ':');
    }
    uint64_t number = DEFAULT_PORT;
    if (port.len && bytes_to_u64(port, 65535, &number) != 0) return ERR_INVALID;
    if (!host.len || !number || memchr(host.data, '/', host.len)) return ERR_INVALID;
    server->port = (int)number;
    snprintf(server->shown, sizeof server->shown, "%s%.*s", server->tls ? "tls://" : "nats://",
             BYTES_ARG(bytes_head(text, BUS_TEXT)));
    return take(host, false, server->host);
}

static int parse_one(struct bytes url, struct bus_server *server)
{
    *server = (struct bus_server){0};
    if (bytes_starts(url, BYTES("unix:"))) {
        struct bytes path = bytes_skip(url, 5);
        if (bytes_starts(path, BYTES("//"))) path = bytes_skip(path, 2);
        snprintf(server->shown, sizeof server->shown, "unix:%.*s",
                 BYTES_ARG(bytes_head(path, BUS_TEXT)));
        return path.len ? take(path, false, server->host) : ERR_INVALID;
    }
    if (bytes_starts(url, BYTES("nats://"))) {
        url = bytes_skip(url, 7);
    } else if (bytes_starts(url, BYTES("tls://"))) {
        url = bytes_skip(url, 6);
        server->tls = true;
    }
    if (bytes_ends(url, BYTES("/"))) url = bytes_head(url, url.len - 1);
    size_t at = url.len;
    while (at && url.data[at - 1] != '@') at--;
    int err = at ? take_credentials(bytes_head(url, at - 1), server) : 0;
    return err ? err : take_host(bytes_skip(url, at), server);
}

int bus_servers_parse(const char *urls, struct bus_server servers[BUS_SERVERS_MAX])
{
    int count = 0;
    struct bytes rest = bytes_str(urls);
    do {
        struct bytes url = bytes_trim(bytes_cut(&rest, ','));
        if (count == BUS_SERVERS_MAX || parse_one(url, &servers[count]) != 0) return ERR_INVALID;
        count++;
    } while (rest.data);
    return count;
}

int bus_server_learn(const char *address, const struct bus_server *known,
                     struct bus_server *ret_server)
{
    struct bus_server server = *known;
    if (!known->port) return ERR_INVALID; /* a socket of this machine: there is no other */
    int err = take_host(bytes_str(address), &server);
    if (!server.tls_name[0]) memcpy(server.tls_name, known->host, sizeof server.tls_name);
    if (!err) *ret_server = server;
    return err;
}

bool bus_server_same(const struct bus_server *a, const struct bus_server *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}
