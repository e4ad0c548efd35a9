#include "stream/dead_letter.h"

#include "base/timestamp.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>

static void add(struct buf *out, const char *name, struct bytes value)
{
    /* A value that a header cannot carry is left out. */
    (void)nats_headers_add(out, bytes_str(name), value);
}

static void add_originals(struct buf *out, struct bytes headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    if (!headers.len || headers.len >= DEAD_LETTER_HEADERS / 2) return;
    if (nats_headers_parse(headers, &walk) < 0) return;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        if (bytes_eq_nocase(bytes_head(name, 5), BYTES("Nats-"))) continue;
        (void)nats_headers_add(out, name, value);
    }
}

size_t dead_letter_subject(const struct dead_letter *letter, char to[DEAD_LETTER_SUBJECT])
{
    int len = snprintf(to, DEAD_LETTER_SUBJECT, CONSUMER_DEAD_STREAM ".%s.%s", letter->stream,
                       letter->consumer);
    return (size_t)len;
}

void dead_letter_headers(const struct dead_letter *letter, struct buf *out)
{
    char id[2 * STREAM_NAME_MAX + 48], time[TIMESTAMP_TEXT];
    /* A stream that was removed and made again begins its sequences anew: so the time is in it. */
    int len = snprintf(id, sizeof id, "%s.%s.%" PRIu64 ".%" PRIu64, letter->stream,
                       letter->consumer, letter->seq, letter->time_ns);
    timestamp_format(letter->died_wall_ns, time);
    nats_headers_begin(out, 0, NULL);
    add(out, "Nats-Msg-Id", bytes_make(id, (size_t)len));
    add(out, "Dure-Dead-Stream", bytes_str(letter->stream));
    add(out, "Dure-Dead-Consumer", bytes_str(letter->consumer));
    add(out, "Dure-Dead-Subject", letter->subject);
    nats_headers_add_u64(out, BYTES("Dure-Dead-Sequence"), letter->seq);
    nats_headers_add_u64(out, BYTES("Dure-Dead-Attempts"), letter->attempts);
    add(out, "Dure-Dead-Reason", letter->reason);
    add(out, "Dure-Dead-Time", bytes_str(time));
    add_originals(out, letter->headers);
    nats_headers_end(out);
}
