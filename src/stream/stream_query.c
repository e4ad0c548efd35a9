/* What a stream holds, asked by subject and by time. */
#include "bus/subject.h"
#include "stream/stream_impl.h"

uint64_t stream_created_ns(const struct stream *stream)
{
    return stream->created_ns;
}

uint64_t stream_last_seq_before(const struct stream *stream, struct bytes subject, uint64_t up_to)
{
    const struct stream_subject *found = stream_index_subject(&stream->index, subject);
    uint64_t seq = found ? found->last : 0;
    while (seq > up_to) seq = stream_index_find(&stream->index, seq)->prev;
    return seq;
}

uint64_t stream_seq_at(const struct stream *stream, uint64_t time_ns)
{
    const struct stream_entry *entry = stream_index_first(&stream->index);
    while (entry && entry->time_ns < time_ns) entry = stream_index_after(&stream->index, entry);
    return entry ? entry->seq : 0;
}

int stream_subjects(const struct stream *stream, struct bytes pattern,
                    int (*each)(void *context, const struct stream_subject_info *info),
                    void *context)
{
    size_t cursor = 0;
    const struct stream_subject *subject;
    while ((subject = map_next(&stream->index.subjects, &cursor))) {
        if (!subject->count || (pattern.len && !subject_matches(pattern, subject->name))) continue;
        struct stream_subject_info info = {subject->name, subject->first, subject->last,
                                           subject->count};
        int r = each(context, &info);
        if (r) return r;
    }
    return 0;
}

int stream_gaps(const struct stream *stream,
                int (*each)(void *context, uint64_t first, uint64_t count), void *context)
{
    const struct stream_entry *entry = stream_index_first(&stream->index);
    uint64_t next = entry ? entry->seq : stream->last_seq + 1;
    for (; entry; entry = stream_index_after(&stream->index, entry)) {
        int r = entry->seq == next ? 0 : each(context, next, entry->seq - next);
        if (r) return r;
        next = entry->seq + 1;
    }
    return next <= stream->last_seq ? each(context, next, stream->last_seq + 1 - next) : 0;
}
