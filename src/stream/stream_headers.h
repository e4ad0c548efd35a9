/* stream_headers: what the headers of a publish ask a stream for, and which of them go on with a
 * copy. Pure. */
#ifndef DURE_STREAM_STREAM_HEADERS_H
#define DURE_STREAM_STREAM_HEADERS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"

/* A time that never comes. */
#define STREAM_NEVER UINT64_MAX

struct stream_headers {
    struct bytes id;               /* Nats-Msg-Id */
    struct bytes expected_stream;  /* Nats-Expected-Stream */
    struct bytes expected_last_id; /* Nats-Expected-Last-Msg-Id */
    struct bytes expected_subject; /* Nats-Expected-Last-Subject-Sequence-Subject */
    struct bytes rollup;           /* Nats-Rollup */
    bool has_last_seq, has_subject_seq;
    uint64_t last_seq,
        subject_seq; /* Nats-Expected-Last-[Subject-]Sequence; UINT64_MAX: no number */
    bool has_ttl, bad_ttl;
    uint64_t ttl_ns; /* Nats-TTL; STREAM_NEVER */
    bool marker;     /* Nats-Marker-Reason is there */
    bool has_delay, bad_delay;
    uint64_t delay_ns, deliver_at_ns; /* Dure-Delay, or Dure-Deliver-At (wall clock) */
};

/* The views point into `headers`. ERR_SYNTAX: a block that is none. */
int stream_headers_read(struct bytes headers, struct stream_headers *ret);

/* "1h30m", "1.5s", "250ms", "10us", "7ns"; a number alone is seconds. ERR_SYNTAX, ERR_TOO_BIG. */
int stream_duration_parse(struct bytes text, uint64_t *ret_ns);

/* When a message is to be seen that was stored at `now_ns`. */
uint64_t stream_headers_due(const struct stream_headers *headers, uint64_t now_ns);

/* The block of headers with another Nats-TTL, to be released by the caller. */
int stream_headers_set_ttl(struct bytes headers, uint64_t seconds, struct buf *ret_headers);

/* The block of headers of a mirror's copy: what was expected of the origin means nothing there.
 * `ret_room`, to be released by the caller, holds it when it is another one. ERR_NOMEM. */
int stream_headers_mirrored(struct bytes headers, struct buf *ret_room, struct bytes *ret_headers);

/* The same for a copy of message `seq` from the source `name`, to be released by the caller:
 * Nats-Stream-Source says that, and no more where the message was before. */
int stream_headers_sourced(struct bytes headers, const char *name, uint64_t seq,
                           struct buf *ret_headers);

#endif
