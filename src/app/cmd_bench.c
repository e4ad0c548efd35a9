/* dure bench: how fast a bus is, seen from one client on one core. The client is the SDK that
 * services use, so these are rates that a service can have, not the server's limit; script/bench
 * measures that. */
#include "app/bus_client.h"
#include "app/commands.h"
#include "base/histogram.h"

#include <stdlib.h>

struct bench {
    struct bus_client client;
    const char *what, *subject;
    const char *count_text, *size_text, *window_text, *storage, *fsync;
    uint64_t count, size, window;
    char *body;
    const char *stream; /* of the durable ones; made and removed by us */
    uint64_t begun_ns, taken_ns, done;
    struct histogram latency;
    uint64_t *sent_ns; /* when each of the window was sent */
};

/* ---- telling ---- */

static void report(const struct bench *bench, const char *name)
{
    char rate[PRINT_TEXT], bytes[PRINT_TEXT], time[PRINT_TEXT], text[4][PRINT_TEXT];
    double seconds = (double)bench->taken_ns / 1e9;
    double per_second = seconds > 0 ? (double)bench->done / seconds : 0;
    const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    bus_progress_end();
    if (bench->client.json) {
        printf("{\"bench\":\"%s\",\"messages\":%llu,\"size\":%llu,\"seconds\":%.6f,"
               "\"messages_per_second\":%.0f",
               name, (unsigned long long)bench->done, (unsigned long long)bench->size, seconds,
               per_second);
        if (bench->latency.count)
            printf(",\"p50_us\":%llu,\"p90_us\":%llu,\"p99_us\":%llu,\"p999_us\":%llu",
                   (unsigned long long)histogram_quantile_us(&bench->latency, 0.5),
                   (unsigned long long)histogram_quantile_us(&bench->latency, 0.9),
                   (unsigned long long)histogram_quantile_us(&bench->latency, 0.99),
                   (unsigned long long)histogram_quantile_us(&bench->latency, 0.999));
        printf("}\n");
        return;
    }
    printf("%-10s %12s messages/s  %10s/s  %s in all", name, count_text((uint64_t)per_second, rate),
           size_text((uint64_t)(per_second * (double)bench->size), bytes),
           duration_text(bench->taken_ns, time));
    for (size_t i = 0; bench->latency.count && i < 4; i++)
        duration_text(histogram_quantile_us(&bench->latency, quantiles[i]) * 1000, text[i]);
    if (bench->latency.count)
        printf("  p50 %s  p90 %s  p99 %s  p99.9 %s", text[0], text[1], text[2], text[3]);
    printf("\n");
}

static void begin(struct bench *bench)
{
    bench->done = 0;
    bench->latency = (struct histogram){0};
    bench->begun_ns = dure_now_ns();
}

static void end(struct bench *bench, const char *name)
{
    bench->taken_ns = dure_now_ns() - bench->begun_ns;
    report(bench, name);
}

static struct dure_publication one(const struct bench *bench)
{
    return (struct dure_publication){
        .subject = bench->subject, .body = bench->body, .len = bench->size};
}

/* ---- core ---- */

static int pub(struct dure_ctx *ctx, struct bench *bench)
{
    const struct dure_publication publication = one(bench);
    int err = 0;
    begin(bench);
    for (; bench->done < bench->count && !err; bench->done++) {
        err = dure_send(ctx, &publication);
        if (bench->done % 1024 == 0) bus_progress("published", bench->done, bench->count);
    }
    if (!err) err = dure_flush(ctx, 60000);
    if (!err) end(bench, "pub");
    return err;
}

/* From here to the bus and back: each message goes through the server once. */
static int pubsub(struct dure_ctx *ctx, struct bench *bench)
{
    const struct dure_publication publication = one(bench);
    struct dure_subscription *subscription;
    struct dure_message message;
    uint64_t sent = 0;
    int err = dure_subscribe(ctx, bench->subject, NULL, &subscription);
    if (!err) err = dure_flush(ctx, 5000);
    begin(bench);
    while (!err && bench->done < bench->count) {
        for (int i = 0; !err && i < 512 && sent < bench->count && sent - bench->done < 16384;
             i++, sent++)
            err = dure_send(ctx, &publication);
        for (int i = 0; !err && i < 512 && bench->done < sent; i++, bench->done++)
            err = dure_next(subscription, 5000, &message);
        bus_progress("received", bench->done, bench->count);
    }
    if (!err) end(bench, "pubsub");
    return err;
}

/* One at a time, answered by this process too. */
static int request(struct dure_ctx *ctx, struct bench *bench)
{
    struct dure_subscription *questions, *answers;
    struct dure_message message = {0};
    const char *inbox = dure_new_inbox(ctx);
    struct dure_publication publication = one(bench), answer = {0};
    publication.reply = inbox;
    int err = inbox ? dure_subscribe(ctx, bench->subject, NULL, &questions) : DURE_ENOMEM;
    if (!err) err = dure_subscribe(ctx, inbox, NULL, &answers);
    if (!err) err = dure_flush(ctx, 5000);
    begin(bench);
    for (; !err && bench->done < bench->count; bench->done++) {
        uint64_t now = dure_now_ns();
        err = dure_send(ctx, &publication);
        if (!err) err = dure_next(questions, 5000, &message);
        answer.subject = message.reply;
        if (!err) err = dure_send(ctx, &answer);
        if (!err) err = dure_next(answers, 5000, &message);
        histogram_add(&bench->latency, (dure_now_ns() - now) / 1000);
        bus_progress("asked", bench->done, bench->count);
    }
    if (!err) end(bench, "request");
    return err;
}

/* ---- durable ---- */

static int make_stream(struct dure_ctx *ctx, struct bench *bench)
{
    struct dure_json *config = dure_json_object(ctx), *subjects = dure_json_array(ctx);
    bench->stream = dure_format(ctx, "DURE_BENCH_%s", dure_new_id(ctx));
    bench->subject = dure_format(ctx, "%s.%s", bench->subject, dure_new_id(ctx));
    dure_json_set_string(config, "name", bench->stream);
    dure_json_set_string(subjects, NULL, bench->subject);
    dure_json_set(config, "subjects", subjects);
    dure_json_set_string(config, "storage", bench->storage ? bench->storage : "file");
    if (bench->fsync) {
        struct dure_json *metadata = dure_json_object(ctx);
        dure_json_set_string(metadata, "_dure.fsync", bench->fsync);
        dure_json_set(config, "metadata", metadata);
    }
    const char *what = dure_format(ctx, "STREAM.CREATE.%s", bench->stream);
    int err = dure_api(ctx, what, config, 0, NULL);
    if (err) bench->stream = NULL;
    return err;
}

static int remove_stream(struct dure_ctx *ctx, struct bench *bench)
{
    if (!bench->stream) return 0;
    return dure_api(ctx, dure_format(ctx, "STREAM.DELETE.%s", bench->stream), NULL, 0, NULL);
}

static void stored(void *argument, uint64_t tag, const struct dure_stored *result)
{
    struct bench *bench = argument;
    if (result->err) return; /* the flush says it */
    histogram_add(&bench->latency, (dure_now_ns() - bench->sent_ns[tag]) / 1000);
    bench->done++;
}

/* With `window` under way; 1: one after the other. */
static int tell_windowed(struct dure_ctx *ctx, struct bench *bench, size_t window, uint64_t count,
                         const char *name)
{
    const struct dure_publication publication = one(bench);
    const struct dure_publisher_options options = {
        .window = window, .timeout_ms = 60000, .no_id = true, .stored = stored, .argument = bench};
    struct dure_publisher *publisher;
    bench->sent_ns = calloc(window + 1, sizeof *bench->sent_ns);
    int err = bench->sent_ns ? dure_publisher_open(ctx, &options, &publisher) : DURE_ENOMEM;
    begin(bench);
    for (uint64_t i = 0; !err && i < count; i++) {
        size_t tag = (size_t)(i % (window + 1));
        bench->sent_ns[tag] = dure_now_ns();
        err = dure_publisher_put(publisher, &publication, tag);
        if (i % 256 == 0) bus_progress("stored", i, count);
        if (!err && window == 1) err = dure_publisher_flush(publisher);
    }
    if (!err) err = dure_publisher_flush(publisher);
    if (!err) end(bench, name);
    free(bench->sent_ns);
    return err;
}

static int make_consumer(struct dure_ctx *ctx, const struct bench *bench)
{
    struct dure_json *request = dure_json_object(ctx), *config = dure_json_object(ctx);
    dure_json_set_string(config, "durable_name", "bench");
    dure_json_set_string(config, "ack_policy", "explicit");
    dure_json_set_int(config, "max_ack_pending", (int64_t)(bench->window * 4));
    dure_json_set_string(request, "stream_name", bench->stream);
    dure_json_set(request, "config", config);
    const char *what = dure_format(ctx, "CONSUMER.DURABLE.CREATE.%s.bench", bench->stream);
    return dure_api(ctx, what, request, 0, NULL);
}

static int pull(struct dure_ctx *ctx, struct bench *bench)
{
    struct dure_pull *queue;
    struct dure_message message;
    int err = make_consumer(ctx, bench);
    const struct dure_pull_options options = {
        .stream = bench->stream, .consumer = "bench", .ahead = bench->window};
    if (!err) err = dure_pull_open(ctx, &options, &queue);
    begin(bench);
    for (; !err && bench->done < bench->count; bench->done++) {
        err = dure_pull_next(queue, 10000, &message);
        if (!err) err = dure_ack(ctx, &message);
        if (bench->done % 256 == 0) bus_progress("worked", bench->done, bench->count);
    }
    if (!err) err = dure_flush(ctx, 10000);
    if (!err) end(bench, "pull");
    return err;
}

static int durable(struct dure_ctx *ctx, struct bench *bench)
{
    uint64_t alone = bench->count / 50 < 2000 ? bench->count / 50 + 1 : 2000;
    int err = make_stream(ctx, bench);
    bool sync = strcmp(bench->what, "sync") == 0, pulls = strcmp(bench->what, "pull") == 0;
    bool all = strcmp(bench->what, "all") == 0;
    if (!err && (sync || all))
        err = tell_windowed(ctx, bench, 1, sync ? bench->count : alone, "sync");
    if (!err && !sync)
        err = tell_windowed(ctx, bench, (size_t)bench->window, bench->count, "async");
    if (!err && (pulls || all)) err = pull(ctx, bench);
    int removed = remove_stream(ctx, bench);
    return err ? err : removed;
}

/* ---- the command ---- */

static int work(struct dure_ctx *ctx, void *argument)
{
    struct bench *bench = argument;
    bool all = strcmp(bench->what, "all") == 0;
    int err = 0;
    if (all || strcmp(bench->what, "pub") == 0) err = pub(ctx, bench);
    if (!err && (all || strcmp(bench->what, "pubsub") == 0)) err = pubsub(ctx, bench);
    if (!err && strcmp(bench->what, "request") == 0) err = request(ctx, bench);
    if (!err && all) {
        uint64_t count = bench->count;
        bench->count = count / 20 + 1;
        err = request(ctx, bench);
        bench->count = count;
    }
    bool core = strcmp(bench->what, "pub") == 0 || strcmp(bench->what, "pubsub") == 0 ||
                strcmp(bench->what, "request") == 0;
    if (!err && !core) err = durable(ctx, bench);
    return err ? bus_fail(ctx, err, "bench %s", bench->what) : EXIT_OK;
}

int cmd_bench(int argc, char **argv)
{
    static struct bench bench = {
        .count = 100000, .size = 128, .window = 256, .subject = "dure.bench"};
    static const char *const whats[] = {"pub", "pubsub", "request", "sync", "async", "pull", "all"};
    const struct cli_option options[] = {
        {"count", 'n', NULL, &bench.count_text, NULL}, {"size", 0, NULL, &bench.size_text, NULL},
        {"window", 0, NULL, &bench.window_text, NULL}, {"subject", 0, NULL, &bench.subject, NULL},
        {"storage", 0, NULL, &bench.storage, NULL},    {"fsync", 0, NULL, &bench.fsync, NULL},
    };
    int left = bus_client_parse(&bench.client, argc, argv, options, 6);
    if (left < 0) return EXIT_USAGE;
    bench.what = left ? argv[1] : "all";
    size_t known = 0;
    while (known < 7 && strcmp(bench.what, whats[known]) != 0) known++;
    if (left > 1 || known == 7)
        return cli_usage("bench", "needs pub, pubsub, request, sync, async, pull or all");
    if (bus_number("bench", "count", bench.count_text, &bench.count) != 0 ||
        bus_bytes("bench", "size", bench.size_text, &bench.size) != 0 ||
        bus_number("bench", "window", bench.window_text, &bench.window) != 0)
        return EXIT_USAGE;
    if (bench.size > 64 << 20 || !bench.window || bench.window > 65536)
        return cli_usage("bench", "--size is at most 64MiB, --window 1 to 65536");
    bench.body = calloc(1, bench.size + 1);
    if (!bench.body) return EXIT_FAILED;
    memset(bench.body, 'x', bench.size);
    int code = bus_client_run(&bench.client, work, &bench);
    free(bench.body);
    return code;
}
