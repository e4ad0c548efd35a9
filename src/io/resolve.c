#include "io/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

static void take(struct io_resolve *resolve, const struct sockaddr *from)
{
    struct io_addr *to = &resolve->addrs[resolve->count];
    *to = (struct io_addr){.port = resolve->port};
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
        to->family = IO_IPV4;
        memcpy(to->ip, &v4->sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
        to->family = IO_IPV6;
        memcpy(to->ip, &v6->sin6_addr, 16);
    } else {
        return;
    }
    resolve->count++;
}

static int literal(struct io_resolve *resolve)
{
    char text[IO_RESOLVE_NAME + 16];
    const char *form = strchr(resolve->name, ':') ? "[%s]:%u" : "%s:%u";
    snprintf(text, sizeof text, form, resolve->name, resolve->port);
    return io_addr_parse(bytes_str(text), &resolve->addrs[0]);
}

static void ask(struct io_job *job)
{
    struct io_resolve *resolve = CONTAINER_OF(job, struct io_resolve, job);
    if (literal(resolve) == 0) {
        resolve->count = 1;
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found;
    int code = getaddrinfo(resolve->name, NULL, &hints, &found);
    if (code) {
        resolve->result = code == EAI_AGAIN ? ERR_UNAVAILABLE : ERR_NOT_FOUND;
        return;
    }
    for (struct addrinfo *at = found; at && resolve->count < IO_RESOLVE_MAX; at = at->ai_next)
        take(resolve, at->ai_addr);
    freeaddrinfo(found);
    if (!resolve->count) resolve->result = ERR_NOT_FOUND;
}

static void answered(struct io_job *job)
{
    struct io_resolve *resolve = CONTAINER_OF(job, struct io_resolve, job);
    resolve->done(resolve, resolve->result);
}

int io_resolve(struct io *io, struct io_resolve *resolve, struct bytes name, uint16_t port,
               void (*done)(struct io_resolve *resolve, int result))
{
    if (name.len >= sizeof resolve->name) return ERR_TOO_BIG;
    *resolve =
        (struct io_resolve){.done = done, .port = port, .job = {.run = ask, .done = answered}};
    snprintf(resolve->name, sizeof resolve->name, "%.*s", BYTES_ARG(name));
    io_job_submit(io, &resolve->job);
    return 0;
}
