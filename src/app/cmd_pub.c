/* dure pub, dure req: one message, or many. */
#include "app/bus_client.h"
#include "app/commands.h"

#include <stdlib.h>
#include <unistd.h>

struct pub {
    struct bus_client client;
    const char *subject, *body, *reply, *id;
    const char *headers[2 * CLI_LIST_MAX + 1];
    uint64_t count, sleep_ns, window;
    bool durable, lines;
    uint64_t sent, failed;
    struct dure_ctx *ctx;
};

/* ---- pub ---- */

static void print_stored(const struct pub *pub, const struct dure_stored *stored)
{
    if (pub->client.json)
        printf("{\"stream\":\"%s\",\"sequence\":%llu,\"duplicate\":%s}\n", stored->stream,
               (unsigned long long)stored->sequence, stored->duplicate ? "true" : "false");
    else if (stored->duplicate)
        printf("was stored before in %s as %llu\n", stored->stream,
               (unsigned long long)stored->sequence);
    else
        printf("stored in %s as %llu\n", stored->stream, (unsigned long long)stored->sequence);
}

static void stored(void *argument, uint64_t tag, const struct dure_stored *result)
{
    struct pub *pub = argument;
    if (!result->err) {
        pub->sent++;
        if (pub->client.json || (pub->count == 1 && !pub->lines)) print_stored(pub, result);
        return;
    }
    if (!pub->failed++)
        bus_fail(pub->ctx, result->err, "%s was not stored%s%s", pub->subject,
                 *result->reason ? ": " : "", result->reason);
}

static int send(struct dure_ctx *ctx, struct pub *pub, struct dure_publisher *publisher,
                struct bytes body, uint64_t number)
{
    struct dure_publication publication = {.subject = pub->subject,
                                           .reply = pub->reply,
                                           .headers = pub->headers,
                                           .body = body.data,
                                           .len = body.len,
                                           .id = pub->id};
    struct dure_mark mark;
    dure_mark(ctx, &mark);
    if (pub->id && (pub->count > 1 || pub->lines)) /* an id for each */
        publication.id = dure_format(ctx, "%s.%llu", pub->id, (unsigned long long)number);
    int err = publisher ? dure_publisher_put(publisher, &publication, number)
                        : dure_send(ctx, &publication);
    dure_forget(ctx, &mark);
    if (!err && !publisher) pub->sent++;
    bus_progress("published", number, pub->lines ? 0 : pub->count);
    return err;
}

static int send_copies(struct dure_ctx *ctx, struct pub *pub, struct dure_publisher *publisher)
{
    struct buf body;
    int err = bus_body(ctx, pub->body, &body);
    for (uint64_t i = 1; i <= pub->count && !err && !pub->failed; i++) {
        err = send(ctx, pub, publisher, buf_bytes(&body), i);
        if (!err && pub->sleep_ns && i < pub->count)
            err = dure_sleep(ctx, (int64_t)(pub->sleep_ns / 1000000));
    }
    buf_release(&body);
    return err;
}

/* Each line of standard input as it comes. */
static int send_lines(struct dure_ctx *ctx, struct pub *pub, struct dure_publisher *publisher)
{
    struct buf text;
    uint64_t number = 0;
    int err = 0;
    int64_t got = 1;
    buf_init(&text, 64 << 20);
    while (!err && got > 0 && !pub->failed) {
        char *room = buf_reserve(&text, 65536);
        got = room ? dure_read(ctx, STDIN_FILENO, room, 65536, 0) : DURE_ETOOBIG;
        if (got < 0) err = (int)got;
        if (got > 0) buf_commit(&text, (size_t)got);
        for (;;) {
            struct bytes rest = buf_bytes(&text);
            size_t end = bytes_find(rest, '\n');
            bool last = got <= 0 && rest.len;
            if (err || (end == rest.len && !last)) break;
            err = send(ctx, pub, publisher, bytes_head(rest, end), ++number);
            buf_consume(&text, end < rest.len ? end + 1 : end);
        }
    }
    buf_release(&text);
    return err;
}

static int publish(struct dure_ctx *ctx, void *argument)
{
    struct pub *pub = argument;
    struct dure_publisher *publisher = NULL;
    const struct dure_publisher_options options = {.window = (size_t)pub->window,
                                                   .timeout_ms = pub->client.timeout_ms,
                                                   .stored = stored,
                                                   .argument = pub};
    pub->ctx = ctx;
    int err = pub->durable ? dure_publisher_open(ctx, &options, &publisher) : 0;
    if (!err) err = pub->lines ? send_lines(ctx, pub, publisher) : send_copies(ctx, pub, publisher);
    if (!err && publisher) dure_publisher_flush(publisher); /* `stored` hears of each */
    if (!err && !publisher) err = dure_flush(ctx, pub->client.timeout_ms);
    dure_publisher_close(publisher);
    bus_progress_end();
    if (err > 0) return err;
    if (err) return bus_fail(ctx, err, "cannot publish to %s", pub->subject);
    bool one = pub->count == 1 && !pub->lines;
    if (!pub->client.json && !(one && pub->durable))
        printf("%s %llu message%s to %s\n", pub->durable ? "stored" : "published",
               (unsigned long long)pub->sent, pub->sent == 1 ? "" : "s", pub->subject);
    return pub->failed ? EXIT_FAILED : EXIT_OK;
}

int cmd_pub(int argc, char **argv)
{
    static struct pub pub = {.count = 1, .window = 256};
    const char *count = NULL, *sleep = NULL, *window = NULL;
    static struct cli_list headers;
    const struct cli_option options[] = {
        {"header", 'H', NULL, NULL, &headers},      {"reply", 0, NULL, &pub.reply, NULL},
        {"count", 'n', NULL, &count, NULL},         {"sleep", 0, NULL, &sleep, NULL},
        {"durable", 'd', &pub.durable, NULL, NULL}, {"id", 0, NULL, &pub.id, NULL},
        {"lines", 0, &pub.lines, NULL, NULL},       {"window", 0, NULL, &window, NULL},
    };
    int left = bus_client_parse(&pub.client, argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (left < 1 || left > 2) return cli_usage("pub", "needs a subject and at most one text");
    if (pub.lines && left == 2) return cli_usage("pub", "--lines reads standard input, not a text");
    if (bus_number("pub", "count", count, &pub.count) != 0 ||
        bus_number("pub", "window", window, &pub.window) != 0 ||
        bus_duration("pub", "sleep", sleep, &pub.sleep_ns) != 0 ||
        bus_headers("pub", &headers, pub.headers) != 0)
        return EXIT_USAGE;
    pub.subject = argv[1];
    pub.body = left == 2 ? argv[2] : NULL;
    if (pub.id) pub.durable = true;
    return bus_client_run(&pub.client, publish, &pub);
}

/* ---- req ---- */

struct req {
    struct bus_client client;
    const char *subject, *body;
    const char *headers[2 * CLI_LIST_MAX + 1];
    uint64_t replies;
};

static int answered(struct dure_ctx *ctx, const struct req *req, const struct dure_message *message,
                    uint64_t number)
{
    const char *error = dure_headers_find(message->headers, "Nats-Service-Error");
    if (message->status == 503 && !message->len)
        return bus_fail(ctx, DURE_ENOBODY, "%s", req->subject);
    if (req->client.json)
        bus_print_message(message, number, true);
    else
        printf("%.*s\n", (int)message->len, message->body);
    if (!error) return EXIT_OK;
    fflush(stdout);
    fprintf(stderr, "dure: the answer is an error: %s\n", error);
    return EXIT_REMOTE;
}

static int ask(struct dure_ctx *ctx, void *argument)
{
    struct req *req = argument;
    const char *inbox = dure_new_inbox(ctx);
    struct dure_subscription *subscription;
    struct dure_message message;
    struct buf body;
    int err = bus_body(ctx, req->body, &body);
    if (!err) err = inbox ? dure_subscribe(ctx, inbox, NULL, &subscription) : DURE_ENOMEM;
    const struct dure_publication publication = {.subject = req->subject,
                                                 .reply = inbox,
                                                 .headers = req->headers,
                                                 .body = buf_bytes(&body).data,
                                                 .len = buf_len(&body)};
    if (!err) err = dure_send(ctx, &publication);
    buf_release(&body);
    uint64_t got = 0;
    uint64_t end = dure_now_ns() + req->client.timeout_ms * UINT64_C(1000000);
    int code = EXIT_OK;
    while (!err && !code && got < req->replies) {
        uint64_t now = dure_now_ns();
        err = now < end ? dure_next(subscription, (int64_t)((end - now) / 1000000) + 1, &message)
                        : DURE_ETIMEOUT;
        if (!err) code = answered(ctx, req, &message, ++got);
    }
    if (err == DURE_ETIMEOUT && got) err = 0; /* as many as there are */
    if (err == DURE_ETIMEOUT) {
        bus_fail(ctx, err, "no answer from %s", req->subject);
        return EXIT_REMOTE;
    }
    return err < 0 ? bus_fail(ctx, err, "cannot ask %s", req->subject) : code;
}

int cmd_req(int argc, char **argv)
{
    static struct req req = {.replies = 1};
    static struct cli_list headers;
    const char *replies = NULL;
    const struct cli_option options[] = {
        {"header", 'H', NULL, NULL, &headers},
        {"replies", 'n', NULL, &replies, NULL},
    };
    int left = bus_client_parse(&req.client, argc, argv, options, 2);
    if (left < 0) return EXIT_USAGE;
    if (left < 1 || left > 2) return cli_usage("req", "needs a subject and at most one text");
    if (bus_number("req", "replies", replies, &req.replies) != 0 ||
        bus_headers("req", &headers, req.headers) != 0)
        return EXIT_USAGE;
    req.subject = argv[1];
    req.body = left == 2 ? argv[2] : NULL;
    return bus_client_run(&req.client, ask, &req);
}
