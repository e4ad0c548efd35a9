/* Records of a stream's and a consumer's journal, and a consumer's snapshot, from arbitrary bytes.
 */
#include "stream/consumer_state.h"
#include "stream/stream_config.h"
#include "stream/stream_record.h"

#include <assert.h>
#include <stdlib.h>

static void stream_record(struct bytes bytes)
{
    struct stream_record record;
    if (stream_record_decode(bytes, &record) < 0) return;
    char header[STREAM_RECORD_HEADER];
    stream_record_encode(&record, header);
    /* The second byte is reserved; all others say the same again. */
    assert(header[0] == bytes.data[0]);
    assert(memcmp(header + 2, bytes.data + 2, STREAM_RECORD_HEADER - 2) == 0);
    size_t len = record.subject.len + record.headers.len + record.payload.len;
    assert(len == bytes.len - STREAM_RECORD_HEADER);
    struct stream_config *config;
    if (record.kind == STREAM_RECORD_CONFIG && stream_config_decode(record.payload, &config, NULL) == 0) {
        free(config);
    }
}

static void consumer_state(struct bytes bytes)
{
    struct consumer_state state;
    consumer_state_init(&state);
    if (consumer_state_decode(&state, bytes) == 0) {
        size_t count = 0;
        uint64_t last = 0;
        LIST_EACH(&state.order, struct consumer_pending, link, pending) {
            assert(count == 0 || pending->seq > last);
            last = pending->seq;
            count++;
        }
        assert(count == state.pending.count);
    }
    while (bytes.len >= CONSUMER_RECORD_SIZE) {
        struct consumer_record record;
        if (consumer_record_decode(bytes_head(bytes, CONSUMER_RECORD_SIZE), &record) == 0) {
            assert(consumer_state_apply(&state, &record) == 0);
        }
        bytes = bytes_skip(bytes, CONSUMER_RECORD_SIZE);
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
    if (data[0] % 2) {
        stream_record(bytes_make(copy, len - 1));
    } else {
        consumer_state(bytes_make(copy, len - 1));
    }
    free(copy);
    return 0;
}
