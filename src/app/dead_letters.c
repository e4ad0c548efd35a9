#include "app/dead_letters.h"

#include "stream/consumer.h"

#define DEAD CONSUMER_DEAD_STREAM
#define PREFIX "Dure-Dead-"

/* ---- which ---- */

static const char *pattern_of(struct dure_ctx *ctx, const struct dead_options *options)
{
    const char *stream = options->stream ? options->stream : "*";
    const char *queue = options->queue ? options->queue : "*";
    return dure_format(ctx, DEAD ".%s.%s", stream, queue);
}

/* A letter's history: the header with this ending; "" when there is none. */
static const char *history(const struct dure_message *letter, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, PREFIX "%s", what);
    const char *value = dure_headers_find(letter->headers, name);
    return value ? value : "";
}

typedef int each_letter(struct dure_ctx *ctx, void *argument, const struct dure_message *letter);

/* Each letter that is there, in order. A negative error, or what `each` returned. */
static int walk(struct dure_ctx *ctx, const struct dead_options *options, each_letter *each,
                void *argument)
{
    const char *pattern = pattern_of(ctx, options);
    struct dure_message letter;
    struct dure_mark mark;
    uint64_t sequence = 1;
    int err = pattern ? 0 : DURE_ENOMEM;
    dure_mark(ctx, &mark);
    while (!err) {
        err = dure_stream_next(ctx, DEAD, sequence, pattern, &letter);
        if (err) break;
        sequence = letter.sequence + 1;
        err = each(ctx, argument, &letter);
        if (!err) dure_forget(ctx, &mark);
    }
    return err == DURE_ENOTFOUND ? 0 : err; /* no more, or no dead letter was ever written */
}

/* ---- list, show ---- */

struct listing {
    struct grid grid;
    bool json;
};

static void print_json(const struct dure_message *letter)
{
    struct buf line;
    struct jsonw json;
    buf_init(&line, 64 << 20);
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_u64(&json, "letter", letter->sequence);
    jsonw_cstr(&json, "stream", history(letter, "Stream"));
    jsonw_cstr(&json, "queue", history(letter, "Consumer"));
    jsonw_cstr(&json, "subject", history(letter, "Subject"));
    jsonw_cstr(&json, "sequence", history(letter, "Sequence"));
    jsonw_cstr(&json, "attempts", history(letter, "Attempts"));
    jsonw_cstr(&json, "reason", history(letter, "Reason"));
    jsonw_cstr(&json, "time", history(letter, "Time"));
    bus_put_headers(&json, letter->headers);
    bus_put_data(&json, bytes_make(letter->body, letter->len));
    jsonw_object_end(&json);
    bus_print_line(&line);
    buf_release(&line);
}

static int list_one(struct dure_ctx *ctx, void *argument, const struct dure_message *letter)
{
    struct listing *listing = argument;
    char size[PRINT_TEXT];
    if (listing->json) {
        print_json(letter);
        return 0;
    }
    grid_add(&listing->grid, "%llu", (unsigned long long)letter->sequence);
    grid_add(&listing->grid, "%.19s", history(letter, "Time"));
    grid_add(&listing->grid, "%s", history(letter, "Stream"));
    grid_add(&listing->grid, "%s", history(letter, "Consumer"));
    grid_add(&listing->grid, "%s", history(letter, "Subject"));
    grid_add(&listing->grid, "%s", history(letter, "Attempts"));
    grid_add(&listing->grid, "%s", size_text(letter->len, size));
    grid_add(&listing->grid, "%s", history(letter, "Reason"));
    return 0;
}

int dead_list(struct dure_ctx *ctx, const struct dead_options *options, bool json)
{
    static const char *const titles[] = {">LETTER", "TIME",  "STREAM", "QUEUE", "SUBJECT",
                                         ">TRIES",  ">SIZE", "REASON", NULL};
    struct listing listing = {.json = json};
    grid_init(&listing.grid, titles);
    int err = walk(ctx, options, list_one, &listing);
    if (!err && !json) grid_print(&listing.grid, "no dead letters");
    grid_release(&listing.grid);
    return err ? bus_fail(ctx, err, "cannot list the dead letters") : EXIT_OK;
}

static int find(struct dure_ctx *ctx, const char *text, struct dure_message *ret_letter)
{
    uint64_t sequence;
    if (bytes_to_u64(bytes_str(text), INT64_MAX, &sequence) != 0 || !sequence) {
        fprintf(stderr, "dure: '%s' is not the number of a dead letter\n  dure queue dead\n", text);
        return EXIT_USAGE;
    }
    int err = dure_stream_get(ctx, DEAD, sequence, NULL, ret_letter);
    if (err == DURE_ENOTFOUND) {
        fprintf(stderr,
                "dure: there is no dead letter %s\n  dure queue dead shows those that are\n", text);
        return EXIT_FAILED;
    }
    return err ? bus_fail(ctx, err, "dead letter %s", text) : EXIT_OK;
}

int dead_show(struct dure_ctx *ctx, const char *sequence, bool json)
{
    struct dure_message letter;
    char title[64];
    const char *name, *value;
    int code = find(ctx, sequence, &letter);
    if (code) return code;
    if (json) {
        print_json(&letter);
        return EXIT_OK;
    }
    snprintf(title, sizeof title, "dead letter %llu", (unsigned long long)letter.sequence);
    print_heading(title);
    print_fact("given up", "%s", history(&letter, "Time"));
    print_fact("because", "%s", history(&letter, "Reason"));
    print_fact("tries", "%s", history(&letter, "Attempts"));
    print_fact("stream", "%s", history(&letter, "Stream"));
    print_fact("queue", "%s", history(&letter, "Consumer"));
    print_fact("subject", "%s", history(&letter, "Subject"));
    print_fact("sequence", "%s", history(&letter, "Sequence"));
    for (size_t i = 0; dure_headers_at(letter.headers, i, &name, &value); i++)
        if (strncmp(name, PREFIX, strlen(PREFIX)) != 0) print_fact(name, "%s", value);
    printf("\n");
    print_text(stdout, bytes_make(letter.body, letter.len));
    printf("\n");
    return EXIT_OK;
}

/* ---- replay ---- */

struct replay {
    uint64_t replayed;
    bool json;
};

/* The headers that it had when it was alive, and no id of then: within the stream's window that
 * would make it a duplicate of itself. */
static const char **own_headers(struct dure_ctx *ctx, const struct dure_message *letter)
{
    const char *name, *value;
    size_t count = 0, n = 0;
    while (dure_headers_at(letter->headers, count, &name, &value)) count++;
    const char **fields = dure_alloc(ctx, (2 * count + 1) * sizeof *fields);
    for (size_t i = 0; fields && dure_headers_at(letter->headers, i, &name, &value); i++) {
        if (strncmp(name, PREFIX, strlen(PREFIX)) == 0 || strcmp(name, "Nats-Msg-Id") == 0 ||
            strncmp(name, "Nats-Expected-", 14) == 0)
            continue;
        fields[n++] = name;
        fields[n++] = value;
    }
    return fields;
}

static int replay_one(struct dure_ctx *ctx, void *argument, const struct dure_message *letter)
{
    struct replay *replay = argument;
    struct dure_stored stored;
    const char *subject = history(letter, "Subject");
    const struct dure_publication publication = {
        .subject = subject,
        .headers = own_headers(ctx, letter),
        .body = letter->body,
        .len = letter->len,
        /* the time tells letters apart when DEAD was made anew and counts from 1 again */
        .id = dure_format(ctx, "dead-%llu-%llu", (unsigned long long)letter->sequence,
                          (unsigned long long)letter->time_ns),
    };
    int err = dure_tell_message(ctx, &publication, 0, &stored);
    if (err)
        return bus_fail(ctx, err, "letter %llu cannot go to %s again",
                        (unsigned long long)letter->sequence, subject);
    struct dure_json *request = dure_json_object(ctx);
    dure_json_set_int(request, "seq", (int64_t)letter->sequence);
    err = dure_api(ctx, "STREAM.MSG.DELETE." DEAD, request, 0, NULL);
    if (err && err != DURE_ENOTFOUND && dure_reason_code(ctx) != 10057)
        return bus_fail(ctx, err, "letter %llu was replayed, but is still among the dead",
                        (unsigned long long)letter->sequence);
    replay->replayed++;
    if (replay->json)
        printf("{\"letter\":%llu,\"subject\":\"%s\",\"stream\":\"%s\",\"sequence\":%llu}\n",
               (unsigned long long)letter->sequence, subject, stored.stream,
               (unsigned long long)stored.sequence);
    else
        bus_progress("replayed", replay->replayed, 0);
    return 0;
}

int dead_replay(struct dure_ctx *ctx, const struct dead_options *options, const char *sequence,
                bool json)
{
    struct replay replay = {.json = json};
    struct dure_message letter;
    int err;
    if (sequence) {
        err = find(ctx, sequence, &letter);
        if (err) return err;
        err = replay_one(ctx, &replay, &letter);
    } else {
        err = walk(ctx, options, replay_one, &replay);
    }
    bus_progress_end();
    if (!json)
        printf("replayed %llu dead letter%s\n", (unsigned long long)replay.replayed,
               replay.replayed == 1 ? "" : "s");
    return err < 0 ? bus_fail(ctx, err, "cannot replay") : err;
}

int dead_purge(struct dure_ctx *ctx, const struct dead_options *options, bool json)
{
    struct dure_json *answer, *request = dure_json_object(ctx);
    int64_t purged = 0;
    dure_json_set_string(request, "filter", pattern_of(ctx, options));
    int err = dure_api(ctx, "STREAM.PURGE." DEAD, request, 0, &answer);
    if (!err) purged = dure_json_get_int(answer, "purged", 0);
    if (err && err != DURE_ENOTFOUND) return bus_fail(ctx, err, "cannot forget the dead letters");
    if (json)
        printf("{\"purged\":%lld}\n", (long long)purged);
    else
        printf("forgot %lld dead letter%s\n", (long long)purged, purged == 1 ? "" : "s");
    return EXIT_OK;
}
