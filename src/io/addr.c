/* addr: the text form of addresses (io.h). Pure. */
#include "io/io.h"

#include <arpa/inet.h>
#include <stdio.h>

static int parse_unix(struct bytes path, struct io_addr *addr)
{
    if (!path.len || bytes_find(path, '\0') < path.len) return ERR_SYNTAX;
    if (path.len >= sizeof addr->path) return ERR_TOO_BIG;
    addr->family = IO_UNIX;
    memcpy(addr->path, path.data, path.len);
    return 0;
}

static int parse_ip(int family, struct bytes text, uint8_t *ret_ip)
{
    char copy[INET6_ADDRSTRLEN] = "";
    if (text.len >= sizeof copy || bytes_find(text, '\0') < text.len) return ERR_SYNTAX;
    memcpy(copy, text.data, text.len);
    return inet_pton(family, copy, ret_ip) == 1 ? 0 : ERR_SYNTAX;
}

static int parse_host(struct bytes host, struct io_addr *addr)
{
    static const uint8_t loopback[4] = {127, 0, 0, 1};
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']') {
        addr->family = IO_IPV6;
        return parse_ip(AF_INET6, bytes_make(host.data + 1, host.len - 2), addr->ip);
    }
    addr->family = IO_IPV4;
    if (!host.len) return 0;
    if (!bytes_eq_nocase(host, BYTES("localhost"))) return parse_ip(AF_INET, host, addr->ip);
    memcpy(addr->ip, loopback, sizeof loopback);
    return 0;
}

int io_addr_parse(struct bytes text, struct io_addr *ret_addr)
{
    struct io_addr addr = {0};
    int err;
    if (bytes_starts(text, BYTES("unix:"))) {
        err = parse_unix(bytes_skip(text, 5), &addr);
    } else {
        size_t colon = text.len;
        while (colon && text.data[colon - 1] != ':') colon--;
        if (!colon) return ERR_SYNTAX;
        uint64_t port = 0;
        err = bytes_to_u64(bytes_skip(text, colon), UINT16_MAX, &port);
        if (!err) err = parse_host(bytes_head(text, colon - 1), &addr);
        addr.port = (uint16_t)port;
    }
    if (!err) *ret_addr = addr;
    return err;
}

size_t io_addr_format(const struct io_addr *addr, char *text, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    int len;
    if (!size) return 0;
    if (addr->family == IO_UNIX) {
        len = snprintf(text, size, "unix:%s", addr->path);
    } else if (addr->family == IO_IPV6) {
        inet_ntop(AF_INET6, addr->ip, ip, sizeof ip);
        len = snprintf(text, size, "[%s]:%u", ip, addr->port);
    } else {
        inet_ntop(AF_INET, addr->ip, ip, sizeof ip);
        len = snprintf(text, size, "%s:%u", ip, addr->port);
    }
    return (size_t)len < size ? (size_t)len : size - 1;
}
