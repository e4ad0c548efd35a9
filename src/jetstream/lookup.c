#include "jetstream/lookup.h"

#include "bus/subject.h"

#include <stdlib.h>

static int newer(void *context, const struct stream_subject_info *info)
{
    uint64_t *last = context;
    if (info->last_seq > *last) *last = info->last_seq;
    return 0;
}

uint64_t lookup_last(const struct stream *stream, struct bytes pattern)
{
    if (subject_is_literal(pattern)) return stream_last_seq(stream, pattern);
    uint64_t last = 0;
    if (subject_is_pattern(pattern)) stream_subjects(stream, pattern, newer, &last);
    return last;
}

uint64_t lookup_next(const struct stream *stream, uint64_t seq, struct bytes pattern)
{
    uint64_t resume;
    if (pattern.len && !subject_is_pattern(pattern)) return 0;
    return stream_next(stream, seq, pattern, SIZE_MAX, &resume);
}

uint64_t lookup_time(const struct stream *stream, uint64_t time_ns)
{
    uint64_t seq = stream_seq_at(stream, time_ns);
    return seq ? seq : stream_state(stream).last_seq + 1;
}

/* ---- the last of each subject ---------------------------------------------------------------- */

struct each {
    const struct stream *stream;
    const struct bytes *patterns;
    size_t count;
    size_t pattern; /* the one at hand */
    uint64_t first, last;
    uint64_t *seqs;
    size_t found, max;
};

/* A subject that an earlier pattern matches too has been counted there. */
static bool counted(const struct each *each, struct bytes subject)
{
    for (size_t i = 0; i < each->pattern; i++) {
        if (subject_is_pattern(each->patterns[i]) && subject_matches(each->patterns[i], subject))
            return true;
    }
    return false;
}

static int add(void *context, const struct stream_subject_info *info)
{
    struct each *each = context;
    if (counted(each, info->subject)) return 0;
    uint64_t seq = info->last_seq <= each->last
                       ? info->last_seq
                       : stream_last_seq_before(each->stream, info->subject, each->last);
    if (!seq || seq < each->first) return 0;
    if (each->found == each->max) return ERR_FULL;
    each->seqs[each->found++] = seq;
    return 0;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

int lookup_last_of_each(const struct stream *stream, const struct bytes *patterns, size_t count,
                        uint64_t first, uint64_t last, uint64_t *ret_seqs, size_t max)
{
    struct each each = {stream, patterns, count, 0, first, last, ret_seqs, 0, max};
    for (; each.pattern < count; each.pattern++) {
        if (!subject_is_pattern(patterns[each.pattern])) continue;
        int r = stream_subjects(stream, patterns[each.pattern], add, &each);
        if (r < 0) return r;
    }
    qsort(ret_seqs, each.found, sizeof *ret_seqs, by_seq);
    return (int)each.found;
}
