/* stream_record: what a stream writes into its journal, as bytes. Pure.
 *
 *     kind:1 0:1 subject_len:2 headers_len:4 seq:8 time_ns:8 origin:8  subject headers payload
 *
 * Little-endian. Which fields count depends on the kind; the others are 0 and empty. */
#ifndef DURE_BUS_STREAM_RECORD_H
#define DURE_BUS_STREAM_RECORD_H

#include "base/bytes.h"
#include "base/err.h"

enum stream_record_kind {
    STREAM_RECORD_MESSAGE = 1, /* seq, time_ns, subject, headers, payload */
    STREAM_RECORD_MOVE,        /* the same; the journal's record `origin` held it before */
    STREAM_RECORD_DELETE,      /* seq */
    STREAM_RECORD_PURGE,  /* subject (filter, may be empty), seq (all below), origin (how many stay)
                           */
    STREAM_RECORD_CONFIG, /* payload (JSON); seq: the last one given out */
};

enum { STREAM_RECORD_HEADER = 32 };

struct stream_record {
    enum stream_record_kind kind;
    uint64_t seq, time_ns, origin;
    struct bytes subject, headers, payload;
};

/* The fixed part; subject, headers and payload follow it as they are. Their lengths are within
 * limits (asserted). */
void stream_record_encode(const struct stream_record *record,
                          char ret_header[STREAM_RECORD_HEADER]);

/* The views point into `bytes`. ERR_CORRUPT. */
int stream_record_decode(struct bytes bytes, struct stream_record *ret_record);

#endif
