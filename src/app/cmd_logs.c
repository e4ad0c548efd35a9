/* dure logs: what services print. Reads the parent's log files (run/output.h): works also when the
 * system is down. */
#include "app/cli.h"
#include "app/commands.h"
#include "app/paths.h"
#include "base/buf.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILES_MAX = 512, TAIL_BYTES = 4 * 1024 * 1024, POLL_MS = 200, LINES_MAX = 100000 };

struct tail {
    char service[64];
    char path[PATH_MAX];
    uint64_t offset; /* of what has not been read */
    struct buf rest; /* of a line that is not whole */
};

struct line {
    char time[40];
    char *text; /* the JSON line, ended by NUL */
};

struct logs {
    struct io *io;
    struct paths paths;
    char **services; /* that were named; none: all */
    int service_count;
    bool json, colour;
    struct tail tails[FILES_MAX];
    size_t tail_count;
    struct line *lines;
    size_t line_count, line_size;
    struct io_timer timer;
};

static bool is_wanted(const struct logs *logs, const char *service)
{
    for (int i = 0; i < logs->service_count; i++)
        if (strcmp(logs->services[i], service) == 0) return true;
    /* What dure itself says is not what services say. */
    return logs->service_count == 0 && strcmp(service, "dure") != 0;
}

static int add_tail(void *context, const char *name)
{
    struct logs *logs = context;
    size_t len = strlen(name);
    char service[64];
    if (len < 5 || len >= sizeof service || strcmp(name + len - 4, ".log") != 0) return 0;
    snprintf(service, sizeof service, "%.*s", (int)(len - 4), name);
    if (!is_wanted(logs, service) || logs->tail_count == FILES_MAX) return 0;
    for (size_t i = 0; i < logs->tail_count; i++)
        if (strcmp(logs->tails[i].service, service) == 0) return 0;
    struct tail *tail = &logs->tails[logs->tail_count++];
    snprintf(tail->service, sizeof tail->service, "%s", service);
    snprintf(tail->path, sizeof tail->path, "%.3900s/%.100s", logs->paths.logs, name);
    buf_init(&tail->rest, TAIL_BYTES);
    uint64_t size = 0, changed_ns;
    int err = io_stat(logs->io, tail->path, &size, &changed_ns, NULL);
    tail->offset = !err && size > TAIL_BYTES / 2 ? size - TAIL_BYTES / 2 : 0;
    return 0;
}

/* ---- gathering ---- */

static void keep(struct logs *logs, struct bytes text)
{
    json_t *object = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    const char *time = json_string_value(json_object_get(object, "time"));
    if (logs->line_count == logs->line_size && logs->line_size < LINES_MAX) {
        size_t size = logs->line_size ? logs->line_size * 2 : 1024;
        struct line *lines = realloc(logs->lines, size * sizeof *lines);
        if (lines) {
            logs->lines = lines;
            logs->line_size = size;
        }
    }
    char *copy = time && logs->line_count < logs->line_size ? strndup(text.data, text.len) : NULL;
    if (copy) {
        struct line *line = &logs->lines[logs->line_count++];
        snprintf(line->time, sizeof line->time, "%s", time);
        line->text = copy;
    }
    json_decref(object);
}

static void read_tail(struct logs *logs, struct tail *tail)
{
    struct io_file file;
    if (io_file_open(logs->io, &file, tail->path, IO_READ) != 0) return;
    if (io_file_size(&file) < (int64_t)tail->offset) tail->offset = 0; /* begun anew */
    for (;;) {
        char *room = buf_reserve(&tail->rest, 65536);
        int64_t got = room ? io_file_read(&file, room, 65536, tail->offset) : 0;
        if (got <= 0) break;
        buf_commit(&tail->rest, (size_t)got);
        tail->offset += (uint64_t)got;
        for (;;) {
            struct bytes pending = buf_bytes(&tail->rest);
            size_t len = bytes_find(pending, '\n');
            if (len == pending.len) break;
            keep(logs, bytes_head(pending, len));
            buf_consume(&tail->rest, len + 1);
        }
    }
    if (tail->rest.failed) buf_clear(&tail->rest);
    io_file_close(&file);
}

static int by_time(const void *a, const void *b)
{
    const struct line *left = a, *right = b;
    return strcmp(left->time, right->time);
}

/* ---- printing ---- */

/* What the line's own columns say already, or nobody reads. */
static bool is_said(const char *key)
{
    static const char *const said[] = {"time", "level", "event", "service", "span_id"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strcmp(said[i], key) == 0) return true;
    return false;
}

static void print_field(const char *key, json_t *value)
{
    if (is_said(key) || (json_is_string(value) && !json_string_length(value))) return;
    char *dumped = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *text = json_is_string(value) ? json_string_value(value) : dumped;
    printf(" %s=%s", key, text ? text : "");
    free(dumped);
}

/* A line that is an event itself ({level, event, ...}, as dure and the SDK write them) is shown as
 * words; false: it is not one. */
static bool print_event(const struct logs *logs, const char *text)
{
    json_t *event = text[0] == '{' ? json_loads(text, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *level = json_string_value(json_object_get(event, "level"));
    const char *key;
    json_t *value;
    if (name) {
        bool loud = level && (strcmp(level, "warn") == 0 || strcmp(level, "error") == 0);
        if (loud)
            printf("%s%s%s ", logs->colour ? "\033[31m" : "", level, logs->colour ? "\033[0m" : "");
        printf("%s", name);
        json_object_foreach(event, key, value) print_field(key, value);
        printf("\n");
    }
    json_decref(event);
    return name != NULL;
}

static void print_line(const struct logs *logs, const struct line *line)
{
    if (logs->json) {
        printf("%s\n", line->text);
        return;
    }
    json_t *object = json_loads(line->text, JSON_ALLOW_NUL, NULL);
    const char *instance = json_string_value(json_object_get(object, "instance"));
    const char *text = json_string_value(json_object_get(object, "line"));
    printf("%.12s %s%-16s%s ", line->time + 11, logs->colour ? "\033[36m" : "",
           instance ? instance : "", logs->colour ? "\033[0m" : "");
    if (!text || !print_event(logs, text)) printf("%s\n", text ? text : "");
    json_decref(object);
}

static void print_lines(struct logs *logs, size_t last)
{
    qsort(logs->lines, logs->line_count, sizeof *logs->lines, by_time);
    size_t first = logs->line_count > last ? logs->line_count - last : 0;
    for (size_t i = 0; i < logs->line_count; i++) {
        if (i >= first) print_line(logs, &logs->lines[i]);
        free(logs->lines[i].text);
    }
    logs->line_count = 0;
    fflush(stdout);
}

static void gather(struct logs *logs)
{
    for (size_t i = 0; i < logs->tail_count; i++) read_tail(logs, &logs->tails[i]);
}

static void poll_again(struct io_timer *timer)
{
    struct logs *logs = CONTAINER_OF(timer, struct logs, timer);
    io_list_dir(logs->io, logs->paths.logs, add_tail, logs);
    gather(logs);
    print_lines(logs, LINES_MAX);
    io_timer_set(logs->io, timer, POLL_MS);
}

static int run(struct logs *logs, size_t last, bool follow)
{
    struct error error = {0};
    int err = io_list_dir(logs->io, logs->paths.logs, add_tail, logs);
    if (err) {
        error_set(&error, err, "there are no logs in %s", logs->paths.logs);
        error_remedy(&error, "start the system first: dure up");
        return cli_fail(EXIT_NOT_RUNNING, &error);
    }
    if (!logs->tail_count && logs->service_count && !follow) {
        error_set(&error, ERR_NOT_FOUND, "%s has printed nothing here", logs->services[0]);
        error_remedy(&error, "dure status shows the services");
        return cli_fail(EXIT_FAILED, &error);
    }
    gather(logs);
    print_lines(logs, last);
    if (!follow) return EXIT_OK;
    io_timer_init(&logs->timer, poll_again);
    io_timer_set(logs->io, &logs->timer, POLL_MS);
    return io_run(logs->io) ? EXIT_FAILED : EXIT_OK;
}

int cmd_logs(int argc, char **argv)
{
    static struct logs logs;
    bool follow = false;
    const char *dir = NULL, *last = "100";
    const struct cli_option options[] = {{"follow", 'f', &follow, NULL},
                                         {"json", 0, &logs.json, NULL},
                                         {"dir", 0, NULL, &dir},
                                         {"last", 'n', NULL, &last}};
    uint64_t count;
    int left = cli_parse(argc, argv, options, 4);
    if (left < 0) return EXIT_USAGE;
    if (bytes_to_u64(bytes_str(last), LINES_MAX, &count) != 0)
        return cli_usage("logs", "--last needs a number");
    int code = paths_find(dir, &logs.paths);
    if (code) return code;
    signal(SIGPIPE, SIG_DFL); /* `dure logs | head` ends quietly */
    logs.io = cli_io();
    logs.services = argv + 1;
    logs.service_count = left;
    logs.colour = isatty(STDOUT_FILENO);
    code = run(&logs, (size_t)count, follow);
    for (size_t i = 0; i < logs.tail_count; i++) buf_release(&logs.tails[i].rest);
    free(logs.lines);
    io_free(logs.io);
    return code;
}
