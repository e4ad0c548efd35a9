#include "app/move.h"

#include "base/base64.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum { ASK_MS = 5000, PATIENCE_MS = 60000, AGAIN_MS = 200 };

static const uint64_t ms_ns = 1000000;

/* ---- asking ---------------------------------------------------------------------------------- */

struct asking {
    struct jsapi api;
    struct move *move;
    json_t *answer;
    int result;
    bool done;
};

static void asked(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct asking *asking = CONTAINER_OF(api, struct asking, api);
    asking->result = result;
    asking->answer = json_incref(answer);
    asking->done = true;
    if (result) asking->move->error = *error;
}

static bool passes(int err)
{
    return err == ERR_UNREACHABLE || err == ERR_UNAVAILABLE || err == ERR_TIMEOUT ||
           err == ERR_RESET || err == ERR_FULL;
}

static void turn_for(struct move *move, uint64_t ms)
{
    uint64_t until_ns = io_now_ns(move->io) + ms * ms_ns;
    while (io_now_ns(move->io) < until_ns) io_turn(move->io, 20);
}

static int ask_once(struct move *move, struct client *client, const char *what, json_t *body,
                    struct asking *asking)
{
    *asking = (struct asking){.move = move};
    int err = jsapi_ask(client, &asking->api, what, json_incref(body), ASK_MS, asked);
    if (err) return error_set(&move->error, err, "%s", err_text(err));
    while (!asking->done) io_turn(move->io, 100);
    return asking->result;
}

int move_ask(struct move *move, struct client *client, const char *what, json_t *body,
             json_t **ret_answer)
{
    struct asking asking;
    uint64_t until_ns = io_now_ns(move->io) + PATIENCE_MS * ms_ns;
    int err;
    for (;;) {
        move->error = (struct error){0};
        err = ask_once(move, client, what, body, &asking);
        if (!passes(err) || io_now_ns(move->io) >= until_ns) break;
        turn_for(move, AGAIN_MS);
    }
    json_decref(body);
    if (!err && ret_answer)
        *ret_answer = asking.answer;
    else
        json_decref(asking.answer);
    return err;
}

static int connect_one(struct move *move, struct client *client, const char *what,
                       uint64_t until_ns)
{
    while (client_status(client).state != CLIENT_UP && io_now_ns(move->io) < until_ns)
        io_turn(move->io, 50);
    struct client_status status = client_status(client);
    if (status.state == CLIENT_UP) return 0;
    return error_set(&move->error, ERR_UNREACHABLE, "cannot reach the %s %s: %s", what,
                     status.server, status.reason);
}

int move_connect(struct move *move, uint32_t timeout_ms)
{
    uint64_t until_ns = io_now_ns(move->io) + timeout_ms * ms_ns;
    int err = connect_one(move, move->from, "source", until_ns);
    return err ? err : connect_one(move, move->to, "target", until_ns);
}

/* ---- what there is --------------------------------------------------------------------------- */

int move_list(struct move *move, int (*each)(void *context, const char *name), void *context)
{
    int err = 0;
    for (size_t offset = 0;;) {
        json_t *answer = NULL, *name;
        err = move_ask(move, move->from, "STREAM.NAMES",
                       json_pack("{s:I}", "offset", (json_int_t)offset), &answer);
        if (err) return err;
        json_t *names = json_object_get(answer, "streams");
        size_t i, count = json_array_size(names);
        json_array_foreach(names, i, name) if (!err) err = each(context, json_string_value(name));
        json_decref(answer);
        offset += count;
        if (err || !count) return err;
    }
}

static uint64_t number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

int move_refresh(struct move *move, struct move_stream *stream)
{
    char what[MOVE_NAME_MAX + 16];
    json_t *answer = NULL;
    snprintf(what, sizeof what, "STREAM.INFO.%s", stream->name);
    int err = move_ask(move, move->from, what, NULL, &answer);
    if (err) return err;
    const json_t *state = json_object_get(answer, "state");
    json_decref(stream->config);
    stream->config = json_incref(json_object_get(answer, "config"));
    stream->first_seq = number(state, "first_seq");
    stream->last_seq = number(state, "last_seq");
    stream->messages = number(state, "messages");
    json_decref(answer);
    answer = NULL;
    stream->to_first = stream->to_last = stream->to_messages = 0;
    err = move_ask(move, move->to, what, NULL, &answer);
    state = json_object_get(answer, "state");
    stream->to_first = number(state, "first_seq");
    stream->to_last = number(state, "last_seq");
    stream->to_messages = number(state, "messages");
    json_decref(answer);
    return err == ERR_NOT_FOUND ? 0 : err;
}

void move_stream_release(struct move_stream *stream)
{
    json_decref(stream->config);
    json_decref(stream->consumers);
}

/* ---- messages -------------------------------------------------------------------------------- */

void move_message_init(struct move_message *message)
{
    message->seq = 0;
    buf_init(&message->subject, NATS_LINE_MAX);
    buf_init(&message->headers, NATS_PAYLOAD_CAP);
    buf_init(&message->payload, NATS_PAYLOAD_CAP);
}

void move_message_release(struct move_message *message)
{
    buf_release(&message->subject);
    buf_release(&message->headers);
    buf_release(&message->payload);
}

static int decode_base64(const json_t *from, struct buf *to)
{
    struct bytes text = bytes_make(json_string_value(from), json_string_length(from));
    size_t len = 0, room = text.len / 4 * 3 + 3;
    buf_clear(to);
    if (!text.len) return 0;
    char *at = buf_reserve(to, room);
    int err = at ? base64_decode(text, at, room, &len) : ERR_NOMEM;
    if (!err) buf_commit(to, len);
    return err;
}

int move_decode(const json_t *answer, struct move_message *message)
{
    const json_t *from = json_object_get(answer, "message");
    message->seq = number(from, "seq");
    buf_clear(&message->subject);
    buf_append_str(&message->subject, json_string_value(json_object_get(from, "subject")));
    int err = decode_base64(json_object_get(from, "hdrs"), &message->headers);
    if (!err) err = decode_base64(json_object_get(from, "data"), &message->payload);
    return !err && !message->seq ? ERR_PROTOCOL : err;
}
