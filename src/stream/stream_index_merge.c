/* Messages that are found out of order: the index is made anew, with them in their places. */
#include "stream/stream_index.h"

#include "stream/stream_block.h"

#include <stdlib.h>

static int by_seq(const void *a, const void *b)
{
    const struct stream_entry *x = a, *y = b;
    if (x->seq != y->seq) return x->seq < y->seq ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* All of `from` and `entries` into `into`, which has the subjects of both. */
static int merge_into(struct stream_index *into, const struct stream_index *from,
                      const struct stream_entry *entries, size_t count)
{
    size_t i = 0;
    int r = 0;
    for (size_t at = from->start; at < from->end; at++) {
        const struct stream_block *block = from->blocks[at];
        for (uint32_t slot = 0; r == 0 && slot < block->count; slot++) {
            struct stream_entry entry;
            if (!stream_block_subject(block, slot)) continue;
            stream_block_entry(block, slot, &into->subjects, &entry);
            for (; r == 0 && i < count && entries[i].seq < entry.seq; i++) {
                r = stream_index_add(into, &entries[i]);
            }
            if (r == 0) r = stream_index_add(into, &entry);
        }
    }
    for (; r == 0 && i < count; i++) r = stream_index_add(into, &entries[i]);
    return r;
}

/* Of several places of a message the last one counts. */
static size_t sort_out(struct stream_entry *entries, size_t count)
{
    size_t kept = 0;
    qsort(entries, count, sizeof *entries, by_seq);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && entries[i + 1].seq == entries[i].seq) continue;
        entries[kept++] = entries[i];
    }
    return kept;
}

int stream_index_merge(struct stream_index *index, struct stream_entry *entries, size_t count)
{
    if (count == 0) return 0;
    count = sort_out(entries, count);
    struct stream_index old = *index;
    stream_subjects_init(&old.subjects); /* they stay */
    *index = (struct stream_index){.subjects = index->subjects};
    index->subjects.held = 0;
    size_t cursor = 0;
    for (struct stream_subject *s; (s = map_next(&index->subjects.names, &cursor));) {
        s->first = s->last = s->count = 0;
    }
    int r = merge_into(index, &old, entries, count);
    stream_index_release(&old);
    return r;
}
