#include "bus/websocket.h"

#include "base/buf.h"
#include "io/filter.h"
#include "wire/websocket.h"

#include <stdlib.h>

enum { CONTROL_MAX = 4 * WS_CLOSE_MAX };

struct websocket {
    struct io_filter filter;
    struct ws_reader reader;
    struct io_task wake;
    struct buf control;   /* frames of the protocol itself that wait */
    struct buf flight;    /* such frames and the head of one with data, being sent */
    struct iovec *pieces; /* of what is being sent: `flight` and the owner's; NULL: nothing is */
    int taken;            /* the owner's pieces up to here are being sent */
    int error;
    bool ended; /* the client has said close */
    bool said_close;
};

static const struct io_filter_ops websocket_ops;

static void raw_received(struct io_stream *stream, int result);
static void raw_sent(struct io_stream *stream, int result);

static struct websocket *of_filter(struct io_filter *filter)
{
    return CONTAINER_OF(filter, struct websocket, filter);
}

static struct websocket *of_stream(struct io_stream *stream)
{
    return of_filter(io_filter_find(stream, &websocket_ops));
}

/* ---- sending ------------------------------------------------------------------------------- */

static void say_close(struct websocket *ws, int code)
{
    char frame[WS_CLOSE_MAX];
    if (ws->said_close) return;
    ws->said_close = true;
    buf_append(&ws->control, bytes_make(frame, ws_close(frame, code, (struct bytes){0})));
}

/* Only the last ping need be answered (RFC 6455 section 5.5.3), so whoever pings and does not read
 * fills nothing. */
static void say_pong(struct websocket *ws, const struct ws_event *ping)
{
    char head[WS_HEAD_MAX];
    buf_clear(&ws->control);
    buf_append(&ws->control, bytes_make(head, ws_head(head, WS_PONG, true, ping->len, NULL)));
    buf_append(&ws->control, bytes_make(ping->data, ping->len));
}

/* The head of a frame with the owner's next pieces, which are noted as being sent. Returns how many
 * there are. */
static int add_data(struct websocket *ws)
{
    struct io_flow *flow = &ws->filter.above;
    char head[WS_HEAD_MAX];
    uint64_t len = 0;
    int count = 0;
    while (flow->send_index + count < flow->send_count && count < IO_SEND_IOV - 1) {
        ws->pieces[1 + count] = flow->send_iov[flow->send_index + count];
        len += ws->pieces[1 + count++].iov_len;
    }
    ws->taken = flow->send_index + count;
    buf_append(&ws->flight, bytes_make(head, ws_head(head, WS_BINARY, true, len, NULL)));
    return count;
}

static void launch(struct websocket *ws)
{
    struct io_flow *flow = &ws->filter.above;
    bool has_data = flow->send_done && !ws->said_close && !ws->error;
    if (io_filter_sending(&ws->filter) || (!buf_len(&ws->control) && !has_data)) return;
    int count = has_data ? flow->send_count - flow->send_index : 0;
    ws->pieces = malloc((size_t)(1 + count) * sizeof *ws->pieces);
    buf_append(&ws->flight, buf_bytes(&ws->control));
    buf_release(&ws->control);
    count = has_data && ws->pieces ? add_data(ws) : 0;
    if (!ws->pieces || ws->flight.failed) {
        ws->error = ERR_NOMEM;
        io_post(ws->filter.stream->io, &ws->wake);
        return;
    }
    struct bytes flight = buf_bytes(&ws->flight);
    ws->pieces[0] = (struct iovec){(char *)flight.data, flight.len};
    io_filter_send(&ws->filter, ws->pieces, 1 + count, raw_sent);
}

/* What is sent behind a close goes nowhere. The last thing in a completion. */
static void send_on(struct websocket *ws)
{
    struct io_flow *flow = &ws->filter.above;
    bool all = flow->send_index == flow->send_count;
    if (!flow->send_done || !all || ws->error) launch(ws);
    if (!flow->send_done || io_filter_sending(&ws->filter)) return;
    if (ws->error)
        io_filter_sent(&ws->filter, ws->error);
    else if (ws->said_close && !all)
        io_filter_sent(&ws->filter, ERR_RESET);
    else
        io_filter_sent(&ws->filter, (int)flow->send_total);
}

static void raw_sent(struct io_stream *stream, int result)
{
    struct websocket *ws = of_stream(stream);
    free(ws->pieces);
    ws->pieces = NULL;
    if (io_filter_closing(&ws->filter)) return;
    buf_release(&ws->flight);
    if (result < 0) ws->error = result;
    if (result >= 0 && ws->taken) ws->filter.above.send_index = ws->taken;
    ws->taken = 0;
    send_on(ws);
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Takes the frames apart in place: what they carry is shorter than they are, so it is moved
 * together at the front. Returns how much that is. */
static size_t take_apart(struct websocket *ws, char *data, size_t len)
{
    struct bytes in = bytes_make(data, len);
    struct ws_event event;
    size_t got = 0;
    int r;
    while ((r = ws_read(&ws->reader, &in, &event)) > 0) {
        if (event.kind == WS_EVENT_DATA) {
            memmove(data + got, event.data, event.len);
            got += event.len;
        } else if (event.kind == WS_EVENT_PING && !ws->said_close) {
            say_pong(ws, &event);
        } else if (event.kind == WS_EVENT_CLOSE) {
            ws->ended = true;
            say_close(ws, event.code);
        }
    }
    if (r < 0) {
        ws->error = ERR_PROTOCOL;
        say_close(ws, ws->reader.close_code);
    }
    return got;
}

/* The last thing in a completion. */
static void answer_receive(struct websocket *ws, char *data, size_t got)
{
    if (got)
        io_filter_received(&ws->filter, data, (int)got);
    else if (ws->ended || ws->error)
        io_filter_received(&ws->filter, data, ws->ended ? 0 : ws->error);
    else
        io_filter_recv(&ws->filter, ws->filter.above.recv_buf, ws->filter.above.recv_size,
                       raw_received);
}

static void raw_received(struct io_stream *stream, int result)
{
    struct websocket *ws = of_stream(stream);
    if (io_filter_closing(&ws->filter)) return;
    char *data = io_recv_data(stream);
    size_t got = result > 0 ? take_apart(ws, data, (size_t)result) : 0;
    if (result <= 0 && !ws->error) ws->error = result ? result : ERR_RESET;
    if (buf_len(&ws->control)) launch(ws);
    answer_receive(ws, data, got);
}

static void wake_run(struct io_task *task)
{
    struct websocket *ws = CONTAINER_OF(task, struct websocket, wake);
    struct io_flow *flow = &ws->filter.above;
    if (flow->recv_done && !io_filter_receiving(&ws->filter)) {
        if (flow->send_done) io_post(ws->filter.stream->io, &ws->wake);
        answer_receive(ws, NULL, 0);
    } else if (flow->send_done && !io_filter_sending(&ws->filter)) {
        send_on(ws);
    }
}

/* ---- the filter ---------------------------------------------------------------------------- */

static void websocket_recv(struct io_filter *filter)
{
    struct websocket *ws = of_filter(filter);
    if (ws->ended || ws->error)
        io_post(filter->stream->io, &ws->wake);
    else
        answer_receive(ws, NULL, 0);
}

static void websocket_recv_cancel(struct io_filter *filter)
{
    io_filter_recv_cancel(filter);
}

static void websocket_send(struct io_filter *filter)
{
    struct websocket *ws = of_filter(filter);
    if (io_filter_sending(filter)) return; /* send_on() comes behind that */
    if (!ws->error && !ws->said_close) launch(ws);
    if (!io_filter_sending(filter)) io_post(filter->stream->io, &ws->wake);
}

static void websocket_shutdown(struct io_filter *filter)
{
    struct websocket *ws = of_filter(filter);
    say_close(ws, WS_CODE_NORMAL);
    launch(ws);
}

static void websocket_close(struct io_filter *filter)
{
    struct websocket *ws = of_filter(filter);
    if (!ws->error) say_close(ws, WS_CODE_GOING_AWAY);
    launch(ws);
    io_filter_close(filter);
}

static void websocket_free(struct io_filter *filter)
{
    struct websocket *ws = of_filter(filter);
    io_task_cancel(filter->stream->io, &ws->wake);
    buf_release(&ws->control);
    buf_release(&ws->flight);
    free(ws->pieces);
    free(ws);
}

static const struct io_filter_ops websocket_ops = {
    .recv = websocket_recv,
    .recv_cancel = websocket_recv_cancel,
    .send = websocket_send,
    .shutdown = websocket_shutdown,
    .close = websocket_close,
    .free = websocket_free,
};

int websocket_begin(struct io_stream *stream, uint64_t max_message)
{
    struct websocket *ws = calloc(1, sizeof *ws);
    if (!ws) return ERR_NOMEM;
    io_filter_push(&ws->filter, &websocket_ops, stream);
    ws_reader_init(&ws->reader, WS_SERVER, max_message);
    io_task_init(&ws->wake, wake_run);
    buf_init(&ws->control, CONTROL_MAX);
    buf_init(&ws->flight, 2 * CONTROL_MAX);
    return 0;
}
