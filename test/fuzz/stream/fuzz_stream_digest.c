/* What a stream says of its records, from arbitrary bytes. */
#include "stream/stream_digest.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *copy = malloc(len ? len : 1); /* so that one byte too many is seen */
    assert(copy);
    memcpy(copy, data, len);
    struct stream_digest_walk walk;
    struct stream_digest_item item;
    stream_digest_walk_init(&walk, bytes_make(copy, len));
    while (stream_digest_next(&walk, &item) > 0) {
        if (item.kind == STREAM_DIGEST_RUN) {
            assert(item.count > 0 && item.times_us[0] == 0);
            assert(item.record.seq <= UINT64_MAX - (item.count - 1));
            for (uint32_t i = 1; i < item.count; i++) {
                assert(item.times_us[i] >= item.times_us[i - 1]);
            }
        }
        bool record = item.kind == STREAM_DIGEST_RECORD || item.kind == STREAM_DIGEST_RUN;
        assert(!record || item.record.size > 0);
    }
    stream_digest_walk_release(&walk);
    free(copy);
    return 0;
}
