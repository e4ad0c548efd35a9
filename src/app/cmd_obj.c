/* dure obj: files on the bus. */
#include "app/commands.h"
#include "app/file_replace.h"
#include "app/stream_list.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct obj_command {
    struct bus_client client;
    struct dure_object_config config;
    struct dure_object_options options;
    const char *command, *bucket, *name;
    const char *ttl, *max_bytes, *replicas, *storage, *as, *out, *chunk;
    bool force;
    FILE *file; /* that is put or written */
    struct dure_ctx *ctx;
    uint64_t done, total;
    struct grid grid;
};

static int failed(struct dure_ctx *ctx, const struct obj_command *c, int err)
{
    return c->name ? bus_fail(ctx, err, "object %s of bucket %s", c->name, c->bucket)
                   : bus_fail(ctx, err, "bucket %s", c->bucket);
}

/* ---- printing ---- */

static void print_json(const struct dure_object *object)
{
    struct buf line;
    struct jsonw json;
    char time[PRINT_TEXT];
    buf_init(&line, 1 << 20);
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "bucket", object->bucket);
    jsonw_cstr(&json, "name", object->name);
    if (object->description && *object->description)
        jsonw_cstr(&json, "description", object->description);
    jsonw_u64(&json, "size", object->size);
    jsonw_u64(&json, "chunks", object->chunks);
    jsonw_cstr(&json, "digest", object->digest);
    jsonw_cstr(&json, "time", time_text(object->time_ns, time));
    jsonw_bool(&json, "deleted", object->deleted);
    jsonw_object_end(&json);
    bus_print_line(&line);
    buf_release(&line);
}

static void print_object(const struct obj_command *c, const struct dure_object *object)
{
    char title[1100], text[PRINT_TEXT];
    if (c->client.json) {
        print_json(object);
        return;
    }
    snprintf(title, sizeof title, "%s", object->name);
    print_heading(title);
    if (object->description && *object->description)
        print_fact("description", "%s", object->description);
    print_fact("bucket", "%s", object->bucket);
    print_fact("size", "%s", size_text(object->size, text));
    print_fact("chunks", "%llu", (unsigned long long)object->chunks);
    print_fact("digest", "%s", object->digest);
    print_fact("put", "%s", time_text(object->time_ns, text));
    if (object->link_bucket)
        print_fact("link to", "%s %s", object->link_bucket,
                   object->link_name ? object->link_name : "");
}

/* ---- buckets ---- */

static int list_bucket(struct dure_ctx *ctx, void *argument, const struct dure_json *info)
{
    struct obj_command *c = argument;
    const struct dure_json *config = dure_json_get(info, "config");
    const struct dure_json *state = dure_json_get(info, "state");
    const char *name = dure_json_get_string(config, "name", "");
    char text[PRINT_TEXT];
    if (strncmp(name, "OBJ_", 4) != 0) return 0;
    int64_t bytes = dure_json_get_int(state, "bytes", 0);
    bool sealed = dure_json_get_bool(config, "sealed", false);
    if (c->client.json) {
        struct dure_json *line = dure_json_object(ctx);
        dure_json_set_string(line, "bucket", name + 4);
        dure_json_set_int(line, "bytes", bytes);
        dure_json_set_bool(line, "sealed", sealed);
        bus_print_json(ctx, line);
        return 0;
    }
    grid_add(&c->grid, "%s", name + 4);
    grid_add(&c->grid, "%s", size_text((uint64_t)bytes, text));
    grid_add(&c->grid, "%s", sealed ? "yes" : "no");
    grid_add(&c->grid, "%s", dure_json_get_string(config, "description", ""));
    return 0;
}

static int list_buckets(struct dure_ctx *ctx, struct obj_command *c)
{
    static const char *const titles[] = {"BUCKET", ">SIZE", "SEALED", "DESCRIPTION", NULL};
    grid_init(&c->grid, titles);
    int err = stream_list(ctx, list_bucket, c);
    if (!err && !c->client.json) grid_print(&c->grid, "no buckets: dure obj add BUCKET");
    grid_release(&c->grid);
    return err ? bus_fail(ctx, err, "cannot list the buckets") : EXIT_OK;
}

static int ls(struct dure_ctx *ctx, void *argument)
{
    static const char *const titles[] = {"OBJECT", ">SIZE", "PUT", "DESCRIPTION", NULL};
    struct obj_command *c = argument;
    struct dure_object_watch *watch;
    struct dure_object object;
    char size[PRINT_TEXT], time[PRINT_TEXT];
    if (!c->bucket) return list_buckets(ctx, c);
    int more, err = dure_object_watch_open(ctx, c->bucket, false, &watch);
    if (err) return failed(ctx, c, err);
    grid_init(&c->grid, titles);
    while ((more = dure_object_watch_next(watch, 0, &object)) > 0) {
        if (object.deleted) continue;
        if (c->client.json) {
            print_json(&object);
            continue;
        }
        grid_add(&c->grid, "%s", object.name);
        grid_add(&c->grid, "%s", size_text(object.size, size));
        grid_add(&c->grid, "%s", time_text(object.time_ns, time));
        grid_add(&c->grid, "%s", object.description ? object.description : "");
    }
    if (!more && !c->client.json) grid_print(&c->grid, "no objects");
    grid_release(&c->grid);
    return more ? failed(ctx, c, more) : EXIT_OK;
}

static int add(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    int err = dure_object_open(ctx, c->bucket, &c->config);
    if (err) return bus_fail(ctx, err, "cannot make bucket %s", c->bucket);
    printf("bucket %s is there\n", c->bucket);
    return EXIT_OK;
}

static int rm(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    const char *what = dure_format(ctx, "STREAM.INFO.OBJ_%s", c->bucket);
    int err = dure_api(ctx, what, NULL, 0, NULL);
    if (err) return failed(ctx, c, err);
    int code = confirm(c->command, c->force, "remove bucket %s and all objects in it", c->bucket);
    if (code) return code;
    err = dure_object_drop(ctx, c->bucket);
    if (err) return failed(ctx, c, err);
    printf("removed bucket %s\n", c->bucket);
    return EXIT_OK;
}

static int seal(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    int code = confirm(c->command, c->force, "seal bucket %s: nothing in it can be changed again",
                       c->bucket);
    if (code) return code;
    int err = dure_object_seal(ctx, c->bucket);
    if (err) return failed(ctx, c, err);
    printf("sealed bucket %s\n", c->bucket);
    return EXIT_OK;
}

/* ---- objects ---- */

static int info(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    struct dure_object object;
    int err = dure_object_info(ctx, c->bucket, c->name, &object);
    if (err) return failed(ctx, c, err);
    print_object(c, &object);
    return EXIT_OK;
}

static int64_t read_file(void *argument, void *buffer, size_t size)
{
    struct obj_command *c = argument;
    int64_t got = c->file ? (int64_t)fread(buffer, 1, size, c->file)
                          : dure_read(c->ctx, STDIN_FILENO, buffer, size, 0);
    if (c->file && ferror(c->file)) return DURE_EIO;
    if (got > 0) c->done += (uint64_t)got;
    bus_progress("put KiB", c->done >> 10, c->total >> 10);
    return got;
}

static int cannot(const char *what, const char *name)
{
    fprintf(stderr, "dure: cannot %s %s: %s\n", what, name, strerror(errno));
    return EXIT_FAILED;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int put(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    struct dure_object object;
    const char *path = c->name;
    bool input = strcmp(path, "-") == 0;
    if (input && !c->as) {
        fprintf(stderr, "dure %s: standard input has no name\n  say --name NAME\n", c->command);
        return EXIT_USAGE;
    }
    c->file = input ? NULL : fopen(path, "rbe");
    if (!input && !c->file) return cannot("read", path);
    if (!input && fseek(c->file, 0, SEEK_END) == 0) {
        c->total = (uint64_t)ftell(c->file);
        rewind(c->file);
    }
    c->ctx = ctx;
    c->name = c->as ? c->as : base_name(path);
    int err = dure_object_put(ctx, c->bucket, c->name, &c->options, read_file, c, &object);
    if (!input) fclose(c->file);
    bus_progress_end();
    if (err) return failed(ctx, c, err);
    print_object(c, &object);
    return EXIT_OK;
}

static int write_file(void *argument, const void *data, size_t len)
{
    struct obj_command *c = argument;
    c->done += len;
    bus_progress("got KiB", c->done >> 10, c->total >> 10);
    return fwrite(data, 1, len, c->file) == len ? 0 : DURE_EIO;
}

/* Beside its place first: what is there stays until all of the new has come and was checked. */
static int get_into(struct dure_ctx *ctx, struct obj_command *c, const char *path)
{
    struct dure_object object;
    char part[PATH_MAX], size[PRINT_TEXT];
    if (!c->force && !c->out && access(path, F_OK) == 0) {
        fprintf(stderr, "dure: %s is there already\n  say --force, or --output FILE\n", path);
        return EXIT_FAILED;
    }
    snprintf(part, sizeof part, "%.4000s.part", path);
    c->file = fopen(part, "wbe");
    if (!c->file) return cannot("write", part);
    int err = dure_object_get(ctx, c->bucket, c->name, write_file, c, &object);
    bool closed = fclose(c->file) == 0;
    bus_progress_end();
    if (!err && closed && file_replace(part, path) == 0) {
        printf("wrote %s to %s\n", size_text(object.size, size), path);
        return EXIT_OK;
    }
    int code = err ? failed(ctx, c, err) : cannot("write", path);
    file_discard(part);
    return code;
}

static int get(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    struct dure_object object;
    int err = dure_object_info(ctx, c->bucket, c->name, &object);
    if (err) return failed(ctx, c, err);
    c->total = object.size;
    if (!c->out || strcmp(c->out, "-") != 0)
        return get_into(ctx, c, c->out ? c->out : base_name(c->name));
    c->file = stdout;
    err = dure_object_get(ctx, c->bucket, c->name, write_file, c, NULL);
    bus_progress_end();
    return err ? failed(ctx, c, err) : EXIT_OK;
}

static int del(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    int err = dure_object_delete(ctx, c->bucket, c->name);
    if (err) return failed(ctx, c, err);
    printf("deleted %s\n", c->name);
    return EXIT_OK;
}

static int watch(struct dure_ctx *ctx, void *argument)
{
    struct obj_command *c = argument;
    struct dure_object_watch *changes;
    struct dure_object object;
    char size[PRINT_TEXT], time[PRINT_TEXT];
    int more, err = dure_object_watch_open(ctx, c->bucket, false, &changes);
    if (err) return failed(ctx, c, err);
    while ((more = dure_object_watch_next(changes, 0, &object)) >= 0) {
        if (more && c->client.json)
            print_json(&object);
        else if (more)
            printf("%s  %s  %s\n", time_text(object.time_ns, time),
                   object.deleted ? "deleted" : size_text(object.size, size), object.name);
        fflush(stdout);
    }
    return more == DURE_ECLOSED ? EXIT_OK : failed(ctx, c, more);
}

/* ---- the table ---- */

static const struct cli_sub subs[] = {
    {"ls", "[BUCKET]", 0, 1, ls},
    {"add", "BUCKET [--ttl 7d] [--max-bytes 10GiB] [--storage file|memory] ...", 1, 1, add},
    {"rm", "BUCKET [--force]", 1, 1, rm},
    {"put", "BUCKET FILE|- [--name NAME] [--description TEXT]", 2, 2, put},
    {"get", "BUCKET OBJECT [--output FILE|-] [--force]", 2, 2, get},
    {"del", "BUCKET OBJECT", 2, 2, del},
    {"info", "BUCKET OBJECT", 2, 2, info},
    {"watch", "BUCKET", 1, 1, watch},
    {"seal", "BUCKET [--force]", 1, 1, seal},
};

static int read_values(struct obj_command *c)
{
    uint64_t ttl = 0, bytes = 0, replicas = 0, chunk = 0;
    if (bus_duration(c->command, "ttl", c->ttl, &ttl) != 0 ||
        bus_bytes(c->command, "max-bytes", c->max_bytes, &bytes) != 0 ||
        bus_bytes(c->command, "chunk", c->chunk, &chunk) != 0 ||
        bus_number(c->command, "replicas", c->replicas, &replicas) != 0 ||
        bus_storage(c->command, c->storage, &c->config.memory) != 0)
        return EXIT_USAGE;
    c->options.description = c->config.description;
    c->options.chunk_size = (size_t)chunk;
    c->config.ttl_ms = (int64_t)(ttl / 1000000);
    c->config.max_bytes = (int64_t)bytes;
    c->config.replicas = (int)replicas;
    return EXIT_OK;
}

static int run(int argc, char **argv, const struct cli_sub *sub)
{
    static struct obj_command c;
    const struct cli_option options[] = {
        {"ttl", 0, NULL, &c.ttl, NULL},
        {"max-bytes", 0, NULL, &c.max_bytes, NULL},
        {"replicas", 0, NULL, &c.replicas, NULL},
        {"storage", 0, NULL, &c.storage, NULL},
        {"description", 0, NULL, &c.config.description, NULL},
        {"name", 0, NULL, &c.as, NULL},
        {"output", 'o', NULL, &c.out, NULL},
        {"chunk", 0, NULL, &c.chunk, NULL},
        {"force", 'f', &c.force, NULL, NULL},
    };
    c.command = argv[0];
    int left = bus_client_parse(&c.client, argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (cli_sub_count(argv[0], sub, left)) return EXIT_USAGE;
    c.bucket = left > 0 ? argv[1] : NULL;
    c.name = left > 1 ? argv[2] : NULL;
    int code = read_values(&c);
    if (sub->work != get) signal(SIGPIPE, SIG_DFL);
    return code ? code : bus_client_run(&c.client, sub->work, &c);
}

int cmd_obj(int argc, char **argv)
{
    return cli_run_sub(argc, argv, subs, sizeof subs / sizeof *subs, run);
}
