/* buf: a growing run of bytes with a limit. Bytes are added at the end and taken from the front.
 * Failure sticks: after an append that did not fit, `failed` stays true and later appends do
 * nothing, so a writer checks once, at the end. Owns its memory. */
#ifndef DURE_BASE_BUF_H
#define DURE_BASE_BUF_H

#include "base/bytes.h"

struct buf {
    char *data; /* the allocation; live bytes are data[start .. end) */
    size_t start, end, size;
    size_t max; /* limit of the live bytes */
    bool failed;
};

/* An empty buffer that will hold at most `max` live bytes. Allocates nothing yet. */
void buf_init(struct buf *buf, size_t max);

/* Gives the memory back; the buffer is empty and usable again, with the same limit. */
void buf_release(struct buf *buf);

/* Empties it and forgets a failure; keeps the memory. */
void buf_clear(struct buf *buf);

static inline size_t buf_len(const struct buf *buf)
{
    return buf->end - buf->start;
}

/* The live bytes, never NULL; valid until the next call that changes the buffer. */
static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_make(buf->data ? buf->data + buf->start : "", buf->end - buf->start);
}

/* Room for `len` more bytes behind the live ones, to be filled by the caller and then counted with
 * buf_commit; NULL (and failed) when that would exceed the limit or memory. */
char *buf_reserve(struct buf *buf, size_t len);

/* Counts `len` bytes, written where the last buf_reserve pointed, as live. */
void buf_commit(struct buf *buf, size_t len);

/* Removes `len` live bytes from the front. */
void buf_consume(struct buf *buf, size_t len);

void buf_append(struct buf *buf, struct bytes bytes);
void buf_append_str(struct buf *buf, const char *string);
void buf_append_char(struct buf *buf, char c);
void buf_append_u64(struct buf *buf, uint64_t value);
void buf_append_format(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
