/* What both fuzz targets of the NATS codec check: views stay inside the input, and reading in two
 * parts gives what reading at once gives. */
#ifndef DURE_TEST_FUZZ_NATS_H
#define DURE_TEST_FUZZ_NATS_H

#include "wire/nats.h"

#include <stdlib.h>

static inline void check_inside(struct bytes view, struct bytes in)
{
    if (view.len && (view.data < in.data || view.data + view.len > in.data + in.len)) abort();
}

static inline int fuzz_nats(enum nats_side side, const uint8_t *data, size_t size)
{
    struct nats_decoder decoder;
    struct nats_frame frame, again;
    nats_decoder_init(&decoder, side);
    decoder.max_payload = 4096;
    struct bytes in = bytes_make(data, size);
    while (in.len) {
        int64_t n = nats_decode(&decoder, in, &frame);
        if (n < 0 && decoder.fault == NATS_FAULT_NONE) abort();
        if (n == 0 && decoder.need <= in.len) abort();
        if (n <= 0) break;
        struct bytes whole = bytes_head(in, (size_t)n);
        const struct bytes views[] = {frame.subject, frame.reply,   frame.queue, frame.sid,
                                      frame.headers, frame.payload, frame.text,  frame.tail};
        for (size_t i = 0; i < sizeof views / sizeof *views; i++) check_inside(views[i], whole);
        size_t step = whole.len > 64 ? whole.len / 64 : 1;
        for (size_t cut = 0; cut < whole.len; cut += step)
            if (nats_decode(&decoder, bytes_head(whole, cut), &again) != 0) abort();
        struct nats_connect connect;
        struct nats_info info;
        nats_connect_init(&connect);
        if (frame.op == NATS_CONNECT) nats_connect_parse(frame.text, &connect);
        if (frame.op == NATS_INFO) nats_info_parse(frame.text, &info);
        in = bytes_skip(in, (size_t)n);
    }
    return 0;
}

#endif
