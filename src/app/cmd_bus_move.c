/* `dure bus move`: from the bus of this program to a NATS cluster, while publishers run. */
#include "app/admin_client.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/move.h"
#include "base/timestamp.h"
#include "bus/bus_server.h"
#include "jetstream/jetstream.h"
#include "stream/streams.h"
#include "wire/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STREAMS_MAX = 4096, CONNECT_MS = 10000, PASS_MS = 100, STATUS_MAX = 16 << 20 };

static const uint64_t ms_ns = 1000000;

struct moving {
    struct move move;
    struct log log;
    bool json, once, terminal;
    uint32_t quiet_ms;
    struct move_stream *streams;
    size_t count;
    uint64_t shown_ns; /* when progress was shown last */
    char caught_up[TIMESTAMP_TEXT];

    /* a source that is a folder */
    struct bus *bus;
    struct bus_server *server;
    struct streams *store;
    struct jetstream *jetstream;
    char from_url[2048];
};

/* ---- what people see ------------------------------------------------------------------------- */

static bool log_line(void *context, enum log_level level, struct bytes line)
{
    return level < LOG_ERROR || fwrite(line.data, 1, line.len, stderr) == line.len;
}

static uint64_t log_time(void *context)
{
    const struct moving *moving = context;
    return io_wall_ns(moving->move.io);
}

static void say(const struct moving *moving, const char *text)
{
    if (moving->terminal) fprintf(stderr, "\r\033[K");
    fprintf(stderr, "%s\n", text);
}

static void progress(void *context, const struct move_stream *stream)
{
    struct moving *moving = context;
    uint64_t now_ns = io_now_ns(moving->move.io);
    uint64_t every_ns = moving->terminal ? 100 * ms_ns : 5000 * ms_ns;
    if (now_ns < moving->shown_ns + every_ns) return;
    moving->shown_ns = now_ns;
    double share =
        stream->last_seq ? 100.0 * (double)stream->to_last / (double)stream->last_seq : 100.0;
    char text[MOVE_NAME_MAX + 96];
    snprintf(text, sizeof text, "%s: %llu of %llu (%.0f %%)", stream->name,
             (unsigned long long)stream->to_last, (unsigned long long)stream->last_seq, share);
    if (moving->terminal)
        fprintf(stderr, "\r\033[K%s", text);
    else
        say(moving, text);
}

/* ---- the source ------------------------------------------------------------------------------ */

/* The URL of a system that is up in this folder; false: none is. */
static bool find_running(struct moving *moving, const char *dir)
{
    struct paths paths;
    char absolute[PATH_MAX];
    struct buf answer;
    int status = 0;
    if (!realpath(dir, absolute) || paths_init(&paths, absolute) != 0) return false;
    struct admin_request request = {
        .method = "GET", .target = "/status", .host = "dure", .addr = {.family = IO_UNIX}};
    snprintf(request.addr.path, sizeof request.addr.path, "%s", paths.admin);
    buf_init(&answer, STATUS_MAX);
    bool found = admin_request(&request, &status, &answer, NULL) == 0 && status == 200;
    if (found) {
        json_t *json = json_loadb(buf_bytes(&answer).data, buf_len(&answer), 0, NULL);
        const char *url = json_string_value(json_object_get(json, "bus"));
        found = url && !json_object_get(json, "cluster");
        snprintf(moving->from_url, sizeof moving->from_url, "%s", url ? url : "");
        json_decref(json);
    }
    buf_release(&answer);
    return found;
}

/* The folder of a bus that nobody has open: DIR, or DIR/.dure/store of a system. */
static int open_folder(struct moving *moving, const char *dir, struct error *error)
{
    char store[PATH_MAX], text[IO_ADDR_TEXT];
    bool is_dir = false;
    uint64_t size, time_ns;
    struct io *io = moving->move.io;
    struct io_addr addr;
    int len = snprintf(store, sizeof store, "%s/.dure/store", dir);
    if (len >= PATH_MAX) return error_set(error, ERR_TOO_BIG, "the path is too long");
    if (io_stat(io, store, &size, &time_ns, &is_dir) != 0 || !is_dir)
        snprintf(store, sizeof store, "%s", dir);
    if (io_stat(io, store, &size, &time_ns, &is_dir) != 0 || !is_dir)
        return error_set(error, ERR_NOT_FOUND, "there is no folder %s", store);
    const struct bus_options bus = {.max_payload = 64 << 20};
    const struct bus_server_options server = {.max_payload = 64 << 20, .jetstream = true};
    const struct streams_options streams = {.dir = store, .log = &moving->log};
    int err = io_addr_parse(BYTES("127.0.0.1:0"), &addr);
    if (!err) err = bus_new(io, &bus, &moving->log, &moving->bus);
    if (!err) err = bus_server_new(io, &server, moving->bus, &moving->log, &moving->server);
    if (!err) err = bus_server_listen(moving->server, &addr, &addr);
    if (err) return error_set(error, err, "cannot open the bus: %s", err_text(err));
    err = streams_open(io, moving->bus, &streams, &moving->store, error);
    if (!err) err = jetstream_open(io, moving->bus, moving->store, NULL, &moving->jetstream, error);
    io_addr_format(&addr, text, sizeof text);
    snprintf(moving->from_url, sizeof moving->from_url, "nats://%s", text);
    return err;
}

static int open_source(struct moving *moving, const char *from, struct error *error)
{
    bool is_url = strstr(from, "://") || strncmp(from, "unix:", 5) == 0;
    int err = 0;
    if (is_url)
        snprintf(moving->from_url, sizeof moving->from_url, "%s", from);
    else if (!find_running(moving, from))
        err = open_folder(moving, from, error);
    const struct client_options options = {.urls = moving->from_url, .name = "dure bus move"};
    if (!err) err = client_new(moving->move.io, &options, NULL, &moving->move.from, error);
    return err;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static int remember(void *context, const char *name)
{
    struct moving *moving = context;
    for (size_t i = 0; i < moving->count; i++)
        if (strcmp(moving->streams[i].name, name) == 0) return 0;
    if (moving->count == STREAMS_MAX || strlen(name) >= MOVE_NAME_MAX)
        return error_set(&moving->move.error, ERR_FULL, "there are too many streams");
    struct move_stream *stream = &moving->streams[moving->count++];
    snprintf(stream->name, sizeof stream->name, "%s", name);
    return 0;
}

/* Brings every stream up to what the source has now. *ret_moved: there was something to do. */
static int pass(struct moving *moving, bool *ret_moved)
{
    struct move *move = &moving->move;
    int err = move_list(move, remember, moving);
    *ret_moved = false;
    for (size_t i = 0; !err && i < moving->count; i++) {
        struct move_stream *stream = &moving->streams[i];
        bool is_new = !stream->config;
        err = move_refresh(move, stream);
        if (!err && stream->to_last > stream->last_seq)
            err = error_set(&move->error, ERR_CONFLICT,
                            "the target's stream %s has more than the source's: it is in use there",
                            stream->name);
        if (!err && is_new) err = move_prepare(move, stream);
        if (err || stream->to_last >= stream->last_seq) continue;
        *ret_moved = true;
        if (stream->interest) err = move_interest(move, stream);
        if (!err) err = move_copy(move, stream, progress, moving);
    }
    return err;
}

/* Until nothing has come for a while: then the publishers have ended, or it is the moment. */
static int follow(struct moving *moving)
{
    struct io *io = moving->move.io;
    uint64_t still_since_ns = 0;
    for (;;) {
        bool moved;
        int err = pass(moving, &moved);
        if (err) return err;
        uint64_t now_ns = io_now_ns(io);
        if (moved) still_since_ns = 0;
        if (!moved && !still_since_ns) still_since_ns = now_ns;
        if (!moved && !moving->caught_up[0]) {
            timestamp_format(io_wall_ns(io), moving->caught_up);
            say(moving, moving->once ? "caught up"
                                     : "caught up: now the publishers may end; what still comes "
                                       "is followed");
        }
        if (!moved && (moving->once || now_ns - still_since_ns >= moving->quiet_ms * ms_ns))
            return 0;
        uint64_t until_ns = now_ns + PASS_MS * ms_ns;
        while (io_now_ns(io) < until_ns) io_turn(io, 20);
    }
}

static int finish(struct moving *moving)
{
    int err = 0;
    for (size_t i = 0; !err && i < moving->count; i++) {
        struct move_stream *stream = &moving->streams[i];
        err = move_finish(&moving->move, stream);
        if (!err) err = move_consumers(&moving->move, stream);
        if (!err) err = move_check(&moving->move, stream);
    }
    return err;
}

/* ---- the result ------------------------------------------------------------------------------ */

/* Their clients make them anew, wherever they connect to. */
static void say_ephemerals(const struct moving *moving)
{
    for (size_t i = 0; i < moving->count; i++) {
        const struct move_stream *stream = &moving->streams[i];
        char text[MOVE_NAME_MAX + 128];
        if (!stream->ephemerals) continue;
        snprintf(text, sizeof text,
                 "%s: %zu ephemeral consumer%s not moved: the clients make them again%s",
                 stream->name, stream->ephemerals, stream->ephemerals == 1 ? " is" : "s are",
                 stream->interest ? " (messages kept for them alone stay here)" : "");
        say(moving, text);
    }
}

static bool all_same(const struct moving *moving)
{
    for (size_t i = 0; i < moving->count; i++)
        if (!moving->streams[i].same) return false;
    return true;
}

static void print_json(const struct moving *moving)
{
    json_t *streams = json_array();
    for (size_t i = 0; i < moving->count; i++) {
        const struct move_stream *stream = &moving->streams[i];
        char checksum[20];
        snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)stream->to_checksum);
        json_t *json = json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:O?, s:I}", "name", stream->name, "messages",
            (json_int_t)stream->to_messages, "first_seq", (json_int_t)stream->to_first, "last_seq",
            (json_int_t)stream->to_last, "copied", (json_int_t)stream->copied, "finished",
            stream->finished, "same", stream->same, "consumers", stream->consumers,
            "ephemerals_left", (json_int_t)stream->ephemerals);
        if (stream->finished) json_object_set_new(json, "checksum", json_string(checksum));
        json_array_append_new(streams, json);
    }
    json_t *json = json_pack("{s:s, s:b, s:o}", "caught_up", moving->caught_up, "same",
                             all_same(moving), "streams", streams);
    json_dumpf(json, stdout, JSON_INDENT(2));
    puts("");
    json_decref(json);
}

static void print_table(const struct moving *moving)
{
    printf("%-32s %12s %12s %12s %9s  %-16s  %s\n", "STREAM", "MESSAGES", "LAST", "COPIED",
           "CONSUMERS", "CHECKSUM", "RESULT");
    for (size_t i = 0; i < moving->count; i++) {
        const struct move_stream *stream = &moving->streams[i];
        char checksum[20] = "-";
        if (stream->finished)
            snprintf(checksum, sizeof checksum, "%016llx", (unsigned long long)stream->to_checksum);
        printf("%-32s %12llu %12llu %12llu %9zu  %-16s  %s\n", stream->name,
               (unsigned long long)stream->to_messages, (unsigned long long)stream->to_last,
               (unsigned long long)stream->copied, json_array_size(stream->consumers), checksum,
               !stream->finished ? "copied, not finished"
               : stream->same    ? "the same"
                                 : "DIFFERENT");
    }
}

static int report(struct moving *moving, int err)
{
    if (moving->terminal) fprintf(stderr, "\r\033[K");
    say_ephemerals(moving);
    if (moving->json)
        print_json(moving);
    else
        print_table(moving);
    if (err) {
        error_remedy(&moving->move.error, "Run it again: it goes on where it was.");
        return cli_fail(EXIT_FAILED, &moving->move.error);
    }
    if (moving->once || all_same(moving)) return EXIT_OK;
    error_set(&moving->move.error, ERR_CONFLICT, "source and target differ");
    error_remedy(&moving->move.error, "End the publishers and run it again.");
    return cli_fail(EXIT_FAILED, &moving->move.error);
}

/* ---- the command ----------------------------------------------------------------------------- */

static void set_true(void *context)
{
    *(bool *)context = true;
}

static void wait_for(struct moving *moving, const bool *done)
{
    while (!*done) io_turn(moving->move.io, 50);
}

static void close_all(struct moving *moving)
{
    bool done[6] = {false};
    client_close(moving->move.from, set_true, &done[0]);
    client_close(moving->move.to, set_true, &done[1]);
    wait_for(moving, &done[0]);
    wait_for(moving, &done[1]);
    jetstream_close(moving->jetstream, set_true, &done[2]);
    wait_for(moving, &done[2]);
    streams_close(moving->store, set_true, &done[3]);
    wait_for(moving, &done[3]);
    bus_server_close(moving->server, set_true, &done[4]);
    wait_for(moving, &done[4]);
    bus_close(moving->bus, set_true, &done[5]);
    wait_for(moving, &done[5]);
    for (size_t i = 0; i < moving->count; i++) move_stream_release(&moving->streams[i]);
    free(moving->streams);
}

static int move_all(struct moving *moving, unsigned replicas)
{
    struct move *move = &moving->move;
    int err = move_connect(move, CONNECT_MS);
    if (err) return err;
    struct client_status status = client_status(move->to);
    bool three = status.cluster[0] && status.servers >= 3;
    move->replicas = replicas ? replicas : three ? 3 : 1;
    err = follow(moving);
    return err || moving->once ? err : finish(moving);
}

static int open_target(struct moving *moving, const char *to, const char *creds_path,
                       const struct client_tls *tls, struct error *error)
{
    char creds[65536] = "";
    struct io_file file;
    int err = 0;
    if (creds_path) {
        err = io_file_open(moving->move.io, &file, creds_path, IO_READ);
        int64_t len = err ? err : io_file_read(&file, creds, sizeof creds - 1, 0);
        if (!err) io_file_close(&file);
        if (len < 0)
            return error_set(error, (int)len, "cannot read %s: %s", creds_path, err_text((int)len));
    }
    const struct client_options options = {
        .urls = to,
        .name = "dure bus move",
        .identity = {.creds = creds_path ? creds : NULL},
        .tls = tls->ca || tls->cert ? tls : NULL,
    };
    return client_new(moving->move.io, &options, NULL, &moving->move.to, error);
}

int cmd_bus_move(int argc, char **argv)
{
    static struct moving moving;
    const char *from = NULL, *to = NULL, *quiet = "2s", *replicas = "0", *creds = NULL;
    struct client_tls tls = {0};
    const struct cli_option options[] = {
        {"from", 0, NULL, &from},        {"to", 0, NULL, &to},
        {"quiet", 0, NULL, &quiet},      {"replicas", 0, NULL, &replicas},
        {"creds", 0, NULL, &creds},      {"ca", 0, NULL, &tls.ca},
        {"cert", 0, NULL, &tls.cert},    {"key", 0, NULL, &tls.key},
        {"once", 0, &moving.once, NULL}, {"json", 0, &moving.json, NULL},
    };
    struct error error = {0};
    uint64_t replica_count;
    int left = cli_parse(argc, argv, options, sizeof options / sizeof *options);
    if (left < 0) return EXIT_USAGE;
    if (left > 0 || !from || !to)
        return cli_usage("bus", "move needs --from DIR|URL and --to nats://...");
    if (yaml_duration_parse(bytes_str(quiet), &moving.quiet_ms) != 0)
        return cli_usage("bus", "--quiet needs a duration such as 2s");
    if (bytes_to_u64(bytes_str(replicas), 5, &replica_count) != 0)
        return cli_usage("bus", "--replicas needs a number from 0 to 5");
    moving.move.io = cli_io();
    moving.log = (struct log){LOG_ERROR, log_line, log_time, &moving, 0};
    moving.terminal = isatty(STDERR_FILENO);
    moving.streams = calloc(STREAMS_MAX, sizeof *moving.streams);
    int err = moving.streams ? open_source(&moving, from, &error) : ERR_NOMEM;
    if (!err) err = open_target(&moving, to, creds, &tls, &error);
    int code = err ? cli_fail(EXIT_FAILED, &error)
                   : report(&moving, move_all(&moving, (unsigned)replica_count));
    close_all(&moving);
    return code;
}
