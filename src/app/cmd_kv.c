/* dure kv: values by key. */
#include "app/commands.h"
#include "app/stream_list.h"

#include <signal.h>
#include <unistd.h>

struct kv_command {
    struct bus_client client;
    struct dure_kv_config config;
    const struct cli_sub *sub;
    const char *command, *bucket, *key, *value, *revision_text;
    const char *history, *ttl, *max_bytes, *max_value, *replicas, *storage;
    uint64_t revision;
    bool force, raw;
    struct grid grid;
};

static int failed(struct dure_ctx *ctx, const struct kv_command *c, int err)
{
    return c->key ? bus_fail(ctx, err, "key %s of bucket %s", c->key, c->bucket)
                  : bus_fail(ctx, err, "bucket %s", c->bucket);
}

/* ---- buckets ---- */

static int list_one(struct dure_ctx *ctx, void *argument, const struct dure_json *info)
{
    struct kv_command *c = argument;
    const struct dure_json *config = dure_json_get(info, "config");
    const struct dure_json *state = dure_json_get(info, "state");
    const char *name = dure_json_get_string(config, "name", "");
    char values[PRINT_TEXT], size[PRINT_TEXT], age[PRINT_TEXT];
    if (strncmp(name, "KV_", 3) != 0) return 0;
    int64_t messages = dure_json_get_int(state, "messages", 0);
    int64_t bytes = dure_json_get_int(state, "bytes", 0);
    int64_t history = dure_json_get_int(config, "max_msgs_per_subject", 1);
    int64_t ttl = dure_json_get_int(config, "max_age", 0);
    if (c->client.json) {
        struct dure_json *line = dure_json_object(ctx);
        dure_json_set_string(line, "bucket", name + 3);
        dure_json_set_int(line, "values", messages);
        dure_json_set_int(line, "bytes", bytes);
        dure_json_set_int(line, "history", history);
        dure_json_set_int(line, "ttl_ns", ttl);
        bus_print_json(ctx, line);
        return 0;
    }
    grid_add(&c->grid, "%s", name + 3);
    grid_add(&c->grid, "%s", count_text((uint64_t)messages, values));
    grid_add(&c->grid, "%s", size_text((uint64_t)bytes, size));
    grid_add(&c->grid, "%lld", (long long)history);
    grid_add(&c->grid, "%s", ttl ? duration_text((uint64_t)ttl, age) : "-");
    grid_add(&c->grid, "%s", dure_json_get_string(config, "description", ""));
    return 0;
}

static int ls(struct dure_ctx *ctx, void *argument)
{
    static const char *const titles[] = {"BUCKET", ">VALUES",     ">SIZE", ">HISTORY",
                                         ">TTL",   "DESCRIPTION", NULL};
    struct kv_command *c = argument;
    grid_init(&c->grid, titles);
    int err = stream_list(ctx, list_one, c);
    if (!err && !c->client.json) grid_print(&c->grid, "no buckets: dure kv add BUCKET");
    grid_release(&c->grid);
    return err ? bus_fail(ctx, err, "cannot list the buckets") : EXIT_OK;
}

static int status(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    struct dure_kv_status s;
    char title[300], text[PRINT_TEXT];
    int err = dure_kv_status(ctx, c->bucket, &s);
    if (err) return failed(ctx, c, err);
    if (c->client.json) {
        bus_print_json(ctx, s.json);
        return EXIT_OK;
    }
    snprintf(title, sizeof title, "bucket %s", s.bucket);
    print_heading(title);
    if (*s.description) print_fact("description", "%s", s.description);
    print_fact("values", "%s", count_text(s.values, text));
    print_fact("size", "%s", size_text(s.bytes, text));
    print_fact("history", "%d", s.history);
    print_fact("time to live", "%s",
               s.ttl_ms ? duration_text((uint64_t)s.ttl_ms * 1000000, text) : "for ever");
    if (s.max_bytes > 0) print_fact("max bytes", "%s", size_text((uint64_t)s.max_bytes, text));
    if (s.max_value > 0) print_fact("max value", "%s", size_text((uint64_t)s.max_value, text));
    print_fact("storage", "%s", s.memory ? "memory" : "file");
    print_fact("replicas", "%d", s.replicas);
    return EXIT_OK;
}

static int add(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    int err = dure_kv_open(ctx, c->bucket, &c->config);
    return err ? bus_fail(ctx, err, "cannot make bucket %s", c->bucket) : status(ctx, c);
}

static int rm(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    struct dure_kv_status s;
    char text[PRINT_TEXT];
    int err = dure_kv_status(ctx, c->bucket, &s);
    if (err) return failed(ctx, c, err);
    int code = confirm(c->command, c->force, "remove bucket %s with %s values", c->bucket,
                       count_text(s.values, text));
    if (code) return code;
    err = dure_kv_drop(ctx, c->bucket);
    if (err) return failed(ctx, c, err);
    printf("removed bucket %s\n", c->bucket);
    return EXIT_OK;
}

/* ---- values ---- */

static const char *operation_name(enum dure_kv_operation operation)
{
    return operation == DURE_KV_PUT ? "put" : operation == DURE_KV_DELETE ? "delete" : "purge";
}

static void print_json(const struct kv_command *c, const struct dure_kv_entry *entry)
{
    struct buf line;
    struct jsonw json;
    char time[PRINT_TEXT];
    buf_init(&line, 256 << 20);
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "bucket", c->bucket);
    jsonw_cstr(&json, "key", entry->key);
    jsonw_u64(&json, "revision", entry->revision);
    jsonw_cstr(&json, "operation", operation_name(entry->operation));
    jsonw_cstr(&json, "time", time_text(entry->time_ns, time));
    if (entry->operation == DURE_KV_PUT) bus_put_data(&json, bytes_make(entry->value, entry->len));
    jsonw_object_end(&json);
    bus_print_line(&line);
    buf_release(&line);
}

static int get(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    struct dure_kv_entry entry;
    int err = dure_kv_get(ctx, c->bucket, c->key, c->revision, &entry);
    if (err) return failed(ctx, c, err);
    if (c->client.json) {
        print_json(c, &entry);
        return EXIT_OK;
    }
    fwrite(entry.value, 1, entry.len, stdout);
    if (!c->raw) printf("\n");
    return EXIT_OK;
}

enum write { WRITE_PUT, WRITE_CREATE, WRITE_UPDATE };

static int write_value(struct dure_ctx *ctx, struct kv_command *c, enum write how)
{
    struct buf value;
    uint64_t revision = 0;
    int err = bus_body(ctx, c->value, &value);
    const char *data = buf_bytes(&value).data;
    size_t len = buf_len(&value);
    if (!err && how == WRITE_PUT)
        err = dure_kv_put(ctx, c->bucket, c->key, data, len, &revision);
    else if (!err && how == WRITE_CREATE)
        err = dure_kv_create(ctx, c->bucket, c->key, data, len, &revision);
    else if (!err)
        err = dure_kv_update(ctx, c->bucket, c->key, data, len, c->revision, &revision);
    buf_release(&value);
    if (err) return err < 0 ? failed(ctx, c, err) : err;
    if (c->client.json)
        printf("{\"bucket\":\"%s\",\"key\":\"%s\",\"revision\":%llu}\n", c->bucket, c->key,
               (unsigned long long)revision);
    else
        printf("%s is revision %llu\n", c->key, (unsigned long long)revision);
    return EXIT_OK;
}

static int put(struct dure_ctx *ctx, void *argument)
{
    return write_value(ctx, argument, WRITE_PUT);
}

static int create(struct dure_ctx *ctx, void *argument)
{
    return write_value(ctx, argument, WRITE_CREATE);
}

static int update(struct dure_ctx *ctx, void *argument)
{
    return write_value(ctx, argument, WRITE_UPDATE);
}

static int del(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    int err = dure_kv_delete(ctx, c->bucket, c->key, c->revision);
    if (err) return failed(ctx, c, err);
    printf("deleted %s\n", c->key);
    return EXIT_OK;
}

static int purge(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    int err = dure_kv_purge(ctx, c->bucket, c->key, c->revision);
    if (err) return failed(ctx, c, err);
    printf("purged %s\n", c->key);
    return EXIT_OK;
}

/* ---- several ---- */

static void print_entry(struct kv_command *c, const struct dure_kv_entry *entry)
{
    char time[PRINT_TEXT];
    if (c->client.json) {
        print_json(c, entry);
        return;
    }
    printf("%s%s%s  %s%llu  %s%s  %s", print_colour("\033[1m"), entry->key, print_colour("\033[0m"),
           print_colour("\033[2m"), (unsigned long long)entry->revision,
           time_text(entry->time_ns, time), print_colour("\033[0m"),
           operation_name(entry->operation));
    if (entry->operation == DURE_KV_PUT) {
        printf("  ");
        print_text(stdout, bytes_make(entry->value, entry->len));
    }
    printf("\n");
}

static int keys(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    const struct dure_kv_watch_options options = {
        .keys = c->key, .no_values = true, .no_deletes = true};
    struct dure_kv_watch *watch;
    struct dure_kv_entry entry;
    int more, err = dure_kv_watch_open(ctx, c->bucket, &options, &watch);
    if (err) return bus_fail(ctx, err, "bucket %s", c->bucket);
    while ((more = dure_kv_watch_next(watch, 0, &entry)) > 0) {
        if (c->client.json)
            printf("{\"key\":\"%s\",\"revision\":%llu}\n", entry.key,
                   (unsigned long long)entry.revision);
        else
            printf("%s\n", entry.key);
    }
    return more ? bus_fail(ctx, more, "bucket %s", c->bucket) : EXIT_OK;
}

static int history(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    const struct dure_kv_watch_options options = {.keys = c->key, .history = true};
    struct dure_kv_watch *watch;
    struct dure_kv_entry entry;
    uint64_t count = 0;
    int more, err = dure_kv_watch_open(ctx, c->bucket, &options, &watch);
    if (err) return failed(ctx, c, err);
    while ((more = dure_kv_watch_next(watch, 0, &entry)) > 0) {
        print_entry(c, &entry);
        count++;
    }
    if (more) return failed(ctx, c, more);
    return count ? EXIT_OK : failed(ctx, c, DURE_ENOTFOUND);
}

static int watch(struct dure_ctx *ctx, void *argument)
{
    struct kv_command *c = argument;
    const struct dure_kv_watch_options options = {.keys = c->key};
    struct dure_kv_watch *changes;
    struct dure_kv_entry entry;
    int more, err = dure_kv_watch_open(ctx, c->bucket, &options, &changes);
    if (err) return bus_fail(ctx, err, "bucket %s", c->bucket);
    while ((more = dure_kv_watch_next(changes, 0, &entry)) >= 0) {
        if (more) print_entry(c, &entry);
        fflush(stdout);
    }
    return more == DURE_ECLOSED ? EXIT_OK : bus_fail(ctx, more, "bucket %s", c->bucket);
}

/* ---- the table ---- */

static const struct cli_sub subs[] = {
    {"ls", "", 0, 0, ls},
    {"status", "BUCKET", 1, 1, status},
    {"info", "BUCKET (the same as status)", 1, 1, status},
    {"add", "BUCKET [--history N] [--ttl 1h] [--max-value 64KiB] [--max-bytes 1GiB] ...", 1, 1,
     add},
    {"rm", "BUCKET [--force]", 1, 1, rm},
    {"get", "BUCKET KEY [--revision N] [--raw]", 2, 2, get},
    {"put", "BUCKET KEY VALUE|-", 3, 3, put},
    {"create", "BUCKET KEY VALUE|-", 3, 3, create},
    {"update", "BUCKET KEY VALUE|- REVISION", 3, 4, update},
    {"del", "BUCKET KEY [--revision N]", 2, 2, del},
    {"purge", "BUCKET KEY [--revision N]", 2, 2, purge},
    {"keys", "BUCKET [PATTERN]", 1, 2, keys},
    {"watch", "BUCKET [PATTERN]", 1, 2, watch},
    {"history", "BUCKET KEY", 2, 2, history},
};

static int read_values(struct kv_command *c)
{
    uint64_t history = 0, ttl = 0, bytes = 0, value = 0, replicas = 0;
    if (bus_number(c->command, "history", c->history, &history) != 0 ||
        bus_duration(c->command, "ttl", c->ttl, &ttl) != 0 ||
        bus_bytes(c->command, "max-bytes", c->max_bytes, &bytes) != 0 ||
        bus_bytes(c->command, "max-value", c->max_value, &value) != 0 ||
        bus_number(c->command, "replicas", c->replicas, &replicas) != 0 ||
        bus_storage(c->command, c->storage, &c->config.memory) != 0 ||
        bus_number(c->command, "revision", c->revision_text, &c->revision) != 0)
        return EXIT_USAGE;
    if (history > 64) return cli_sub_usage(c->command, c->sub, "--history is at most 64");
    c->config.history = (int)history;
    c->config.ttl_ms = (int64_t)(ttl / 1000000);
    c->config.max_bytes = (int64_t)bytes;
    c->config.max_value = (int64_t)value;
    c->config.replicas = (int)replicas;
    return EXIT_OK;
}

static int run(int argc, char **argv, const struct cli_sub *sub)
{
    static struct kv_command c;
    const struct cli_option options[] = {
        {"revision", 0, NULL, &c.revision_text, NULL},
        {"history", 0, NULL, &c.history, NULL},
        {"ttl", 0, NULL, &c.ttl, NULL},
        {"max-bytes", 0, NULL, &c.max_bytes, NULL},
        {"max-value", 0, NULL, &c.max_value, NULL},
        {"replicas", 0, NULL, &c.replicas, NULL},
        {"storage", 0, NULL, &c.storage, NULL},
        {"description", 0, NULL, &c.config.description, NULL},
        {"force", 'f', &c.force, NULL, NULL},
        {"raw", 'r', &c.raw, NULL, NULL},
    };
    c.command = argv[0];
    c.sub = sub;
    int left = bus_client_parse(&c.client, argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (cli_sub_count(argv[0], sub, left)) return EXIT_USAGE;
    if (sub->work == update && left == 3 && !c.revision_text)
        return cli_sub_usage(argv[0], sub, "which revision is it to replace?");
    c.bucket = argv[1];
    c.key = left > 1 ? argv[2] : NULL;
    c.value = left > 2 ? argv[3] : NULL;
    if (left > 3) c.revision_text = argv[4];
    int code = read_values(&c);
    signal(SIGPIPE, SIG_DFL);
    return code ? code : bus_client_run(&c.client, sub->work, &c);
}

int cmd_kv(int argc, char **argv)
{
    return cli_run_sub(argc, argv, subs, sizeof subs / sizeof *subs, run);
}
