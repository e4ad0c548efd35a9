/* Records of a stream's and a consumer's journal, and a consumer's snapshot, from arbitrary bytes.
 */
#include "stream/consumer_state.h"
#include "stream/stream_config.h"
#include "stream/stream_record.h"

#include <assert.h>
#include <stdlib.h>

/* Runs lie in order and do not overlap; written again they say the same. */
static void runs(struct bytes rest)
{
    uint64_t end = 0, before = 0, again = 0, first, count;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    while (stream_runs_next(&rest, &end, &first, &count) > 0) {
        assert(count > 0 && first >= before && end == first + count);
        stream_runs_put(&out, &again, first, count);
        before = end;
    }
    struct bytes copy = buf_bytes(&out);
    again = before = 0;
    while (stream_runs_next(&copy, &again, &first, &count) > 0) before = first + count;
    assert(copy.len == 0 && before == again);
    buf_release(&out);
}

static void stream_record(struct bytes bytes)
{
    struct stream_record record;
    if (stream_record_decode(bytes, &record) < 0) return;
    char header[STREAM_RECORD_HEADER_MAX];
    size_t head = stream_record_encode(&record, header);
    assert(memcmp(header, bytes.data, head) == 0);
    assert(head + record.subject.len + record.headers.len + record.payload.len == bytes.len);
    if (record.kind == STREAM_RECORD_REMOVE) runs(record.payload);
    struct stream_config *config;
    if (record.kind == STREAM_RECORD_CONFIG &&
        stream_config_decode(record.payload, &config, NULL) == 0) {
        free(config);
    }
}

static void check_state(const struct consumer_state *state)
{
    size_t count = 0, again = 0;
    uint64_t last = 0;
    const struct pending *one = consumer_pending_first(&state->pending);
    for (; one; one = consumer_pending_after(&state->pending, one)) {
        assert(one->seq > last);
        assert(consumer_pending_find(&state->pending, one->seq) == one);
        last = one->seq;
        again += one->attempts > 1;
        count++;
    }
    assert(count == state->pending.count && again == state->pending.again);
}

static void consumer_state(struct bytes bytes)
{
    struct consumer_state state, copy;
    struct bytes rest;
    struct buf out;
    consumer_state_init(&state, true);
    if (consumer_state_decode(&state, bytes, &rest) == 0) {
        check_state(&state);
        buf_init(&out, SIZE_MAX);
        consumer_state_encode(&state, &out);
        consumer_state_init(&copy, true);
        assert(consumer_state_decode(&copy, buf_bytes(&out), &rest) == 0 && rest.len == 0);
        consumer_state_release(&copy);
        buf_release(&out);
    }
    consumer_state_release(&state);
}

static void consumer_steps(struct bytes bytes)
{
    struct consumer_state state;
    enum consumer_record_kind kind;
    uint64_t time_ns;
    struct bytes steps;
    consumer_state_init(&state, true);
    state.next_seq = 1;
    if (consumer_record_parse(bytes, &kind, &time_ns, &steps) == 0) {
        (void)consumer_state_apply(&state, time_ns, steps);
        check_state(&state);
    }
    consumer_state_release(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    char *copy = malloc(len); /* so that one byte too many is seen */
    assert(copy);
    memcpy(copy, data + 1, len - 1);
    struct bytes bytes = bytes_make(copy, len - 1);
    switch (data[0] % 3) {
    case 0: consumer_state(bytes); break;
    case 1: stream_record(bytes); break;
    default: consumer_steps(bytes);
    }
    free(copy);
    return 0;
}
