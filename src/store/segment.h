/* segment: the format of a journal's files, as bytes. Pure, but for a function to read with.
 *
 *     segment file  = header, mark, 0... (128 bytes), records, zeros (blocks allocated ahead)
 *     header        = "dureseg1"  salt:8  first_seq:8  0...  hash:8 (64 bytes)
 *     mark          = hash:8  next_seq:8  offset:8  0:8, written in place after a sync
 *     record        = head_hash:8  seq:8  length:4  unsynced:4  payload_hash:8  payload  0..7 zeros
 *
 * Numbers are little-endian, records start at multiples of 8. Hashes are XXH3-64, seeded with the
 * segment's random salt (heads: its complement), so neither stale blocks of other files nor
 * payloads made to look like records pass for records of this segment.
 *
 * `unsynced` is what lets recovery tell a torn tail from damage: how many records right before this
 * one were not known to be on the disk when this one was written. So a record vouches that all
 * records before (seq - unsynced) were durable. Where the run of good records ends at sequence N,
 * the bytes behind are searched for headers:
 *   - one that vouches for N or more: what is bad had been acknowledged. That is damage, and an
 *     error.
 *   - none: N was part of a write that a crash interrupted, and had never been acknowledged (of one
 *     torn write, later sectors can well be there while earlier ones are not). That is cut.
 * A mark vouches as well: for all records before its next_seq, which end at its offset. It is
 * written at a checkpoint and when the journal is closed, so the end of a journal at rest is
 * vouched for. A mark that is not whole says nothing. What cannot be told apart is a torn write
 * from damage to a last batch that neither a mark nor (journals on a commit log: wal_frame.h) the
 * commit log knows. */
#ifndef DURE_STORE_SEGMENT_H
#define DURE_STORE_SEGMENT_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    SEGMENT_HEADER = 128, /* with the mark: where the first record stands */
    SEGMENT_MARK_AT = 64,
    SEGMENT_MARK = 32,
    SEGMENT_RECORD_HEADER = 32,
    SEGMENT_NAME = 25, /* "%020llu.seg" and NUL */
};

struct segment_header {
    uint64_t salt, first_seq;
};

void segment_header_encode(const struct segment_header *header, char ret_bytes[SEGMENT_HEADER]);

/* ERR_CORRUPT. */
int segment_header_decode(const char bytes[SEGMENT_HEADER], struct segment_header *ret_header);

struct segment_mark {
    uint64_t next_seq, offset; /* 0: there is none */
};

void segment_mark_encode(const struct segment_mark *mark, uint64_t salt,
                         char ret_bytes[SEGMENT_MARK]);

/* ERR_CORRUPT: none, or not a whole one, or of another use of the file. */
int segment_mark_decode(const char bytes[SEGMENT_MARK], uint64_t salt,
                        struct segment_mark *ret_mark);

void segment_name(uint64_t first_seq, char ret_name[SEGMENT_NAME]);

/* Whether `name` is that of a segment. */
bool segment_name_parse(const char *name, uint64_t *ret_first_seq);

struct segment_record {
    uint64_t seq;
    uint64_t hash; /* of its head, once it is sealed: of all of it */
    uint32_t unsynced;
    struct bytes payload;
    size_t size; /* bytes that it takes in the file */
};

/* Bytes that a record with such a payload takes in the file. */
static inline size_t segment_record_size(size_t payload_len)
{
    return (SEGMENT_RECORD_HEADER + payload_len + 7) & ~(size_t)7;
}

/* Room for a record: the payload stands behind SEGMENT_RECORD_HEADER bytes at `at`. The first call
 * notes what is known when it is appended, the second, with the segment's salt, seals it. */
void segment_record_begin(char *at, uint64_t seq, uint32_t payload_len);
void segment_record_seal(char *at, uint64_t salt, uint32_t unsynced);

/* What a record begun says of itself; for walking a batch in memory. */
void segment_record_peek(const char *at, struct segment_record *ret_record);

/* A header alone: 0 and sequence, length of the payload and unsynced, or ERR_CORRUPT. `at` has
 * SEGMENT_RECORD_HEADER bytes. */
int segment_record_head(const char *at, uint64_t salt, struct segment_record *ret_record);

/* Decodes the record at the start of `bytes`: its size, 0 when more bytes are needed (*ret_need, in
 * total), or ERR_CORRUPT (a header of zeros too: the end of what was written). */
int64_t segment_record_decode(struct bytes bytes, uint64_t salt, size_t payload_max,
                              struct segment_record *ret_record, size_t *ret_need);

/* ---- scanning ----------------------------------------------------------------------------------
 */

/* Reads up to `size` bytes at `offset`; less only at the end. A count, or a negative error. */
typedef int64_t segment_read(void *context, void *buf, size_t size, uint64_t offset);

/* A walk over the records of one segment, in a window of memory that grows to the largest record.
 */
struct segment_scan {
    segment_read *read;
    void *context;
    struct segment_header header;
    struct segment_mark mark;
    uint64_t size;           /* of the file */
    uint64_t offset;         /* of the next record */
    uint64_t next_seq;       /* that it must have */
    uint64_t settled_offset; /* all before it is vouched for, by a record or the mark */
    size_t payload_max;

    /* private */
    char *window;
    size_t window_size, window_len;
    uint64_t window_offset;
};

/* Reads the header. 0; ERR_CORRUPT (header, or first sequence other than first_seq); errors of
 * read. Release it in every case. */
int segment_scan_init(struct segment_scan *scan, segment_read *read, void *context, uint64_t size,
                      uint64_t first_seq, size_t payload_max);
void segment_scan_release(struct segment_scan *scan);

/* Goes on with the record next_seq at `offset`: what is before it is known, and on the disk. */
void segment_scan_skip(struct segment_scan *scan, uint64_t next_seq, uint64_t offset);

/* The next record: 1, with the payload valid until the next call; 0 where the run of good records
 * ends; ERR_NOMEM or errors of read. */
int segment_scan_next(struct segment_scan *scan, struct segment_record *ret_record);

enum segment_tail {
    SEGMENT_TAIL_CLEAN, /* nothing but zeros */
    SEGMENT_TAIL_TORN,  /* remains of writes that were never acknowledged */
    SEGMENT_TAIL_DAMAGED,
};

/* Judges what stands behind the last good record; `enum segment_tail` or an error of read. */
int segment_scan_tail(struct segment_scan *scan);

#endif
