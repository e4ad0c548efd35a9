/* level: one storey of a stream: a filter (io/filter.h), or the engine (NULL). Private to src/io.
 * io.c asks the topmost one, a filter the one below it. */
#ifndef DURE_IO_LEVEL_H
#define DURE_IO_LEVEL_H

#include "io/filter.h"

void level_recv(struct io_stream *stream, struct io_filter *filter, char *buf, size_t size,
                io_stream_done *done);
void level_recv_cancel(struct io_stream *stream, struct io_filter *filter);
void level_send(struct io_stream *stream, struct io_filter *filter, const struct iovec *iov,
                int count, io_stream_done *done);
void level_shutdown(struct io_stream *stream, struct io_filter *filter);
void level_close(struct io_stream *stream, struct io_filter *filter,
                 void (*closed)(struct io_stream *stream));
bool level_receiving(const struct io_stream *stream, const struct io_filter *filter);
bool level_sending(const struct io_stream *stream, const struct io_filter *filter);

#endif
