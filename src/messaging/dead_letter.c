#include "messaging/cluster_queue.h"

#include "base/timestamp.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>

enum { HEADERS_MAX = 64 << 10 };

static void add(struct buf *out, const char *name, struct bytes value)
{
    /* A value that a header cannot carry is left out. */
    (void)nats_headers_add(out, bytes_str(name), value);
}

static void add_u64(struct buf *out, const char *name, uint64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64, value);
    add(out, name, bytes_make(text, (size_t)len));
}

/* The original's headers without those that mean something to the stream they are stored in. */
static void add_originals(struct buf *out, struct bytes headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    if (!headers.len || headers.len >= HEADERS_MAX / 2) return;
    if (nats_headers_parse(headers, &walk) < 0) return;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        if (bytes_eq_nocase(bytes_head(name, 5), BYTES("Nats-"))) continue;
        (void)nats_headers_add(out, name, value);
    }
}

void dead_letter_headers(struct buf *out, const struct held *held, uint64_t now_wall_ns)
{
    const struct cluster_queue *queue = held->queue;
    char id[2 * QUEUE_NAME_MAX + 48], time[TIMESTAMP_TEXT];
    /* A stream that was removed and made again begins its sequences anew: so the time is in it. */
    int len = snprintf(id, sizeof id, "%s.%s.%" PRIu64 ".%" PRIu64, queue->stream, queue->name,
                       held->seq, held->time_ns);
    timestamp_format(now_wall_ns, time);
    nats_headers_begin(out, 0, NULL);
    add(out, "Nats-Msg-Id", bytes_make(id, (size_t)len));
    add(out, "Dure-Dead-Stream", bytes_str(queue->stream));
    add(out, "Dure-Dead-Consumer", bytes_str(queue->name));
    add(out, "Dure-Dead-Subject", held->message->subject);
    add_u64(out, "Dure-Dead-Sequence", held->seq);
    add_u64(out, "Dure-Dead-Attempts", held->attempt);
    add(out, "Dure-Dead-Reason", bytes_str(held->reason));
    add(out, "Dure-Dead-Time", bytes_str(time));
    add_originals(out, held->message->headers);
    nats_headers_end(out);
}
