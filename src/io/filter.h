/* filter: what stands in a stream, between its owner and the engine, and changes the bytes that
 * pass: TLS (io/tls.h), WebSocket frames. The owner keeps using the same struct io_stream with the
 * same functions; a filter is pushed on top of what is there, so WebSocket over TLS are two.
 *
 *     owner --- io_recv, io_send ... ---> filter A --- io_filter_recv ... ---> filter B ---> engine
 *
 * A filter is embedded in its maker's struct. What stands above it asks for something by setting
 * `above` and calling its function in the table; it keeps that until it answers with one of
 * io_filter_received(), io_filter_sent() (from the loop, never inside the asking call). Itself it
 * asks what stands below with io_filter_recv() and so on; the completions are ordinary ones and
 * find their filter with io_filter_find().
 *
 * Closing. `close` comes once; the filter says its farewell and calls io_filter_close(). What it
 * has in flight below then completes with ERR_CLOSED (it must not answer upwards with that), then
 * what stands above is answered, then `free` runs: its memory may go. */
#ifndef DURE_IO_FILTER_H
#define DURE_IO_FILTER_H

#include "io/io.h"

struct io_filter_ops {
    void (*recv)(struct io_filter *filter); /* above.recv_* */
    void (*recv_cancel)(struct io_filter *filter);
    void (*send)(struct io_filter *filter); /* above.send_*; index and offset count what is taken */
    void (*shutdown)(struct io_filter *filter); /* nothing is being sent from above */
    void (*close)(struct io_filter *filter);
    void (*free)(struct io_filter *filter);
};

/* What is in flight between a filter and what stands above it. */
struct io_flow {
    io_stream_done *recv_done, *send_done; /* NULL: nothing is in flight */
    char *recv_buf;
    size_t recv_size;
    const struct iovec *send_iov;
    int send_count, send_index;
    size_t send_offset, send_total;
};

struct io_filter {
    const struct io_filter_ops *ops;
    struct io_stream *stream;
    struct io_filter *below; /* NULL: the engine */
    struct io_flow above;
    void (*closed)(struct io_stream *stream); /* of what stands above */
};

/* Puts the filter on top. Nothing may be in flight on the stream. */
void io_filter_push(struct io_filter *filter, const struct io_filter_ops *ops,
                    struct io_stream *stream);

/* The filter of that kind in the stream, or NULL. A stream has at most one of each. */
struct io_filter *io_filter_find(const struct io_stream *stream, const struct io_filter_ops *ops);

/* ---- for filters: asking what stands below -------------------------------------------------- */

void io_filter_recv(struct io_filter *filter, char *buf, size_t size, io_stream_done *done);
void io_filter_recv_cancel(struct io_filter *filter);
void io_filter_send(struct io_filter *filter, const struct iovec *iov, int count,
                    io_stream_done *done);
void io_filter_shutdown(struct io_filter *filter);

/* Whether a receive or send that the filter has asked for is in flight. */
bool io_filter_receiving(const struct io_filter *filter);
bool io_filter_sending(const struct io_filter *filter);

/* The last thing a filter asks for. What it has in flight below, it need not wait for. The filter
 * may be gone when this returns. */
void io_filter_close(struct io_filter *filter);

/* True once the owner has called io_close. */
bool io_filter_closing(const struct io_filter *filter);

/* ---- for filters: answering what stands above ----------------------------------------------- */

/* Completes the receive from above with `result` bytes at `data`, or an error. The filter may be
 * gone when it returns. */
void io_filter_received(struct io_filter *filter, char *data, int result);

/* Completes the send from above: send_total, or an error. Likewise. */
void io_filter_sent(struct io_filter *filter, int result);

/* Copies up to `size` bytes of what is being sent from above, and counts them as taken. */
size_t io_filter_take(struct io_filter *filter, char *to, size_t size);

#endif
