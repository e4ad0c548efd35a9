/* message: one message on the bus. Immutable once published.
 *
 * A struct of views. A publisher makes one on its stack over bytes that it owns (`refs` 0:
 * borrowed); it is then good only until the call it was handed to returns. Whoever keeps a message
 * longer takes message_ref(), which makes a counted copy of a borrowed one, in a single block, and
 * only counts when it is a counted one already. */
#ifndef DURE_BUS_MESSAGE_H
#define DURE_BUS_MESSAGE_H

#include "base/bytes.h"
#include "base/err.h"

struct io;

struct message {
    struct bytes subject;
    struct bytes reply; /* empty: none */
    struct bytes
        headers; /* the whole block, "NATS/1.0\r\n" ... "\r\n\r\n" (wire/nats.h), or empty */
    struct bytes payload;

    /* private */
    uint32_t refs;        /* 0: borrowed */
    bool stored;          /* the capture has it already */
    struct message *copy; /* borrowed: the counted copy that was made of it, counted once for it */
    struct io *shared;    /* of a block: the loop whose shared memory it is in; NULL: none */
};

/* A borrowed message over the caller's bytes. */
static inline struct message message_borrow(struct bytes subject, struct bytes reply,
                                            struct bytes headers, struct bytes payload)
{
    return (struct message){
        .subject = subject, .reply = reply, .headers = headers, .payload = payload};
}

/* A counted message for the caller to keep: `message` itself, or the one copy of a borrowed one.
 * NULL when out of memory. */
struct message *message_ref(struct message *message);

/* A counted message that is nothing but `len` bytes, which the caller fills in: a text that many
 * clients are sent. NULL when out of memory. */
struct message *message_block(size_t len, char **ret_data);

/* The same with these bytes, in memory that sockets send from without copying it (io_shared_new).
 * NULL also when there is none. */
struct message *message_shared_block(struct io *io, struct bytes bytes);

/* NULL is allowed. */
void message_unref(struct message *message);

/* Gives up the copy that a borrowed message may have been given; call it when the views end. */
void message_done(struct message *message);

/* Headers, payload and CRLF of a counted message, which stand in one piece in this order: the body
 * of an HMSG. The body of a MSG starts behind the headers. */
struct bytes message_body(const struct message *message);

/* The value of the header traceparent (W3C Trace Context); empty when there is none. */
struct bytes message_trace(const struct message *message);

#endif
