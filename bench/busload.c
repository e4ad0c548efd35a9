/* busload: publishers, subscribers, requesters of a NATS server, in one loop.
 *
 *     busload publish  --server ADDR --pids PID,PID [--size 16] [--subscribers 1]
 *     busload wildcard --server ADDR --pids PID,PID [--size 16] [--patterns 10000] [--subjects 64]
 *     busload literal  --server ADDR --pids PID,PID [--size 16] [--patterns 10000] [--subjects 64]
 *     busload request  --server ADDR --pids PID,PID [--size 16] [--at-once 64]
 *              all:    [--warmup SECONDS] [--seconds SECONDS]
 *
 * ADDR is a port, or the path of a Unix socket.
 *
 * publish: one connection publishes on one subject as fast as the subscribers keep up (a bounded
 *     number of bytes is under way); each subscriber compares every byte. An operation is a
 *     delivery.
 * wildcard: the same with one subscriber that has many wildcard subscriptions; the subjects match
 *     one each (more subjects than patterns: several match the same).
 * literal: the same with subscriptions without wildcards, each of which has its own subject.
 * request: each requester has one request under way; one connection answers all with what it was
 *     sent. An operation is a request with its answer. */
#include "nats_load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

enum { BATCH = 64 * 1024, INPUT = 1024 * 1024, EVENTS_MAX = 128, STALL_MS = 5000 };

/* Bytes under way to a subscriber: alone, and when there are others. */
enum { WINDOW_ONE = 4 << 20, WINDOW_EACH = 1 << 20 };

static int epoll_fd;
static const char *address;
static unsigned subscriber_count = 1, pattern_count = 10000, subject_count = 64;
static unsigned at_once = 64;
static size_t payload_len = 16;
static struct measure measure;
static double warmup_s = 0.5, seconds = 3;

static void watch(struct link *link, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = link};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link->fd, &event))
        load_fail("epoll: %s", strerror(errno));
}

/* ---- publish, wildcard --------------------------------------------------------------------- */

/* What goes in, what comes out, and how far both are. */
struct flow {
    struct frames sent, expected;
    struct link *publisher, **subscribers;
    unsigned count;   /* of subscribers */
    uint64_t out;     /* bytes published */
    uint64_t window;  /* frames that may be under way */
    uint64_t slowest; /* frames that each subscriber has got */
    uint64_t heard_ns;
};

static uint64_t frames_of(const struct frames *frames, uint64_t bytes)
{
    return bytes * frames->count / frames->cycle;
}

/* Whole frames, so that a PONG may stand between two batches. */
static void flow_send(struct flow *flow)
{
    link_put(flow->publisher, flow->sent.bytes, flow->sent.len);
    link_flush(flow->publisher);
    flow->out += flow->sent.len;
}

static bool flow_may_send(const struct flow *flow)
{
    if (!flow->publisher->writable) return false;
    return frames_of(&flow->sent, flow->out) - flow->slowest < flow->window;
}

static uint64_t flow_count(struct flow *flow)
{
    uint64_t sum = 0, least = UINT64_MAX;
    for (unsigned i = 0; i < flow->count; i++) {
        uint64_t got = frames_of(&flow->expected, flow->subscribers[i]->received);
        sum += got;
        if (got < least) least = got;
    }
    flow->slowest = least;
    return sum;
}

static void flow_event(struct flow *flow, struct link *link, uint32_t events)
{
    if (link != flow->publisher) {
        if (link_fill(link)) link_expect(link, &flow->expected);
        return;
    }
    if (events & EPOLLOUT) link_flush(link);
    if (!(events & EPOLLIN)) return;
    while (link_fill(link)) {
        for (size_t line; (line = link_control(link, 0)) > 0;) {
            link->in_len -= line;
            memmove(link->in, link->in + line, link->in_len);
        }
    }
}

/* Handles what is ready; ends the run when nothing has come for too long. */
static void flow_wait(struct flow *flow, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(epoll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < n; i++) flow_event(flow, events[i].data.ptr, events[i].events);
    uint64_t now = load_now_ns();
    if (n > 0) flow->heard_ns = now;
    if (now - flow->heard_ns > (uint64_t)STALL_MS * 1000000)
        load_fail("the bus has been silent for %d s; %llu frames are missing", STALL_MS / 1000,
                  (unsigned long long)(frames_of(&flow->sent, flow->out) - flow->slowest));
}

static int flow_run(struct flow *flow)
{
    for (unsigned i = 0; i < flow->count; i++) {
        link_nonblock(flow->subscribers[i]);
        watch(flow->subscribers[i], EPOLLIN);
    }
    link_nonblock(flow->publisher);
    watch(flow->publisher, EPOLLIN | EPOLLOUT | EPOLLET);
    size_t window = flow->count > 1 ? WINDOW_EACH : WINDOW_ONE;
    flow->window = window / (flow->expected.cycle / flow->expected.count);
    flow->heard_ns = load_now_ns();
    measure_start(&measure, warmup_s, seconds);
    while (measure_tick(&measure, flow_count(flow))) {
        bool sending = flow_may_send(flow);
        if (sending) flow_send(flow);
        flow_wait(flow, sending ? 0 : 100);
    }
    /* All that was published must arrive: nothing is lost, and nothing is left for the next run. */
    while (flow_count(flow), flow->slowest < frames_of(&flow->sent, flow->out))
        flow_wait(flow, 100);
    return measure_report(&measure);
}

static int run_publish(void)
{
    struct flow flow = {.count = subscriber_count};
    char line[128];
    frames_init(&flow.sent, 1, payload_len + sizeof line);
    frames_init(&flow.expected, 1, payload_len + sizeof line);
    snprintf(line, sizeof line, "PUB shop.order %zu\r\n", payload_len);
    frames_add(&flow.sent, line, 'x', payload_len);
    snprintf(line, sizeof line, "MSG shop.order 7 %zu\r\n", payload_len);
    frames_add(&flow.expected, line, 'x', payload_len);
    frames_repeat(&flow.sent, BATCH);
    frames_repeat(&flow.expected, INPUT);
    flow.subscribers = load_alloc(flow.count * sizeof(struct link *));
    for (unsigned i = 0; i < flow.count; i++) {
        flow.subscribers[i] = link_new(address, INPUT);
        flow.subscribers[i]->id = i;
        link_command(flow.subscribers[i], "SUB shop.order 7\r\n", 18);
    }
    flow.publisher = link_new(address, BATCH);
    return flow_run(&flow);
}

static int literal_text(char *text, size_t size, unsigned i)
{
    return snprintf(text, size, "device.%07u.temperature", i);
}

/* Half of the patterns end early, half have their wildcard inside: a trie walks both ways. */
static int pattern_text(char *text, size_t size, unsigned i)
{
    return snprintf(text, size, i & 1 ? "region.*.%05u.>" : "device.%05u.*.temperature", i);
}

/* One of the subjects that the pattern matches. */
static int subject_text(char *text, size_t size, unsigned i, unsigned variant)
{
    if (i & 1) return snprintf(text, size, "region.eu.%05u.done%u", i, variant);
    return snprintf(text, size, "device.%05u.k%u.temperature", i, variant);
}

static int run_many(bool literal)
{
    struct flow flow = {.count = 1};
    char line[160], subject[64];
    flow.subscribers = load_alloc(sizeof(struct link *));
    struct link *subscriber = flow.subscribers[0] = link_new(address, INPUT);
    for (unsigned i = 0; i < pattern_count; i++) {
        (literal ? literal_text : pattern_text)(subject, sizeof subject, i);
        int n = snprintf(line, sizeof line, "SUB %s %u\r\n", subject, i + 1);
        link_put(subscriber, line, (size_t)n);
    }
    link_command(subscriber, "", 0);
    frames_init(&flow.sent, subject_count, payload_len + sizeof line);
    frames_init(&flow.expected, subject_count, payload_len + sizeof line);
    for (unsigned k = 0; k < subject_count; k++) {
        /* Spread over all patterns, and over both kinds: the step is odd. */
        unsigned i = (unsigned)((uint64_t)k * (pattern_count / subject_count | 1) % pattern_count);
        if (literal)
            literal_text(subject, sizeof subject, i);
        else
            subject_text(subject, sizeof subject, i, k / pattern_count);
        snprintf(line, sizeof line, "PUB %s %zu\r\n", subject, payload_len);
        frames_add(&flow.sent, line, 'x', payload_len);
        snprintf(line, sizeof line, "MSG %s %u %zu\r\n", subject, i + 1, payload_len);
        frames_add(&flow.expected, line, 'x', payload_len);
    }
    frames_repeat(&flow.sent, BATCH);
    frames_repeat(&flow.expected, INPUT);
    flow.publisher = link_new(address, BATCH);
    return flow_run(&flow);
}

/* ---- request ------------------------------------------------------------------------------- */

static void send_request(struct link *link, uint64_t sequence)
{
    static char payload[1 << 20];
    char line[128];
    int n = snprintf(line, sizeof line, "PUB shop.price _INBOX.c%05u.%08llu %zu\r\n", link->id,
                     (unsigned long long)(sequence % 100000000), payload_len);
    if (!payload[0]) memset(payload, 'r', sizeof payload);
    link->start_ns = load_now_ns();
    link_put(link, line, (size_t)n);
    link_put(link, payload, payload_len);
    link_put(link, "\r\n", 2);
}

static void answer(struct link *link, const struct link_message *message)
{
    char line[160];
    if (!message->reply) load_fail("a request came without a reply subject");
    int n = snprintf(line, sizeof line, "PUB %.*s %zu\r\n", message->reply_len, message->reply,
                     message->payload_len);
    link_put(link, line, (size_t)n);
    link_put(link, message->payload, message->payload_len + 2);
}

/* Takes all whole messages of a connection; returns how many requests were answered. */
static uint64_t take_messages(struct link *link, struct link *responder, uint64_t sequence)
{
    struct link_message message;
    uint64_t done = 0;
    size_t at = 0;
    for (size_t len; at < link->in_len && (len = link_message(link, at, &message)) > 0; at += len) {
        if (!message.payload) continue;
        if (message.status) load_fail("a request was answered with a status");
        if (link == responder) {
            answer(link, &message);
            continue;
        }
        if (message.payload_len != payload_len) load_fail("an answer has another length");
        measure_latency(&measure, load_now_ns() - link->start_ns);
        send_request(link, sequence + ++done);
    }
    link->in_len -= at;
    if (link->in_len) memmove(link->in, link->in + at, link->in_len);
    if (link->out_len) link_flush(link);
    return done;
}

static int run_request(void)
{
    struct epoll_event events[EVENTS_MAX];
    struct link *responder = link_new(address, INPUT);
    char line[64];
    uint64_t done = 0;
    link_command(responder, "SUB shop.price 1\r\n", 18);
    link_nonblock(responder);
    watch(responder, EPOLLIN);
    for (unsigned i = 0; i < at_once; i++) {
        struct link *link = link_new(address, 64 * 1024 + payload_len);
        link->id = i;
        link_command(link, line,
                     (size_t)snprintf(line, sizeof line, "SUB _INBOX.c%05u.* 1\r\n", i));
        link_nonblock(link);
        watch(link, EPOLLIN);
        send_request(link, i);
        link_flush(link);
    }
    measure_start(&measure, warmup_s, seconds);
    while (measure_tick(&measure, done)) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, STALL_MS);
        if (n == 0) load_fail("the bus has been silent for %d s", STALL_MS / 1000);
        for (int i = 0; i < n; i++) {
            struct link *link = events[i].data.ptr;
            if (link_fill(link)) done += take_messages(link, responder, done);
        }
    }
    return measure_report(&measure);
}

/* ---- arguments ----------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"server", 1, NULL, 'p'},      {"pids", 1, NULL, 'i'},
        {"size", 1, NULL, 'l'},        {"at-once", 1, NULL, 'a'},
        {"subscribers", 1, NULL, 'n'}, {"patterns", 1, NULL, 't'},
        {"subjects", 1, NULL, 'j'},    {"warmup", 1, NULL, 'w'},
        {"seconds", 1, NULL, 's'},     {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': address = optarg; break;
        case 'i': measure_pids(&measure, optarg); break;
        case 'l': payload_len = load_number("size", optarg, 1, 1 << 20); break;
        case 'a': at_once = (unsigned)load_number("at-once", optarg, 1, 4096); break;
        case 'n': subscriber_count = (unsigned)load_number("subscribers", optarg, 1, 4096); break;
        case 't': pattern_count = (unsigned)load_number("patterns", optarg, 1, 9999999); break;
        case 'j': subject_count = (unsigned)load_number("subjects", optarg, 1, 9999999); break;
        case 'w': warmup_s = strtod(optarg, NULL); break;
        case 's': seconds = strtod(optarg, NULL); break;
        default: return 2;
        }
    }
    if (!address || optind != argc - 1)
        load_fail("needs one of publish, wildcard, literal, request, and --server");
    struct rlimit files = {32768, 32768};
    setrlimit(RLIMIT_NOFILE, &files);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    const char *mode = argv[optind];
    if (strcmp(mode, "publish") == 0) return run_publish();
    if (strcmp(mode, "wildcard") == 0) return run_many(false);
    if (strcmp(mode, "literal") == 0) {
        if (subject_count > pattern_count) load_fail("literal: more subjects than patterns");
        return run_many(true);
    }
    if (strcmp(mode, "request") == 0) return run_request();
    load_fail("'%s' is none of publish, wildcard, literal, request", mode);
}
