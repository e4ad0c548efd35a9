/* dead_letter: how a message that has failed for good is written to the stream DEAD: its subject
 * and its headers, which tell what it was and why it died. The embedded engine's consumers and the
 * queues of a cluster write the same. Pure. */
#ifndef DURE_STREAM_DEAD_LETTER_H
#define DURE_STREAM_DEAD_LETTER_H

#include "base/buf.h"
#include "stream/consumer.h"

/* How long DEAD knows a letter by its id, ns: one whose consumer does not know that it was written
 * is written again when the system is up again, as the same one. */
#define DEAD_LETTER_WINDOW_NS (INT64_C(86400) * 1000000000)

enum { DEAD_LETTER_SUBJECT = 2 * STREAM_NAME_MAX + 16, DEAD_LETTER_HEADERS = STREAM_HEADERS_MAX };

/* Whose letter it is. */
struct dead_letter {
    const char *stream, *consumer;
    struct bytes subject, headers; /* of the message */
    uint64_t seq, time_ns;         /* in its stream */
    uint64_t attempts;
    struct bytes reason;
    uint64_t died_wall_ns;
};

/* "DEAD.STREAM.CONSUMER", ended by NUL. Returns its length. */
size_t dead_letter_subject(const struct dead_letter *letter, char to[DEAD_LETTER_SUBJECT]);

/* A whole block into `out`, whose maximum is at least DEAD_LETTER_HEADERS. The original's headers
 * follow, but for those that mean something to the stream they are stored in, and unless they are
 * longer than half of that. Its message id is the same for the same death. Failure is
 * out->failed. */
void dead_letter_headers(const struct dead_letter *letter, struct buf *out);

#endif
