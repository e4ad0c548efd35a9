/* Finding messages by their subject and time, without their content. */
#include "stream/stream_impl.h"
#include "bus/subject.h"

#include <stdlib.h>

/* The index keeps a hint of where it looked last; nothing else of it changes by looking. */
static struct stream_index *index_of(const struct stream *stream)
{
    return (struct stream_index *)&stream->index;
}

uint64_t stream_last_seq(const struct stream *stream, struct bytes subject)
{
    return stream_last_seq_before(stream, subject, UINT64_MAX);
}

uint64_t stream_last_seq_before(const struct stream *stream, struct bytes subject, uint64_t up_to)
{
    const struct stream_subject *found = stream_subjects_find(&stream->index.subjects, subject);
    uint64_t seq = found ? found->last : 0;
    while (seq > up_to) seq = stream_index_before(index_of(stream), seq);
    return seq;
}

uint64_t stream_seq_at(const struct stream *stream, uint64_t time_ns)
{
    return stream_index_at(&stream->index, time_ns);
}

int stream_subjects(const struct stream *stream, struct bytes pattern,
                    int (*each)(void *context, const struct stream_subject_info *info),
                    void *context)
{
    size_t cursor = 0;
    const struct stream_subject *subject;
    while ((subject = map_next(&stream->index.subjects.names, &cursor))) {
        if (subject->count == 0 || stream_subject_hidden(subject)) continue;
        if (pattern.len > 0 && !subject_matches(pattern, subject->name)) continue;
        const struct stream_subject_info info = {subject->name, subject->first, subject->last,
                                                 subject->count};
        int r = each(context, &info);
        if (r != 0) return r;
    }
    return 0;
}

int stream_gaps(const struct stream *stream,
                int (*each)(void *context, uint64_t first, uint64_t count), void *context)
{
    struct stream_walk walk;
    uint64_t seq, next = 0;
    uint32_t subject;
    int r = 0;
    stream_walk_begin(&walk, index_of(stream), 0);
    while (r == 0 && stream_walk_next(&walk, &seq, &subject)) {
        if (next && seq > next) r = each(context, next, seq - next);
        next = seq + 1;
    }
    if (r == 0 && next && next <= stream->last_seq) {
        r = each(context, next, stream->last_seq - next + 1);
    }
    return r;
}

/* ---- filters ---- */

int stream_filter_init(struct stream_filter *filter, const struct stream *stream,
                       const struct bytes *patterns, size_t count)
{
    *filter = (struct stream_filter){.stream = stream, .count = count};
    size_t size = count * sizeof *patterns;
    for (size_t i = 0; i < count; i++) size += patterns[i].len;
    if (count == 0) return 0;
    filter->patterns = malloc(size);
    if (!filter->patterns) return ERR_NOMEM;
    char *at = (char *)(filter->patterns + count);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, patterns[i].data, patterns[i].len);
        filter->patterns[i] = bytes_make(at, patterns[i].len);
        at += patterns[i].len;
    }
    return 0;
}

void stream_filter_release(struct stream_filter *filter)
{
    free(filter->patterns);
    free(filter->known);
    *filter = (struct stream_filter){0};
}

bool stream_filter_matches(const struct stream_filter *filter, struct bytes subject)
{
    for (size_t i = 0; i < filter->count; i++) {
        if (subject_matches(filter->patterns[i], subject)) return true;
    }
    return filter->count == 0;
}

static bool matches_subject(const struct stream_filter *filter,
                            const struct stream_subject *subject)
{
    return !stream_subject_hidden(subject) && stream_filter_matches(filter, subject->name);
}

/* What is known of a subject: its serial number and, in the lowest bit, whether it matches; 0:
 * nothing. A number that is used again has another serial. */
static bool matches_number(struct stream_filter *filter, uint32_t number)
{
    const struct stream_subjects *subjects = &filter->stream->index.subjects;
    const struct stream_subject *subject = stream_subjects_at(subjects, number);
    if (number >= filter->known_size) {
        uint32_t *known = realloc(filter->known, subjects->size * sizeof *known);
        if (!known) return matches_subject(filter, subject);
        memset(known + filter->known_size, 0,
               (subjects->size - filter->known_size) * sizeof *known);
        filter->known = known;
        filter->known_size = subjects->size;
    }
    uint32_t stamp = (subject->serial << 1) + 2;
    uint32_t known = filter->known[number];
    if (known >= 2 && (known & ~UINT32_C(1)) == stamp) return known & 1;
    bool matches = matches_subject(filter, subject);
    filter->known[number] = stamp | (matches ? 1 : 0);
    return matches;
}

/* Of one literal subject the chain says at once what there is at the ends. True: *ret_seq is the
 * answer. */
static bool ends_of_literal(const struct stream_filter *filter, uint64_t seq, uint64_t *ret_seq)
{
    if (filter->count != 1 || !subject_is_literal(filter->patterns[0])) return false;
    const struct stream_subject *subject =
        stream_subjects_find(&filter->stream->index.subjects, filter->patterns[0]);
    *ret_seq = 0;
    if (!subject || subject->count == 0 || subject->last < seq) return true;
    *ret_seq = subject->first >= seq ? subject->first : subject->last;
    return subject->first >= seq || subject->last == seq;
}

uint64_t stream_filter_next(struct stream_filter *filter, uint64_t seq, size_t budget,
                            uint64_t *ret_resume)
{
    struct stream_walk walk;
    uint64_t found;
    uint32_t number;
    *ret_resume = 0;
    if (ends_of_literal(filter, seq, &found)) return found;
    stream_walk_begin(&walk, index_of(filter->stream), seq);
    while (stream_walk_next(&walk, &found, &number)) {
        if (matches_number(filter, number)) return found;
        if (budget-- == 0) {
            *ret_resume = found;
            return 0;
        }
    }
    return 0;
}

/* From the first message on the subjects know how many they have. */
static uint64_t count_subjects(const struct stream_filter *filter)
{
    const struct stream_subjects *subjects = &filter->stream->index.subjects;
    uint64_t count = 0;
    size_t cursor = 0;
    const struct stream_subject *subject;
    if (filter->count == 1 && subject_is_literal(filter->patterns[0])) {
        subject = stream_subjects_find(subjects, filter->patterns[0]);
        return subject ? subject->count : 0;
    }
    while ((subject = map_next(&subjects->names, &cursor))) {
        if (subject->count && matches_subject(filter, subject)) count += subject->count;
    }
    return count;
}

uint64_t stream_filter_count(struct stream_filter *filter, uint64_t seq)
{
    const struct stream *stream = filter->stream;
    struct stream_entry first;
    struct stream_walk walk;
    uint64_t found, count = 0;
    uint32_t number;
    if (seq > stream->last_seq || !stream_index_first(index_of(stream), &first)) return 0;
    if (seq <= first.seq) return count_subjects(filter);
    stream_walk_begin(&walk, index_of(stream), seq);
    while (stream_walk_next(&walk, &found, &number)) count += matches_number(filter, number);
    return count;
}

/* ---- a single pattern, once ---- */

static struct stream_filter once(const struct stream *stream, struct bytes *pattern)
{
    return (struct stream_filter){
        .stream = stream, .patterns = pattern, .count = pattern->len > 0 ? 1 : 0};
}

uint64_t stream_next(const struct stream *stream, uint64_t seq, struct bytes pattern, size_t budget,
                     uint64_t *ret_resume)
{
    struct stream_filter filter = once(stream, &pattern);
    uint64_t found = stream_filter_next(&filter, seq, budget, ret_resume);
    free(filter.known);
    return found;
}

uint64_t stream_count(const struct stream *stream, uint64_t seq, struct bytes pattern)
{
    struct stream_filter filter = once(stream, &pattern);
    uint64_t count = stream_filter_count(&filter, seq);
    free(filter.known);
    return count;
}
