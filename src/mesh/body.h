/* body: the whole body of an exchange in memory, for what needs it whole. Embedded in its owner. */
#ifndef DURE_MESH_BODY_H
#define DURE_MESH_BODY_H

#include "base/buf.h"
#include "http/exchange.h"

struct body {
    struct buf bytes;
    /* result 0: `bytes` is complete; ERR_TOO_BIG: longer than max; or another error of the read. */
    void (*done)(struct body *body, int result);
};

/* Reads all of it, at most `max` bytes. x->context must be the body until `done` has run. */
void body_read(struct body *body, struct http_exchange *x, size_t max,
               void (*done)(struct body *body, int result));

void body_release(struct body *body);

#endif
