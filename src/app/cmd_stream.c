/* dure stream: the streams of a bus, their settings, their messages. */
#include "app/commands.h"
#include "app/stream_backup.h"
#include "app/stream_list.h"
#include "app/stream_options.h"

#include "base/timestamp.h"

#include <signal.h>

struct stream_command {
    struct bus_client client;
    struct stream_options options;
    const char *name, *text, *second;
    const char *filter, *keep, *sequence, *from, *count_text, *last, *command;
    uint64_t count;
    bool force, follow, raw, names;
    struct grid grid;
};

static int stream_info(struct dure_ctx *ctx, const char *name, struct dure_json **ret_info)
{
    return dure_api(ctx, dure_format(ctx, "STREAM.INFO.%s", name), NULL, 0, ret_info);
}

/* ---- ls ---- */

static int list_one(struct dure_ctx *ctx, void *argument, const struct dure_json *info)
{
    struct stream_command *c = argument;
    const struct dure_json *config = dure_json_get(info, "config");
    const struct dure_json *state = dure_json_get(info, "state");
    const char *name = dure_json_get_string(config, "name", "?");
    uint64_t messages = (uint64_t)dure_json_get_int(state, "messages", 0);
    uint64_t bytes = (uint64_t)dure_json_get_int(state, "bytes", 0);
    int64_t consumers = dure_json_get_int(state, "consumer_count", 0);
    char text[PRINT_TEXT], size[PRINT_TEXT], time[PRINT_TEXT];
    if (c->names) {
        printf("%s\n", name);
    } else if (c->client.json) {
        struct dure_json *line = dure_json_object(ctx);
        dure_json_set_string(line, "name", name);
        dure_json_set(line, "subjects", dure_json_get(config, "subjects"));
        dure_json_set_int(line, "messages", (int64_t)messages);
        dure_json_set_int(line, "bytes", (int64_t)bytes);
        dure_json_set_int(line, "consumers", consumers);
        dure_json_set_string(line, "last_time",
                             messages ? dure_json_get_string(state, "last_ts", NULL) : NULL);
        bus_print_json(ctx, line);
    } else {
        grid_add(&c->grid, "%s", name);
        grid_add(&c->grid, "%s", json_joined(ctx, dure_json_get(config, "subjects")));
        grid_add(&c->grid, "%s", count_text(messages, text));
        grid_add(&c->grid, "%s", size_text(bytes, size));
        grid_add(&c->grid, "%lld", (long long)consumers);
        grid_add(&c->grid, "%s", messages ? time_text(json_time(state, "last_ts"), time) : "-");
    }
    return 0;
}

static int ls(struct dure_ctx *ctx, void *argument)
{
    static const char *const titles[] = {"STREAM",  "SUBJECTS",     ">MESSAGES", ">SIZE",
                                         ">QUEUES", "LAST MESSAGE", NULL};
    struct stream_command *c = argument;
    grid_init(&c->grid, titles);
    int err = stream_list(ctx, list_one, c);
    if (!err && !c->client.json && !c->names)
        grid_print(&c->grid, "no streams: dure stream add NAME --subjects 'orders.>'");
    grid_release(&c->grid);
    return err ? bus_fail(ctx, err, "cannot list the streams") : EXIT_OK;
}

/* ---- info ---- */

static void print_limit(const char *name, int64_t value, const char *(*text)(uint64_t, char *))
{
    char room[PRINT_TEXT];
    if (value > 0) print_fact(name, "%s", text((uint64_t)value, room));
}

static void print_settings(struct dure_ctx *ctx, const struct dure_json *config)
{
    const char *description = dure_json_get_string(config, "description", "");
    const char *fsync = dure_json_get_string(dure_json_get(config, "metadata"), STREAM_FSYNC, NULL);
    if (*description) print_fact("description", "%s", description);
    print_fact("subjects", "%s", json_joined(ctx, dure_json_get(config, "subjects")));
    print_fact("retention", "%s", dure_json_get_string(config, "retention", "?"));
    print_fact("storage", "%s", dure_json_get_string(config, "storage", "?"));
    if (fsync) print_fact("fsync", "%s", fsync);
    print_fact("replicas", "%lld", (long long)dure_json_get_int(config, "num_replicas", 1));
    print_fact("when full", "discard %s", dure_json_get_string(config, "discard", "old"));
    print_limit("max messages", dure_json_get_int(config, "max_msgs", -1), count_text);
    print_limit("max per subject", dure_json_get_int(config, "max_msgs_per_subject", -1),
                count_text);
    print_limit("max bytes", dure_json_get_int(config, "max_bytes", -1), size_text);
    print_limit("max age", dure_json_get_int(config, "max_age", 0), duration_text);
    print_limit("max message size", dure_json_get_int(config, "max_msg_size", -1), size_text);
    print_limit("max consumers", dure_json_get_int(config, "max_consumers", -1), count_text);
    print_limit("duplicate window", dure_json_get_int(config, "duplicate_window", 0),
                duration_text);
    if (dure_json_get_bool(config, "sealed", false)) print_fact("sealed", "yes");
    if (dure_json_get_bool(config, "deny_delete", false)) print_fact("deleting", "forbidden");
    if (dure_json_get_bool(config, "deny_purge", false)) print_fact("purging", "forbidden");
}

static void print_state(const struct dure_json *state)
{
    char text[PRINT_TEXT], other[PRINT_TEXT];
    int64_t messages = dure_json_get_int(state, "messages", 0);
    print_fact("messages", "%s", count_text((uint64_t)messages, text));
    print_fact("size", "%s", size_text((uint64_t)dure_json_get_int(state, "bytes", 0), text));
    if (messages) {
        print_fact("first", "%lld at %s", (long long)dure_json_get_int(state, "first_seq", 0),
                   time_text(json_time(state, "first_ts"), text));
        print_fact("last", "%lld at %s", (long long)dure_json_get_int(state, "last_seq", 0),
                   time_text(json_time(state, "last_ts"), other));
    }
    print_fact("queues", "%lld", (long long)dure_json_get_int(state, "consumer_count", 0));
}

static void print_info(struct dure_ctx *ctx, const struct stream_command *c,
                       const struct dure_json *info)
{
    if (c->client.json) {
        bus_print_json(ctx, info);
        return;
    }
    const struct dure_json *config = dure_json_get(info, "config");
    char title[300], time[PRINT_TEXT];
    snprintf(title, sizeof title, "stream %s", dure_json_get_string(config, "name", "?"));
    print_heading(title);
    print_settings(ctx, config);
    print_fact("created", "%s", time_text(json_time(info, "created"), time));
    printf("\n");
    print_state(dure_json_get(info, "state"));
}

static int info(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *answer;
    int err = stream_info(ctx, c->name, &answer);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    print_info(ctx, c, answer);
    return EXIT_OK;
}

/* ---- add, edit, rm ---- */

static int check_settings(struct dure_ctx *ctx, void *argument)
{
    const struct stream_command *c = argument;
    return stream_options_apply(&c->options, c->command, ctx, dure_json_object(ctx)) != 0
               ? EXIT_USAGE
               : EXIT_OK;
}

static int add(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *answer, *config = dure_json_object(ctx);
    dure_json_set_string(config, "name", c->name);
    dure_json_set_bool(config, "allow_direct", true);
    if (stream_options_apply(&c->options, c->command, ctx, config) != 0) return EXIT_USAGE;
    int err = dure_api(ctx, dure_format(ctx, "STREAM.CREATE.%s", c->name), config, 0, &answer);
    if (err) return bus_fail(ctx, err, "cannot make stream %s", c->name);
    print_info(ctx, c, answer);
    return EXIT_OK;
}

static int edit(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *answer;
    int err = stream_info(ctx, c->name, &answer);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    struct dure_json *config = dure_json_get(answer, "config");
    if (stream_options_apply(&c->options, c->command, ctx, config) != 0) return EXIT_USAGE;
    err = dure_api(ctx, dure_format(ctx, "STREAM.UPDATE.%s", c->name), config, 0, &answer);
    if (err) return bus_fail(ctx, err, "cannot change stream %s", c->name);
    print_info(ctx, c, answer);
    return EXIT_OK;
}

static int rm(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *answer;
    char text[PRINT_TEXT];
    int err = stream_info(ctx, c->name, &answer);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    int64_t messages = dure_json_get_int(dure_json_get(answer, "state"), "messages", 0);
    int code = confirm(c->command, c->force, "remove stream %s with %s messages", c->name,
                       count_text((uint64_t)messages, text));
    if (code) return code;
    err = dure_api(ctx, dure_format(ctx, "STREAM.DELETE.%s", c->name), NULL, 0, NULL);
    if (err) return bus_fail(ctx, err, "cannot remove stream %s", c->name);
    printf("removed stream %s\n", c->name);
    return EXIT_OK;
}

static int purge(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *answer, *request = dure_json_object(ctx);
    uint64_t number = 0;
    char text[PRINT_TEXT];
    if (c->filter) dure_json_set_string(request, "filter", c->filter);
    if (bus_number(c->command, "keep", c->keep, &number) != 0) return EXIT_USAGE;
    if (c->keep) dure_json_set_int(request, "keep", (int64_t)number);
    if (bus_number(c->command, "before", c->sequence, &number) != 0) return EXIT_USAGE;
    if (c->sequence) dure_json_set_int(request, "seq", (int64_t)number);
    bool all = !c->filter && !c->keep && !c->sequence;
    int code = confirm(c->command, c->force, "take %s messages out of stream %s",
                       all ? "all" : "these", c->name);
    if (code) return code;
    int err = dure_api(ctx, dure_format(ctx, "STREAM.PURGE.%s", c->name), request, 0, &answer);
    if (err) return bus_fail(ctx, err, "cannot purge stream %s", c->name);
    if (c->client.json)
        printf("{\"purged\":%lld}\n", (long long)dure_json_get_int(answer, "purged", 0));
    else
        printf("took out %s messages\n",
               count_text((uint64_t)dure_json_get_int(answer, "purged", 0), text));
    return EXIT_OK;
}

static int rm_msg(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_json *request = dure_json_object(ctx);
    uint64_t number = 0;
    if (bus_number(c->command, "SEQUENCE", c->text, &number) != 0) return EXIT_USAGE;
    dure_json_set_int(request, "seq", (int64_t)number);
    int err = dure_api(ctx, dure_format(ctx, "STREAM.MSG.DELETE.%s", c->name), request, 0, NULL);
    if (err) return bus_fail(ctx, err, "cannot remove message %s of stream %s", c->text, c->name);
    printf("removed message %s of stream %s\n", c->text, c->name);
    return EXIT_OK;
}

/* ---- get, view ---- */

static void print_stored(const struct stream_command *c, const struct dure_message *message)
{
    if (c->raw)
        printf("%.*s\n", (int)message->len, message->body);
    else
        bus_print_message(message, message->sequence, c->client.json);
}

static int get(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_message message;
    uint64_t number = 0;
    if (bus_number(c->command, "SEQUENCE", c->text, &number) != 0) return EXIT_USAGE;
    int err = dure_stream_get(ctx, c->name, number, c->last, &message);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    print_stored(c, &message);
    return EXIT_OK;
}

static int begin_at(struct dure_ctx *ctx, const struct stream_command *c,
                    struct dure_reader_options *options)
{
    const char *from = c->from ? c->from : c->follow ? "new" : "first";
    if (strcmp(from, "first") == 0) return 0;
    if (strcmp(from, "new") == 0) {
        options->from = DURE_FROM_NEW;
    } else if (strcmp(from, "last") == 0) {
        options->from = DURE_FROM_LAST;
    } else if (strcmp(from, "last-per-subject") == 0) {
        options->from = DURE_FROM_LAST_PER_SUBJECT;
    } else if (bytes_to_u64(bytes_str(from), INT64_MAX, &options->sequence) == 0) {
        options->from = DURE_FROM_SEQUENCE;
    } else if (timestamp_parse(bytes_str(from), &options->time_ns) == 0) {
        options->from = DURE_FROM_TIME;
    } else {
        fprintf(stderr,
                "dure %s: --from needs first, last, last-per-subject, new, a sequence or a time "
                "such as 2026-11-21T12:00:00Z, not '%s'\n",
                c->command, from);
        return -1;
    }
    return 0;
}

/* A queue's stream lets nobody read who does not acknowledge: then message by message. */
static int view_one_by_one(struct dure_ctx *ctx, struct stream_command *c, uint64_t sequence)
{
    struct dure_message message;
    struct dure_mark mark;
    uint64_t shown = 0;
    dure_mark(ctx, &mark);
    while (!c->count || shown < c->count) {
        int err = dure_stream_next(ctx, c->name, sequence, c->filter ? c->filter : ">", &message);
        if (err == DURE_ENOTFOUND) break;
        if (err) return bus_fail(ctx, err, "stream %s", c->name);
        print_stored(c, &message);
        sequence = message.sequence + 1;
        shown++;
        dure_forget(ctx, &mark);
    }
    return EXIT_OK;
}

static int check_view(struct dure_ctx *ctx, void *argument)
{
    struct dure_reader_options options = {0};
    return begin_at(ctx, argument, &options) != 0 ? EXIT_USAGE : EXIT_OK;
}

static int view(struct dure_ctx *ctx, void *argument)
{
    struct stream_command *c = argument;
    struct dure_reader_options options = {.stream = c->name, .filter = c->filter};
    struct dure_reader *reader;
    struct dure_message message;
    struct dure_json *answer;
    if (begin_at(ctx, c, &options) != 0) return EXIT_USAGE;
    int err = stream_info(ctx, c->name, &answer);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    const struct dure_json *config = dure_json_get(answer, "config");
    if (strcmp(dure_json_get_string(config, "retention", ""), "workqueue") == 0 && !c->follow)
        return view_one_by_one(ctx, c, options.sequence);
    err = dure_reader_open(ctx, &options, &reader);
    if (err) return bus_fail(ctx, err, "stream %s", c->name);
    uint64_t shown = 0;
    while (!err && (!c->count || shown < c->count)) {
        if (!c->follow && dure_reader_pending(reader) == 0) break;
        err = dure_reader_next(reader, 0, &message);
        if (!err) print_stored(c, &message);
        if (!err && c->follow) fflush(stdout);
        shown++;
    }
    return err && err != DURE_ECLOSED ? bus_fail(ctx, err, "stream %s", c->name) : EXIT_OK;
}

/* ---- backup, restore ---- */

static int backup(struct dure_ctx *ctx, void *argument)
{
    const struct stream_command *c = argument;
    return stream_backup(ctx, c->name, c->text);
}

static int restore(struct dure_ctx *ctx, void *argument)
{
    const struct stream_command *c = argument;
    return stream_restore(ctx, c->name, c->second);
}

/* ---- the table ---- */

static const struct cli_sub subs[] = {
    {"ls", "[--names]", 0, 0, ls},
    {"info", "STREAM", 1, 1, info},
    {"add", "STREAM [--subjects a.>,b] [--max-age 7d] [--fsync each|interval|never] ...", 1, 1,
     add},
    {"create", "STREAM ... (the same as add)", 1, 1, add},
    {"edit", "STREAM [what is to change]", 1, 1, edit},
    {"rm", "STREAM [--force]", 1, 1, rm},
    {"purge", "STREAM [--subject a.b] [--keep N | --before SEQUENCE] [--force]", 1, 1, purge},
    {"get", "STREAM SEQUENCE | STREAM --last SUBJECT", 1, 2, get},
    {"view", "STREAM [--subject a.>] [--from first|last|SEQUENCE|TIME] [--count N] [--follow]", 1,
     1, view},
    {"rm-msg", "STREAM SEQUENCE", 2, 2, rm_msg},
    {"backup", "STREAM FILE", 2, 2, backup},
    {"restore", "FILE [STREAM]", 1, 2, restore},
};

static int run(int argc, char **argv, const struct cli_sub *sub)
{
    static struct stream_command c;
    struct cli_option options[STREAM_OPTIONS + 10];
    const struct cli_option own[] = {
        {"subject", 0, NULL, &c.filter, NULL},     {"keep", 0, NULL, &c.keep, NULL},
        {"before", 0, NULL, &c.sequence, NULL},    {"from", 0, NULL, &c.from, NULL},
        {"count", 'n', NULL, &c.count_text, NULL}, {"last", 0, NULL, &c.last, NULL},
        {"force", 'f', &c.force, NULL, NULL},      {"follow", 0, &c.follow, NULL, NULL},
        {"raw", 'r', &c.raw, NULL, NULL},          {"names", 0, &c.names, NULL, NULL},
    };
    memcpy(options, own, sizeof own);
    stream_options_list(&c.options, options + 10);
    c.command = argv[0];
    int left = bus_client_parse(&c.client, argc, argv, options, STREAM_OPTIONS + 10);
    if (left < 0) return EXIT_USAGE;
    if (cli_sub_count(argv[0], sub, left)) return EXIT_USAGE;
    if (sub->work == get && (left == 2) == (c.last != NULL))
        return cli_sub_usage(argv[0], sub, "say which message: SEQUENCE or --last SUBJECT");
    if (bus_number(argv[0], "count", c.count_text, &c.count) != 0) return EXIT_USAGE;
    c.name = argv[1];
    c.text = left > 1 ? argv[2] : NULL;
    c.second = c.text;
    c.client.check = sub->work == add || sub->work == edit ? check_settings
                     : sub->work == view                   ? check_view
                                                           : NULL;
    signal(SIGPIPE, SIG_DFL);
    return bus_client_run(&c.client, sub->work, &c);
}

int cmd_stream(int argc, char **argv)
{
    return cli_run_sub(argc, argv, subs, sizeof subs / sizeof *subs, run);
}
