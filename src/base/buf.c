#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_FIRST_SIZE = 256 };

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_release(struct buf *buf)
{
    if (!buf) return;
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_clear(struct buf *buf)
{
    buf->start = buf->end = 0;
    buf->failed = false;
}

static char *fail(struct buf *buf)
{
    buf->failed = true;
    return NULL;
}

static void slide_to_front(struct buf *buf)
{
    if (!buf->start) return;
    assert(buf->data);
    memmove(buf->data, buf->data + buf->start, buf_len(buf));
    buf->end -= buf->start;
    buf->start = 0;
}

/* `spare` is room behind the reserved bytes, beyond the limit: for the NUL that vsnprintf writes.
 */
static char *reserve(struct buf *buf, size_t len, size_t spare)
{
    size_t live = buf_len(buf);
    if (buf->failed || len > buf->max || live > buf->max - len) return fail(buf);
    if (len > SIZE_MAX / 2 - live - spare) return fail(buf);
    if (buf->size - buf->end >= len + spare && buf->data) return buf->data + buf->end;
    slide_to_front(buf);
    if (buf->size - buf->end < len + spare || !buf->data) {
        size_t size = buf->size ? buf->size : BUF_FIRST_SIZE;
        while (size < live + len + spare) size *= 2;
        if (size > buf->max) size = buf->max + (spare ? spare : 1);
        char *data = realloc(buf->data, size);
        if (!data) return fail(buf);
        buf->data = data;
        buf->size = size;
    }
    return buf->data + buf->end;
}

char *buf_reserve(struct buf *buf, size_t len)
{
    return reserve(buf, len, 0);
}

void buf_commit(struct buf *buf, size_t len)
{
    assert(buf->end + len <= buf->size);
    buf->end += len;
}

void buf_consume(struct buf *buf, size_t len)
{
    assert(len <= buf_len(buf));
    buf->start += len;
    if (buf->start == buf->end) buf->start = buf->end = 0;
}

void buf_append(struct buf *buf, struct bytes bytes)
{
    char *room = buf_reserve(buf, bytes.len);
    if (!room || !bytes.len) return;
    memcpy(room, bytes.data, bytes.len);
    buf_commit(buf, bytes.len);
}

void buf_append_str(struct buf *buf, const char *string)
{
    buf_append(buf, bytes_str(string));
}

void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, bytes_make(&c, 1));
}

void buf_append_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    buf_append(buf, bytes_make(digits + at, sizeof digits - at));
}

void buf_append_format(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *room = len >= 0 ? reserve(buf, (size_t)len, 1) : fail(buf);
    if (room) {
        vsnprintf(room, (size_t)len + 1, format, again);
        buf_commit(buf, (size_t)len);
    }
    va_end(again);
}
