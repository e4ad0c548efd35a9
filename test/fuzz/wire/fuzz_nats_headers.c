/* Header blocks: what is walked can be written again and then walks the same. */
#include "wire/nats.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nats_headers headers;
    struct bytes name, value, found;
    struct buf out;
    int r;
    if (nats_headers_parse(bytes_make(data, size), &headers)) return 0;
    buf_init(&out, 2 * size + 64);
    nats_headers_begin(&out, headers.status, NULL);
    bool whole = true;
    size_t count = 0;
    while ((r = nats_headers_next(&headers, &name, &value)) > 0) {
        whole = whole && !nats_headers_add(&out, name, value);
        count++;
    }
    nats_headers_end(&out);
    if (r == 0 && whole && count) {
        if (nats_headers_get(buf_bytes(&out), name, &found)) abort();
        if (nats_headers_parse(buf_bytes(&out), &headers)) abort();
        while ((r = nats_headers_next(&headers, &name, &value)) > 0) count--;
        if (r || count) abort();
    }
    buf_release(&out);
    return 0;
}
