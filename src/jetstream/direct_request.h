/* direct_request: what a direct get asks for (ADR-31). */
#ifndef DURE_JETSTREAM_DIRECT_REQUEST_H
#define DURE_JETSTREAM_DIRECT_REQUEST_H

#include "bus/message.h"

enum { DIRECT_SUBJECTS_MAX = 1024 }; /* of one answer to multi_last */

struct direct_request {
    struct bytes stream;
    uint64_t seq;
    struct bytes last, next; /* last_by_subj, next_by_subj */
    bool by_time, no_headers, by_up_to_time;
    uint64_t start_ns, up_to_seq, up_to_ns;
    size_t batch, max_bytes;
    struct bytes *many; /* multi_last */
    size_t many_count;

    struct json_t *body; /* private: what the views are of */
};

/* The stream that a subject "$JS.API.DIRECT.GET.STREAM[.SUBJECT]" names. */
struct bytes direct_request_stream(struct bytes subject);

/* Reads a request, whose views are of the message. Returns NULL, or the words, and with them the
 * status, with which it is refused. To be released either way. */
const char *direct_request_read(struct direct_request *request, const struct message *message,
                                int *ret_status);
void direct_request_release(struct direct_request *request);

/* Whether it is answered with several messages and an end. */
static inline bool direct_request_is_batch(const struct direct_request *request)
{
    return request->batch || request->many_count;
}

#endif
