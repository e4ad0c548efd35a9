#include "sdk/src/buslink_parts.h"

#include "sdk/src/http_text.h"
#include "sdk/src/logger.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LINK_FRAME_HEAD = 4096, /* more than the longest line before a payload */
    LINK_READ = 64 * 1024,
    LINK_PING_MS = 10 * 1000,
    LINK_PINGS_MAX = 2, /* unanswered: the connection is dead */
    LINK_JOIN_MS = 5 * 1000,
    LINK_BACKOFF_MS = 25,
    LINK_BACKOFF_MAX_MS = 2000,
    LINK_LATE_MAX = 1 << 20
};

static void connect_now(struct buslink *link);

/* ---- coming and going --------------------------------------------------------------------- */

static uint64_t backoff_ms(struct buslink *link)
{
    uint64_t most = LINK_BACKOFF_MS, random;
    for (unsigned i = 0; i < link->failures && most < LINK_BACKOFF_MAX_MS; i++) most *= 2;
    if (most > LINK_BACKOFF_MAX_MS) most = LINK_BACKOFF_MAX_MS;
    host_random(link->host, &random, sizeof random);
    return most / 2 + random % (most / 2) + 1;
}

/* Gives the connection up and tries again later. Requests stay: they are sent again. */
static void lose(struct buslink *link, const char *why)
{
    if (link->state == BUSLINK_UP || link->failures == 0)
        LOGGER(link->host, NULL, DURE_WARN, "bus_lost", DURE_S("why", why),
               DURE_S("server", link->servers[link->server_at]));
    int fd = link->watch.fd;
    loop_unwatch(&link->host->loop, &link->watch);
    if (fd >= 0) close(fd);
    loop_task_cancel(&link->send);
    buf_release(&link->in);
    buf_release(&link->out);
    link->dropping = false;
    link->state = BUSLINK_DOWN;
    link->server_at = (link->server_at + 1) % link->server_count;
    loop_timer_in_ms(&link->host->loop, &link->timer, backoff_ms(link));
    link->failures++;
    host_progress(link->host);
}

static void put_subscribe(struct buslink *link, const struct subscription *subscription)
{
    char sid[24];
    snprintf(sid, sizeof sid, "%llu", (unsigned long long)subscription->sid);
    nats_put_sub(&link->out, bytes_str(subscription->subject), bytes_str(subscription->group),
                 bytes_str(sid));
}

/* Everything that a new connection needs to hear, behind its INFO. */
static void join(struct buslink *link)
{
    struct nats_connect hello;
    nats_connect_init(&hello);
    hello.verbose = hello.pedantic = false;
    hello.headers = hello.no_responders = true;
    hello.protocol = 1;
    snprintf(hello.lang, sizeof hello.lang, "c");
    snprintf(hello.version, sizeof hello.version, "1");
    if (!list_empty(&link->host->tenants))
        snprintf(hello.name, sizeof hello.name, "%.60s",
                 CONTAINER_OF(link->host->tenants.next, struct tenant, link)->name);
    struct bytes server = bytes_str(link->servers[link->server_at]);
    size_t at = bytes_find(server, '@');
    if (at < server.len) {
        struct bytes pass = bytes_head(server, at), user = bytes_cut(&pass, ':');
        if (pass.data) {
            snprintf(hello.user, sizeof hello.user, "%.*s", BYTES_ARG(user));
            snprintf(hello.pass, sizeof hello.pass, "%.*s", BYTES_ARG(pass));
        } else {
            snprintf(hello.token, sizeof hello.token, "%.*s", BYTES_ARG(user));
        }
    }
    buf_clear(&link->headers);
    nats_connect_write(&link->headers, &hello);
    nats_put_connect(&link->out, buf_bytes(&link->headers));
    char inbox[BUSLINK_INBOX_TEXT + 1];
    snprintf(inbox, sizeof inbox, "%s*", link->inbox);
    nats_put_sub(&link->out, bytes_str(inbox), BYTES(""), BYTES("1"));
    nats_put_sub(&link->out, BYTES(BUSLINK_CANCEL_SUBJECT), BYTES(""), BYTES("2"));
    for (size_t i = 0; i < link->subscription_count && !link->draining; i++)
        if (link->subscriptions[i]) put_subscribe(link, link->subscriptions[i]);
    nats_put_ping(&link->out);
    link->pings = 1;
    link->pongs = 0;
    link->drain_mark = link->flush_mark = 0;
    link->state = BUSLINK_JOINING;
    buf_append(&link->out, buf_bytes(&link->late));
    buf_release(&link->late);
    buslink_resend(link);
    loop_post(&link->host->loop, &link->send);
}

static void came_up(struct buslink *link)
{
    link->state = BUSLINK_UP;
    link->failures = 0;
    link->connects++;
    link->up_since_ns = link->host->loop.now_ns;
    loop_timer_in_ms(&link->host->loop, &link->timer, LINK_PING_MS);
    LOGGER(link->host, NULL, link->connects > 1 ? DURE_WARN : DURE_INFO, "bus_connected",
           DURE_S("server", link->info.server_name), DURE_I("times", link->connects));
}

/* ---- what comes in ------------------------------------------------------------------------ */

static void take_info(struct buslink *link, struct bytes json)
{
    if (nats_info_parse(json, &link->info) != 0) {
        link->dropping = true;
        return;
    }
    if (link->info.max_payload > NATS_PAYLOAD_CAP) link->info.max_payload = NATS_PAYLOAD_CAP;
    if (link->info.max_payload) link->decoder.max_payload = link->info.max_payload;
    if (link->state == BUSLINK_GREETING) join(link);
}

static void take_frame(struct buslink *link, const struct nats_frame *frame)
{
    switch (frame->op) {
    case NATS_INFO: take_info(link, frame->text); break;
    case NATS_PING:
        nats_put_pong(&link->out);
        loop_post(&link->host->loop, &link->send);
        break;
    case NATS_PONG:
        link->pongs++;
        if (link->state == BUSLINK_JOINING) came_up(link);
        host_progress(link->host);
        break;
    case NATS_MSG:
    case NATS_HMSG:
        if (bytes_eq(frame->sid, BYTES("1")))
            buslink_answered(link, frame);
        else if (bytes_eq(frame->sid, BYTES("2")))
            buslink_cancelled(link, frame);
        else
            buslink_deliver(link, frame);
        break;
    case NATS_ERR: {
        char text[128];
        snprintf(text, sizeof text, "%.*s", BYTES_ARG(bytes_head(frame->text, sizeof text - 1)));
        LOGGER(link->host, NULL, DURE_WARN, "bus_error", DURE_S("text", text));
        break;
    }
    default: break;
    }
}

static void decode_all(struct buslink *link)
{
    struct nats_frame frame;
    int64_t len = 0;
    while (!link->dropping && buf_len(&link->in) &&
           (len = nats_decode(&link->decoder, buf_bytes(&link->in), &frame)) > 0) {
        take_frame(link, &frame);
        buf_consume(&link->in, (size_t)len);
    }
    if (len < 0) link->dropping = true;
}

/* False: the connection is gone. */
static bool receive(struct buslink *link)
{
    for (;;) {
        char *room = buf_reserve(&link->in, LINK_READ);
        ssize_t got = room ? recv(link->watch.fd, room, LINK_READ, 0) : 0;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return true;
        if (got <= 0) return false;
        buf_commit(&link->in, (size_t)got);
        decode_all(link);
        if (link->dropping) return false;
        if (got < LINK_READ) return true;
    }
}

/* False: the connection is gone. */
static bool transmit(struct buslink *link)
{
    while (buf_len(&link->out)) {
        struct bytes rest = buf_bytes(&link->out);
        ssize_t sent = send(link->watch.fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) return false;
        buf_consume(&link->out, (size_t)sent);
    }
    loop_watch_change(&link->host->loop, &link->watch,
                      buf_len(&link->out) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
}

static void send_gathered(struct loop_task *task)
{
    struct buslink *link = CONTAINER_OF(task, struct buslink, send);
    if (link->state < BUSLINK_JOINING) return;
    if (link->dropping || !transmit(link)) lose(link, "broken while writing");
}

static void ready(struct loop_watch *watch, uint32_t events)
{
    struct buslink *link = CONTAINER_OF(watch, struct buslink, watch);
    if (link->state == BUSLINK_CONNECTING) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err || (events & (EPOLLERR | EPOLLHUP))) {
            lose(link, "cannot connect");
            return;
        }
        link->state = BUSLINK_GREETING;
        loop_watch_change(&link->host->loop, watch, EPOLLIN);
        return;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !receive(link))
        lose(link, link->decoder.fault ? "the server broke the protocol" : "closed by the server");
    else if ((events & EPOLLOUT) && !transmit(link))
        lose(link, "broken while writing");
}

static void timer_fired(struct loop_timer *timer)
{
    struct buslink *link = CONTAINER_OF(timer, struct buslink, timer);
    if (link->state == BUSLINK_DOWN) {
        connect_now(link);
    } else if (link->state != BUSLINK_UP) {
        lose(link, "no welcome in time");
    } else if (link->pings - link->pongs >= LINK_PINGS_MAX) {
        lose(link, "no answer to pings");
    } else {
        nats_put_ping(&link->out);
        link->pings++;
        loop_post(&link->host->loop, &link->send);
        loop_timer_in_ms(&link->host->loop, timer, LINK_PING_MS);
    }
}

/* ---- connecting --------------------------------------------------------------------------- */

static socklen_t unix_address(const char *path, struct sockaddr_storage *ret_address)
{
    struct sockaddr_un *at = (struct sockaddr_un *)ret_address;
    if (strlen(path) >= sizeof at->sun_path) return 0;
    memset(ret_address, 0, sizeof *ret_address);
    at->sun_family = AF_UNIX;
    memcpy(at->sun_path, path, strlen(path) + 1);
    return sizeof *at;
}

/* The server at hand; 0: its name is not known. */
static socklen_t server_address(const char *server, struct sockaddr_storage *ret_address)
{
    const char *at = strrchr(server, '@');
    char host[256], port[8] = "4222";
    struct bytes rest = bytes_str(at ? at + 1 : server);
    if (bytes_starts(rest, BYTES("/"))) return unix_address(rest.data, ret_address);
    struct bytes name;
    if (bytes_starts(rest, BYTES("["))) {
        name = bytes_head(bytes_skip(rest, 1), bytes_find(rest, ']') - 1);
        rest = bytes_skip(rest, name.len + 2);
        bytes_cut(&rest, ':');
    } else {
        name = bytes_cut(&rest, ':');
    }
    if (rest.len) snprintf(port, sizeof port, "%.*s", BYTES_ARG(bytes_head(rest, 5)));
    snprintf(host, sizeof host, "%.*s", BYTES_ARG(bytes_head(name, sizeof host - 1)));
    uint64_t number;
    if (bytes_to_u64(bytes_str(port), 65535, &number) != 0) return 0;
    socklen_t len = http_address(host, (int)number, ret_address);
    if (len) return len;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) return 0;
    len = found->ai_addrlen;
    memcpy(ret_address, found->ai_addr, len);
    freeaddrinfo(found);
    return len;
}

static void connect_now(struct buslink *link)
{
    struct sockaddr_storage address;
    struct loop *loop = &link->host->loop;
    socklen_t len = server_address(link->servers[link->server_at], &address);
    int fd = len ? socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        lose(link, len ? "no socket" : "unknown host name");
        return;
    }
    int on = 1;
    if (address.ss_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    nats_decoder_init(&link->decoder, NATS_CLIENT);
    int failed = connect(fd, (struct sockaddr *)&address, len);
    if (failed && errno != EINPROGRESS) {
        close(fd);
        lose(link, "cannot connect");
        return;
    }
    if (loop_watch(loop, &link->watch, fd, failed ? EPOLLOUT : EPOLLIN) != 0) {
        close(fd);
        lose(link, "no memory");
        return;
    }
    link->state = failed ? BUSLINK_CONNECTING : BUSLINK_GREETING;
    loop_timer_in_ms(loop, &link->timer, LINK_JOIN_MS);
}

/* Cuts "nats://a:1,unix:/b" into "a:1" and "/b". */
static int cut_urls(struct buslink *link, const char *urls)
{
    link->urls = strdup(urls);
    if (!link->urls) return ERR_NOMEM;
    for (char *at = link->urls; at;) {
        char *next = strchr(at, ',');
        if (next) *next++ = '\0';
        struct bytes url = bytes_str(at);
        size_t skip = bytes_starts(url, BYTES("nats://")) ? 7
                      : bytes_starts(url, BYTES("unix:")) ? 5
                                                          : 0;
        if (url.len <= skip || link->server_count == BUSLINK_SERVERS_MAX) return ERR_INVALID;
        if (!skip && memchr(at, '/', url.len)) return ERR_INVALID;
        if (skip == 7 && at[url.len - 1] == '/') at[url.len - 1] = '\0';
        link->servers[link->server_count++] = at + skip;
        at = next;
    }
    return 0;
}

int buslink_new(struct host *host, const char *urls, struct buslink **ret_link)
{
    *ret_link = NULL;
    if (!urls || !*urls) return 0;
    struct buslink *link = calloc(1, sizeof *link);
    if (!link) return ERR_NOMEM;
    link->host = host;
    link->watch.fd = -1;
    link->watch.ready = ready;
    link->timer.fire = timer_fired;
    loop_task_init(&link->send, send_gathered);
    list_init(&link->requests);
    map_init(&link->by_token, DURE_MAX_PENDING);
    buf_init(&link->in, NATS_PAYLOAD_CAP + LINK_READ);
    buf_init(&link->out, DURE_MAX_BUS_BUFFER);
    buf_init(&link->headers, 64 * 1024);
    buf_init(&link->late, LINK_LATE_MAX);
    uint8_t random[11];
    char text[2 * sizeof random + 1] = "";
    host_random(host, random, sizeof random);
    bytes_hex(bytes_make(random, sizeof random), text);
    snprintf(link->inbox, sizeof link->inbox, "_INBOX.%s.", text);
    int err = cut_urls(link, urls);
    if (err) {
        buslink_free(link);
        return err;
    }
    loop_timer_in_ms(&host->loop, &link->timer, 0);
    *ret_link = link;
    return 0;
}

void buslink_free(struct buslink *link)
{
    if (!link) return;
    int fd = link->watch.fd;
    loop_unwatch(&link->host->loop, &link->watch);
    if (fd >= 0) close(fd);
    loop_timer_cancel(&link->host->loop, &link->timer);
    loop_task_cancel(&link->send);
    map_release(&link->by_token);
    buf_release(&link->in);
    buf_release(&link->out);
    buf_release(&link->headers);
    buf_release(&link->late);
    free(link->subscriptions);
    free(link->urls);
    free(link);
}

/* ---- using it ----------------------------------------------------------------------------- */

const char *buslink_state_name(const struct buslink *link)
{
    if (!link) return "none";
    return link->state == BUSLINK_UP ? "connected" : "connecting";
}

bool buslink_sends(const struct buslink *link)
{
    return link->state >= BUSLINK_JOINING;
}

int buslink_put(struct buslink *link, const char *subject, const char *reply, struct bytes body)
{
    size_t payload = buf_len(&link->headers) + body.len;
    if (!buslink_sends(link)) return DURE_EUNREACHABLE;
    if (link->headers.failed) return DURE_ETOOBIG;
    if (link->info.max_payload && payload > link->info.max_payload) return DURE_ETOOBIG;
    if (payload + LINK_FRAME_HEAD > link->out.max - buf_len(&link->out)) return DURE_EFULL;
    nats_put_pub(&link->out, bytes_str(subject), bytes_str(reply), buf_bytes(&link->headers), body);
    if (link->out.failed) link->dropping = true; /* no memory in the middle of a frame */
    loop_post(&link->host->loop, &link->send);
    return link->dropping ? DURE_ENOMEM : 0;
}

int buslink_put_reply(struct buslink *link, const char *subject, struct bytes body)
{
    if (buslink_sends(link)) return buslink_put(link, subject, NULL, body);
    size_t payload = buf_len(&link->headers) + body.len;
    if (link->headers.failed) return DURE_ETOOBIG;
    if (payload + LINK_FRAME_HEAD > link->late.max - buf_len(&link->late)) return DURE_EFULL;
    size_t before = buf_len(&link->late);
    nats_put_pub(&link->late, bytes_str(subject), BYTES(""), buf_bytes(&link->headers), body);
    if (!link->late.failed) return 0;
    link->late.end = link->late.start + before; /* no memory: half a frame must not go out */
    link->late.failed = false;
    return DURE_ENOMEM;
}

int buslink_publish(struct buslink *link, const char *subject, struct bytes body)
{
    if (!link) return DURE_EUNREACHABLE;
    buf_clear(&link->headers);
    return buslink_put(link, subject, NULL, body);
}

void buslink_subscribe(struct buslink *link, struct subscription *subscription)
{
    if (!link) return;
    struct subscription **list =
        realloc(link->subscriptions, (link->subscription_count + 1) * sizeof *list);
    if (!list) {
        LOGGER(link->host, subscription->tenant, DURE_ERROR, "subscribe_failed",
               DURE_S("subject", subscription->subject));
        return;
    }
    link->subscriptions = list;
    list[link->subscription_count++] = subscription;
    subscription->sid = link->subscription_count - 1 + BUSLINK_FIRST_SID;
    if (!buslink_sends(link)) return;
    put_subscribe(link, subscription);
    loop_post(&link->host->loop, &link->send);
}

/* A ping behind what was sent: its pong says that the server has it all. */
static uint64_t mark(struct buslink *link)
{
    nats_put_ping(&link->out);
    loop_post(&link->host->loop, &link->send);
    return ++link->pings;
}

void buslink_drain(struct buslink *link)
{
    if (!link) return;
    link->draining = true;
    if (!buslink_sends(link)) return;
    for (size_t i = 0; i < link->subscription_count; i++) {
        char sid[24];
        snprintf(sid, sizeof sid, "%llu", (unsigned long long)link->subscriptions[i]->sid);
        nats_put_unsub(&link->out, bytes_str(sid), 0);
    }
    link->drain_mark = mark(link);
}

bool buslink_drained(const struct buslink *link)
{
    return !link || !buslink_sends(link) || link->pongs >= link->drain_mark;
}

void buslink_flush(struct buslink *link)
{
    if (link && buslink_sends(link)) link->flush_mark = mark(link);
}

bool buslink_flushed(const struct buslink *link)
{
    return !link || !buslink_sends(link) || link->pongs >= link->flush_mark;
}
