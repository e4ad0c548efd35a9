/* dure queue: the work that waits in streams (durable consumers), and dead letters. */
#include "app/commands.h"
#include "app/dead_letters.h"
#include "app/stream_list.h"
#include "app/stream_options.h"

#include <signal.h>

struct queue_command {
    struct bus_client client;
    struct consumer_options options;
    struct dead_options dead;
    const char *command, *stream, *name, *count_text, *wait_text, *settle;
    uint64_t count, wait_ns;
    bool force, raw;
    struct grid grid;
};

/* ---- ls ---- */

static int list_one(struct dure_ctx *ctx, void *argument, const struct dure_json *info)
{
    struct queue_command *c = argument;
    const struct dure_json *config = dure_json_get(info, "config");
    const char *stream = dure_json_get_string(info, "stream_name", "?");
    const char *name = dure_json_get_string(info, "name", "?");
    const char *filter = dure_json_get_string(config, "filter_subject", NULL);
    if (!filter) filter = json_joined(ctx, dure_json_get(config, "filter_subjects"));
    uint64_t waiting = (uint64_t)dure_json_get_int(info, "num_pending", 0);
    uint64_t working = (uint64_t)dure_json_get_int(info, "num_ack_pending", 0);
    uint64_t again = (uint64_t)dure_json_get_int(info, "num_redelivered", 0);
    char text[PRINT_TEXT];
    if (c->client.json) {
        struct dure_json *line = dure_json_object(ctx);
        dure_json_set_string(line, "stream", stream);
        dure_json_set_string(line, "queue", name);
        dure_json_set_string(line, "filter", filter);
        dure_json_set_int(line, "waiting", (int64_t)waiting);
        dure_json_set_int(line, "in_work", (int64_t)working);
        dure_json_set_int(line, "delivered_again", (int64_t)again);
        bus_print_json(ctx, line);
        return 0;
    }
    grid_add(&c->grid, "%s", stream);
    grid_add(&c->grid, "%s", name);
    grid_add(&c->grid, "%s", *filter ? filter : "-");
    grid_add(&c->grid, "%s", count_text(waiting, text));
    grid_add(&c->grid, "%s", count_text(working, text));
    grid_add(&c->grid, "%s", count_text(again, text));
    return 0;
}

static int list_of_stream(struct dure_ctx *ctx, void *argument, const struct dure_json *info)
{
    const char *stream = dure_json_get_string(dure_json_get(info, "config"), "name", "");
    int64_t count = dure_json_get_int(dure_json_get(info, "state"), "consumer_count", 0);
    return count ? consumer_list(ctx, stream, list_one, argument) : 0;
}

static int ls(struct dure_ctx *ctx, void *argument)
{
    static const char *const titles[] = {"STREAM",   "QUEUE",  "FILTER", ">WAITING",
                                         ">IN WORK", ">AGAIN", NULL};
    struct queue_command *c = argument;
    grid_init(&c->grid, titles);
    int err = c->stream ? consumer_list(ctx, c->stream, list_one, c)
                        : stream_list(ctx, list_of_stream, c);
    if (!err && !c->client.json)
        grid_print(&c->grid, "no queues: dure queue add STREAM QUEUE, or a service makes its own");
    grid_release(&c->grid);
    return err ? bus_fail(ctx, err, "cannot list the queues") : EXIT_OK;
}

/* ---- info, add, rm ---- */

static void print_info(struct dure_ctx *ctx, const struct queue_command *c,
                       const struct dure_json *info)
{
    const struct dure_json *config = dure_json_get(info, "config");
    const char *filter = dure_json_get_string(config, "filter_subject", NULL);
    char text[PRINT_TEXT], title[600];
    if (c->client.json) {
        bus_print_json(ctx, info);
        return;
    }
    if (!filter) filter = json_joined(ctx, dure_json_get(config, "filter_subjects"));
    int64_t max = dure_json_get_int(config, "max_deliver", -1);
    snprintf(title, sizeof title, "queue %s of stream %s", dure_json_get_string(info, "name", "?"),
             dure_json_get_string(info, "stream_name", "?"));
    print_heading(title);
    if (*filter) print_fact("filter", "%s", filter);
    print_fact("begins with", "%s", dure_json_get_string(config, "deliver_policy", "all"));
    print_fact("acknowledging", "%s", dure_json_get_string(config, "ack_policy", "none"));
    print_fact("ack wait", "%s",
               duration_text((uint64_t)dure_json_get_int(config, "ack_wait", 0), text));
    print_fact("deliveries", max > 0 ? "%lld, then a dead letter" : "without end", (long long)max);
    print_fact("in work at most", "%lld",
               (long long)dure_json_get_int(config, "max_ack_pending", -1));
    printf("\n");
    print_fact("waiting", "%s",
               count_text((uint64_t)dure_json_get_int(info, "num_pending", 0), text));
    print_fact("in work", "%s",
               count_text((uint64_t)dure_json_get_int(info, "num_ack_pending", 0), text));
    print_fact("delivered again", "%s",
               count_text((uint64_t)dure_json_get_int(info, "num_redelivered", 0), text));
    print_fact("done up to", "%lld",
               (long long)dure_json_get_int(dure_json_get(info, "ack_floor"), "stream_seq", 0));
    print_fact("workers waiting", "%lld", (long long)dure_json_get_int(info, "num_waiting", 0));
}

static int info(struct dure_ctx *ctx, void *argument)
{
    struct queue_command *c = argument;
    struct dure_json *answer;
    const char *what = dure_format(ctx, "CONSUMER.INFO.%s.%s", c->stream, c->name);
    int err = dure_api(ctx, what, NULL, 0, &answer);
    if (err) return bus_fail(ctx, err, "queue %s of stream %s", c->name, c->stream);
    print_info(ctx, c, answer);
    return EXIT_OK;
}

static int check_add(struct dure_ctx *ctx, void *argument)
{
    const struct queue_command *c = argument;
    return consumer_options_apply(&c->options, c->command, ctx, dure_json_object(ctx)) != 0
               ? EXIT_USAGE
               : EXIT_OK;
}

static int add(struct dure_ctx *ctx, void *argument)
{
    struct queue_command *c = argument;
    struct dure_json *answer, *request = dure_json_object(ctx), *config = dure_json_object(ctx);
    dure_json_set_string(config, "durable_name", c->name);
    if (consumer_options_apply(&c->options, c->command, ctx, config) != 0) return EXIT_USAGE;
    dure_json_set_string(request, "stream_name", c->stream);
    dure_json_set(request, "config", config);
    const char *what = dure_format(ctx, "CONSUMER.DURABLE.CREATE.%s.%s", c->stream, c->name);
    int err = dure_api(ctx, what, request, 0, &answer);
    if (err) return bus_fail(ctx, err, "cannot make queue %s of stream %s", c->name, c->stream);
    print_info(ctx, c, answer);
    return EXIT_OK;
}

static int rm(struct dure_ctx *ctx, void *argument)
{
    struct queue_command *c = argument;
    const char *what = dure_format(ctx, "CONSUMER.INFO.%s.%s", c->stream, c->name);
    int err = dure_api(ctx, what, NULL, 0, NULL);
    if (err) return bus_fail(ctx, err, "queue %s of stream %s", c->name, c->stream);
    int code = confirm(c->command, c->force, "forget queue %s of stream %s, and what it has done",
                       c->name, c->stream);
    if (code) return code;
    what = dure_format(ctx, "CONSUMER.DELETE.%s.%s", c->stream, c->name);
    err = dure_api(ctx, what, NULL, 0, NULL);
    if (err) return bus_fail(ctx, err, "cannot remove queue %s of stream %s", c->name, c->stream);
    printf("removed queue %s of stream %s\n", c->name, c->stream);
    return EXIT_OK;
}

/* ---- next ---- */

static int settle(struct dure_ctx *ctx, const struct queue_command *c,
                  const struct dure_message *message)
{
    if (!c->settle || strcmp(c->settle, "ack") == 0)
        return dure_ack_confirmed(ctx, message, c->client.timeout_ms);
    if (strcmp(c->settle, "nak") == 0) return dure_nak(ctx, message, 0);
    if (strcmp(c->settle, "term") == 0) return dure_term(ctx, message, "by hand");
    return 0; /* "none": it comes again when its time is over */
}

static int next(struct dure_ctx *ctx, void *argument)
{
    struct queue_command *c = argument;
    const struct dure_pull_options options = {.stream = c->stream, .consumer = c->name};
    struct dure_pull *pull;
    struct dure_message message;
    uint64_t got = 0;
    struct dure_mark mark;
    int err = dure_pull_open(ctx, &options, &pull);
    if (err) return bus_fail(ctx, err, "queue %s of stream %s", c->name, c->stream);
    dure_mark(ctx, &mark);
    while (got < c->count) {
        err = dure_pull_next(pull, (int64_t)(c->wait_ns / 1000000) + 1, &message);
        if (err) break;
        got++;
        if (c->raw)
            printf("%.*s\n", (int)message.len, message.body);
        else
            bus_print_message(&message, message.sequence, c->client.json);
        fflush(stdout);
        err = settle(ctx, c, &message);
        if (err)
            return bus_fail(ctx, err, "message %llu is printed, but not acknowledged",
                            (unsigned long long)message.sequence);
        dure_forget(ctx, &mark);
    }
    dure_flush(ctx, c->client.timeout_ms); /* a nak or term that is on its way */
    if (err == DURE_ETIMEOUT && got) return EXIT_OK;
    if (err == DURE_ETIMEOUT) {
        fprintf(stderr, "dure: nothing waits in queue %s of stream %s\n", c->name, c->stream);
        return EXIT_FAILED;
    }
    return err ? bus_fail(ctx, err, "queue %s of stream %s", c->name, c->stream) : EXIT_OK;
}

/* ---- dead letters ---- */

static int dead(struct dure_ctx *ctx, void *argument)
{
    const struct queue_command *c = argument;
    if (!c->stream || strcmp(c->stream, "list") == 0)
        return dead_list(ctx, &c->dead, c->client.json);
    return dead_show(ctx, c->name, c->client.json);
}

static int replay(struct dure_ctx *ctx, void *argument)
{
    const struct queue_command *c = argument;
    return dead_replay(ctx, &c->dead, c->stream, c->client.json);
}

static int purge_dead(struct dure_ctx *ctx, void *argument)
{
    const struct queue_command *c = argument;
    int code = confirm(c->command, c->force, "forget these dead letters");
    return code ? code : dead_purge(ctx, &c->dead, c->client.json);
}

/* ---- the table ---- */

static const struct cli_sub subs[] = {
    {"ls", "[STREAM]", 0, 1, ls},
    {"info", "STREAM QUEUE", 2, 2, info},
    {"add", "STREAM QUEUE [--filter a.>] [--ack-wait 30s] [--max-deliver 5] [--backoff 1s,10s] ...",
     2, 2, add},
    {"rm", "STREAM QUEUE [--force]", 2, 2, rm},
    {"next", "STREAM QUEUE [--count N] [--wait 5s] [--settle ack|nak|term|none] [--raw]", 2, 2,
     next},
    {"pull", "STREAM QUEUE ... (the same as next)", 2, 2, next},
    {"dead", "[list | show LETTER] [--stream S] [--queue Q]", 0, 2, dead},
    {"replay", "LETTER | --all | --stream S [--queue Q]", 0, 1, replay},
    {"purge-dead", "--all | --stream S [--queue Q] [--force]", 0, 0, purge_dead},
};

static bool is_settle(const char *word)
{
    static const char *const words[] = {"ack", "nak", "term", "none"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) return true;
    return false;
}

/* What cannot be meant. */
static const char *mistake(const struct queue_command *c, bus_work *work, int left)
{
    bool which = c->dead.all || c->dead.stream || c->dead.queue;
    if (c->settle && !is_settle(c->settle)) return "--settle needs ack, nak, term or none";
    if (work == dead && left && strcmp(c->stream, "list") != 0 && strcmp(c->stream, "show") != 0)
        return "'dead' lists (list) or shows one (show LETTER)";
    if (work == dead && left && (strcmp(c->stream, "show") == 0) != (left == 2))
        return "show needs the letter's number, list nothing";
    if (work == replay && (left == 1) == which) return "say which: LETTER, --all or --stream";
    if (work == purge_dead && !which) return "say which: --all or --stream";
    return NULL;
}

static int run(int argc, char **argv, const struct cli_sub *sub)
{
    static struct queue_command c = {.count = 1, .wait_ns = 5000000000};
    struct cli_option options[CONSUMER_OPTIONS + 8];
    const struct cli_option own[] = {
        {"count", 'n', NULL, &c.count_text, NULL}, {"wait", 0, NULL, &c.wait_text, NULL},
        {"settle", 0, NULL, &c.settle, NULL},      {"raw", 'r', &c.raw, NULL, NULL},
        {"force", 'f', &c.force, NULL, NULL},      {"all", 0, &c.dead.all, NULL, NULL},
        {"stream", 0, NULL, &c.dead.stream, NULL}, {"queue", 0, NULL, &c.dead.queue, NULL},
    };
    memcpy(options, own, sizeof own);
    consumer_options_list(&c.options, options + 8);
    c.command = argv[0];
    int left = bus_client_parse(&c.client, argc, argv, options, CONSUMER_OPTIONS + 8);
    if (left < 0) return EXIT_USAGE;
    c.stream = left > 0 ? argv[1] : NULL;
    c.name = left > 1 ? argv[2] : NULL;
    if (cli_sub_count(argv[0], sub, left)) return EXIT_USAGE;
    const char *wrong = mistake(&c, sub->work, left);
    if (wrong) return cli_sub_usage(argv[0], sub, wrong);
    if (bus_number(argv[0], "count", c.count_text, &c.count) != 0 ||
        bus_duration(argv[0], "wait", c.wait_text, &c.wait_ns) != 0)
        return EXIT_USAGE;
    c.client.check = sub->work == add ? check_add : NULL;
    signal(SIGPIPE, SIG_DFL);
    return bus_client_run(&c.client, sub->work, &c);
}

int cmd_queue(int argc, char **argv)
{
    return cli_run_sub(argc, argv, subs, sizeof subs / sizeof *subs, run);
}
