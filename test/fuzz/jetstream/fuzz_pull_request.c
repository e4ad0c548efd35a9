/* A request for messages, from arbitrary bytes: there is always one, and it can be served or says
 * why it cannot. */
#include "jetstream/pull_request.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *copy = malloc(len + 1); /* so that one byte too many is seen */
    assert(copy);
    if (len) memcpy(copy, data, len);
    struct pull_request *request = pull_request_read(bytes_make(copy, len), BYTES("inbox"));
    assert(request && request->batch >= 1 && request->bytes >= 0);
    assert(request->expires_ns >= 0 && request->heartbeat_ns >= 0);
    assert(request->priority <= 9 || request->error[0]);
    assert(bytes_eq(bytes_make(request->reply, request->reply_len), BYTES("inbox")));
    free(request);
    free(copy);
    return 0;
}
