/* A message as the bus sends it (subject, reply, headers, body, cut at the first three newlines),
 * copied, and its ack subject read. */
#include "sdk/src/message.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_make(data, size);
    struct nats_frame frame = {.op = NATS_HMSG};
    struct bytes *const parts[] = {&frame.subject, &frame.reply, &frame.payload};
    for (size_t i = 0; i < 3; i++) *parts[i] = bytes_cut(&rest, '\n');
    frame.headers = rest.data ? rest : BYTES("");
    struct message *message = message_new(&frame);
    if (!message) return 0;
    const char *name, *value;
    size_t count = 0;
    while (dure_headers_at(message->public.headers, count, &name, &value)) {
        assert(name && value);
        count++;
    }
    assert(count == message->headers.count);
    assert(message->public.len == frame.payload.len);
    assert(message->public.body[message->public.len] == '\0');
    assert(message->public.stream || !message->public.consumer);
    message_free(message);
    return 0;
}
