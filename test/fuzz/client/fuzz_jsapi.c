/* What a server of somebody else answers to a publish, and where it says a message stands. */
#include "client/jsapi.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes text = bytes_make(data, size);
    struct puback ack;
    struct jsapi_position position;
    int err = jsapi_puback(text, &ack);
    assert(err || ack.seq);
    assert(memchr(ack.stream, 0, sizeof ack.stream));
    assert(memchr(ack.description, 0, sizeof ack.description));
    if (jsapi_position(text, &position) == 0) assert(position.stream.data >= text.data);
    return 0;
}
