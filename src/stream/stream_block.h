/* stream_block: a run of entries of a stream_index. For that alone. */
#ifndef DURE_STREAM_STREAM_BLOCK_H
#define DURE_STREAM_STREAM_BLOCK_H

#include "stream/stream_index.h"

enum {
    STREAM_BLOCK_MAX = 512,
    STREAM_BLOCK_FAR = -1, /* as a distance (uint32_t): look for it */
};

/* prev and next: how far away the subject's neighbours are; 0: there is none. */
struct stream_slot {
    int32_t time_us;  /* from the block's base */
    uint32_t subject; /* 0: a hole */
    uint32_t prev, next;
    uint32_t size : 30;
    uint32_t marker : 1, ageless : 1;
};

struct stream_block {
    uint64_t first, last; /* sequences of its first and last slot */
    uint64_t base_us, max_us;
    uint64_t place;   /* of slot i: place + i, or place + places[i] */
    uint32_t *seqs;   /* of slot i: first + seqs[i]; NULL: first + i */
    uint32_t *places; /* NULL: they follow one another */
    uint64_t *far;    /* as places, when 32 bits do not reach; never both */
    uint32_t count, live, room;
    struct stream_slot slots[];
};

/* An empty block for `room` entries. NULL: no memory. */
struct stream_block *stream_block_new(uint32_t room);
void stream_block_free(struct stream_block *block);

/* Bytes of memory. */
size_t stream_block_memory(const struct stream_block *block);

/* Appends; the block may move: *block. ERR_FULL: the entry needs a block of its own (too many, or
 * its time is too far away). ERR_NOMEM. */
int stream_block_append(struct stream_block **block, const struct stream_entry *entry);

/* Appends messages that follow the last slot's, as `entry` (the next of them) does, of the same
 * subject, size and kind, with these times since base_us, ascending; they are chained to it and to
 * one another. Returns how many; 0: this must be done one by one. */
uint32_t stream_block_extend(struct stream_block **block, const struct stream_entry *entry,
                             uint64_t base_us, const uint32_t *times_us, uint32_t count);

/* Gives back the room that is not used. */
void stream_block_trim(struct stream_block **block);

int stream_block_set_place(struct stream_block *block, uint32_t slot, uint64_t place);

static inline uint64_t stream_block_seq(const struct stream_block *block, uint32_t slot)
{
    return block->first + (block->seqs ? block->seqs[slot] : slot);
}

static inline uint64_t stream_block_place(const struct stream_block *block, uint32_t slot)
{
    if (block->far) return block->far[slot];
    return block->place + (block->places ? block->places[slot] : slot);
}

static inline uint64_t stream_block_time_us(const struct stream_block *block, uint32_t slot)
{
    return block->base_us + (uint64_t)(int64_t)block->slots[slot].time_us;
}

/* The first slot whose sequence is at or behind `seq`; block->count: none. */
uint32_t stream_block_slot(const struct stream_block *block, uint64_t seq);

#endif
