/* stream_block: a run of entries of a stream_index. For that alone. */
#ifndef DURE_STREAM_STREAM_BLOCK_H
#define DURE_STREAM_STREAM_BLOCK_H

#include "stream/stream_index.h"

enum {
    STREAM_BLOCK_MAX = 512,
    STREAM_ALIKE_WORDS = STREAM_BLOCK_MAX / 64,
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

/* What stands behind the head of a block whose messages are alike but for their times: of one
 * subject, so that the ones that are left are neighbours in its chain, and of sequences without a
 * gap. Such a block is full: nothing is appended to it. */
struct stream_alike {
    struct stream_slot like;            /* prev of the first that is left, next of the last one */
    uint64_t holes[STREAM_ALIKE_WORDS]; /* bits; also those behind the last slot */
    int32_t times_us[];
};

struct stream_block {
    uint64_t first, last; /* sequences of its first and last slot */
    uint64_t base_us, max_us;
    uint64_t place;   /* of slot i: place + i, or place + places[i] */
    uint32_t *seqs;   /* of slot i: first + seqs[i]; NULL: first + i */
    uint32_t *places; /* NULL: they follow one another */
    uint64_t *far;    /* as places, when 32 bits do not reach; never both */
    uint32_t count, live, room;
    bool alike;                 /* a struct stream_alike is there instead of the slots */
    struct stream_slot slots[]; /* for stream_block.c alone */
};

/* An empty block for `room` entries. NULL: no memory. */
struct stream_block *stream_block_new(uint32_t room);
void stream_block_free(struct stream_block *block);

/* Bytes of memory. */
size_t stream_block_memory(const struct stream_block *block);

/* Appends; the block may move: *block. ERR_FULL: the entry needs a block of its own (too many, or
 * its time is too far away). ERR_NOMEM. */
int stream_block_append(struct stream_block **block, const struct stream_entry *entry);

/* Appends messages that follow the last slot's, all as `entry` (the next of them), with these times
 * since base_us, ascending; they are chained to it and to one another. Returns how many; 0: this
 * must be done one by one, for the last slot is of another subject, or anything else. */
uint32_t stream_block_extend(struct stream_block **block, const struct stream_entry *entry,
                             uint64_t base_us, const uint32_t *times_us, uint32_t count);

/* Makes a block of `count` such messages, the first of which is `entry`; they are chained to one
 * another alone. NULL: no memory. times_us, since base_us, ascend and are less than 2^31. */
struct stream_block *stream_block_new_alike(const struct stream_entry *entry, uint64_t base_us,
                                            const uint32_t *times_us, uint32_t count);

/* Nothing is appended to the block any more: gives back the room that is not used, and that of
 * what its messages have in common. */
void stream_block_seal(struct stream_block **block);

int stream_block_set_place(struct stream_block *block, uint32_t slot, uint64_t place);

static inline struct stream_alike *stream_block_alike(const struct stream_block *block)
{
    return (struct stream_alike *)block->slots;
}

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
    int32_t time_us =
        block->alike ? stream_block_alike(block)->times_us[slot] : block->slots[slot].time_us;
    return block->base_us + (uint64_t)(int64_t)time_us;
}

/* The number of its subject; 0: a hole. */
static inline uint32_t stream_block_subject(const struct stream_block *block, uint32_t slot)
{
    if (!block->alike) return block->slots[slot].subject;
    const struct stream_alike *alike = stream_block_alike(block);
    return alike->holes[slot / 64] >> slot % 64 & 1 ? 0 : alike->like.subject;
}

/* What the block says of a slot that is no hole. */
struct stream_slot stream_block_get(const struct stream_block *block, uint32_t slot);

/* The message of such a slot, as it was appended. */
void stream_block_entry(const struct stream_block *block, uint32_t slot,
                        const struct stream_subjects *subjects, struct stream_entry *ret_entry);

/* Makes a hole of a slot. The chain around it is not mended. */
void stream_block_remove(struct stream_block *block, uint32_t slot);

/* Notes the distances to a slot's neighbours, as they are when the holes are not counted. */
void stream_block_set_prev(struct stream_block *block, uint32_t slot, uint32_t prev);
void stream_block_set_next(struct stream_block *block, uint32_t slot, uint32_t next);

/* The first slot whose sequence is at or behind `seq`; block->count: none. */
uint32_t stream_block_slot(const struct stream_block *block, uint64_t seq);

#endif
