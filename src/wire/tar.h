/* tar: files one behind the other, each behind a header of 512 bytes and filled up to a multiple of
 * that (POSIX ustar). Pure. */
#ifndef DURE_WIRE_TAR_H
#define DURE_WIRE_TAR_H

#include "base/buf.h"
#include "base/err.h"

enum { TAR_BLOCK = 512, TAR_NAME_MAX = 255 };

/* Appends a file. A name longer than 100 bytes needs a '/' where it can be parted (ustar's prefix);
 * ERR_TOO_BIG when there is none. */
int tar_put(struct buf *out, const char *name, struct bytes content, uint64_t mtime_s);

/* The end of the archive. */
void tar_put_end(struct buf *out);

/* Reads the header at the start of `in`, which holds a whole one: 1, the name and the size; 0 at
 * the end of the archive; ERR_SYNTAX. */
int tar_read(struct bytes in, char ret_name[static TAR_NAME_MAX + 2], uint64_t *ret_size);

/* What a file of this size takes behind its header. */
static inline uint64_t tar_room(uint64_t size)
{
    return (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
}

#endif
