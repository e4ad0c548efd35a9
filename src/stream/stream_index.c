#include "stream/stream_index.h"

#include "stream/stream_block.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_BLOCKS = 16,
    SQUEEZE_MIN = 8, /* slots below which a block is left as it is */
};

void stream_index_init(struct stream_index *index)
{
    *index = (struct stream_index){0};
    stream_subjects_init(&index->subjects);
}

void stream_index_release(struct stream_index *index)
{
    for (size_t i = index->start; i < index->end; i++) stream_block_free(index->blocks[i]);
    free(index->blocks);
    stream_subjects_release(&index->subjects);
    stream_index_init(index);
}

/* ---- finding ---- */

static bool covers(const struct stream_index *index, size_t at, uint64_t seq)
{
    return index->blocks[at]->last >= seq &&
           (at == index->start || index->blocks[at - 1]->last < seq);
}

/* The first block that ends at or behind `seq`; index->end: none. */
static size_t block_of(struct stream_index *index, uint64_t seq)
{
    if (index->hint >= index->start && index->hint < index->end &&
        covers(index, index->hint, seq)) {
        return index->hint;
    }
    size_t low = index->start, high = index->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->blocks[middle]->last < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < index->end) index->hint = low;
    return low;
}

/* The block and the slot of a message. False: it is not there. */
static bool slot_of(struct stream_index *index, uint64_t seq, struct stream_block **ret_block,
                    uint32_t *ret_slot)
{
    size_t at = block_of(index, seq);
    if (at == index->end) return false;
    struct stream_block *block = index->blocks[at];
    uint32_t slot = stream_block_slot(block, seq);
    if (slot >= block->count || stream_block_seq(block, slot) != seq) return false;
    *ret_block = block;
    *ret_slot = slot;
    return stream_block_subject(block, slot) != 0;
}

bool stream_index_find(struct stream_index *index, uint64_t seq, struct stream_entry *ret_entry)
{
    struct stream_block *block;
    uint32_t slot;
    bool found = slot_of(index, seq, &block, &slot);
    if (found && ret_entry) stream_block_entry(block, slot, &index->subjects, ret_entry);
    return found;
}

bool stream_index_place(struct stream_index *index, uint64_t seq, uint64_t *ret_place)
{
    struct stream_block *block;
    uint32_t slot;
    bool found = slot_of(index, seq, &block, &slot);
    if (found) *ret_place = stream_block_place(block, slot);
    return found;
}

bool stream_index_from(struct stream_index *index, uint64_t seq, struct stream_entry *ret_entry)
{
    for (size_t at = block_of(index, seq); at < index->end; at++) {
        const struct stream_block *block = index->blocks[at];
        uint32_t slot = stream_block_slot(block, seq);
        while (slot < block->count && !stream_block_subject(block, slot)) slot++;
        if (slot == block->count) continue;
        stream_block_entry(block, slot, &index->subjects, ret_entry);
        return true;
    }
    return false;
}

bool stream_index_first(struct stream_index *index, struct stream_entry *ret_entry)
{
    return stream_index_from(index, 0, ret_entry);
}

bool stream_index_last(struct stream_index *index, struct stream_entry *ret_entry)
{
    for (size_t at = index->end; at > index->start; at--) {
        const struct stream_block *block = index->blocks[at - 1];
        for (uint32_t slot = block->count; slot > 0; slot--) {
            if (!stream_block_subject(block, slot - 1)) continue;
            stream_block_entry(block, slot - 1, &index->subjects, ret_entry);
            return true;
        }
    }
    return false;
}

uint64_t stream_index_at(const struct stream_index *index, uint64_t time_ns)
{
    uint64_t time_us = time_ns / 1000 + (time_ns % 1000 != 0);
    for (size_t at = index->start; at < index->end; at++) {
        const struct stream_block *block = index->blocks[at];
        if (block->max_us < time_us) continue;
        for (uint32_t slot = 0; slot < block->count; slot++) {
            if (!stream_block_subject(block, slot)) continue;
            if (stream_block_time_us(block, slot) >= time_us) return stream_block_seq(block, slot);
        }
    }
    return 0;
}

void stream_walk_begin(struct stream_walk *walk, struct stream_index *index, uint64_t seq)
{
    size_t at = block_of(index, seq);
    *walk = (struct stream_walk){.index = index, .block = at};
    if (at < index->end) walk->slot = stream_block_slot(index->blocks[at], seq);
}

bool stream_walk_next(struct stream_walk *walk, uint64_t *ret_seq, uint32_t *ret_subject)
{
    while (walk->block < walk->index->end) {
        const struct stream_block *block = walk->index->blocks[walk->block];
        while (walk->slot < block->count) {
            uint32_t slot = walk->slot++;
            uint32_t subject = stream_block_subject(block, slot);
            if (!subject) continue;
            *ret_seq = stream_block_seq(block, slot);
            *ret_subject = subject;
            return true;
        }
        walk->block++;
        walk->slot = 0;
    }
    return false;
}

/* ---- a subject's chain ---- */

/* A neighbour that is too far away to be noted. */
static uint64_t search_after(struct stream_index *index, uint64_t seq, uint32_t subject)
{
    struct stream_walk walk;
    uint64_t found;
    uint32_t number;
    stream_walk_begin(&walk, index, seq + 1);
    while (stream_walk_next(&walk, &found, &number)) {
        if (number == subject) return found;
    }
    return 0;
}

static uint64_t search_before(struct stream_index *index, uint64_t seq, uint32_t subject)
{
    size_t at = block_of(index, seq);
    uint32_t slot = at < index->end ? stream_block_slot(index->blocks[at], seq) : 0;
    for (;;) {
        while (slot > 0) {
            if (stream_block_subject(index->blocks[at], --slot) == subject) {
                return stream_block_seq(index->blocks[at], slot);
            }
        }
        if (at == index->start) return 0;
        slot = index->blocks[--at]->count;
    }
}

static uint32_t distance(uint64_t low, uint64_t high)
{
    if (!low || !high) return 0;
    return high - low < UINT32_MAX ? (uint32_t)(high - low) : (uint32_t)STREAM_BLOCK_FAR;
}

static uint64_t prev_of(struct stream_index *index, uint64_t seq, const struct stream_slot *slot)
{
    if (slot->prev == (uint32_t)STREAM_BLOCK_FAR) return search_before(index, seq, slot->subject);
    return slot->prev ? seq - slot->prev : 0;
}

static uint64_t next_of(struct stream_index *index, uint64_t seq, const struct stream_slot *slot)
{
    if (slot->next == (uint32_t)STREAM_BLOCK_FAR) return search_after(index, seq, slot->subject);
    return slot->next ? seq + slot->next : 0;
}

uint64_t stream_index_before(struct stream_index *index, uint64_t seq)
{
    struct stream_block *block;
    uint32_t slot;
    if (!slot_of(index, seq, &block, &slot)) return 0;
    const struct stream_slot found = stream_block_get(block, slot);
    return prev_of(index, seq, &found);
}

/* Ties the last entries of the index, which are neighbours, into their subject's chain. */
static void chain(struct stream_index *index, struct stream_subject *subject, uint64_t first,
                  uint32_t count)
{
    struct stream_block *block = index->blocks[index->end - 1];
    if (subject->count == 0) {
        subject->first = first;
        if (!stream_subject_hidden(subject)) index->subjects.held++;
    } else {
        uint32_t far = distance(subject->last, first), before;
        stream_block_set_prev(block, block->count - count, far);
        if (subject->last >= block->first) {
            before = stream_block_slot(block, subject->last);
        } else {
            bool there = slot_of(index, subject->last, &block, &before);
            assert(there);
        }
        stream_block_set_next(block, before, far);
    }
    subject->last = first + count - 1;
    subject->count += count;
}

/* Ties two neighbours, by their sequences, together. 0: there is none on that side. */
static void tie(struct stream_index *index, uint64_t low, uint64_t high)
{
    struct stream_block *block;
    uint32_t slot;
    if (low && slot_of(index, low, &block, &slot)) {
        stream_block_set_next(block, slot, distance(low, high));
    }
    if (high && slot_of(index, high, &block, &slot)) {
        stream_block_set_prev(block, slot, distance(low, high));
    }
}

static void unchain(struct stream_index *index, struct stream_subject *subject, uint64_t prev,
                    uint64_t next)
{
    if (!prev) subject->first = next;
    if (!next) subject->last = prev;
    tie(index, prev, next);
    if (--subject->count == 0 && !stream_subject_hidden(subject)) index->subjects.held--;
}

/* ---- the blocks ---- */

static int push_block(struct stream_index *index, struct stream_block *block)
{
    if (index->end == index->room && index->start > index->room / 2) {
        size_t count = index->end - index->start;
        memmove(index->blocks, index->blocks + index->start, count * sizeof(struct stream_block *));
        index->start = 0;
        index->end = count;
    }
    if (index->end == index->room) {
        size_t room = index->room ? index->room * 2 : FIRST_BLOCKS;
        struct stream_block **blocks = realloc(index->blocks, room * sizeof(struct stream_block *));
        if (!blocks) return ERR_NOMEM;
        index->blocks = blocks;
        index->room = room;
    }
    index->blocks[index->end++] = block;
    return 0;
}

/* Adds a block, which is freed if that fails, behind all others. */
static int add_block(struct stream_index *index, struct stream_block *block)
{
    int r = block ? push_block(index, block) : ERR_NOMEM;
    if (r < 0) {
        stream_block_free(block);
        return r;
    }
    index->memory += stream_block_memory(block);
    if (index->end - index->start > 1) {
        struct stream_block **last = &index->blocks[index->end - 2];
        index->memory -= stream_block_memory(*last);
        stream_block_seal(last);
        index->memory += stream_block_memory(*last);
    }
    return 0;
}

static int append(struct stream_index *index, const struct stream_entry *entry)
{
    int r = ERR_FULL;
    for (int turn = 0; r == ERR_FULL && turn < 2; turn++) {
        if (turn == 1 || index->end == index->start) {
            r = add_block(index, stream_block_new(0));
            if (r < 0) return r;
        }
        struct stream_block **last = &index->blocks[index->end - 1];
        size_t before = stream_block_memory(*last);
        r = stream_block_append(last, entry);
        index->memory += stream_block_memory(*last) - before;
    }
    return r;
}

int stream_index_add(struct stream_index *index, const struct stream_entry *entry)
{
    assert(index->end == index->start || entry->seq > index->blocks[index->end - 1]->last);
    int r = append(index, entry);
    if (r < 0) return r;
    index->hint = index->end - 1;
    index->count++;
    index->bytes += entry->size;
    chain(index, entry->subject, entry->seq, 1);
    return 0;
}

/* The next of a run are a block of their own, when they fill one. Returns how many. */
static int add_alike(struct stream_index *index, const struct stream_entry *entry, uint64_t base_us,
                     const uint32_t *times_us, uint32_t count)
{
    const struct stream_block *last =
        index->start < index->end ? index->blocks[index->end - 1] : NULL;
    bool full = !last || last->alike || last->count == STREAM_BLOCK_MAX;
    if (!full || count < STREAM_BLOCK_MAX || times_us[STREAM_BLOCK_MAX - 1] > INT32_MAX) return 0;
    int r = add_block(index, stream_block_new_alike(entry, base_us, times_us, STREAM_BLOCK_MAX));
    if (r < 0) return r;
    chain(index, entry->subject, entry->seq, STREAM_BLOCK_MAX);
    return STREAM_BLOCK_MAX;
}

/* Adds at least the first. */
static int add_part(struct stream_index *index, const struct stream_entry *entry, uint64_t base_us,
                    const uint32_t *times_us, uint32_t count)
{
    int added = add_alike(index, entry, base_us, times_us, count);
    if (added != 0) return added;
    if (index->start < index->end) {
        struct stream_block **last = &index->blocks[index->end - 1];
        index->memory -= stream_block_memory(*last);
        added = (int)stream_block_extend(last, entry, base_us, times_us, count);
        index->memory += stream_block_memory(*last);
    }
    if (added == 0) {
        int r = append(index, entry);
        if (r < 0) return r;
        added = 1;
    }
    chain(index, entry->subject, entry->seq, (uint32_t)added);
    return added;
}

int stream_index_add_run(struct stream_index *index, const struct stream_entry *first,
                         const uint32_t *times_us, uint32_t count)
{
    for (uint32_t i = 0; i < count;) {
        struct stream_entry entry = *first;
        entry.seq += i;
        entry.place += i;
        entry.time_ns += UINT64_C(1000) * times_us[i];
        int added = add_part(index, &entry, first->time_ns / 1000, times_us + i, count - i);
        if (added < 0) return added;
        index->hint = index->end - 1;
        index->count += (uint32_t)added;
        index->bytes += (uint64_t)added * first->size;
        i += (uint32_t)added;
    }
    return 0;
}

/* Takes blocks[at] out. */
static void cut_block(struct stream_index *index, size_t at)
{
    index->memory -= stream_block_memory(index->blocks[at]);
    stream_block_free(index->blocks[at]);
    if (at == index->start) {
        index->start++;
    } else {
        memmove(index->blocks + at, index->blocks + at + 1,
                (index->end - at - 1) * sizeof(struct stream_block *));
        index->end--;
    }
    if (index->start == index->end) index->start = index->end = 0;
}

/* Copies what is live of `from` behind what `to` holds; the chains stay. */
static int copy_live(const struct stream_index *index, const struct stream_block *from,
                     struct stream_block **to)
{
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < from->count; i++) {
        struct stream_entry entry;
        if (!stream_block_subject(from, i)) continue;
        stream_block_entry(from, i, &index->subjects, &entry);
        r = stream_block_append(to, &entry);
        if (r < 0) break;
        const struct stream_slot slot = stream_block_get(from, i);
        stream_block_set_prev(*to, (*to)->count - 1, slot.prev);
        stream_block_set_next(*to, (*to)->count - 1, slot.next);
    }
    return r;
}

/* Makes one block without holes of blocks[at] and, if both are small, the one before it. What does
 * not succeed (no memory, times too far apart) is left as it is. */
static void squeeze(struct stream_index *index, size_t at)
{
    struct stream_block *block = index->blocks[at];
    struct stream_block *before = at > index->start ? index->blocks[at - 1] : NULL;
    if (before && before->live + block->live > STREAM_BLOCK_MAX / 2) before = NULL;
    struct stream_block *made = stream_block_new(block->live + (before ? before->live : 0));
    if (!made) return;
    int r = before ? copy_live(index, before, &made) : 0;
    if (r == 0) r = copy_live(index, block, &made);
    if (r < 0) {
        stream_block_free(made);
        return;
    }
    index->memory += stream_block_memory(made) - stream_block_memory(block);
    stream_block_free(block);
    index->blocks[at] = made;
    if (before) cut_block(index, at - 1);
}

void stream_index_remove(struct stream_index *index, uint64_t seq)
{
    struct stream_block *block;
    uint32_t at_slot;
    bool there = slot_of(index, seq, &block, &at_slot);
    assert(there);
    const struct stream_slot slot = stream_block_get(block, at_slot);
    struct stream_subject *subject = stream_subjects_at(&index->subjects, slot.subject);
    uint64_t prev = prev_of(index, seq, &slot), next = next_of(index, seq, &slot);
    stream_block_remove(block, at_slot);
    unchain(index, subject, prev, next);
    index->count--;
    index->bytes -= slot.size;
    stream_subjects_drop(&index->subjects, subject);
    size_t at = block_of(index, seq);
    if (block->live == 0 && at != index->end - 1) {
        cut_block(index, at);
    } else if (block->live * (block->alike ? 16 : 4) <= block->count &&
               block->count > SQUEEZE_MIN && at != index->end - 1) {
        squeeze(index, at);
    }
}

int stream_index_move(struct stream_index *index, uint64_t seq, uint64_t place)
{
    struct stream_block *block;
    uint32_t slot;
    if (!slot_of(index, seq, &block, &slot)) return 0;
    size_t before = stream_block_memory(block);
    int r = stream_block_set_place(block, slot, place);
    index->memory += stream_block_memory(block) - before;
    return r;
}
