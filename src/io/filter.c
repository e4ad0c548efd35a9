#include "io/filter.h"

#include <assert.h>

#include "io/level.h"
#include "io/ops.h"

/* ---- asking one level: a filter, or (NULL) the engine ------------------------------------ */

void level_recv(struct io_stream *stream, struct io_filter *filter, char *buf, size_t size,
                io_stream_done *done)
{
    assert(done && (!buf || size));
    if (filter) {
        assert(!filter->above.recv_done);
        filter->above.recv_buf = buf;
        filter->above.recv_size = size;
        filter->above.recv_done = done;
        filter->ops->recv(filter);
        return;
    }
    assert(!stream->recv_done && !stream->connect_done);
    stream->recv_buf = buf;
    stream->recv_size = size;
    stream->recv_done = done;
    stream->io->ops->recv(stream);
}

void level_recv_cancel(struct io_stream *stream, struct io_filter *filter)
{
    if (filter) {
        if (!filter->above.recv_done) return;
        filter->ops->recv_cancel(filter);
        filter->above.recv_done = NULL;
        return;
    }
    if (!stream->recv_done) return;
    stream->io->ops->recv_cancel(stream);
    stream->recv_done = NULL;
}

static size_t total(const struct iovec *iov, int count)
{
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += iov[i].iov_len;
    assert(sum <= INT32_MAX);
    return sum;
}

void level_send(struct io_stream *stream, struct io_filter *filter, const struct iovec *iov,
                int count, io_stream_done *done)
{
    assert(done && count >= 0 && count <= IO_SEND_IOV);
    if (filter) {
        assert(!filter->above.send_done);
        filter->above.send_iov = iov;
        filter->above.send_count = count;
        filter->above.send_index = 0;
        filter->above.send_offset = 0;
        filter->above.send_total = total(iov, count);
        filter->above.send_done = done;
        filter->ops->send(filter);
        return;
    }
    assert(!stream->send_done && !stream->connect_done);
    stream->send_iov = iov;
    stream->send_count = count;
    stream->send_index = 0;
    stream->send_offset = 0;
    stream->send_total = total(iov, count);
    stream->send_done = done;
    stream->io->ops->send(stream);
}

void level_shutdown(struct io_stream *stream, struct io_filter *filter)
{
    assert(!level_sending(stream, filter) && !stream->connect_done);
    if (filter)
        filter->ops->shutdown(filter);
    else
        stream->io->ops->shutdown(stream);
}

bool level_receiving(const struct io_stream *stream, const struct io_filter *filter)
{
    return filter ? filter->above.recv_done != NULL : stream->recv_done != NULL;
}

bool level_sending(const struct io_stream *stream, const struct io_filter *filter)
{
    return filter ? filter->above.send_done != NULL : stream->send_done != NULL;
}

/* ---- closing ------------------------------------------------------------------------------- */

static void fail(struct io_stream *stream, io_stream_done **done_place)
{
    io_stream_done *done = *done_place;
    *done_place = NULL;
    if (done) done(stream, ERR_CLOSED);
}

static struct io_filter *pop_lowest(struct io_stream *stream)
{
    struct io_filter **place = &stream->filter;
    while ((*place)->below) place = &(*place)->below;
    struct io_filter *filter = *place;
    fail(stream, &filter->above.send_done);
    fail(stream, &filter->above.recv_done);
    *place = NULL;
    return filter;
}

/* The engine is done with the stream: from below to above everybody hears of it. */
static void stream_closed(struct io_stream *stream)
{
    void (*closed)(struct io_stream * stream) = NULL;
    while (stream->filter) {
        struct io_filter *filter = pop_lowest(stream);
        closed = filter->closed;
        filter->ops->free(filter);
    }
    if (closed) closed(stream);
}

/* Who passed no `closed` may free the stream as soon as this returns, so nothing may come back to
 * it: what is still in flight is forgotten. */
static void close_at_once(struct io_stream *stream)
{
    level_recv_cancel(stream, NULL);
    stream->send_done = NULL;
    stream->closed = NULL;
    stream->io->ops->close(stream);
    stream_closed(stream);
}

void level_close(struct io_stream *stream, struct io_filter *filter,
                 void (*closed)(struct io_stream *stream))
{
    assert(closed || (!level_receiving(stream, filter) && !level_sending(stream, filter)));
    if (filter) {
        filter->closed = closed;
        filter->ops->close(filter);
        return;
    }
    stream->closed = closed;
    stream->io->ops->close(stream);
}

void io_filter_close(struct io_filter *filter)
{
    struct io_stream *stream = filter->stream;
    if (filter->below) {
        filter->below->closed = filter->closed;
        filter->below->ops->close(filter->below);
    } else if (filter->closed) {
        level_close(stream, NULL, stream_closed);
    } else {
        close_at_once(stream);
    }
}

void io_stream_forget(struct io_stream *stream)
{
    while (stream->filter) {
        struct io_filter *filter = stream->filter;
        stream->filter = filter->below;
        filter->ops->free(filter);
    }
}

/* ---- for filters --------------------------------------------------------------------------- */

void io_filter_push(struct io_filter *filter, const struct io_filter_ops *ops,
                    struct io_stream *stream)
{
    assert(!level_receiving(stream, stream->filter) && !level_sending(stream, stream->filter));
    assert(!stream->connect_done && !(stream->flags & IO_STREAM_CLOSED));
    assert(!io_filter_find(stream, ops));
    *filter = (struct io_filter){.ops = ops, .stream = stream, .below = stream->filter};
    stream->filter = filter;
}

struct io_filter *io_filter_find(const struct io_stream *stream, const struct io_filter_ops *ops)
{
    struct io_filter *filter = stream->filter;
    while (filter && filter->ops != ops) filter = filter->below;
    return filter;
}

void io_filter_recv(struct io_filter *filter, char *buf, size_t size, io_stream_done *done)
{
    level_recv(filter->stream, filter->below, buf, size, done);
}

void io_filter_recv_cancel(struct io_filter *filter)
{
    level_recv_cancel(filter->stream, filter->below);
}

void io_filter_send(struct io_filter *filter, const struct iovec *iov, int count,
                    io_stream_done *done)
{
    level_send(filter->stream, filter->below, iov, count, done);
}

void io_filter_shutdown(struct io_filter *filter)
{
    level_shutdown(filter->stream, filter->below);
}

bool io_filter_receiving(const struct io_filter *filter)
{
    return level_receiving(filter->stream, filter->below);
}

bool io_filter_sending(const struct io_filter *filter)
{
    return level_sending(filter->stream, filter->below);
}

bool io_filter_closing(const struct io_filter *filter)
{
    return filter->stream->flags & IO_STREAM_CLOSED;
}

void io_filter_received(struct io_filter *filter, char *data, int result)
{
    struct io_stream *stream = filter->stream;
    io_stream_done *done = filter->above.recv_done;
    filter->above.recv_done = NULL;
    stream->recv_data = data;
    done(stream, result);
}

void io_filter_sent(struct io_filter *filter, int result)
{
    io_stream_done *done = filter->above.send_done;
    filter->above.send_done = NULL;
    done(filter->stream, result);
}

size_t io_filter_take(struct io_filter *filter, char *to, size_t size)
{
    struct io_flow *flow = &filter->above;
    size_t taken = 0;
    while (flow->send_index < flow->send_count) {
        const struct iovec *part = &flow->send_iov[flow->send_index];
        size_t len = part->iov_len - flow->send_offset;
        if (len > size - taken) len = size - taken;
        if (len) memcpy(to + taken, (char *)part->iov_base + flow->send_offset, len);
        taken += len;
        flow->send_offset += len;
        if (flow->send_offset < part->iov_len) break;
        flow->send_index++;
        flow->send_offset = 0;
    }
    return taken;
}
