/* stream_index: which messages a stream holds, where they stand in its journal, and each subject's
 * chain of them. In memory; rebuilt when the stream is opened.
 *
 * The entries lie in blocks, ordered by sequence, of up to 512: 20 bytes for a message. What would
 * make them larger is told once for the block as long as it can be: sequences and places that
 * follow one another cost nothing; where they do not, the block gets 4 bytes more for each message.
 * A block that is full of messages which are alike but for their times, as those of most streams
 * of one subject are, tells the rest once too: 4 bytes for a message.
 * A removed entry leaves a hole; a block that is mostly holes is squeezed, and joined with its
 * neighbour when both are small. */
#ifndef DURE_STREAM_STREAM_INDEX_H
#define DURE_STREAM_STREAM_INDEX_H

#include "stream/stream_subjects.h"

struct stream_block;

struct stream_index {
    struct stream_block **blocks; /* blocks[start .. end) */
    size_t start, end, room;
    size_t hint;           /* the block where something was found last */
    uint64_t count, bytes; /* of messages */
    size_t memory;         /* bytes of the blocks */
    struct stream_subjects subjects;
};

/* A message as it stands in the index. */
struct stream_entry {
    uint64_t seq;
    uint64_t time_ns; /* to the microsecond */
    uint64_t place;   /* the journal's sequence of the record that holds it, or its memory */
    struct stream_subject *subject;
    uint32_t size; /* less than 1 GiB */
    bool marker;   /* tells that its subject has expired */
    bool ageless;  /* does not grow too old */
};

void stream_index_init(struct stream_index *index);
void stream_index_release(struct stream_index *index);

/* Adds a message behind all others. ERR_NOMEM. entry->subject has been claimed. */
int stream_index_add(struct stream_index *index, const struct stream_entry *entry);

/* Adds `count` messages behind all others, which follow one another and are alike but for their
 * times: `first`, times_us[i] later, ascending. Recovery. ERR_NOMEM. */
int stream_index_add_run(struct stream_index *index, const struct stream_entry *first,
                         const uint32_t *times_us, uint32_t count);

/* Adds messages, which are not there yet, anywhere between the others, all at once. Sorts
 * `entries`; of several of one sequence the one with the last place counts. Recovery. ERR_NOMEM:
 * the index is to be thrown away. */
int stream_index_merge(struct stream_index *index, struct stream_entry *entries, size_t count);

/* Removes a message that is there; its subject is dropped when it was its last. */
void stream_index_remove(struct stream_index *index, uint64_t seq);

/* Notes another place. ERR_NOMEM: the old one is kept. */
int stream_index_move(struct stream_index *index, uint64_t seq, uint64_t place);

/* False: there is none. ret_entry may be NULL. */
bool stream_index_find(struct stream_index *index, uint64_t seq, struct stream_entry *ret_entry);

/* The same for its place alone, which is all that reading it needs. */
bool stream_index_place(struct stream_index *index, uint64_t seq, uint64_t *ret_place);

/* The first message at or behind `seq`; the first and the last of all. */
bool stream_index_from(struct stream_index *index, uint64_t seq, struct stream_entry *ret_entry);
bool stream_index_first(struct stream_index *index, struct stream_entry *ret_entry);
bool stream_index_last(struct stream_index *index, struct stream_entry *ret_entry);

/* The message before this one of the same subject; 0: none. */
uint64_t stream_index_before(struct stream_index *index, uint64_t seq);

/* The first message that was stored at or after this time; 0: none. */
uint64_t stream_index_at(const struct stream_index *index, uint64_t time_ns);

/* Walks over sequences and subjects' numbers, the cheapest way through many messages. The index
 * must not change meanwhile. */
struct stream_walk {
    const struct stream_index *index;
    size_t block;
    uint32_t slot;
};

void stream_walk_begin(struct stream_walk *walk, struct stream_index *index, uint64_t seq);

/* False at the end. */
bool stream_walk_next(struct stream_walk *walk, uint64_t *ret_seq, uint32_t *ret_subject);

#endif
