#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "wire/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 100000, OUT_MAX = 1 << 20 };

/* What the reader tells of the bytes, put together; pieces of the same message are joined. */
static int read_all(enum ws_side side, const uint8_t *data, size_t size, size_t step,
                    struct buf *out)
{
    struct ws_reader reader;
    struct ws_event event;
    int r = 0;
    ws_reader_init(&reader, side, MESSAGE_MAX);
    for (size_t at = 0; at < size && r >= 0; at += step) {
        size_t len = size - at < step ? size - at : step;
        char *copy = malloc(len); /* its own, so that reading beyond it is seen */
        assert(copy);
        memcpy(copy, data + at, len);
        struct bytes in = bytes_make(copy, len);
        while ((r = ws_read(&reader, &in, &event)) > 0) {
            assert(event.kind == WS_EVENT_DATA || event.len <= WS_CONTROL_MAX);
            if (event.kind != WS_EVENT_DATA)
                buf_append_format(out, "<%d %d ", event.kind, event.code);
            buf_append(out, bytes_make(event.data, event.len));
            if (event.end) buf_append_char(out, '>');
        }
        assert(r < 0 || !in.len);
        free(copy);
    }
    return r < 0 ? reader.close_code : 0;
}

/* The first byte: the side, and the size of the pieces. Whatever the pieces are, the story is the
 * same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, parts;
    if (!size) return 0;
    enum ws_side side = data[0] & 1 ? WS_CLIENT : WS_SERVER;
    buf_init(&whole, OUT_MAX);
    buf_init(&parts, OUT_MAX);
    int first = read_all(side, data + 1, size - 1, size, &whole);
    int second = read_all(side, data + 1, size - 1, 1 + (data[0] >> 1), &parts);
    assert(first == second);
    assert(bytes_eq(buf_bytes(&whole), buf_bytes(&parts)));
    buf_release(&whole);
    buf_release(&parts);
    return 0;
}
