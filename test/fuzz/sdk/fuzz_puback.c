/* What answers a durable publication. */
#include "sdk/src/puback.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct puback ack;
    puback_parse(bytes_make(data, size), &ack);
    assert(ack.err <= 0 && ack.err > -DURE_ERROR_COUNT);
    assert(strlen(ack.stream) < PUBACK_STREAM && strlen(ack.reason) < PUBACK_REASON);
    return 0;
}
