#include "run/control.h"

#include <assert.h>

static void read_more(struct control *control);

static void stream_closed(struct io_stream *stream)
{
    struct control *control = CONTAINER_OF(stream, struct control, stream);
    buf_release(&control->in);
    buf_release(&control->out[0]);
    buf_release(&control->out[1]);
    control->closed(control, ERR_CLOSED);
}

void control_close(struct control *control)
{
    if (control->closing) return;
    control->closing = true;
    control->open = false;
    io_close(&control->stream, stream_closed);
}

/* One line: an object with "op". Anything else means that the other end is not ours. */
static int take_line(struct control *control, struct bytes line)
{
    json_t *object = json_loadb(line.data, line.len, JSON_REJECT_DUPLICATES, NULL);
    const char *op = json_string_value(json_object_get(object, "op"));
    if (op) control->message(control, op, object);
    json_decref(object);
    return op ? 0 : ERR_PROTOCOL;
}

static int take_lines(struct control *control)
{
    for (;;) {
        struct bytes pending = buf_bytes(&control->in);
        size_t len = bytes_find(pending, '\n');
        if (len == pending.len) return len < CONTROL_LINE_MAX ? 0 : ERR_TOO_BIG;
        int err = take_line(control, bytes_head(pending, len));
        if (err) return err;
        if (control->closing) return 0;
        buf_consume(&control->in, len + 1);
    }
}

static void received(struct io_stream *stream, int result)
{
    struct control *control = CONTAINER_OF(stream, struct control, stream);
    if (control->closing) return;
    if (result > 0) {
        buf_append(&control->in, bytes_make(io_recv_data(stream), (size_t)result));
        result = control->in.failed ? ERR_TOO_BIG : take_lines(control);
        if (!result && !control->closing) read_more(control);
    } else if (result == 0) {
        result = ERR_EOF;
    }
    if (result < 0) control_close(control);
}

static void read_more(struct control *control)
{
    io_recv(&control->stream, NULL, 0, received);
}

static void send_gathered(struct control *control);

static void sent(struct io_stream *stream, int result)
{
    struct control *control = CONTAINER_OF(stream, struct control, stream);
    control->sending = false;
    if (control->closing) return;
    buf_clear(&control->out[!control->gathering]);
    if (result < 0)
        control_close(control);
    else
        send_gathered(control);
}

static void send_gathered(struct control *control)
{
    struct bytes bytes = buf_bytes(&control->out[control->gathering]);
    if (control->sending || !bytes.len) return;
    control->gathering = !control->gathering;
    control->sending = true;
    control->iov = (struct iovec){(void *)bytes.data, bytes.len};
    io_send(&control->stream, &control->iov, 1, sent);
}

static int append_chunk(const char *text, size_t size, void *context)
{
    struct buf *out = context;
    buf_append(out, bytes_make(text, size));
    return out->failed ? -1 : 0;
}

int control_send(struct control *control, json_t *object)
{
    if (!object) return ERR_NOMEM;
    int err = control->open ? 0 : ERR_CLOSED;
    struct buf *out = &control->out[control->gathering];
    size_t before = buf_len(out);
    if (!err) {
        int failed = json_dump_callback(object, append_chunk, out, JSON_COMPACT);
        if (!failed) buf_append_char(out, '\n');
        if (failed || out->failed) {
            /* Half a line must never be sent: cut it off again. */
            out->end = out->start + before;
            out->failed = false;
            err = ERR_FULL;
        } else if (buf_len(out) - before > CONTROL_LINE_MAX) {
            out->end = out->start + before;
            err = ERR_TOO_BIG;
        }
    }
    json_decref(object);
    if (!err) send_gathered(control);
    return err;
}

int control_open(struct control *control, struct io *io, int fd, void *owner,
                 void (*message)(struct control *control, const char *op, json_t *object),
                 void (*closed)(struct control *control, int err))
{
    *control = (struct control){.owner = owner, .message = message, .closed = closed};
    buf_init(&control->in, 2 * CONTROL_LINE_MAX);
    buf_init(&control->out[0], CONTROL_PENDING_MAX);
    buf_init(&control->out[1], CONTROL_PENDING_MAX);
    int err = io_stream_adopt(io, &control->stream, fd);
    if (err) return err;
    control->open = true;
    read_more(control);
    return 0;
}
