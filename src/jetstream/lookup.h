/* lookup: which message of a stream a request means. */
#ifndef DURE_JETSTREAM_LOOKUP_H
#define DURE_JETSTREAM_LOOKUP_H

#include "stream/stream.h"

/* The last message whose subject matches the pattern; 0: none, or no pattern. */
uint64_t lookup_last(const struct stream *stream, struct bytes pattern);

/* The first message from `seq` on whose subject matches the pattern (empty: any); 0: none. */
uint64_t lookup_next(const struct stream *stream, uint64_t seq, struct bytes pattern);

/* The first message at or behind a time, or the sequence behind the last message. */
uint64_t lookup_time(const struct stream *stream, uint64_t time_ns);

/* The last message of each subject that matches one of the patterns, among those with sequences
 * from `first` to `last`, in order. Returns how many, at most `max`; ERR_FULL: there are more. */
int lookup_last_of_each(const struct stream *stream, const struct bytes *patterns, size_t count,
                        uint64_t first, uint64_t last, uint64_t *ret_seqs, size_t max);

#endif
