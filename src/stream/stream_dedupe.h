/* stream_dedupe: the message ids (header Nats-Msg-Id) that a stream has seen within its window.
 * Bounded: when it is full, the oldest id is forgotten. */
#ifndef DURE_BUS_STREAM_DEDUPE_H
#define DURE_BUS_STREAM_DEDUPE_H

#include "base/list.h"
#include "base/map.h"

enum { STREAM_DEDUPE_MAX = 1 << 18 };

struct stream_dedupe {
    struct map ids;   /* of struct stream_id */
    struct list list; /* the oldest first */
};

struct stream_id {
    struct bytes id; /* stands behind the struct */
    uint64_t seq, time_ns;
    struct list link;
};

void stream_dedupe_init(struct stream_dedupe *dedupe);
void stream_dedupe_release(struct stream_dedupe *dedupe);

/* Forgets what was noted before `before_ns`. */
void stream_dedupe_expire(struct stream_dedupe *dedupe, uint64_t before_ns);

/* What is known of the id, or NULL. */
struct stream_id *stream_dedupe_find(const struct stream_dedupe *dedupe, struct bytes id);

/* Notes an id that is new, or changes what is noted. Without memory it is not noted: ERR_NOMEM. */
int stream_dedupe_add(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq,
                      uint64_t time_ns);

/* Forgets the id if it stands for this sequence: its publish has failed. */
void stream_dedupe_remove(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq);

#endif
