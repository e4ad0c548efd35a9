#include "mesh/body.h"

static void piece_read(struct http_exchange *x, int result, struct bytes piece)
{
    struct body *body = x->context;
    if (result >= 0) buf_append(&body->bytes, piece);
    if (body->bytes.failed) result = ERR_TOO_BIG;
    if (result == HTTP_MORE)
        http_read(x, piece_read);
    else
        body->done(body, result < 0 ? result : 0);
}

void body_read(struct body *body, struct http_exchange *x, size_t max,
               void (*done)(struct body *body, int result))
{
    buf_init(&body->bytes, max);
    body->done = done;
    http_read(x, piece_read);
}

void body_release(struct body *body)
{
    buf_release(&body->bytes);
}
