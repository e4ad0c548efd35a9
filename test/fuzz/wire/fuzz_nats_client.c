/* The NATS codec as a client reads it. */
#include "fuzz_nats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_nats(NATS_CLIENT, data, size);
}
