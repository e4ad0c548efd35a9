/* What a client says of a delivered message, from arbitrary bytes: a line with the subject behind
 * `$JS.ACK.`, then the payload. */
#include "jetstream/ack_said.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool within(struct bytes part, struct bytes whole)
{
    return !part.len || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static void check_subject(struct bytes subject)
{
    struct bytes rest = subject, stream, consumer;
    uint64_t sequence;
    ack_names(&rest, &stream, &consumer);
    assert(within(stream, subject) && within(consumer, subject) && within(rest, subject));
    assert(bytes_find(stream, '.') == stream.len && bytes_find(consumer, '.') == consumer.len);
    if (ack_sequence(rest, &sequence)) assert(rest.len > 2);
}

static void check_payload(struct bytes payload)
{
    struct ack_said said = ack_said_read(payload);
    assert(within(said.argument, payload));
    assert(said.delay_ns >= 0 && (said.kind == ACK_NOT || !said.delay_ns));
    if (!payload.len) assert(said.kind == ACK_DONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *copy = malloc(len + 1); /* so that one byte too many is seen */
    assert(copy);
    if (len) memcpy(copy, data, len);
    struct bytes all = bytes_make(copy, len);
    size_t line = bytes_find(all, '\n');
    check_subject(bytes_head(all, line));
    check_payload(bytes_skip(all, line < len ? line + 1 : len));
    free(copy);
    return 0;
}
