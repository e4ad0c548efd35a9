/* dure sub: what comes on a subject. */
#include "app/bus_client.h"
#include "app/commands.h"

#include <signal.h>
#include <stdlib.h>

struct sub {
    struct bus_client client;
    char **patterns;
    int pattern_count;
    const char *queue;
    uint64_t count, wait_ns; /* 0: without end */
    bool raw, headers_only;
};

static void print(const struct sub *sub, struct dure_message *message, uint64_t number)
{
    if (sub->headers_only) message->len = 0;
    if (sub->raw)
        printf("%.*s\n", (int)message->len, message->body);
    else
        bus_print_message(message, number, sub->client.json);
    fflush(stdout);
}

static int listen_to(struct dure_ctx *ctx, struct sub *sub,
                     struct dure_subscription *subscriptions[])
{
    for (int i = 0; i < sub->pattern_count; i++) {
        int err = dure_subscribe(ctx, sub->patterns[i], sub->queue, &subscriptions[i]);
        if (err) return bus_fail(ctx, err, "cannot subscribe to '%s'", sub->patterns[i]);
    }
    int err = dure_flush(ctx, sub->client.timeout_ms);
    if (err) return bus_fail(ctx, err, "cannot subscribe");
    if (!sub->raw && !sub->client.json) {
        fprintf(stderr, "listening to");
        for (int i = 0; i < sub->pattern_count; i++) fprintf(stderr, " %s", sub->patterns[i]);
        fprintf(stderr, "; Ctrl-C ends it\n");
    }
    return EXIT_OK;
}

/* 0: without end. */
static int64_t wait_ms(const struct sub *sub)
{
    return sub->wait_ns ? (int64_t)(sub->wait_ns / 1000000) + 1 : 0;
}

/* One wait for all: the first pattern's queue is waited on in short turns when there are several.
 */
static int next(struct sub *sub, struct dure_subscription *subscriptions[],
                struct dure_message *ret)
{
    enum { TURN_MS = 20 };
    uint64_t begun = dure_now_ns();
    int64_t turn = sub->pattern_count == 1 ? wait_ms(sub) : TURN_MS;
    for (int i = 0;; i = (i + 1) % sub->pattern_count) {
        int err = dure_next(subscriptions[i], turn, ret);
        bool over = sub->wait_ns && dure_now_ns() - begun >= sub->wait_ns;
        if (err != DURE_ETIMEOUT || over) return err;
    }
}

static int subscribe(struct dure_ctx *ctx, void *argument)
{
    struct sub *sub = argument;
    struct dure_subscription *subscriptions[CLI_LIST_MAX] = {NULL};
    struct dure_message message;
    uint64_t got = 0;
    int err = listen_to(ctx, sub, subscriptions);
    while (!err && (!sub->count || got < sub->count)) {
        err = next(sub, subscriptions, &message);
        if (!err) print(sub, &message, ++got);
    }
    if (err > 0) return err;
    uint64_t dropped = 0;
    for (int i = 0; i < sub->pattern_count; i++) dropped += dure_dropped(subscriptions[i]);
    if (dropped)
        fprintf(stderr, "dure: %llu messages came faster than they were printed and are lost\n",
                (unsigned long long)dropped);
    if (err == DURE_ETIMEOUT && sub->count)
        return bus_fail(ctx, err, "%llu of %llu messages came", (unsigned long long)got,
                        (unsigned long long)sub->count);
    return err && err != DURE_ECLOSED && err != DURE_ETIMEOUT ? err : EXIT_OK;
}

int cmd_sub(int argc, char **argv)
{
    static struct sub sub;
    const char *count = NULL, *wait = NULL;
    const struct cli_option options[] = {
        {"queue", 'q', NULL, &sub.queue, NULL},
        {"count", 'n', NULL, &count, NULL},
        {"wait", 0, NULL, &wait, NULL},
        {"raw", 'r', &sub.raw, NULL, NULL},
        {"headers-only", 0, &sub.headers_only, NULL, NULL},
    };
    int left = bus_client_parse(&sub.client, argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (left < 1 || left > CLI_LIST_MAX) return cli_usage("sub", "needs at least one subject");
    if (bus_number("sub", "count", count, &sub.count) != 0 ||
        bus_duration("sub", "wait", wait, &sub.wait_ns) != 0)
        return EXIT_USAGE;
    sub.patterns = argv + 1;
    sub.pattern_count = left;
    signal(SIGPIPE, SIG_DFL); /* `dure sub x | head` ends quietly */
    return bus_client_run(&sub.client, subscribe, &sub);
}
