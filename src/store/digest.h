/* digest: the format of the files that stand beside segments, as bytes. Pure.
 *
 * A digest says of a run of records what their owner needs to know of them at start-up, so that the
 * records themselves need not be read then. It is a help, never the truth: what is missing, torn,
 * rotten or about other records is told from what is good, and the records are read instead.
 *
 *     digest file = chunks, one behind the other; "00000000000000000001.dig" is about ".seg"
 *     chunk       = hash:8  "dig1"  length:4  first:8  count:4  points:4  offset:8  end:8
 *                   last_offset:8  last_hash:8  (64 bytes)  points  what the owner says
 *     point       = index:4  offset:4: where the record stands that is the segment's first + index
 *
 * Numbers are little-endian. The hash is XXH3-64 of all behind it, seeded with the segment's salt.
 * A chunk is about the records `first` to first + count - 1, which stand at [offset, end) of the
 * segment, and is written when these are durable. The next one begins where it ends. `last_hash` is
 * the hash at the head of the record at last_offset, the last of them: it covers the record's
 * sequence and content, so a chunk does not pass for one about records that took the place of those
 * it knew. */
#ifndef DURE_STORE_DIGEST_H
#define DURE_STORE_DIGEST_H

#include "base/buf.h"
#include "base/err.h"

enum { DIGEST_HEAD = 64, DIGEST_NAME = 25 /* as SEGMENT_NAME */ };

/* Where a record stands. */
struct segment_point {
    uint32_t index; /* sequence - the segment's first */
    uint32_t offset;
};

struct digest_chunk {
    uint64_t first;
    uint32_t count, point_count;
    uint64_t offset, end;
    uint64_t last_offset, last_hash;
    const char *points; /* when decoded: digest_point */
    struct bytes said;  /* by the owner */
};

void digest_name(uint64_t first_seq, char ret_name[DIGEST_NAME]);
bool digest_name_parse(const char *name, uint64_t *ret_first_seq);

/* Writes a chunk into `out`, in two steps: between them its owner appends what it says. `out` is
 * empty before; may be failed after. */
void digest_begin(struct buf *out, const struct segment_point *points, size_t count);

/* chunk->points and chunk->said are not read. */
void digest_end(struct buf *out, const struct digest_chunk *chunk, uint64_t salt);

/* Decodes the chunk at the start of `bytes`, into which the views point: its length, or
 * ERR_CORRUPT. */
int64_t digest_decode(struct bytes bytes, uint64_t salt, struct digest_chunk *ret_chunk);

struct segment_point digest_point(const struct digest_chunk *chunk, uint32_t i);

#endif
