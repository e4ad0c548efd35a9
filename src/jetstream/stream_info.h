/* stream_info: what the API tells of a stream and of a consumer, as members of an answer. */
#ifndef DURE_JETSTREAM_STREAM_INFO_H
#define DURE_JETSTREAM_STREAM_INFO_H

#include "base/jsonw.h"
#include "stream/streams.h"

enum { STREAM_INFO_SUBJECTS_MAX = 100000 }; /* in one answer */

struct stream_info_wants {
    bool deleted;          /* the sequences that are gone, one by one */
    struct bytes subjects; /* a pattern: the subjects and how many messages each has; empty: none */
    size_t subjects_offset; /* where the page of them begins */
};

/* How many subjects match the pattern. */
size_t stream_info_count_subjects(const struct stream *stream, struct bytes pattern);

/* "config", "created", "state", ..., "ts". `wants` may be NULL. ERR_NOMEM. */
int stream_info_encode(struct stream *stream, const struct stream_info_wants *wants,
                       uint64_t now_ns, struct jsonw *json);

/* "config" and "state" only. ERR_NOMEM. */
int stream_info_encode_backup(struct stream *stream, struct jsonw *json);

#endif
