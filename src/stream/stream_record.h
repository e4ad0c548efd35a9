/* stream_record: what a stream writes into its journal, as bytes. Pure.
 *
 *     kind:1 flags:1 subject_len:2 headers_len:4 seq:8 value:8  [origin:16]  subject headers
 * payload
 *
 * Little-endian; origin is there when flags say so. Which fields count depends on the kind; the
 * others are 0 and empty. */
#ifndef DURE_STREAM_STREAM_RECORD_H
#define DURE_STREAM_STREAM_RECORD_H

#include "base/buf.h"
#include "base/err.h"

enum stream_record_kind {
    STREAM_RECORD_MESSAGE = 1, /* seq, value: time in ns, subject, headers, payload */
    STREAM_RECORD_MOVE,        /* the same again, copied forward */
    STREAM_RECORD_DELETE,      /* seq */
    STREAM_RECORD_PURGE,  /* subject (filter, may be empty), seq: all below, value: how many stay */
    STREAM_RECORD_CONFIG, /* payload (JSON); seq: the last given out, value: when it was made */
    STREAM_RECORD_REMOVE, /* payload: runs of sequences (below) that are done with */
    STREAM_RECORD_SKIP,   /* seq, value: time: a message that nobody wanted to be kept */
};

/* What a message's headers mean, so that they need not be read again. */
enum stream_record_flags {
    STREAM_FLAG_ID = 1,         /* Nats-Msg-Id */
    STREAM_FLAG_ROLLUP_SUB = 2, /* replaces all earlier ones of its subject */
    STREAM_FLAG_ROLLUP_ALL = 4, /* replaces all earlier ones */
    STREAM_FLAG_TTL = 8,        /* Nats-TTL */
    STREAM_FLAG_DELAYED = 16,   /* not to be seen before its time */
    STREAM_FLAG_MARKER = 32,    /* tells that its subject has expired */
    STREAM_FLAG_SOURCED = 64,   /* from another stream; origin: its sequence there */
    STREAM_FLAG_RELEASED =
        128, /* its time has come; origin: the delayed message that it replaces */
};

enum { STREAM_RECORD_HEADER = 24, STREAM_RECORD_HEADER_MAX = 40 };

/* Where a message was before. */
struct stream_origin {
    uint64_t key; /* the source, as streams_source.c names it; 0: this stream */
    uint64_t seq;
};

struct stream_record {
    enum stream_record_kind kind;
    uint8_t flags;
    uint64_t seq, value;
    uint32_t size; /* of a message that a digest tells of, without content; else 0. Not written */
    struct stream_origin origin;
    struct bytes subject, headers, payload;
};

static inline bool stream_record_has_origin(const struct stream_record *record)
{
    return record->flags & (STREAM_FLAG_SOURCED | STREAM_FLAG_RELEASED);
}

/* The fixed part; subject, headers and payload follow it as they are. Their lengths are within
 * limits (asserted). Returns its length. */
size_t stream_record_encode(const struct stream_record *record,
                            char ret_header[STREAM_RECORD_HEADER_MAX]);

/* The views point into `bytes`. ERR_CORRUPT. */
int stream_record_decode(struct bytes bytes, struct stream_record *ret_record);

/* ---- numbers as LEB128 ---- */

void stream_number_put(struct buf *out, uint64_t value);

/* Takes it off the front. ERR_CORRUPT. */
int stream_number_get(struct bytes *rest, uint64_t *ret);

/* ---- runs of sequences: (gap since the run before, length), each as LEB128 ---- */

/* Appends `count` sequences, sorted and each but once, as runs. */
void stream_runs_encode(const uint64_t *seqs, size_t count, struct buf *out);

/* One run at a time, as stream_runs_next gives them, for what is not gathered in an array. */
void stream_runs_put(struct buf *out, uint64_t *end, uint64_t first, uint64_t count);

/* Reads the run at the start of `rest`; *end is 0 before the first. 1, 0 at the end, ERR_CORRUPT.
 */
int stream_runs_next(struct bytes *rest, uint64_t *end, uint64_t *ret_first, uint64_t *ret_count);

#endif
