/* stream_dedupe: the message ids (header Nats-Msg-Id) that a stream has seen within its window. An
 * id is known by 128 bits of its hash; 48 bytes for each. A ring, the oldest first, with a table
 * over it. Ids that are noted by their hash alone, a million of them at a start, enter the table
 * together when it is asked for the first time. */
#ifndef DURE_STREAM_STREAM_DEDUPE_H
#define DURE_STREAM_STREAM_DEDUPE_H

#include "base/buf.h"

enum { STREAM_DEDUPE_MAX = 32 << 20 }; /* ids; beyond, the oldest are forgotten and counted */

struct stream_id {
    uint64_t hash[2];
    uint64_t seq, time_ns; /* seq 0: forgotten */
};

struct stream_dedupe {
    struct stream_id *ring; /* of `room`, a power of two */
    uint64_t start, end;    /* running numbers; ring[number % room] */
    size_t room;
    uint64_t listed;    /* ids before this number are in the table */
    uint64_t *table;    /* 0: free; else a part of the hash, and 1 + number % room */
    size_t table_size;  /* twice the room */
    uint64_t forgotten; /* for lack of room */
    struct buf last_id; /* the text of the last id that was given out */
    uint64_t last_id_seq;
};

void stream_dedupe_init(struct stream_dedupe *dedupe);
void stream_dedupe_release(struct stream_dedupe *dedupe);

/* Forgets what was noted before `before_ns`. */
void stream_dedupe_expire(struct stream_dedupe *dedupe, uint64_t before_ns);

/* The sequence that an id stands for; 0: it is not known. */
uint64_t stream_dedupe_find(struct stream_dedupe *dedupe, struct bytes id);

/* Notes an id that is new. Without memory it is not noted: ERR_NOMEM. */
int stream_dedupe_add(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq,
                      uint64_t time_ns);

/* Forgets the id if it stands for this sequence: its publish has failed. */
void stream_dedupe_remove(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq);

/* The stream has moved on from the message `last_seq` without another: its id stays the last. */
void stream_dedupe_skip(struct stream_dedupe *dedupe, uint64_t last_seq, uint64_t to_seq);

/* For digests: by its running number; an id that was noted by its hash alone; the text of the last
 * one. ERR_NOMEM. */
static inline const struct stream_id *stream_dedupe_at(const struct stream_dedupe *dedupe,
                                                       uint64_t number)
{
    return &dedupe->ring[number & (dedupe->room - 1)];
}
int stream_dedupe_add_hash(struct stream_dedupe *dedupe, const struct stream_id *id);
void stream_dedupe_set_last(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq);

/* As bytes, for a snapshot: the last id, and all that are known of messages up to last_seq (what
 * comes behind may yet fail). */
void stream_dedupe_encode(const struct stream_dedupe *dedupe, uint64_t last_seq, struct buf *out);

/* Into an empty one; takes its part off the front of `rest`. ERR_CORRUPT, ERR_NOMEM. */
int stream_dedupe_decode(struct stream_dedupe *dedupe, struct bytes *rest);

#endif
