#include "app/stream_backup.h"

#include "app/file_replace.h"

#include "base/map.h"
#include "wire/nats.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#define MAGIC "dure stream backup 1\n"

enum { LINE_MAX_BYTES = 1 << 20, PIECE_MAX = 64 << 20, WINDOW = 256 };

struct backup {
    const char *path;
    FILE *file;
    uint64_t messages, hash;
    bool failed;
};

static int cannot(const char *what, const char *path, const char *why)
{
    bus_progress_end();
    fprintf(stderr, "dure: cannot %s %s: %s\n", what, path, why);
    return EXIT_FAILED;
}

/* ---- writing ---- */

static void put(struct backup *backup, struct bytes bytes)
{
    if (fwrite(bytes.data, 1, bytes.len, backup->file) != bytes.len) backup->failed = true;
}

static void put_message(struct backup *backup, const struct dure_message *message,
                        struct buf *headers)
{
    const char *name, *value;
    char line[1400];
    buf_clear(headers);
    for (size_t i = 0; dure_headers_at(message->headers, i, &name, &value); i++) {
        if (!i) nats_headers_begin(headers, 0, NULL);
        nats_headers_add(headers, bytes_str(name), bytes_str(value));
    }
    if (buf_len(headers)) nats_headers_end(headers);
    int len = snprintf(line, sizeof line, "MSG %llu %llu %s %zu %zu\n",
                       (unsigned long long)message->sequence, (unsigned long long)message->time_ns,
                       message->subject, buf_len(headers), message->len);
    struct bytes body = bytes_make(message->body, message->len);
    put(backup, bytes_make(line, (size_t)len));
    put(backup, buf_bytes(headers));
    put(backup, body);
    put(backup, BYTES("\n"));
    backup->hash += map_hash(bytes_make(line, (size_t)len)) + 3 * map_hash(buf_bytes(headers)) +
                    5 * map_hash(body);
    backup->messages++;
    if (headers->failed) backup->failed = true;
}

static int write_messages(struct dure_ctx *ctx, struct backup *backup, const char *stream)
{
    const struct dure_reader_options options = {.stream = stream, .ahead = 512};
    struct dure_reader *reader;
    struct dure_message message;
    struct buf headers;
    int err = dure_reader_open(ctx, &options, &reader);
    if (err) return err;
    uint64_t total = dure_reader_initial(reader);
    buf_init(&headers, PIECE_MAX);
    while (!err && !backup->failed && backup->messages < total) {
        err = dure_reader_next(reader, 0, &message);
        if (!err) put_message(backup, &message, &headers);
        bus_progress("backed up", backup->messages, total);
        if (!err && !message.pending) break; /* some have gone in the meantime */
    }
    buf_release(&headers);
    dure_reader_close(reader);
    return err;
}

/* Of what a queue's stream holds: it can be read only one by one. */
static int write_one_by_one(struct dure_ctx *ctx, struct backup *backup, const char *stream,
                            uint64_t last)
{
    struct dure_message message;
    struct dure_mark mark;
    struct buf headers;
    uint64_t sequence = 1;
    int err = 0;
    buf_init(&headers, PIECE_MAX);
    dure_mark(ctx, &mark);
    while (sequence <= last && !backup->failed) {
        err = dure_stream_next(ctx, stream, sequence, ">", &message);
        if (err) break;
        put_message(backup, &message, &headers);
        sequence = message.sequence + 1;
        dure_forget(ctx, &mark);
    }
    buf_release(&headers);
    return err == DURE_ENOTFOUND ? 0 : err;
}

int stream_backup(struct dure_ctx *ctx, const char *stream, const char *path)
{
    struct backup backup = {.path = path};
    struct dure_json *info, *head = dure_json_object(ctx);
    char part[PATH_MAX], text[PRINT_TEXT];
    int err = dure_api(ctx, dure_format(ctx, "STREAM.INFO.%s", stream), NULL, 0, &info);
    if (err) return bus_fail(ctx, err, "stream %s", stream);
    const struct dure_json *config = dure_json_get(info, "config");
    const struct dure_json *state = dure_json_get(info, "state");
    dure_json_set(head, "config", config);
    dure_json_set(head, "state", state);
    const char *line = dure_json_text(ctx, head, NULL);
    if (!line || snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return bus_fail(ctx, DURE_ENOMEM, "cannot back up stream %s", stream);
    backup.file = fopen(part, "wbe");
    if (!backup.file) return cannot("write", part, strerror(errno));
    put(&backup, BYTES(MAGIC));
    put(&backup, bytes_str(line));
    put(&backup, BYTES("\n"));
    bool queue = strcmp(dure_json_get_string(config, "retention", ""), "workqueue") == 0;
    uint64_t last = (uint64_t)dure_json_get_int(state, "last_seq", 0);
    err =
        queue ? write_one_by_one(ctx, &backup, stream, last) : write_messages(ctx, &backup, stream);
    fprintf(backup.file, "END %llu %016llx\n", (unsigned long long)backup.messages,
            (unsigned long long)backup.hash);
    if (fclose(backup.file) != 0) backup.failed = true;
    if (!err && !backup.failed && file_replace(part, path) != 0) backup.failed = true;
    if (!err && !backup.failed) {
        bus_progress_end();
        printf("backed up %s messages of stream %s\n", count_text(backup.messages, text), stream);
        return EXIT_OK;
    }
    file_discard(part);
    return err ? bus_fail(ctx, err, "cannot back up stream %s", stream)
               : cannot("write", path, strerror(errno));
}

/* ---- reading ---- */

struct piece {
    uint64_t sequence, header_len, body_len;
    char *subject;
    struct bytes headers, body;
    char line[1400];
    struct buf data;
};

/* 1: a message; 0: the end, and all is well; -1: damaged. */
static int read_piece(struct backup *backup, struct piece *piece)
{
    uint64_t number, time;
    if (!fgets(piece->line, sizeof piece->line, backup->file)) return -1;
    struct bytes whole = bytes_str(piece->line), rest = whole;
    if (!bytes_ends(rest, BYTES("\n"))) return -1;
    rest.len--;
    struct bytes word = bytes_cut(&rest, ' '), first = bytes_cut(&rest, ' ');
    if (bytes_to_u64(first, UINT64_MAX, &number) != 0) return -1;
    if (bytes_eq(word, BYTES("END"))) {
        uint64_t hash;
        bool good = number == backup->messages && bytes_to_u64_hex(rest, UINT64_MAX, &hash) == 0 &&
                    hash == backup->hash;
        return good ? 0 : -1;
    }
    struct bytes at = bytes_cut(&rest, ' '), subject = bytes_cut(&rest, ' ');
    struct bytes headers = bytes_cut(&rest, ' ');
    if (!bytes_eq(word, BYTES("MSG")) || bytes_to_u64(at, UINT64_MAX, &time) != 0 ||
        bytes_to_u64(headers, PIECE_MAX, &piece->header_len) != 0 ||
        bytes_to_u64(rest, PIECE_MAX, &piece->body_len) != 0)
        return -1;
    size_t len = piece->header_len + piece->body_len + 1;
    buf_clear(&piece->data);
    char *room = buf_reserve(&piece->data, len);
    if (!room || fread(room, 1, len, backup->file) != len || room[len - 1] != '\n') return -1;
    buf_commit(&piece->data, len);
    piece->sequence = number;
    piece->headers = bytes_make(room, piece->header_len);
    piece->body = bytes_make(room + piece->header_len, piece->body_len);
    backup->hash += map_hash(whole) + 3 * map_hash(piece->headers) + 5 * map_hash(piece->body);
    backup->messages++;
    piece->subject = piece->line + (subject.data - piece->line);
    piece->subject[subject.len] = '\0';
    return 1;
}

/* The head of the file: its JSON, or NULL. */
static struct dure_json *read_head(struct dure_ctx *ctx, struct backup *backup)
{
    char magic[sizeof MAGIC] = "";
    if (!fgets(magic, sizeof magic, backup->file) || strcmp(magic, MAGIC) != 0) return NULL;
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, backup->file);
    struct dure_json *head = len > 0 ? dure_json_parse(ctx, line, (size_t)len) : NULL;
    free(line);
    return head;
}

/* Reads all of it once: nothing is made of a file that is damaged. */
static bool check(struct dure_ctx *ctx, struct backup *backup, struct piece *piece,
                  uint64_t *ret_total)
{
    int more;
    long start = ftell(backup->file);
    while ((more = read_piece(backup, piece)) > 0) bus_progress("checked", backup->messages, 0);
    *ret_total = backup->messages;
    backup->messages = backup->hash = 0;
    return more == 0 && start >= 0 && fseek(backup->file, start, SEEK_SET) == 0;
}

/* ---- storing again ---- */

struct restoring {
    uint64_t stored, duplicates;
    int err;
    char reason[256];
};

static void stored(void *argument, uint64_t tag, const struct dure_stored *result)
{
    struct restoring *restoring = argument;
    if (!result->err) {
        restoring->stored++;
        restoring->duplicates += result->duplicate;
    } else if (!restoring->err) {
        restoring->err = result->err;
        snprintf(restoring->reason, sizeof restoring->reason, "%s", result->reason);
    }
}

/* What was a condition when the message was first stored has no meaning any more, and a rollup has
 * rolled up already. */
static bool is_condition(struct bytes name)
{
    return bytes_starts(name, BYTES("Nats-Expected-")) || bytes_eq(name, BYTES("Nats-Rollup"));
}

static int store(struct dure_ctx *ctx, struct dure_publisher *publisher, const struct piece *piece)
{
    enum { FIELDS_MAX = 128 };
    const char *fields[2 * FIELDS_MAX + 1];
    struct nats_headers walk;
    struct bytes name, value;
    size_t n = 0;
    if (piece->headers.len && nats_headers_parse(piece->headers, &walk) != 0) return DURE_EPROTOCOL;
    while (piece->headers.len && n < 2 * FIELDS_MAX &&
           nats_headers_next(&walk, &name, &value) > 0) {
        if (is_condition(name)) continue;
        fields[n++] = dure_copy(ctx, name.data, name.len);
        fields[n++] = dure_copy(ctx, value.data, value.len);
    }
    fields[n] = NULL;
    const struct dure_publication publication = {.subject = piece->subject,
                                                 .headers = fields,
                                                 .body = piece->body.data,
                                                 .len = piece->body.len};
    return dure_publisher_put(publisher, &publication, piece->sequence);
}

static int store_all(struct dure_ctx *ctx, struct backup *backup, struct piece *piece,
                     uint64_t total, struct restoring *restoring)
{
    const struct dure_publisher_options options = {
        .window = WINDOW, .no_id = true, .stored = stored, .argument = restoring};
    struct dure_publisher *publisher;
    struct dure_mark mark;
    int err = dure_publisher_open(ctx, &options, &publisher);
    if (err) return err;
    dure_mark(ctx, &mark);
    while (!err && !restoring->err && read_piece(backup, piece) > 0) {
        err = store(ctx, publisher, piece);
        bus_progress("restored", backup->messages, total);
        dure_forget(ctx, &mark);
    }
    if (!err) dure_publisher_flush(publisher); /* `stored` hears of each */
    dure_publisher_close(publisher);
    return err ? err : restoring->err;
}

/* With the subjects and limits that it had, but a duplicate window that is over at once: an id may
 * have come again after the old one. */
static int make_stream(struct dure_ctx *ctx, const struct dure_json *head, const char *name,
                       struct dure_json **ret_config)
{
    struct dure_json *answer, *config = dure_json_get(head, "config");
    *ret_config = config;
    int64_t window = dure_json_get_int(config, "duplicate_window", 0);
    int64_t first = dure_json_get_int(dure_json_get(head, "state"), "first_seq", 0);
    if (!dure_json_get_string(config, "name", NULL)) return DURE_EINVALID;
    if (name) dure_json_set_string(config, "name", name);
    name = dure_json_get_string(config, "name", "");
    dure_json_set_int(config, "duplicate_window", 100000000);
    if (first > 1) dure_json_set_int(config, "first_seq", first);
    int err = dure_api(ctx, dure_format(ctx, "STREAM.CREATE.%s", name), config, 0, &answer);
    dure_json_set_int(config, "duplicate_window", window);
    return err;
}

static int restore_from(struct dure_ctx *ctx, struct backup *backup, const char *name)
{
    struct piece piece = {0};
    struct restoring restoring = {0};
    struct dure_json *config;
    uint64_t total;
    char text[PRINT_TEXT];
    buf_init(&piece.data, 2 * PIECE_MAX + 1);
    const struct dure_json *head = read_head(ctx, backup);
    if (!head || !check(ctx, backup, &piece, &total)) {
        buf_release(&piece.data);
        return cannot("restore", backup->path, "it is no backup of a stream, or it is damaged");
    }
    int err = make_stream(ctx, head, name, &config);
    if (err) {
        buf_release(&piece.data);
        return bus_fail(ctx, err, "cannot make stream %s",
                        dure_json_get_string(config, "name", "?"));
    }
    name = dure_json_get_string(config, "name", "");
    err = store_all(ctx, backup, &piece, total, &restoring);
    buf_release(&piece.data);
    if (!err) err = dure_api(ctx, dure_format(ctx, "STREAM.UPDATE.%s", name), config, 0, NULL);
    bus_progress_end();
    if (err)
        return bus_fail(ctx, err, "stream %s holds %llu of %llu messages%s%s", name,
                        (unsigned long long)restoring.stored, (unsigned long long)total,
                        *restoring.reason ? ": " : "", restoring.reason);
    printf("restored %s messages to stream %s\n",
           count_text(restoring.stored - restoring.duplicates, text), name);
    return EXIT_OK;
}

int stream_restore(struct dure_ctx *ctx, const char *path, const char *name)
{
    struct backup backup = {.path = path, .file = fopen(path, "rbe")};
    if (!backup.file) return cannot("read", path, strerror(errno));
    int code = restore_from(ctx, &backup, name);
    fclose(backup.file);
    return code;
}
