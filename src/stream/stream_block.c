#include "stream/stream_block.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIRST_ROOM = 4,
    HOLES = 4,     /* a gap of so many sequences is cheaper filled with holes */
    ALIKE_MIN = 8, /* what fewer have in common is told for each of them */
};

struct stream_block *stream_block_new(uint32_t room)
{
    struct stream_block *block = malloc(sizeof *block + room * sizeof block->slots[0]);
    if (!block) return NULL;
    *block = (struct stream_block){.room = room};
    return block;
}

void stream_block_free(struct stream_block *block)
{
    if (!block) return;
    free(block->seqs);
    free(block->places);
    free(block->far);
    free(block);
}

size_t stream_block_memory(const struct stream_block *block)
{
    size_t each = block->alike ? sizeof(int32_t) : sizeof block->slots[0];
    size_t head = sizeof *block + (block->alike ? sizeof(struct stream_alike) : 0);
    if (block->seqs) each += sizeof block->seqs[0];
    if (block->places) each += sizeof block->places[0];
    if (block->far) each += sizeof block->far[0];
    return head + block->room * each;
}

static int resize_array(void *array, size_t count, size_t size)
{
    void **at = array;
    if (!*at) return 0;
    void *bigger = realloc(*at, count * size);
    if (!bigger) return ERR_NOMEM;
    *at = bigger;
    return 0;
}

/* The arrays grow before the slots and shrink after them, so that a failure leaves enough. */
static int resize(struct stream_block **block, uint32_t room)
{
    struct stream_block *b = *block;
    bool grows = room > b->room;
    int r = 0;
    for (int turn = 0; r == 0 && turn < 2; turn++) {
        if (grows == (turn == 0)) {
            r = resize_array(&b->seqs, room, sizeof b->seqs[0]);
            if (r == 0) r = resize_array(&b->places, room, sizeof b->places[0]);
            if (r == 0) r = resize_array(&b->far, room, sizeof b->far[0]);
        } else {
            struct stream_block *moved = realloc(b, sizeof *b + room * sizeof b->slots[0]);
            if (!moved) return ERR_NOMEM;
            *block = b = moved;
            b->room = room;
        }
    }
    return r;
}

static int list_seqs(struct stream_block *block)
{
    if (block->seqs) return 0;
    block->seqs = malloc(block->room * sizeof block->seqs[0]);
    if (!block->seqs) return ERR_NOMEM;
    for (uint32_t i = 0; i < block->count; i++) block->seqs[i] = i;
    return 0;
}

static int list_far(struct stream_block *block)
{
    uint64_t *far = malloc(block->room * sizeof *far);
    if (!far) return ERR_NOMEM;
    for (uint32_t i = 0; i < block->count; i++) far[i] = stream_block_place(block, i);
    free(block->places);
    block->places = NULL;
    block->far = far;
    return 0;
}

static int list_places(struct stream_block *block)
{
    block->places = malloc(block->room * sizeof block->places[0]);
    if (!block->places) return ERR_NOMEM;
    for (uint32_t i = 0; i < block->count; i++) block->places[i] = i;
    return 0;
}

int stream_block_set_place(struct stream_block *block, uint32_t slot, uint64_t place)
{
    if (!block->far && !block->places) {
        if (place == block->place + slot) return 0;
        int r = list_places(block);
        if (r < 0) return r;
    }
    bool near = place >= block->place && place - block->place <= UINT32_MAX;
    if (!block->far && !near) {
        int r = list_far(block);
        if (r < 0) return r;
    }
    if (block->far) {
        block->far[slot] = place;
    } else {
        block->places[slot] = (uint32_t)(place - block->place);
    }
    return 0;
}

/* Bridges a gap of sequences before an entry: with holes, whose records follow one another like
 * all others, or by noting sequences from now on. */
static int bridge_gap(struct stream_block *block, uint64_t seq)
{
    uint64_t gap = seq - block->last - 1;
    if (block->seqs || gap == 0) return 0;
    if (gap > HOLES || block->count + gap >= block->room) return list_seqs(block);
    for (; gap > 0; gap--) {
        if (block->places) block->places[block->count] = 0;
        if (block->far) block->far[block->count] = 0;
        block->slots[block->count++] = (struct stream_slot){0};
        block->last++;
    }
    return 0;
}

static bool fits(const struct stream_block *block, const struct stream_entry *entry)
{
    if (block->count >= STREAM_BLOCK_MAX || block->alike) return false;
    if (block->count == 0) return true;
    int64_t time = (int64_t)(entry->time_ns / 1000 - block->base_us);
    return time >= INT32_MIN && time <= INT32_MAX && entry->seq - block->first <= UINT32_MAX;
}

int stream_block_append(struct stream_block **ref, const struct stream_entry *entry)
{
    struct stream_block *block = *ref;
    uint64_t time_us = entry->time_ns / 1000;
    if (!fits(block, entry)) return ERR_FULL;
    if (block->count == block->room) {
        uint32_t room = block->room ? block->room * 2 : FIRST_ROOM;
        int r = resize(ref, room < STREAM_BLOCK_MAX ? room : STREAM_BLOCK_MAX);
        block = *ref;
        if (r < 0) return r;
    }
    if (block->count == 0) {
        block->first = block->last = entry->seq;
        block->base_us = block->max_us = time_us;
        block->place = entry->place;
    } else {
        int r = bridge_gap(block, entry->seq);
        if (r < 0) return r;
    }
    uint32_t slot = block->count;
    int r = stream_block_set_place(block, slot, entry->place);
    if (r < 0) return r;
    if (block->seqs) block->seqs[slot] = (uint32_t)(entry->seq - block->first);
    block->slots[slot] = (struct stream_slot){
        .time_us = (int32_t)(int64_t)(time_us - block->base_us),
        .subject = entry->subject->number,
        .size = entry->size & 0x3fffffff,
        .marker = entry->marker,
        .ageless = entry->ageless,
    };
    block->last = entry->seq;
    if (time_us > block->max_us) block->max_us = time_us;
    block->count++;
    block->live++;
    return 0;
}

uint32_t stream_block_extend(struct stream_block **ref, const struct stream_entry *entry,
                             uint64_t base_us, const uint32_t *times_us, uint32_t count)
{
    struct stream_block *block = *ref;
    if (count == 0 || block->count == 0 || block->alike) return 0;
    if (block->seqs || block->places || block->far) return 0;
    if (entry->seq != block->last + 1 || entry->place != block->place + block->count) return 0;
    if (count > STREAM_BLOCK_MAX - block->count) count = STREAM_BLOCK_MAX - block->count;
    int64_t base = (int64_t)(base_us - block->base_us);
    if (count == 0 || base < INT32_MIN || base + times_us[count - 1] > INT32_MAX) return 0;
    if (block->room - block->count < count) {
        if (resize(ref, block->count + count) < 0) return 0;
        block = *ref;
    }
    struct stream_slot *slot = &block->slots[block->count];
    if (slot[-1].subject != entry->subject->number) return 0;
    const struct stream_slot like = {.subject = entry->subject->number,
                                     .prev = 1,
                                     .next = 1,
                                     .size = entry->size & 0x3fffffff,
                                     .marker = entry->marker,
                                     .ageless = entry->ageless};
    slot[-1].next = 1;
    for (uint32_t i = 0; i < count; i++) {
        slot[i] = like;
        slot[i].time_us = (int32_t)(base + times_us[i]);
    }
    slot[count - 1].next = 0;
    block->last += count;
    block->count += count;
    block->live += count;
    uint64_t last_us = base_us + times_us[count - 1];
    if (last_us > block->max_us) block->max_us = last_us;
    return count;
}

/* ---- messages that are alike ---- */

static void make_hole(struct stream_alike *alike, uint32_t slot)
{
    alike->holes[slot / 64] |= UINT64_C(1) << slot % 64;
}

static struct stream_block *new_alike(const struct stream_block *head, struct stream_slot like)
{
    struct stream_block *block =
        malloc(sizeof *block + sizeof(struct stream_alike) + head->count * sizeof(int32_t));
    if (!block) return NULL;
    *block = *head;
    block->room = head->count;
    block->alike = true;
    struct stream_alike *alike = stream_block_alike(block);
    alike->like = like;
    memset(alike->holes, 0, sizeof alike->holes);
    for (uint32_t i = head->count; i < STREAM_BLOCK_MAX; i++) make_hole(alike, i);
    return block;
}

struct stream_block *stream_block_new_alike(const struct stream_entry *entry, uint64_t base_us,
                                            const uint32_t *times_us, uint32_t count)
{
    const struct stream_block head = {
        .first = entry->seq,
        .last = entry->seq + count - 1,
        .base_us = base_us,
        .max_us = base_us + times_us[count - 1],
        .place = entry->place,
        .count = count,
        .live = count,
    };
    const struct stream_slot like = {.subject = entry->subject->number,
                                     .size = entry->size & 0x3fffffff,
                                     .marker = entry->marker,
                                     .ageless = entry->ageless};
    struct stream_block *block = new_alike(&head, like);
    if (!block) return NULL;
    memcpy(stream_block_alike(block)->times_us, times_us, count * sizeof(int32_t));
    return block;
}

static bool are_alike(const struct stream_block *block)
{
    const struct stream_slot *like = block->slots;
    if (block->alike || block->seqs || block->places || block->far) return false;
    if (block->live != block->count || block->count < ALIKE_MIN) return false;
    for (uint32_t i = 1; i < block->count; i++) {
        const struct stream_slot *slot = &block->slots[i];
        if (slot->subject != like->subject || slot->size != like->size) return false;
        if (slot->marker != like->marker || slot->ageless != like->ageless) return false;
    }
    return true;
}

static struct stream_block *condense(const struct stream_block *block)
{
    struct stream_slot like = block->slots[0];
    like.next = block->slots[block->count - 1].next;
    struct stream_block *made = new_alike(block, like);
    if (!made) return NULL;
    int32_t *times_us = stream_block_alike(made)->times_us;
    for (uint32_t i = 0; i < block->count; i++) times_us[i] = block->slots[i].time_us;
    return made;
}

void stream_block_seal(struct stream_block **ref)
{
    struct stream_block *block = *ref;
    struct stream_block *made = are_alike(block) ? condense(block) : NULL;
    if (made) {
        stream_block_free(block);
        *ref = made;
    } else if (block->room > block->count) {
        (void)resize(ref, block->count);
    }
}

/* ---- slots ---- */

/* How far away the nearest slots are that are left; 0: there is none. */
static uint32_t alike_before(const struct stream_alike *alike, uint32_t slot)
{
    uint32_t word = slot / 64;
    uint64_t left = ~alike->holes[word] & ((UINT64_C(1) << slot % 64) - 1);
    while (!left) {
        if (word == 0) return 0;
        left = ~alike->holes[--word];
    }
    return slot - (word * 64 + 63 - (uint32_t)__builtin_clzll(left));
}

static uint32_t alike_after(const struct stream_alike *alike, uint32_t slot)
{
    uint32_t word = slot / 64;
    uint64_t left = ~alike->holes[word] & (~UINT64_C(1) << slot % 64);
    while (!left) {
        if (++word == STREAM_ALIKE_WORDS) return 0;
        left = ~alike->holes[word];
    }
    return word * 64 + (uint32_t)__builtin_ctzll(left) - slot;
}

struct stream_slot stream_block_get(const struct stream_block *block, uint32_t slot)
{
    if (!block->alike) return block->slots[slot];
    const struct stream_alike *alike = stream_block_alike(block);
    struct stream_slot found = alike->like;
    uint32_t prev = alike_before(alike, slot), next = alike_after(alike, slot);
    found.time_us = alike->times_us[slot];
    if (prev) found.prev = prev;
    if (next) found.next = next;
    return found;
}

void stream_block_entry(const struct stream_block *block, uint32_t slot,
                        const struct stream_subjects *subjects, struct stream_entry *ret_entry)
{
    const struct stream_slot s = stream_block_get(block, slot);
    *ret_entry = (struct stream_entry){
        .seq = stream_block_seq(block, slot),
        .time_ns = stream_block_time_us(block, slot) * 1000,
        .place = stream_block_place(block, slot),
        .subject = stream_subjects_at(subjects, s.subject),
        .size = s.size,
        .marker = s.marker,
        .ageless = s.ageless,
    };
}

void stream_block_remove(struct stream_block *block, uint32_t slot)
{
    if (block->alike) {
        make_hole(stream_block_alike(block), slot);
    } else {
        block->slots[slot].subject = 0;
    }
    block->live--;
}

void stream_block_set_prev(struct stream_block *block, uint32_t slot, uint32_t prev)
{
    if (!block->alike) {
        block->slots[slot].prev = prev;
    } else if (!alike_before(stream_block_alike(block), slot)) {
        stream_block_alike(block)->like.prev = prev;
    }
}

void stream_block_set_next(struct stream_block *block, uint32_t slot, uint32_t next)
{
    if (!block->alike) {
        block->slots[slot].next = next;
    } else if (!alike_after(stream_block_alike(block), slot)) {
        stream_block_alike(block)->like.next = next;
    }
}

uint32_t stream_block_slot(const struct stream_block *block, uint64_t seq)
{
    if (seq <= block->first) return 0;
    if (seq > block->last) return block->count;
    if (!block->seqs) return (uint32_t)(seq - block->first);
    uint64_t wanted = seq - block->first;
    uint32_t low = 0, high = block->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->seqs[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
