/* stream_digest: what a stream says of its journal's records, so that start-up need not read them
 * (journal_options.digest): all that the state machine asks of a record, without the content.
 *
 *     digest  = items
 *     RECORD  = 1  size  len  the record as in the journal (of a message without its payload, and
 *               without its headers when these say nothing of its time)
 *     NAME    = 2  len  subject: the next number, from 0
 *     PLAIN   = 3  number  size  time: the message behind the one before, of this subject
 *     IDENT   = 4  as PLAIN, with a message id
 *     RUN     = 5  count:4  length:4  times: messages as the one before
 *     IDS     = 6  count  (hash:16  seq  time)*: the ids that were known of these messages
 *     LAST_ID = 7  seq  time:ns  len  text: of the last message that had one
 *
 * Numbers are LEB128 unless their length is given. A time is the distance to the one before: in us
 * of messages, in ns of ids. Sizes are what a message counts for (stream_message_size). */
#ifndef DURE_STREAM_STREAM_DIGEST_H
#define DURE_STREAM_STREAM_DIGEST_H

#include "stream/stream_dedupe.h"
#include "stream/stream_record.h"
#include "stream/stream_subjects.h"

/* ---- writing ---- */

struct stream_digest {
    struct buf data;
    uint32_t chunk, names;         /* names: given numbers in this chunk */
    uint64_t first_seq, seq;       /* the first and the last message in it; 0: none */
    uint64_t time_ns;              /* of the last one */
    uint32_t subject, size, flags; /* of the last one, if it was plain */
    bool plain;
    uint32_t run_count, run_us;
    size_t run_at;         /* where the open run stands; run_count 0: there is none */
    struct buf id_headers; /* of the last message with an id */
    uint64_t id_seq, id_time_ns;
};

void stream_digest_init(struct stream_digest *digest);
void stream_digest_release(struct stream_digest *digest);

/* Notes a message; subject: under which it is kept. */
void stream_digest_message(struct stream_digest *digest, const struct stream_record *record,
                           struct stream_subject *subject, uint32_t size);

/* Notes any record. size: of a message. */
void stream_digest_record(struct stream_digest *digest, const struct stream_record *record,
                          uint32_t size);

/* Appends what was noted to `out`, and begins anew. ERR_NOMEM. */
int stream_digest_take(struct stream_digest *digest, const struct stream_dedupe *dedupe,
                       struct buf *out);

/* ---- reading ---- */

enum stream_digest_kind {
    STREAM_DIGEST_RECORD,
    STREAM_DIGEST_RUN, /* `record` is the first of `count` */
    STREAM_DIGEST_ID,
    STREAM_DIGEST_LAST_ID,
};

struct stream_digest_item {
    enum stream_digest_kind kind;
    struct stream_record record; /* `size` is set */
    uint32_t count;
    const uint32_t *times_us; /* of a run: since its first; valid until the next item */
    struct stream_id id;      /* of the last id: without its hash, but with its text */
    struct bytes text;
};

struct stream_digest_walk {
    struct bytes rest;
    struct bytes *names;
    size_t name_count, name_room;
    struct stream_record last; /* the last message; what may follow it repeats it */
    bool any, plain;
    uint32_t *times_us;
    size_t time_room;
    uint64_t ids; /* left */
    struct stream_id id;
};

void stream_digest_walk_init(struct stream_digest_walk *walk, struct bytes digest);
void stream_digest_walk_release(struct stream_digest_walk *walk);

/* 1, 0 at the end, ERR_CORRUPT, ERR_NOMEM. Views point into the digest. */
int stream_digest_next(struct stream_digest_walk *walk, struct stream_digest_item *ret_item);

#endif
