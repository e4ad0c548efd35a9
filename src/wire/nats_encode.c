#include "wire/nats.h"

static void put_text(struct buf *out, struct bytes verb, struct bytes text)
{
    buf_append(out, verb);
    buf_append(out, text);
    buf_append(out, BYTES("\r\n"));
}

static void put_argument(struct buf *out, struct bytes argument)
{
    if (!argument.len) return;
    buf_append_char(out, ' ');
    buf_append(out, argument);
}

static void put_number(struct buf *out, uint64_t number)
{
    buf_append_char(out, ' ');
    buf_append_u64(out, number);
}

static void put_body(struct buf *out, struct bytes headers, struct bytes payload)
{
    if (headers.len) put_number(out, headers.len);
    put_number(out, headers.len + payload.len);
    buf_append(out, BYTES("\r\n"));
    buf_append(out, headers);
    buf_append(out, payload);
    buf_append(out, BYTES("\r\n"));
}

void nats_put_connect(struct buf *out, struct bytes json)
{
    put_text(out, BYTES("CONNECT "), json);
}

void nats_put_info(struct buf *out, struct bytes json)
{
    put_text(out, BYTES("INFO "), json);
}

void nats_put_ping(struct buf *out)
{
    buf_append(out, BYTES("PING\r\n"));
}

void nats_put_pong(struct buf *out)
{
    buf_append(out, BYTES("PONG\r\n"));
}

void nats_put_ok(struct buf *out)
{
    buf_append(out, BYTES("+OK\r\n"));
}

void nats_put_err(struct buf *out, const char *text)
{
    buf_append(out, BYTES("-ERR '"));
    put_text(out, bytes_str(text), BYTES("'"));
}

void nats_put_sub(struct buf *out, struct bytes subject, struct bytes queue, struct bytes sid)
{
    buf_append(out, BYTES("SUB"));
    put_argument(out, subject);
    put_argument(out, queue);
    put_argument(out, sid);
    buf_append(out, BYTES("\r\n"));
}

void nats_put_unsub(struct buf *out, struct bytes sid, uint64_t max)
{
    buf_append(out, BYTES("UNSUB"));
    put_argument(out, sid);
    if (max) put_number(out, max);
    buf_append(out, BYTES("\r\n"));
}

void nats_put_pub(struct buf *out, struct bytes subject, struct bytes reply, struct bytes headers,
                  struct bytes payload)
{
    buf_append(out, headers.len ? BYTES("HPUB") : BYTES("PUB"));
    put_argument(out, subject);
    put_argument(out, reply);
    put_body(out, headers, payload);
}

void nats_put_msg(struct buf *out, struct bytes subject, struct bytes sid, struct bytes reply,
                  struct bytes headers, struct bytes payload)
{
    buf_append(out, headers.len ? BYTES("HMSG") : BYTES("MSG"));
    put_argument(out, subject);
    put_argument(out, sid);
    put_argument(out, reply);
    put_body(out, headers, payload);
}
