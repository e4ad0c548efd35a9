/* streamload: durable messages of a NATS server with JetStream, and of Redis for comparison.
 *
 *     streamload publish --server ADDR --pids PID,PID [--at-once 256] [--size 128]
 *     streamload fetch   --server ADDR --pids PID,PID [--batch 256] [--pulls 2] [--size 128]
 *     streamload redis   --server ADDR --pids PID,PID [--at-once 256] [--size 128]
 *     streamload fill    --server ADDR --count N [--size 128]
 *     streamload idle    --server ADDR --count N
 *     streamload soak    --server ADDR --rate N [--report SECONDS] [--size 128]
 *              all:      [--sync each|never] [--warmup SECONDS] [--seconds SECONDS]
 *
 * publish: one connection keeps `at-once` publishes without their acknowledgement under way, each
 *     with a reply subject of its own; an operation is an acknowledged message. The stream is made
 *     anew. --sync says how durable dure's stream is (other servers take their own configuration).
 * fetch: fills a stream, then pulls `batch` messages at a time, with `pulls` pulls under way, and
 *     acknowledges each message; when all have been had the consumer is made anew. An operation is
 * a message fetched and acknowledged. redis: publish, by XADD. fill: makes the stream, publishes N
 * messages, each acknowledged, and says so. idle: opens N connections, says so, and holds them
 * until its input ends. soak: publishes N messages a second into a stream that keeps the newest
 * million of them, and fetches and acknowledges them beside; a line of JSON every --report seconds.
 */
#include "nats_load.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { INPUT = 1 << 20, STALL_MS = 20000, AT_ONCE_MAX = 1 << 16, FETCH_STORED = 2000000 };

static const char *address, *sync_mode = "each";
static unsigned at_once = 256, batch = 256, pulls = 2;
static size_t payload_len = 128;
static uint64_t count = 1000000, rate;
static double report_s = 10;
static struct measure measure;
static double warmup_s = 0.5, seconds = 3;

/* Waits until something can be read, or written when that is wanted. */
static void link_wait(struct link *link)
{
    struct pollfd fd = {.fd = link->fd, .events = (short)(POLLIN | (link->out_len ? POLLOUT : 0))};
    int n = poll(&fd, 1, STALL_MS);
    if (n == 0) load_fail("the server has been silent for %d s", STALL_MS / 1000);
    if (n > 0 && link->out_len) link_flush(link);
}

/* ---- requests to the JetStream API ------------------------------------------------------------
 */

/* Asks and waits for the answer, which must not be an error unless `may_fail`. */
static void ask(struct link *link, const char *subject, const char *json, bool may_fail)
{
    char line[256];
    int n = snprintf(line, sizeof line, "PUB %s _INBOX.api.1 %zu\r\n", subject, strlen(json));
    link_put(link, line, (size_t)n);
    link_put(link, json, strlen(json));
    link_put(link, "\r\n", 2);
    link_flush(link);
    for (;;) {
        struct link_message message;
        size_t len = link_message(link, 0, &message);
        if (!len) {
            link_fill(link);
            continue;
        }
        if (message.payload && message.status) load_fail("nobody answers %s", subject);
        if (message.payload && !may_fail &&
            memmem(message.payload, message.payload_len, "\"error\"", 7))
            load_fail("%s: %.*s", subject, (int)message.payload_len, message.payload);
        bool answered = message.payload;
        link_drop(link, len);
        if (answered) return;
    }
}

static struct link *open_admin(void)
{
    struct link *link = link_new(address, INPUT);
    link_command(link, "SUB _INBOX.api.1 9\r\n", 20);
    return link;
}

static void make_stream(struct link *admin, int64_t max_msgs)
{
    char json[512];
    ask(admin, "$JS.API.STREAM.DELETE.BENCH", "", true);
    snprintf(json, sizeof json,
             "{\"name\":\"BENCH\",\"subjects\":[\"bench.>\"],\"retention\":\"limits\","
             "\"max_msgs\":%lld,\"max_bytes\":-1,\"storage\":\"file\",\"num_replicas\":1,"
             "\"discard\":\"old\",\"metadata\":{\"_dure.fsync\":\"%s\"}}",
             (long long)max_msgs, sync_mode);
    ask(admin, "$JS.API.STREAM.CREATE.BENCH", json, false);
}

static void make_consumer(struct link *admin)
{
    ask(admin, "$JS.API.CONSUMER.DELETE.BENCH.puller", "", true);
    ask(admin, "$JS.API.CONSUMER.DURABLE.CREATE.BENCH.puller",
        "{\"stream_name\":\"BENCH\",\"config\":{\"durable_name\":\"puller\","
        "\"deliver_policy\":\"all\",\"ack_policy\":\"explicit\",\"ack_wait\":30000000000,"
        "\"max_deliver\":-1,\"replay_policy\":\"instant\",\"max_ack_pending\":100000}}",
        false);
}

/* ---- publishing ---------------------------------------------------------------------------------
 */

struct publisher {
    struct link *link;
    char *frame; /* one publish, but for the number in its reply subject */
    size_t frame_len;
    char *number; /* in the frame: 8 digits */
    uint64_t sent, acknowledged;
    uint64_t *started; /* ring of at_once */
};

static struct publisher publisher_new(void)
{
    struct publisher publisher = {.link = link_new(address, INPUT),
                                  .frame = load_alloc(payload_len + 96),
                                  .started = load_alloc(at_once * sizeof(uint64_t))};
    static const char head[] = "PUB bench.orders _INBOX.acks.";
    int len = snprintf(publisher.frame, 96, "%s00000000 %zu\r\n", head, payload_len);
    publisher.number = publisher.frame + sizeof head - 1;
    memset(publisher.frame + len, 'd', payload_len);
    memcpy(publisher.frame + (size_t)len + payload_len, "\r\n", 2);
    publisher.frame_len = (size_t)len + payload_len + 2;
    link_command(publisher.link, "SUB _INBOX.acks.* 1\r\n", 21);
    link_nonblock(publisher.link);
    return publisher;
}

/* Puts one publish; printf would cost more than all else here. */
static void publisher_put(struct publisher *publisher)
{
    uint64_t number = publisher->sent;
    for (size_t i = 8; i-- > 0; number >>= 4)
        publisher->number[i] = "0123456789abcdef"[number & 15];
    link_put(publisher->link, publisher->frame, publisher->frame_len);
}

/* Sends until at_once are under way, or `limit` have been sent. */
static void publisher_send(struct publisher *publisher, uint64_t limit)
{
    uint64_t now = load_now_ns();
    while (publisher->sent < limit && publisher->sent - publisher->acknowledged < at_once) {
        publisher_put(publisher);
        publisher->started[publisher->sent++ % at_once] = now;
    }
    if (publisher->link->out_len) link_flush(publisher->link);
}

/* What all of these servers begin an acknowledgement with, and no error. */
static bool is_stored(const struct link_message *message)
{
    static const char begin[] = "{\"stream\":";
    const size_t len = sizeof begin - 1;
    return !message->status && message->payload_len > len &&
           memcmp(message->payload, begin, len) == 0;
}

static void publisher_take(struct publisher *publisher)
{
    struct link *link = publisher->link;
    struct link_message message;
    if (!link_fill(link)) return;
    uint64_t now = load_now_ns();
    size_t at = 0;
    for (size_t len; at < link->in_len && (len = link_message(link, at, &message)) > 0; at += len) {
        if (!message.payload) continue;
        if (!is_stored(&message))
            load_fail("not acknowledged: %.*s", (int)message.payload_len, message.payload);
        measure_latency(&measure, now - publisher->started[publisher->acknowledged++ % at_once]);
    }
    link_drop(link, at);
}

static void publish_all(uint64_t limit)
{
    struct publisher publisher = publisher_new();
    while (publisher.acknowledged < limit) {
        publisher_send(&publisher, limit);
        link_wait(publisher.link);
        publisher_take(&publisher);
    }
    close(publisher.link->fd);
}

static int run_publish(void)
{
    make_stream(open_admin(), -1);
    struct publisher publisher = publisher_new();
    measure_start(&measure, warmup_s, seconds);
    while (measure_tick(&measure, publisher.acknowledged)) {
        publisher_send(&publisher, UINT64_MAX);
        link_wait(publisher.link);
        publisher_take(&publisher);
    }
    return measure_report(&measure);
}

static int run_fill(void)
{
    make_stream(open_admin(), -1);
    publish_all(count);
    printf("{\"stored\": %llu}\n", (unsigned long long)count);
    return 0;
}

/* ---- fetching ----------------------------------------------------------------------------------
 */

/* Keeps `pulls` pulls under way, so that the server always has one to go on with. */
struct puller {
    struct link *link;
    uint64_t asked, got;
};

static struct puller puller_new(void)
{
    struct puller puller = {.link = link_new(address, INPUT)};
    link_command(puller.link, "SUB _INBOX.pull.* 1\r\n", 21);
    link_nonblock(puller.link);
    return puller;
}

static void request_batch(struct link *link)
{
    char line[128], json[64];
    int len = snprintf(json, sizeof json, "{\"batch\":%u,\"expires\":3600000000000}", batch);
    int n = snprintf(line, sizeof line,
                     "PUB $JS.API.CONSUMER.MSG.NEXT.BENCH.puller _INBOX.pull.1 %d\r\n%s\r\n", len,
                     json);
    link_put(link, line, (size_t)n);
}

/* Asks anew for as many pulls as have been answered, but for no more than `limit` messages in all;
 * sends this and the acknowledgements. */
static void puller_send(struct puller *puller, uint64_t limit)
{
    uint64_t most = (uint64_t)batch * pulls;
    while (puller->asked - puller->got + batch <= most && puller->asked + batch <= limit) {
        request_batch(puller->link);
        puller->asked += batch;
    }
    if (puller->link->out_len) link_flush(puller->link);
}

static void acknowledge(struct link *link, const struct link_message *message)
{
    static const char verb[] = "PUB ", rest[] = " 4\r\n+ACK\r\n";
    size_t len = (size_t)message->reply_len;
    char *at = link_reserve(link, sizeof verb + len + sizeof rest);
    memcpy(at, verb, sizeof verb - 1);
    memcpy(at + sizeof verb - 1, message->reply, len);
    memcpy(at + sizeof verb - 1 + len, rest, sizeof rest - 1);
    link->out_len += sizeof verb - 1 + len + sizeof rest - 1;
}

/* Acknowledges what has come, each message by itself. */
static void puller_take(struct puller *puller)
{
    struct link *link = puller->link;
    struct link_message message;
    size_t at = 0;
    if (!link_fill(link)) return;
    for (size_t len; at < link->in_len && (len = link_message(link, at, &message)) > 0; at += len) {
        if (!message.payload) continue;
        if (!message.reply)
            load_fail("a pull was answered with %.*s", (int)message.payload_len, message.payload);
        acknowledge(link, &message);
        puller->got++;
    }
    if (puller->got > puller->asked) load_fail("more messages than were asked for");
    link_drop(link, at);
}

static int run_fetch(void)
{
    struct link *admin = open_admin();
    make_stream(admin, -1);
    at_once = 4096;
    publish_all(FETCH_STORED);
    make_consumer(admin);
    struct puller puller = puller_new();
    uint64_t limit = FETCH_STORED;
    measure_start(&measure, warmup_s, seconds);
    while (measure_tick(&measure, puller.got)) {
        if (puller.got + batch > limit) {
            make_consumer(admin);
            limit = puller.got + FETCH_STORED;
        }
        puller_send(&puller, limit);
        link_wait(puller.link);
        puller_take(&puller);
    }
    return measure_report(&measure);
}

/* ---- soak -------------------------------------------------------------------------------------
 */

enum { SOAK_STORED = 1000000 };

struct soak {
    struct publisher publisher;
    struct puller puller;
    uint64_t begin_ns, reported_ns, reported, reported_consumed;
};

static void soak_report(struct soak *soak, uint64_t now)
{
    double span = (double)(now - soak->reported_ns) / 1e9;
    printf("{\"seconds\": %.0f, \"published\": %.0f, \"consumed\": %.0f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"behind\": %lld}\n",
           (double)(now - soak->begin_ns) / 1e9,
           (double)(soak->publisher.acknowledged - soak->reported) / span,
           (double)(soak->puller.got - soak->reported_consumed) / span,
           latency_quantile_us(&measure.latency, 0.5), latency_quantile_us(&measure.latency, 0.99),
           (long long)(soak->publisher.acknowledged - soak->puller.got));
    fflush(stdout);
    memset(&measure.latency, 0, sizeof measure.latency);
    soak->reported_ns = now;
    soak->reported = soak->publisher.acknowledged;
    soak->reported_consumed = soak->puller.got;
}

/* One turn: what is due goes out, what has come is taken. */
static void soak_turn(struct soak *soak)
{
    double passed = (double)(load_now_ns() - soak->begin_ns) / 1e9;
    publisher_send(&soak->publisher, (uint64_t)(passed * (double)rate));
    puller_send(&soak->puller, UINT64_MAX);
    struct pollfd fds[2] = {{.fd = soak->publisher.link->fd, .events = POLLIN},
                            {.fd = soak->puller.link->fd, .events = POLLIN}};
    poll(fds, 2, 1);
    if (soak->publisher.link->out_len) link_flush(soak->publisher.link);
    if (fds[0].revents) publisher_take(&soak->publisher);
    if (fds[1].revents) puller_take(&soak->puller);
}

static int run_soak(void)
{
    if (!rate) load_fail("soak needs --rate");
    struct link *admin = open_admin();
    make_stream(admin, SOAK_STORED);
    make_consumer(admin);
    at_once = 8192;
    struct soak soak = {.publisher = publisher_new(), .puller = puller_new()};
    measure.state = MEASURE_OPEN;
    soak.begin_ns = soak.reported_ns = load_now_ns();
    uint64_t end = soak.begin_ns + (uint64_t)(seconds * 1e9);
    for (uint64_t now; (now = load_now_ns()) < end;) {
        soak_turn(&soak);
        if (now - soak.reported_ns >= (uint64_t)(report_s * 1e9)) soak_report(&soak, now);
    }
    return 0;
}

/* ---- idle connections ---------------------------------------------------------------------------
 */

static int run_idle(void)
{
    char end;
    for (uint64_t i = 0; i < count; i++) {
        struct link *link = link_new(address, 4096);
        link_command(link, "SUB inbox.of.one 1\r\n", 20);
    }
    printf("{\"connected\": %llu}\n", (unsigned long long)count);
    fflush(stdout);
    while (read(STDIN_FILENO, &end, 1) > 0) continue;
    return 0;
}

/* ---- Redis -------------------------------------------------------------------------------------
 */

/* Counts the replies to XADD: "$LEN\r\nID\r\n". */
static uint64_t redis_take(struct link *link)
{
    uint64_t got = 0;
    size_t at = 0;
    if (!link_fill(link)) return 0;
    for (const char *end; (end = memchr(link->in + at, '\n', link->in_len - at));) {
        if (link->in[at] == '-') load_fail("redis says %.80s", link->in + at);
        got += link->in[at] != '$';
        at = (size_t)(end + 1 - link->in);
    }
    link_drop(link, at);
    return got;
}

static int run_redis(void)
{
    struct link *link = load_alloc(sizeof *link);
    *link = (struct link){.fd = load_connect_to(address),
                          .in = load_alloc(INPUT),
                          .out = load_alloc(INPUT),
                          .in_size = INPUT,
                          .out_size = INPUT};
    char *frame = load_alloc(payload_len + 128);
    int len =
        snprintf(frame, 128, "*5\r\n$4\r\nXADD\r\n$5\r\nBENCH\r\n$1\r\n*\r\n$1\r\nd\r\n$%zu\r\n",
                 payload_len);
    memset(frame + len, 'd', payload_len);
    memcpy(frame + (size_t)len + payload_len, "\r\n", 2);
    link_nonblock(link);
    uint64_t sent = 0, done = 0, *started = load_alloc(at_once * sizeof *started);
    measure_start(&measure, warmup_s, seconds);
    while (measure_tick(&measure, done)) {
        uint64_t now = load_now_ns();
        for (; sent - done < at_once; sent++) {
            link_put(link, frame, (size_t)len + payload_len + 2);
            started[sent % at_once] = now;
        }
        if (link->out_len) link_flush(link);
        link_wait(link);
        uint64_t got = redis_take(link);
        for (now = load_now_ns(); got > 0; got--)
            measure_latency(&measure, now - started[done++ % at_once]);
    }
    return measure_report(&measure);
}

/* ---- arguments ---------------------------------------------------------------------------------
 */

int main(int argc, char **argv)
{
    static const struct option options[] = {{"server", 1, NULL, 'p'},
                                            {"pids", 1, NULL, 'i'},
                                            {"size", 1, NULL, 'l'},
                                            {"at-once", 1, NULL, 'a'},
                                            {"batch", 1, NULL, 'b'},
                                            {"pulls", 1, NULL, 'u'},
                                            {"rate", 1, NULL, 'r'},
                                            {"report", 1, NULL, 'e'},
                                            {"count", 1, NULL, 'n'},
                                            {"sync", 1, NULL, 'y'},
                                            {"warmup", 1, NULL, 'w'},
                                            {"seconds", 1, NULL, 's'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'p': address = optarg; break;
        case 'i': measure_pids(&measure, optarg); break;
        case 'l': payload_len = load_number("size", optarg, 1, 1 << 20); break;
        case 'a': at_once = (unsigned)load_number("at-once", optarg, 1, AT_ONCE_MAX); break;
        case 'b': batch = (unsigned)load_number("batch", optarg, 1, 4096); break;
        case 'u': pulls = (unsigned)load_number("pulls", optarg, 1, 64); break;
        case 'n': count = load_number("count", optarg, 1, 100000000); break;
        case 'r': rate = load_number("rate", optarg, 1, 10000000); break;
        case 'e': report_s = strtod(optarg, NULL); break;
        case 'y': sync_mode = optarg; break;
        case 'w': warmup_s = strtod(optarg, NULL); break;
        case 's': seconds = strtod(optarg, NULL); break;
        default: return 2;
        }
    }
    if (!address || optind != argc - 1)
        load_fail("needs one of publish, fetch, redis, fill, idle, soak, and --server");
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    const char *mode = argv[optind];
    if (strcmp(mode, "publish") == 0) return run_publish();
    if (strcmp(mode, "fetch") == 0) return run_fetch();
    if (strcmp(mode, "redis") == 0) return run_redis();
    if (strcmp(mode, "fill") == 0) return run_fill();
    if (strcmp(mode, "idle") == 0) return run_idle();
    if (strcmp(mode, "soak") == 0) return run_soak();
    load_fail("'%s' is none of publish, fetch, redis, fill, idle, soak", mode);
}
