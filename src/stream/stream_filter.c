/* Several patterns on one stream. */
#include "stream/stream_impl.h"
#include "bus/subject.h"

#include <stdlib.h>

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
    *filter = (struct stream_filter){0};
}

bool stream_filter_matches(const struct stream_filter *filter, struct bytes subject)
{
    for (size_t i = 0; i < filter->count; i++) {
        if (subject_matches(filter->patterns[i], subject)) return true;
    }
    return filter->count == 0;
}

uint64_t stream_filter_next(struct stream_filter *filter, uint64_t seq, size_t budget,
                            uint64_t *ret_resume)
{
    const struct stream_index *index = &filter->stream->index;
    const struct stream_entry *entry = stream_index_from(index, seq);
    *ret_resume = 0;
    for (; entry; entry = stream_index_after(index, entry)) {
        if (stream_filter_matches(filter, entry->subject->name)) return entry->seq;
        if (budget-- > 0) continue;
        *ret_resume = entry->seq;
        return 0;
    }
    return 0;
}

uint64_t stream_filter_count(struct stream_filter *filter, uint64_t seq)
{
    const struct stream_index *index = &filter->stream->index;
    const struct stream_entry *entry = stream_index_from(index, seq);
    uint64_t count = 0;
    for (; entry; entry = stream_index_after(index, entry)) {
        count += stream_filter_matches(filter, entry->subject->name);
    }
    return count;
}
