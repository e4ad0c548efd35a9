/* A stream that starts from digests is the one that reads all its records: after crashes at any
 * point, whatever the stream does, and whatever has become of the digests. */
#include "stream/stream_impl.h"
#include "lives.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define MEMBERS LIVES_DIR "/streams"

enum { LIVES = 4, PATHS = 64, PATH_SIZE = 96 };

struct world {
    struct lives lives;
    struct stream *stream;
    struct stream_config config;
    uint32_t count;
    struct list ops; /* of struct change: under way */
};

struct change {
    struct stream_op op;
    struct list link;
};

static uint64_t seen_digests, seen_rotten, seen_runs, seen_ids;

/* ---- what a stream is ---- */

struct print {
    struct buf text; /* a number for each fact */
};

static void say(struct print *print, uint64_t value)
{
    buf_append_u64(&print->text, value);
    buf_append_char(&print->text, ' ');
}

static void say_bytes(struct print *print, struct bytes bytes)
{
    say(print, XXH3_64bits(bytes.data, bytes.len));
}

static void say_messages(struct print *print, struct stream *stream)
{
    struct stream_entry entry;
    uint64_t seq = 0;
    for (; stream_index_from(&stream->index, seq, &entry); seq = entry.seq + 1) {
        say(print, entry.seq);
        say(print, entry.time_ns);
        say(print, entry.place);
        say(print, entry.size);
        say(print, (uint64_t)entry.marker * 2 + entry.ageless);
        say_bytes(print, entry.subject->name);
        say(print, entry.subject->first);
        say(print, entry.subject->last);
        say(print, entry.subject->count);
        say(print, stream_index_before(&stream->index, entry.seq));
        buf_append_char(&print->text, '\n');
    }
}

/* A heap is in no order that matters. */
static void say_clock(struct print *print, const struct stream_clock *clock)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < clock->count; i++) {
        sum += XXH3_64bits(&clock->heap[i], sizeof clock->heap[i]);
    }
    say(print, sum);
}

static struct print print_of(struct stream *stream)
{
    struct print print;
    struct buf bytes;
    buf_init(&print.text, SIZE_MAX);
    buf_init(&bytes, SIZE_MAX);
    struct stream_state state = stream_state(stream);
    say_messages(&print, stream);
    say(&print, state.messages);
    say(&print, state.bytes);
    say(&print, state.subjects);
    say(&print, state.last_seq);
    say(&print, state.last_time_ns);
    say(&print, stream->created_ns);
    say(&print, stream->applied_place);
    say(&print, stream->cleaner.moved_end);
    say_clock(&print, &stream->expiry);
    say_clock(&print, &stream->delayed);
    stream_dedupe_encode(&stream->dedupe, UINT64_MAX, &bytes);
    seen_ids += stream->dedupe.end - stream->dedupe.start;
    stream_progress_encode(stream, &bytes);
    stream_config_encode(stream->config, &bytes);
    say_bytes(&print, buf_bytes(&bytes));
    say(&print, journal_bytes(stream->journal));
    buf_release(&bytes);
    return print;
}

static int read_one(void *context, const struct stream_message *message)
{
    ++*(uint64_t *)context;
    return 0;
}

/* ---- digests on the disk ---- */

struct files {
    char dir[PATH_SIZE]; /* of the one stream */
    char paths[PATHS][PATH_SIZE];
    size_t count;
};

static int note(void *context, const char *name)
{
    struct files *files = context;
    if (!bytes_ends(bytes_str(name), BYTES(".dig")) || files->count == PATHS) return 0;
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s", files->dir, name);
    memcpy(files->paths[files->count++], path, sizeof path);
    return n < PATH_SIZE ? 0 : ERR_TOO_BIG;
}

static int note_folder(void *context, const char *name)
{
    struct files *files = context;
    int n = snprintf(files->dir, PATH_SIZE, MEMBERS "/%s", name);
    return n < PATH_SIZE ? 0 : ERR_TOO_BIG;
}

static struct files list(struct world *w)
{
    struct files files = {0};
    (void)io_list_dir(w->lives.io, MEMBERS, note_folder, &files);
    (void)io_list_dir(w->lives.io, files.dir, note, &files);
    return files;
}

static void spoil(struct world *w)
{
    struct files files = list(w);
    seen_digests += files.count;
    for (size_t i = 0; i < files.count; i++) {
        uint64_t size, time_ns;
        if (sim_random_below(w->lives.sim, 3) ||
            io_stat(w->lives.io, files.paths[i], &size, &time_ns, NULL)) {
            continue;
        }
        uint64_t at = sim_random_below(w->lives.sim, size ? size : 1);
        struct io_file file;
        if (sim_random_below(w->lives.sim, 2)) {
            (void)sim_disk_flip(w->lives.host, files.paths[i], at,
                                1 << sim_random_below(w->lives.sim, 8));
        } else if (io_file_open(w->lives.io, &file, files.paths[i], IO_READ | IO_WRITE) == 0) {
            (void)io_file_truncate(&file, at);
            io_file_close(&file);
        }
        seen_rotten++;
    }
}

static void remove_all(struct world *w)
{
    struct files files = list(w);
    for (size_t i = 0; i < files.count; i++) (void)io_unlink(w->lives.io, files.paths[i]);
}

/* ---- what happens to it ---- */

static void done(struct stream_op *op, int result)
{
    struct change *change = CONTAINER_OF(op, struct change, op);
    list_remove(&change->link);
    free(change);
}

static struct stream_op *new_op(struct world *w)
{
    struct change *change = calloc(1, sizeof *change);
    CHECK(change, "memory");
    list_push(&w->ops, &change->link);
    return &change->op;
}

static void publish(struct world *w)
{
    char subject[16], text[160] = "", headers[200], body[200] = {0};
    uint64_t kind = sim_random_below(w->lives.sim, 16), which = sim_random_below(w->lives.sim, 6);
    bool ids = w->config.duplicate_window_ns > 1000000000;
    if (sim_random_below(w->lives.sim, 10) == 0) which = sim_random_below(w->lives.sim, 60);
    if (ids || kind == 0) snprintf(text, sizeof text, "Nats-Msg-Id: id%u\r\n", w->count);
    size_t at = strlen(text);
    if (kind == 1) snprintf(text + at, sizeof text - at, "Nats-TTL: 2s\r\n");
    if (kind == 2) snprintf(text + at, sizeof text - at, "Dure-Delay: 1s\r\n");
    if (kind == 3) snprintf(text + at, sizeof text - at, "Nats-Rollup: sub\r\n");
    if (kind == 4 && which == 5) snprintf(text + at, sizeof text - at, "Nats-Rollup: all\r\n");
    int len = snprintf(subject, sizeof subject, "s.%" PRIu64, which);
    int headers_len = snprintf(headers, sizeof headers, "NATS/1.0\r\n%s\r\n", text);
    if (text[0] == 0) headers_len = 0;
    size_t size = sim_random_below(w->lives.sim, 2) ? 20 : 8 + sim_random_below(w->lives.sim, 190);
    memcpy(body, &w->count, sizeof w->count);
    w->count++;
    struct message message =
        message_borrow(bytes_make(subject, (size_t)len), BYTES(""),
                       bytes_make(headers, (size_t)headers_len), bytes_make(body, size));
    /* Several alike in a row, as most publishers do. */
    uint64_t times = ids || kind < 5 || sim_random_below(w->lives.sim, 3) ? 1 : 12;
    seen_runs += times > 1;
    while (times-- > 0) stream_publish(w->stream, new_op(w), &message, NULL, done);
    message_done(&message);
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    struct stream_state state = stream_state(w->stream);
    uint64_t seq = state.first_seq + sim_random_below(w->lives.sim, state.last_seq + 1);
    switch (sim_random_below(w->lives.sim, 60)) {
    case 0: stream_purge(w->stream, new_op(w), BYTES("s.1"), 0, 0, done); break;
    case 1: stream_purge(w->stream, new_op(w), BYTES(""), seq, 0, done); break;
    case 2:
    case 3: stream_delete(w->stream, new_op(w), seq, done); break;
    case 4:
        w->config.max_msgs = (int64_t)sim_random_below(w->lives.sim, 200);
        stream_update(w->stream, new_op(w), &w->config, done);
        break;
    case 5:
    case 6:
        for (int i = 0; i < 10; i++) stream_remove_later(w->stream, seq + (uint64_t)i * 3);
        break;
    case 7: stream_clean(w->stream); break;
    case 8: sim_run_ms(w->lives.sim, sim_random_below(w->lives.sim, 1500)); break;
    default: publish(w);
    }
}

/* ---- lives ---- */

static int open_stream(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    struct api_error refusal = {0};
    w->stream = streams_find(lives->streams, BYTES("S"));
    int r = w->stream ? 0 : streams_add(lives->streams, &w->config, &w->stream, &refusal);
    CHECK(refusal.kind != API_STREAM_INVALID_CONFIG, "%s", refusal.details);
    return r;
}

/* The crash has taken what was under way. */
static void drop(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    for (struct list *link; (link = list_pop(&w->ops));) {
        free(CONTAINER_OF(link, struct change, link));
    }
}

static const struct lives_program program = {
    .open = open_stream, .act = act, .steps = 10, .drop = drop};

/* The next start, with the digests that there are, and the one behind it, without any; then once
 * more, with those that were written again. */
static void compare(struct world *w)
{
    sim_host_crash_never(w->lives.host);
    lives_restart(&w->lives);
    spoil(w);
    lives_start(&w->lives);
    struct print with = print_of(w->stream);
    sim_host_kill(w->lives.host);
    lives_restart(&w->lives);
    remove_all(w);
    lives_start(&w->lives);
    struct print without = print_of(w->stream);
    CHECK(bytes_eq(buf_bytes(&with.text), buf_bytes(&without.text)), "with:\n%.*s\nwithout:\n%.*s",
          BYTES_ARG(buf_bytes(&with.text)), BYTES_ARG(buf_bytes(&without.text)));
    buf_release(&with.text);
    buf_release(&without.text);
    uint64_t count = 0;
    int r = stream_each(w->stream, read_one, &count);
    CHECK(r == 0, "%s", err_name(r));
    sim_host_kill(w->lives.host);
    lives_start(&w->lives);
}

static int64_t sometimes(struct sim *sim, uint64_t from, uint64_t below)
{
    return sim_random_below(sim, 3) ? 0 : (int64_t)(from + sim_random_below(sim, below));
}

static void same(struct sim *sim, uint64_t seed)
{
    static const char *const subjects[] = {"s.>"};
    struct world *w = lives_new(sizeof *w, sim, &program);
    list_init(&w->ops);
    w->config = (struct stream_config){
        .name = "S",
        .subjects = subjects,
        .subject_count = 1,
        .max_msgs = sometimes(sim, 20, 100),
        .max_bytes = sometimes(sim, 2000, 9000),
        .max_msgs_per_subject = sometimes(sim, 1, 10),
        .max_age_ns = sometimes(sim, 1, 3) * 1000000000,
        .duplicate_window_ns = 100000000 + (int64_t)sim_random_below(sim, 2) * 60000000000,
        .allow_msg_ttl = true,
        .allow_rollup = true,
        .sync = (enum journal_sync)sim_random_below(sim, 3),
    };
    if (w->config.max_age_ns && w->config.duplicate_window_ns > w->config.max_age_ns) {
        w->config.duplicate_window_ns = w->config.max_age_ns;
    }
    lives_start(&w->lives);
    for (int life = 0; life < LIVES; life++) {
        lives_arm_crash(&w->lives, 200);
        lives_act(&w->lives, 10 + sim_random_below(sim, 150));
        if (!sim_host_crashed(w->lives.host) && sim_random_below(sim, 2)) {
            sim_run_ms(sim, sim_random_below(sim, 2000));
        }
        lives_end(&w->lives);
        compare(w);
    }
    lives_free(&w->lives);
}

static void finish(void)
{
    CHECK(seen_digests > 0 && seen_rotten > 0 && seen_runs > 0 && seen_ids > 0,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_digests, seen_rotten, seen_runs,
          seen_ids);
}

RUNNER_MAIN({"digests", same, .finish = finish, .seeds = 1000})
