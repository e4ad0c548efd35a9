/* The end of a move: what is not the source's goes, the source's limits and consumers come, and
 * both sides are compared. */
#include "app/move.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { READ_MS = 5000, MESSAGE_NOT_FOUND = 10037 };

static int ask(struct move *move, struct client *client, const char *verb, const char *stream,
               json_t *body, json_t **ret_answer)
{
    char what[2 * MOVE_NAME_MAX + 64];
    snprintf(what, sizeof what, "%s.%s", verb, stream);
    return move_ask(move, client, what, body, ret_answer);
}

/* ---- what is there too much ------------------------------------------------------------------ */

static json_t *deleted_of(struct move *move, struct client *client, const char *stream, int *err)
{
    json_t *answer = NULL;
    *err =
        ask(move, client, "STREAM.INFO", stream, json_pack("{s:b}", "deleted_details", 1), &answer);
    json_t *deleted = json_incref(json_object_get(json_object_get(answer, "state"), "deleted"));
    json_decref(answer);
    return deleted;
}

static int by_number(const void *a, const void *b)
{
    json_int_t left = *(const json_int_t *)a, right = *(const json_int_t *)b;
    return (left > right) - (left < right);
}

static json_int_t *sorted(const json_t *numbers, size_t *ret_count)
{
    size_t i, count = json_array_size(numbers);
    json_int_t *list = malloc((count + 1) * sizeof *list);
    json_t *value;
    if (!list) return NULL;
    json_array_foreach(numbers, i, value) list[i] = json_integer_value(value);
    qsort(list, count, sizeof *list, by_number);
    *ret_count = count;
    return list;
}

static int remove_one(struct move *move, const char *stream, json_int_t seq)
{
    int err = ask(move, move->to, "STREAM.MSG.DELETE", stream,
                  json_pack("{s:I, s:b}", "seq", seq, "no_erase", 1), NULL);
    return err == ERR_NOT_FOUND || err == ERR_INVALID ? 0 : err; /* gone already */
}

/* Messages that the source had when they were copied, and has no more. */
static int remove_deleted(struct move *move, const struct move_stream *stream)
{
    int err = 0, to_err = 0;
    json_t *from = deleted_of(move, move->from, stream->name, &err);
    json_t *to = deleted_of(move, move->to, stream->name, &to_err);
    size_t from_count = 0, to_count = 0, at = 0;
    json_int_t *from_list = sorted(from, &from_count), *to_list = sorted(to, &to_count);
    if (!err) err = to_err;
    if (!from_list || !to_list) err = error_set(&move->error, ERR_NOMEM, "out of memory");
    for (size_t i = 0; !err && i < from_count; i++) {
        while (at < to_count && to_list[at] < from_list[i]) at++;
        bool is_gone = at < to_count && to_list[at] == from_list[i];
        if (!is_gone && (uint64_t)from_list[i] >= stream->to_first)
            err = remove_one(move, stream->name, from_list[i]);
    }
    free(from_list);
    free(to_list);
    json_decref(from);
    json_decref(to);
    return err;
}

/* Fillers, and what is before the source's first message. */
static int purge(struct move *move, struct move_stream *stream)
{
    char filler[MOVE_NAME_MAX + 16];
    snprintf(filler, sizeof filler, MOVE_FILLER ".%s", stream->name);
    int err = ask(move, move->to, "STREAM.PURGE", stream->name,
                  json_pack("{s:s}", "filter", filler), NULL);
    if (!err) err = move_refresh(move, stream);
    if (!err && stream->to_first < stream->first_seq)
        err = ask(move, move->to, "STREAM.PURGE", stream->name,
                  json_pack("{s:I}", "seq", (json_int_t)stream->first_seq), NULL);
    return err;
}

/* The same where consumers are there already: servers before 2.10 take any purge, also one of a
 * subject, for the settlement of all messages. */
static int remove_each(struct move *move, struct move_stream *stream)
{
    int err = move_refresh(move, stream);
    for (uint64_t seq = stream->to_first; !err && seq && seq < stream->first_seq; seq++)
        err = remove_one(move, stream->name, (json_int_t)seq);
    return err;
}

int move_finish(struct move *move, struct move_stream *stream)
{
    int err = stream->interest ? remove_each(move, stream) : purge(move, stream);
    if (!err) err = remove_deleted(move, stream);
    if (err) return err;
    json_t *config = json_deep_copy(stream->config);
    json_object_set_new(config, "num_replicas", json_integer((json_int_t)move->replicas));
    json_object_del(config, "first_seq");
    err = ask(move, move->to, "STREAM.UPDATE", stream->name, config, NULL);
    if (!err) err = move_refresh(move, stream);
    stream->finished = !err;
    return err;
}

/* ---- consumers ------------------------------------------------------------------------------- */

static bool says(const json_t *config, const char *key, const char *value)
{
    const char *text = json_string_value(json_object_get(config, key));
    return text && bytes_eq(bytes_str(text), bytes_str(value));
}

/* Whether it can be brought to its place by acknowledging what is settled already. */
static bool is_placed_by_acks(const json_t *config)
{
    return says(config, "ack_policy", "explicit") && says(config, "deliver_policy", "all") &&
           !json_object_get(config, "deliver_subject");
}

/* Another's place is given by its start: so its policy is another one than the source's, unless it
 * has not begun. */
static json_t *placed(const json_t *info, uint64_t floor)
{
    json_t *config = json_deep_copy(json_object_get(info, "config"));
    json_object_del(config, "num_replicas");
    if (!floor || is_placed_by_acks(config)) return config;
    json_object_del(config, "opt_start_time");
    json_object_set_new(config, "deliver_policy", json_string("by_start_sequence"));
    json_object_set_new(config, "opt_start_seq", json_integer((json_int_t)floor + 1));
    return config;
}

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static int make_consumer(struct move *move, const struct move_stream *stream, const char *what,
                         json_t *config)
{
    return ask(move, move->to, "CONSUMER.DURABLE.CREATE", what,
               json_pack("{s:s, s:o}", "stream_name", stream->name, "config", config), NULL);
}

/* A place that is a start can only be given when the messages before it are there: too late. */
static int move_interested(struct move *move, struct move_stream *stream, const json_t *info)
{
    const json_t *config = json_object_get(info, "config");
    const char *name = json_string_value(json_object_get(config, "durable_name"));
    char what[2 * MOVE_NAME_MAX + 8];
    if (!name) return 0;
    snprintf(what, sizeof what, "%s.%s", stream->name, name);
    int err = ask(move, move->to, "CONSUMER.INFO", what, NULL, NULL);
    if (err != ERR_NOT_FOUND) return err;
    if (number(json_object_get(info, "ack_floor"), "stream_seq") && !is_placed_by_acks(config))
        return error_set(&move->error, ERR_UNSUPPORTED,
                         "the stream %s cannot be moved: its retention is `interest`, and its "
                         "consumer %s can only be placed when it is a pull consumer with explicit "
                         "acknowledgements that begins with the first message. Remove the consumer "
                         "(`dure queue rm`) and make it anew at the target",
                         stream->name, name);
    return make_consumer(move, stream, what, placed(info, 0));
}

/* How many messages it has settled that the target holds, because others have not. */
static int settled_there(struct move *move, const char *what, const json_t *info,
                         uint64_t *ret_count)
{
    json_t *answer = NULL;
    int err = ask(move, move->to, "CONSUMER.INFO", what, NULL, &answer);
    uint64_t open = number(info, "num_pending") + number(info, "num_ack_pending");
    uint64_t there = number(answer, "num_pending");
    *ret_count = there > open ? there - open : 0;
    json_decref(answer);
    return err;
}

static int move_consumer(struct move *move, struct move_stream *stream, const json_t *info)
{
    const json_t *config = json_object_get(info, "config");
    const char *name = json_string_value(json_object_get(config, "durable_name"));
    char what[2 * MOVE_NAME_MAX + 8];
    json_t *answer = NULL;
    stream->ephemerals += !name;
    if (!name) return 0; /* goes with its client */
    const json_t *ack_floor = json_object_get(info, "ack_floor");
    uint64_t floor = (uint64_t)json_integer_value(json_object_get(ack_floor, "stream_seq"));
    uint64_t deliveries = (uint64_t)json_integer_value(json_object_get(ack_floor, "consumer_seq"));
    snprintf(what, sizeof what, "%s.%s", stream->name, name);
    int err = ask(move, move->to, "CONSUMER.INFO", what, NULL, &answer);
    bool used = json_integer_value(
                    json_object_get(json_object_get(answer, "delivered"), "consumer_seq")) > 0;
    json_decref(answer);
    if (!err && used)
        return error_set(&move->error, ERR_CONFLICT,
                         "the consumer %s is in use at the target already: it is left as it is",
                         what);
    if (!err && !stream->interest)
        err = ask(move, move->to, "CONSUMER.DELETE", what, NULL, NULL); /* of an earlier run */
    if (err && err != ERR_NOT_FOUND) return err;
    if (err || !stream->interest) err = make_consumer(move, stream, what, placed(info, floor));
    if (!err && stream->interest) err = settled_there(move, what, info, &deliveries);
    if (!err && deliveries && is_placed_by_acks(config))
        err = move_place(move, what, floor, deliveries, stream->interest);
    if (err) return err;
    json_array_append_new(stream->consumers,
                          json_pack("{s:s, s:I, s:I}", "name", name, "ack_floor", (json_int_t)floor,
                                    "ack_pending",
                                    json_integer_value(json_object_get(info, "num_ack_pending"))));
    return 0;
}

static int each_consumer(struct move *move, struct move_stream *stream,
                         int (*each)(struct move *move, struct move_stream *stream,
                                     const json_t *info))
{
    for (size_t offset = 0;;) {
        json_t *answer = NULL, *info;
        int err = ask(move, move->from, "CONSUMER.LIST", stream->name,
                      json_pack("{s:I}", "offset", (json_int_t)offset), &answer);
        if (err) return err;
        json_t *list = json_object_get(answer, "consumers");
        size_t i, count = json_array_size(list);
        json_array_foreach(list, i, info) if (!err) err = each(move, stream, info);
        json_decref(answer);
        offset += count;
        if (err || !count) return err;
    }
}

int move_interest(struct move *move, struct move_stream *stream)
{
    return each_consumer(move, stream, move_interested);
}

int move_consumers(struct move *move, struct move_stream *stream)
{
    json_decref(stream->consumers);
    stream->consumers = json_array();
    stream->ephemerals = 0;
    return each_consumer(move, stream, move_consumer);
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* A window of messages, read in order. */
struct sum {
    struct client *client;
    const char *stream;
    XXH3_state_t *state;
    uint64_t messages, last_seq;
    struct summed {
        struct sum *sum;
        struct jsapi api;
        struct move_message message;
        bool done, hole;
        int result;
    } slots[MOVE_WINDOW];
};

static void summed(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct summed *slot = CONTAINER_OF(api, struct summed, api);
    slot->done = true;
    slot->hole = api->err_code == MESSAGE_NOT_FOUND;
    slot->result = slot->hole ? 0 : result ? result : move_decode(answer, &slot->message);
}

static void add_bytes(struct sum *sum, struct bytes bytes)
{
    uint64_t len = bytes.len;
    XXH3_64bits_update(sum->state, &len, sizeof len);
    XXH3_64bits_update(sum->state, bytes.data, bytes.len);
}

static void add(struct sum *sum, const struct move_message *message)
{
    sum->messages++;
    sum->last_seq = message->seq;
    XXH3_64bits_update(sum->state, &message->seq, sizeof message->seq);
    add_bytes(sum, buf_bytes(&message->subject));
    add_bytes(sum, buf_bytes(&message->headers));
    add_bytes(sum, buf_bytes(&message->payload));
}

static void sum_ask(struct sum *sum, struct summed *slot, uint64_t seq)
{
    char what[MOVE_NAME_MAX + 32];
    snprintf(what, sizeof what, "STREAM.MSG.GET.%s", sum->stream);
    slot->done = false;
    slot->result = jsapi_ask(sum->client, &slot->api, what,
                             json_pack("{s:I}", "seq", (json_int_t)seq), READ_MS, summed);
    if (slot->result) slot->done = true;
}

/* Sequences from `first` to `last`, each asked for until it has an answer. */
static int sum_range(struct move *move, struct sum *sum, uint64_t first, uint64_t last)
{
    uint64_t asked = first, patience_ns = io_now_ns(move->io) + UINT64_C(60000000000);
    for (uint64_t seq = first; seq <= last;) {
        while (asked <= last && asked < seq + MOVE_WINDOW) {
            sum_ask(sum, &sum->slots[asked % MOVE_WINDOW], asked);
            asked++;
        }
        struct summed *slot = &sum->slots[seq % MOVE_WINDOW];
        if (!slot->done) {
            io_turn(move->io, 50);
        } else if (!slot->result) {
            if (!slot->hole) add(sum, &slot->message);
            seq++;
            patience_ns = io_now_ns(move->io) + UINT64_C(60000000000);
        } else if (io_now_ns(move->io) > patience_ns) {
            return error_set(&move->error, slot->result, "cannot read %s: %s", sum->stream,
                             err_text(slot->result));
        } else {
            io_turn(move->io, 50);
            sum_ask(sum, slot, seq);
        }
    }
    return 0;
}

static int checksum(struct move *move, struct client *client, const char *stream, uint64_t first,
                    uint64_t last, uint64_t *ret_sum, uint64_t *ret_messages)
{
    struct sum *sum = calloc(1, sizeof *sum);
    if (sum) sum->state = XXH3_createState();
    if (!sum || !sum->state) {
        free(sum);
        return error_set(&move->error, ERR_NOMEM, "out of memory");
    }
    sum->client = client;
    sum->stream = stream;
    XXH3_64bits_reset(sum->state);
    for (size_t i = 0; i < MOVE_WINDOW; i++) move_message_init(&sum->slots[i].message);
    int err = first ? sum_range(move, sum, first, last) : 0;
    *ret_sum = XXH3_64bits_digest(sum->state);
    *ret_messages = sum->messages;
    for (size_t i = 0; i < MOVE_WINDOW; i++) {
        jsapi_cancel(&sum->slots[i].api);
        move_message_release(&sum->slots[i].message);
    }
    XXH3_freeState(sum->state);
    free(sum);
    return err;
}

int move_check(struct move *move, struct move_stream *stream)
{
    uint64_t messages = 0, to_messages = 0;
    int err = move_refresh(move, stream);
    if (!err)
        err = checksum(move, move->from, stream->name, stream->first_seq, stream->last_seq,
                       &stream->checksum, &messages);
    if (!err)
        err = checksum(move, move->to, stream->name, stream->to_first, stream->to_last,
                       &stream->to_checksum, &to_messages);
    stream->same = !err && stream->last_seq == stream->to_last && messages == to_messages &&
                   stream->checksum == stream->to_checksum;
    return err;
}
