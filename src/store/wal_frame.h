/* wal_frame: the format of the commit log's files, as bytes. Pure.
 *
 *     log file = header block, frames, zeros (or what is left of an earlier use)
 *     header   = "durewal1"  salt:8  generation:8  replay_from:8  size:8  0...  hash:8, twice
 *     frame    = head (80 bytes), extents, zeros up to a whole number of blocks
 *     head     = head_hash:8  body_hash:8  number:8  acked:8  first:8  replay_from:8
 *                length:4  blocks:4  end:4  0...
 *     extent   = name_len:4  kind:4  segment:8  salt:8  offset:8  length:8  name  data
 *
 * Numbers are little-endian; name and data are padded with zeros to multiples of 8. Hashes are
 * XXH3-64, seeded with the file's salt, which is drawn anew each time the file is used: what is
 * left of an earlier use passes for nothing. The file's uses are numbered: that is its generation.
 *
 * A frame is what one commit has written: for each journal in it an extent, which says "these bytes
 * stand in the segment file `segment` of the journal `name`, whose salt is `salt`, at `offset`".
 * Writing them there again changes nothing that is right, whatever has happened since; a segment
 * that was removed, or has another salt because the journal was removed and made again, is passed
 * over. (External: the bytes were synced in the segment file itself.) An extent that BEGINS a
 * segment makes that file, with its folders, where it is missing and the journal has no later one:
 * a new segment is not synced anywhere else. One that says REMOVED removes the journal's
 * folder with all that is in it; a folder's name is not used again, so its place among the others
 * is all that has to be known.
 *
 * Frames are numbered without a gap, over all files. `acked` vouches for every frame before that
 * number: it was on the disk when this one was written. So where the run of good frames ends at
 * number N, a later head that vouches for N means damage to what was acknowledged; otherwise N was
 * being written when the power failed. Two frames are under way at most: of them the later can be
 * there without the earlier. Neither was acknowledged then, since that happens in order.
 *
 * A frame with `end` is the last of its file; the next one stands in the next generation, whose
 * header was there before. Generations before `replay_from` are not needed any more. */
#ifndef DURE_STORE_WAL_FRAME_H
#define DURE_STORE_WAL_FRAME_H

#include "base/bytes.h"
#include "base/err.h"
#include "io/io.h"

enum {
    WAL_BLOCK = IO_ALIGN, /* of which files and frames are made: what a disk writes at once */
    WAL_HEAD = 80,
    WAL_EXTENT = 40,
    WAL_NAME_MAX = 512,
};

struct wal_header {
    uint64_t salt, generation, replay_from;
    uint64_t size; /* of the file: frames stand before it */
};

void wal_header_encode(const struct wal_header *header, char ret_block[WAL_BLOCK]);

/* ERR_CORRUPT: this is no file in use. */
int wal_header_decode(const char block[WAL_BLOCK], struct wal_header *ret_header);

struct wal_head {
    uint64_t number;
    uint64_t acked;
    uint64_t first; /* number of the first frame in this file */
    uint64_t replay_from;
    uint32_t length; /* of head and extents, in bytes */
    uint32_t blocks; /* that the frame takes */
    bool end;
};

/* The extents stand behind WAL_HEAD bytes at `frame`; head and padding are filled in. */
void wal_frame_seal(char *frame, const struct wal_head *head, uint64_t salt);

/* The head alone. ERR_CORRUPT. `at` has WAL_HEAD bytes. */
int wal_head_decode(const char *at, uint64_t salt, struct wal_head *ret_head);

/* What follows the head is whole. `frame` has head->length bytes. ERR_CORRUPT. */
int wal_frame_check(const char *frame, const struct wal_head *head, uint64_t salt);

enum wal_extent_kind {
    WAL_EXTENT_EXTERNAL,
    WAL_EXTENT_INLINE,
    WAL_EXTENT_BEGINS, /* inline too */
    WAL_EXTENT_REMOVED,
    WAL_EXTENT_KINDS
};

struct wal_extent {
    struct bytes name;
    uint64_t segment, salt, offset, length;
    enum wal_extent_kind kind;
    struct bytes data; /* of `length` bytes when it is inline */
};

static inline bool wal_extent_is_inline(const struct wal_extent *extent)
{
    return extent->kind == WAL_EXTENT_INLINE || extent->kind == WAL_EXTENT_BEGINS;
}

size_t wal_extent_size(size_t name_len, size_t data_len);

/* Writes it at `at`; returns where it ends. */
char *wal_extent_encode(char *at, const struct wal_extent *extent);

/* Takes the extent at the front of `body`: 1; 0 at the end; ERR_CORRUPT. */
int wal_extent_next(struct bytes *body, struct wal_extent *ret_extent);

#endif
