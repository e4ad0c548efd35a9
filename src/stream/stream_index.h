/* stream_index: which messages a stream holds, where they stand in its journal, and each subject's
 * chain of them. In memory; rebuilt when the stream is opened.
 *
 * Entries lie in one array, ordered by sequence; a removed one leaves a hole until holes are half
 * of it. So appending and removing cost little, finding is a binary search, and a message costs 56
 * bytes. A subject lives as long as a message of it does, or a publish to it is under way. */
#ifndef DURE_BUS_STREAM_INDEX_H
#define DURE_BUS_STREAM_INDEX_H

#include "base/map.h"

struct stream_subject {
    struct bytes name;           /* stands behind the struct */
    uint64_t first, last, count; /* of the messages that are held */
    uint64_t pending_last;       /* the last sequence given to it, durable or not */
    uint32_t pending;            /* publishes under way */
};

struct stream_entry {
    uint64_t seq, time_ns;
    uint64_t place;                 /* the journal's sequence of the record that holds it */
    uint64_t prev, next;            /* messages of the same subject; 0: none */
    struct stream_subject *subject; /* NULL: a hole */
    uint32_t size;                  /* subject, headers and payload */
    bool moved;                     /* copied forward in the journal since it was published */
};

struct stream_index {
    struct stream_entry *entries; /* live ones and holes: entries[start .. end) */
    size_t start, end, room;
    uint64_t count, bytes; /* of live ones */
    struct map subjects;   /* of struct stream_subject */
};

void stream_index_init(struct stream_index *index);
void stream_index_release(struct stream_index *index);

/* The subject, or NULL. */
struct stream_subject *stream_index_subject(const struct stream_index *index, struct bytes name);

/* The subject, made if it is new; NULL: no memory. */
struct stream_subject *stream_index_claim(struct stream_index *index, struct bytes name);

/* Lets go of a subject that has neither messages nor publishes under way. */
void stream_index_drop(struct stream_index *index, struct stream_subject *subject);

/* Adds a message at its place in the order. ERR_NOMEM. Entries may move in memory. */
int stream_index_add(struct stream_index *index, struct bytes subject,
                     const struct stream_entry *entry);

/* Removes a live entry. */
void stream_index_remove(struct stream_index *index, struct stream_entry *entry);

/* The live entry with this sequence, or NULL. Valid until the index changes. */
struct stream_entry *stream_index_find(const struct stream_index *index, uint64_t seq);

/* The first live entry at or behind `seq`, and the last and first of all; NULL: none. */
struct stream_entry *stream_index_from(const struct stream_index *index, uint64_t seq);
struct stream_entry *stream_index_first(const struct stream_index *index);
struct stream_entry *stream_index_last(const struct stream_index *index);

/* The live entry behind this one, or NULL. */
struct stream_entry *stream_index_after(const struct stream_index *index,
                                        const struct stream_entry *entry);

#endif
