/* Copying: a window of messages is read ahead and published in order. Each must get the sequence
 * that it had; when anything goes wrong, the target says how far it is and it begins anew there. */
#include "app/move.h"

#include "bus/message.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    READ_MS = 5000,
    WRITE_MS = 5000,
    MESSAGE_NOT_FOUND = 10037,
    AGAIN_MS = 250,
    TRIES_MAX = 60,
    RESTARTS_MAX = 3
};

/* duplicate_window of the target while copying: the least that a server takes. */
static const int64_t window_ns = 100000000;

enum slot_state { SLOT_FREE, SLOT_READING, SLOT_READ, SLOT_WRITING };

struct slot {
    struct copy *copy;
    enum slot_state state;
    uint64_t seq;
    bool hole; /* the source has no such message */
    struct move_message message;
    struct jsapi read;
    struct client_request write;
};

struct copy {
    struct move *move;
    struct move_stream *stream;
    struct slot slots[MOVE_WINDOW];
    uint64_t next_read, next_write, next_done; /* sequences */
    unsigned under_way;                        /* requests */
    bool settled; /* one was written where it belongs: only then are several under way */
    unsigned restarts;
    int failed; /* an error: nothing more is begun, and when nothing is under way it begins anew */
};

static struct slot *slot_of(struct copy *copy, uint64_t seq)
{
    return &copy->slots[seq % MOVE_WINDOW];
}

/* ---- reading --------------------------------------------------------------------------------- */

static void read_done(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct slot *slot = CONTAINER_OF(api, struct slot, read);
    struct copy *copy = slot->copy;
    copy->under_way--;
    slot->hole = api->err_code == MESSAGE_NOT_FOUND;
    int err = slot->hole ? 0 : result ? result : move_decode(answer, &slot->message);
    slot->state = SLOT_READ;
    if (!err) return;
    copy->failed = err;
    if (result) copy->move->error = *error;
}

static void read_next(struct copy *copy)
{
    struct slot *slot = slot_of(copy, copy->next_read);
    char what[MOVE_NAME_MAX + 32];
    snprintf(what, sizeof what, "STREAM.MSG.GET.%s", copy->stream->name);
    slot->seq = copy->next_read;
    int err = jsapi_ask(copy->move->from, &slot->read, what,
                        json_pack("{s:I}", "seq", (json_int_t)slot->seq), READ_MS, read_done);
    if (err) {
        copy->failed = err;
        return;
    }
    slot->state = SLOT_READING;
    copy->under_way++;
    copy->next_read++;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void written(struct client_request *request, int result, struct message *reply)
{
    struct slot *slot = CONTAINER_OF(request, struct slot, write);
    struct copy *copy = slot->copy;
    struct puback ack = {0};
    copy->under_way--;
    slot->state = SLOT_FREE;
    int err = result ? result : jsapi_puback(reply->payload, &ack);
    /* A message of the same id is younger than the least window: a moment later it is not. */
    if (!err && ack.seq != slot->seq) err = ack.duplicate ? ERR_TIMEOUT : ERR_CONFLICT;
    if (err) {
        if (!copy->failed || copy->failed != ERR_CONFLICT) copy->failed = err;
        error_set(&copy->move->error, err, "%s",
                  ack.code ? ack.description : "the target gave another sequence");
        return;
    }
    copy->settled = true;
    copy->next_done = slot->seq + 1;
    copy->stream->to_last = slot->seq;
    copy->stream->copied += !slot->hole;
}

static void write_next(struct copy *copy)
{
    struct slot *slot = slot_of(copy, copy->next_write);
    char filler[MOVE_NAME_MAX + 16];
    struct message message;
    if (slot->hole) {
        snprintf(filler, sizeof filler, MOVE_FILLER ".%s", copy->stream->name);
        message = message_borrow(bytes_str(filler), BYTES(""), BYTES(""), BYTES(""));
    } else {
        message =
            message_borrow(buf_bytes(&slot->message.subject), BYTES(""),
                           buf_bytes(&slot->message.headers), buf_bytes(&slot->message.payload));
    }
    int err = client_request(copy->move->to, &slot->write, &message, WRITE_MS, written);
    message_done(&message);
    if (err == ERR_FULL) return; /* when some of it is sent */
    if (err) {
        copy->failed = err;
        return;
    }
    slot->state = SLOT_WRITING;
    copy->under_way++;
    copy->next_write++;
}

static void pump(struct copy *copy, uint64_t last)
{
    while (!copy->failed && copy->next_read <= last &&
           copy->next_read < copy->next_done + MOVE_WINDOW) {
        uint64_t before = copy->next_read;
        read_next(copy);
        if (copy->next_read == before) break;
    }
    while (!copy->failed && copy->next_write < copy->next_read &&
           slot_of(copy, copy->next_write)->state == SLOT_READ) {
        uint64_t before = copy->next_write;
        if (!copy->settled && copy->next_write > copy->next_done) break;
        write_next(copy);
        if (copy->next_write == before) break;
    }
}

/* ---- one stream ------------------------------------------------------------------------------ */

static json_t *config_for_move(struct move *move, const struct move_stream *stream)
{
    char filler[MOVE_NAME_MAX + 16];
    json_t *config = json_deep_copy(stream->config);
    json_t *subjects = json_object_get(config, "subjects");
    snprintf(filler, sizeof filler, MOVE_FILLER ".%s", stream->name);
    if (!subjects) json_object_set_new(config, "subjects", subjects = json_array());
    json_array_append_new(subjects, json_string(filler));
    json_object_set_new(config, "num_replicas", json_integer((json_int_t)move->replicas));
    json_object_set_new(config, "duplicate_window", json_integer(window_ns));
    static const char *const lifted[] = {"max_msgs", "max_bytes", "max_msgs_per_subject"};
    for (size_t i = 0; i < sizeof lifted / sizeof *lifted; i++)
        json_object_set_new(config, lifted[i], json_integer(-1));
    static const char *const later[] = {
        "deny_delete",     "deny_purge",        "sealed",
        "max_age",         "first_seq",         "mirror",
        "sources",         "republish",         "discard_new_per_subject",
        "consumer_limits", "subject_transform", "metadata",
        "compression"};
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) json_object_del(config, later[i]);
    return config;
}

static int ask_stream(struct move *move, const struct move_stream *stream, const char *verb,
                      json_t *body)
{
    char what[MOVE_NAME_MAX + 32];
    snprintf(what, sizeof what, "STREAM.%s.%s", verb, stream->name);
    return move_ask(move, move->to, what, body, NULL);
}

/* A stream that an earlier run has finished, and to which more has to come: with the fillers'
 * subject and without limits once more. What may not be taken back (deny_purge ...) stays. */
static int reopen(struct move *move, const struct move_stream *stream, const json_t *config)
{
    json_t *opened = config_for_move(move, stream);
    static const char *const kept[] = {"deny_delete", "deny_purge", "metadata", "compression"};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        json_t *value = json_object_get(config, kept[i]);
        if (value) json_object_set(opened, kept[i], value);
    }
    return ask_stream(move, stream, "UPDATE", opened);
}

static bool has_filler(const struct move_stream *stream, const json_t *config)
{
    char filler[MOVE_NAME_MAX + 16];
    size_t i;
    json_t *subject;
    bool found = false;
    snprintf(filler, sizeof filler, MOVE_FILLER ".%s", stream->name);
    json_array_foreach(json_object_get(config, "subjects"), i, subject) found |=
        bytes_eq(bytes_str(json_string_value(subject)), bytes_str(filler));
    return found;
}

/* The target's configuration; *ret NULL: there is no such stream. */
static int target_config(struct move *move, const struct move_stream *stream, json_t **ret_config)
{
    char what[MOVE_NAME_MAX + 32];
    json_t *answer = NULL;
    snprintf(what, sizeof what, "STREAM.INFO.%s", stream->name);
    int err = move_ask(move, move->to, what, NULL, &answer);
    *ret_config = json_incref(json_object_get(answer, "config"));
    json_decref(answer);
    return err == ERR_NOT_FOUND ? 0 : err;
}

static int refuse(struct move *move, const struct move_stream *stream, const char *why)
{
    return error_set(&move->error, ERR_UNSUPPORTED, "the stream %s cannot be moved: %s",
                     stream->name, why);
}

int move_prepare(struct move *move, struct move_stream *stream)
{
    const char *retention = json_string_value(json_object_get(stream->config, "retention"));
    json_t *config = NULL;
    stream->interest = bytes_eq(bytes_str(retention), BYTES("interest"));
    if (json_object_get(stream->config, "mirror"))
        return refuse(move, stream,
                      "nothing can be published to a mirror, and a stream cannot become one. Move "
                      "without it (`dure stream rm`), then make it anew at the target: it copies "
                      "its origin again");
    if (json_object_get(stream->config, "sources"))
        return refuse(move, stream,
                      "its messages have the subjects of its origins, which store them at the "
                      "target. Move without it (`dure stream rm`), then make it anew at the "
                      "target: it copies its origins again");
    int err = target_config(move, stream, &config);
    if (!err && !config)
        err = ask_stream(move, stream, "CREATE", config_for_move(move, stream));
    else if (!err && stream->to_last < stream->last_seq && !has_filler(stream, config))
        err = reopen(move, stream, config);
    json_decref(config);
    /* What the source has removed from its beginning is skipped, not filled. */
    if (!err && !stream->to_last && stream->first_seq > 1)
        err = ask_stream(move, stream, "PURGE",
                         json_pack("{s:I}", "seq", (json_int_t)stream->first_seq));
    return err ? err : move_refresh(move, stream);
}

/* Whether the target's stream is one that a move has made and not finished. */
static bool is_ours(struct copy *copy)
{
    json_t *config = NULL;
    bool ours =
        target_config(copy->move, copy->stream, &config) == 0 && has_filler(copy->stream, config);
    json_decref(config);
    return ours;
}

/* A message has got another sequence (the stream's leader has changed within the window): from
 * there on it is no copy, and sequences are never given twice. */
static int from_scratch(struct copy *copy)
{
    if (++copy->restarts > RESTARTS_MAX || !is_ours(copy)) return ERR_CONFLICT;
    int err = ask_stream(copy->move, copy->stream, "DELETE", NULL);
    if (!err) err = move_refresh(copy->move, copy->stream);
    return err ? err : move_prepare(copy->move, copy->stream);
}

static int begin_anew(struct copy *copy)
{
    struct move_stream *stream = copy->stream;
    int err = copy->failed;
    if (err == ERR_CONFLICT) err = from_scratch(copy);
    if (err == ERR_CONFLICT)
        return error_set(&copy->move->error, err,
                         "the stream %s at the target is not a copy: somebody publishes to it",
                         stream->name);
    uint64_t until_ns = io_now_ns(copy->move->io) + AGAIN_MS * UINT64_C(1000000);
    while (io_now_ns(copy->move->io) < until_ns) io_turn(copy->move->io, 20);
    err = move_refresh(copy->move, stream);
    if (err) return err;
    copy->failed = 0;
    copy->settled = false;
    copy->next_read = copy->next_write = copy->next_done = stream->to_last + 1;
    return 0;
}

int move_copy(struct move *move, struct move_stream *stream,
              void (*progress)(void *context, const struct move_stream *stream), void *context)
{
    struct copy *copy = calloc(1, sizeof *copy);
    if (!copy) return error_set(&move->error, ERR_NOMEM, "out of memory");
    copy->move = move;
    copy->stream = stream;
    copy->next_read = copy->next_write = copy->next_done = stream->to_last + 1;
    for (size_t i = 0; i < MOVE_WINDOW; i++) {
        copy->slots[i].copy = copy;
        move_message_init(&copy->slots[i].message);
    }
    uint64_t last = stream->last_seq;
    int err = 0, tries = 0;
    while (!err && copy->next_done <= last) {
        uint64_t before = copy->next_done;
        pump(copy, last);
        if (copy->failed && !copy->under_way)
            err = ++tries > TRIES_MAX ? copy->failed : begin_anew(copy);
        io_turn(move->io, 50);
        if (copy->next_done > before) tries = 0;
        progress(context, stream);
    }
    while (copy->under_way) io_turn(move->io, 50);
    for (size_t i = 0; i < MOVE_WINDOW; i++) move_message_release(&copy->slots[i].message);
    free(copy);
    return err;
}
