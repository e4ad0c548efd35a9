#include "stream/stream_index.h"

#include "base/err.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

void stream_index_init(struct stream_index *index)
{
    *index = (struct stream_index){0};
    map_init(&index->subjects, SIZE_MAX);
}

void stream_index_release(struct stream_index *index)
{
    size_t cursor = 0;
    for (struct stream_subject *s; (s = map_next(&index->subjects, &cursor));) free(s);
    map_release(&index->subjects);
    free(index->entries);
    stream_index_init(index);
}

/* ---- subjects ---- */

struct stream_subject *stream_index_subject(const struct stream_index *index, struct bytes name)
{
    return map_get(&index->subjects, name);
}

struct stream_subject *stream_index_claim(struct stream_index *index, struct bytes name)
{
    struct stream_subject *subject = map_get(&index->subjects, name);
    if (subject) return subject;
    subject = calloc(1, sizeof *subject + name.len);
    if (!subject) return NULL;
    char *copy = (char *)(subject + 1);
    memcpy(copy, name.data, name.len);
    subject->name = bytes_make(copy, name.len);
    if (map_put(&index->subjects, subject->name, subject, NULL) < 0) {
        free(subject);
        return NULL;
    }
    return subject;
}

void stream_index_drop(struct stream_index *index, struct stream_subject *subject)
{
    if (subject->count || subject->pending) return;
    map_remove(&index->subjects, subject->name);
    free(subject);
}

/* ---- entries ---- */

/* The place of the first entry, live or hole, with a sequence >= seq. */
static size_t lower_bound(const struct stream_index *index, uint64_t seq)
{
    size_t low = index->start, high = index->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->entries[middle].seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct stream_entry *live_from(const struct stream_index *index, size_t at)
{
    while (at < index->end && !index->entries[at].subject) at++;
    return at < index->end ? &index->entries[at] : NULL;
}

struct stream_entry *stream_index_find(const struct stream_index *index, uint64_t seq)
{
    size_t at = lower_bound(index, seq);
    if (at == index->end || index->entries[at].seq != seq) return NULL;
    return index->entries[at].subject ? &index->entries[at] : NULL;
}

struct stream_entry *stream_index_from(const struct stream_index *index, uint64_t seq)
{
    return live_from(index, lower_bound(index, seq));
}

struct stream_entry *stream_index_first(const struct stream_index *index)
{
    return live_from(index, index->start);
}

struct stream_entry *stream_index_last(const struct stream_index *index)
{
    size_t at = index->end;
    while (at > index->start && !index->entries[at - 1].subject) at--;
    return at > index->start ? &index->entries[at - 1] : NULL;
}

struct stream_entry *stream_index_after(const struct stream_index *index,
                                        const struct stream_entry *entry)
{
    return live_from(index, (size_t)(entry - index->entries) + 1);
}

/* Squeezes out the holes, leaving `slack` free places in front. */
static int relocate(struct stream_index *index, size_t room, size_t slack)
{
    struct stream_entry *entries = malloc(room * sizeof *entries);
    if (!entries) return ERR_NOMEM;
    size_t end = slack;
    for (size_t i = index->start; i < index->end; i++) {
        if (index->entries[i].subject) entries[end++] = index->entries[i];
    }
    free(index->entries);
    index->entries = entries;
    index->start = slack;
    index->end = end;
    index->room = room;
    return 0;
}

static int make_room(struct stream_index *index)
{
    if (index->end < index->room) return 0;
    size_t room = (size_t)index->count * 2 + FIRST_ROOM;
    return relocate(index, room, 0);
}

/* Opens a gap before a message that comes late in the journal, though early in the order: those are
 * the ones that were copied forward, and they belong near the front. */
static int insert_gap(struct stream_index *index, uint64_t seq, size_t *ret_at)
{
    if (index->start == 0) {
        size_t slack = (size_t)index->count / 2 + FIRST_ROOM;
        int r = relocate(index, (size_t)index->count * 2 + slack + FIRST_ROOM, slack);
        if (r < 0) return r;
    }
    size_t at = lower_bound(index, seq);
    struct stream_entry *from = index->entries + index->start;
    memmove(from - 1, from, (at - index->start) * sizeof *from);
    index->start--;
    *ret_at = at - 1;
    return 0;
}

/* Ties the entry into its subject's chain, behind the last one that precedes it. */
static void chain(struct stream_index *index, struct stream_entry *entry)
{
    struct stream_subject *subject = entry->subject;
    uint64_t prev = subject->last;
    entry->next = 0;
    while (prev > entry->seq) {
        entry->next = prev;
        prev = stream_index_find(index, prev)->prev;
    }
    entry->prev = prev;
    if (prev) {
        stream_index_find(index, prev)->next = entry->seq;
    } else {
        subject->first = entry->seq;
    }
    if (entry->next) {
        stream_index_find(index, entry->next)->prev = entry->seq;
    } else {
        subject->last = entry->seq;
    }
    subject->count++;
}

int stream_index_add(struct stream_index *index, struct bytes subject,
                     const struct stream_entry *entry)
{
    struct stream_subject *owner = stream_index_claim(index, subject);
    if (!owner) return ERR_NOMEM;
    size_t at = index->end;
    int r;
    if (index->end == index->start || index->entries[index->end - 1].seq < entry->seq) {
        r = make_room(index);
        if (r == 0) at = index->end++;
    } else {
        r = insert_gap(index, entry->seq, &at);
    }
    if (r < 0) {
        stream_index_drop(index, owner);
        return r;
    }
    struct stream_entry *added = &index->entries[at];
    *added = *entry;
    added->subject = owner;
    chain(index, added);
    index->count++;
    index->bytes += entry->size;
    return 0;
}

void stream_index_remove(struct stream_index *index, struct stream_entry *entry)
{
    struct stream_subject *subject = entry->subject;
    if (entry->prev) {
        stream_index_find(index, entry->prev)->next = entry->next;
    } else {
        subject->first = entry->next;
    }
    if (entry->next) {
        stream_index_find(index, entry->next)->prev = entry->prev;
    } else {
        subject->last = entry->prev;
    }
    subject->count--;
    index->count--;
    index->bytes -= entry->size;
    entry->subject = NULL;
    stream_index_drop(index, subject);
    while (index->start < index->end && !index->entries[index->start].subject) index->start++;
    if (index->start == index->end) index->start = index->end = 0;
    size_t holes = index->end - index->start - (size_t)index->count;
    if (holes > index->count && holes > FIRST_ROOM) {
        /* Without memory the holes just stay. */
        (void)relocate(index, (size_t)index->count * 2 + FIRST_ROOM, 0);
    }
}
