#include "nats_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const char hello[] =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":false,\"lang\":\"c\","
    "\"version\":\"1\",\"name\":\"busload\",\"protocol\":1,\"echo\":true,\"headers\":true,"
    "\"no_responders\":true}\r\n";

void link_drop(struct link *link, size_t len)
{
    link->in_len -= len;
    if (link->in_len) memmove(link->in, link->in + len, link->in_len);
}

struct link *link_new(const char *address, size_t in_size)
{
    struct link *link = load_alloc(sizeof *link);
    link->fd = load_connect_to(address);
    link->in_size = in_size;
    link->out_size = 256 * 1024;
    link->in = load_alloc(in_size);
    link->out = load_alloc(link->out_size);
    link->writable = true;
    while (!memchr(link->in, '\n', link->in_len)) link_fill(link);
    if (memcmp(link->in, "INFO ", 5) != 0) load_fail("the server does not begin with INFO");
    link->in_len = 0;
    link_command(link, hello, sizeof hello - 1);
    return link;
}

void link_command(struct link *link, const char *lines, size_t len)
{
    link_put(link, lines, len);
    link_put(link, "PING\r\n", 6);
    link_flush(link);
    for (bool answered = false; !answered;) {
        link_fill(link);
        for (size_t line; !answered && (line = link_control(link, 0)) > 0;) {
            answered = memcmp(link->in, "PONG", 4) == 0;
            link_drop(link, line);
        }
    }
}

void link_nonblock(struct link *link)
{
    load_nonblock(link->fd);
}

char *link_reserve(struct link *link, size_t len)
{
    while (link->out_size - link->out_len < len) {
        char *larger = load_alloc(link->out_size * 2);
        memcpy(larger, link->out, link->out_len);
        link->out = larger; /* the old one is let go: this happens once or twice in a run */
        link->out_size *= 2;
    }
    return link->out + link->out_len;
}

void link_put(struct link *link, const void *data, size_t len)
{
    memcpy(link_reserve(link, len), data, len);
    link->out_len += len;
}

void link_flush(struct link *link)
{
    size_t sent = 0;
    link->writable = true;
    while (sent < link->out_len && link->writable) {
        ssize_t n = send(link->fd, link->out + sent, link->out_len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) load_fail("send: %s", strerror(errno));
        if (n < 0)
            link->writable = false;
        else
            sent += (size_t)n;
    }
    link->out_len -= sent;
    if (link->out_len && sent) memmove(link->out, link->out + sent, link->out_len);
}

bool link_fill(struct link *link)
{
    if (link->in_len == link->in_size) load_fail("a line is longer than %zu bytes", link->in_size);
    ssize_t n = recv(link->fd, link->in + link->in_len, link->in_size - link->in_len, 0);
    if (n < 0 && errno == EAGAIN) return false;
    if (n < 0) load_fail("recv: %s", strerror(errno));
    if (n == 0) load_fail("the server closed connection %u", link->id);
    link->in_len += (size_t)n;
    return true;
}

size_t link_control(struct link *link, size_t at)
{
    const char *line = link->in + at;
    const char *newline = memchr(line, '\n', link->in_len - at);
    if (!newline) return 0;
    int len = (int)(newline + 1 - line);
    if (len >= 6 && memcmp(line, "PING\r\n", 6) == 0) {
        link_put(link, "PONG\r\n", 6);
        link_flush(link);
    } else if (memcmp(line, "PONG", 4) != 0 && memcmp(line, "+OK", 3) != 0 &&
               memcmp(line, "INFO", 4) != 0) {
        load_fail("the server says: %.*s", len < 200 ? len : 200, line);
    }
    return (size_t)len;
}

/* The number up to the end of the line; strtoul would take as long as all the rest. */
static size_t last_number(const char *p)
{
    size_t number = 0;
    for (; *p >= '0' && *p <= '9'; p++) number = number * 10 + (size_t)(*p - '0');
    return number;
}

size_t link_message(struct link *link, size_t at, struct link_message *ret_message)
{
    const char *line = link->in + at, *fields[6];
    size_t left = link->in_len - at;
    unsigned count = 0;
    *ret_message = (struct link_message){0};
    if (left < 5) return 0;
    bool headers = memcmp(line, "HMSG ", 5) == 0;
    if (!headers && memcmp(line, "MSG ", 4) != 0) return link_control(link, at);
    const char *newline = memchr(line, '\n', left);
    if (!newline) return 0;
    for (const char *p = line; count < 6 && (p = memchr(p, ' ', (size_t)(newline - p)));)
        fields[count++] = ++p;
    unsigned least = headers ? 4 : 3;
    if (count != least && count != least + 1) load_fail("not a message: %.60s", line);
    size_t len = last_number(fields[count - 1]);
    size_t frame = (size_t)(newline + 1 - line) + len + 2;
    if (left < frame) return 0;
    if (line[frame - 1] != '\n') load_fail("a frame does not end with its length");
    ret_message->payload = newline + 1;
    ret_message->payload_len = len;
    ret_message->status = headers;
    if (count == least + 1) {
        ret_message->reply = fields[2];
        ret_message->reply_len = (int)(fields[3] - fields[2] - 1);
    }
    return frame;
}

/* ---- frames, repeated without end -------------------------------------------------------- */

void frames_init(struct frames *frames, unsigned count, size_t max_len)
{
    *frames = (struct frames){.bytes = load_alloc(count * max_len),
                              .starts = load_alloc(count * sizeof *frames->starts)};
}

void frames_add(struct frames *frames, const char *head, char fill, size_t payload_len)
{
    size_t len = strlen(head);
    frames->starts[frames->count++] = frames->cycle;
    memcpy(frames->bytes + frames->cycle, head, len);
    memset(frames->bytes + frames->cycle + len, fill, payload_len);
    memcpy(frames->bytes + frames->cycle + len + payload_len, "\r\n", 2);
    frames->cycle += len + payload_len + 2;
}

void frames_repeat(struct frames *frames, size_t min_len)
{
    size_t times = min_len / frames->cycle + 1;
    char *all = load_alloc(times * frames->cycle);
    for (size_t i = 0; i < times; i++)
        memcpy(all + i * frames->cycle, frames->bytes, frames->cycle);
    frames->bytes = all;
    frames->len = times * frames->cycle;
}

static bool is_start(const struct frames *frames, size_t at)
{
    for (unsigned i = 0; i < frames->count; i++)
        if (frames->starts[i] == at % frames->cycle) return true;
    return false;
}

/* How many bytes are the same; looks at single bytes only where a difference is. */
static size_t common(const char *a, const char *b, size_t len)
{
    if (memcmp(a, b, len) == 0) return len;
    size_t i = 0;
    while (i < len && a[i] == b[i]) i++;
    return i;
}

void link_expect(struct link *link, const struct frames *frames)
{
    size_t at = 0;
    while (at < link->in_len) {
        size_t len = link->in_len - at, room = frames->len - link->at;
        if (len > room) len = room;
        size_t same = common(link->in + at, frames->bytes + link->at, len);
        at += same;
        link->received += same;
        link->at += same;
        if (same == len) {
            if (link->at == frames->len) link->at = 0;
            continue;
        }
        if (!is_start(frames, link->at))
            load_fail("connection %u got other bytes than were sent: %.40s", link->id,
                      link->in + at);
        size_t line = link_control(link, at);
        if (!line) break;
        at += line;
    }
    link_drop(link, at);
}
