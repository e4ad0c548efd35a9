/* ack_said: what clients say of a message that was delivered, as bytes. Pure.
 *
 * They say it on the reply subject that the message bore,
 * `$JS.ACK.STREAM.CONSUMER.ATTEMPT.SSEQ.CSEQ.TIME.PENDING`, or with a domain and the account's hash
 * before the stream. The payload says what. */
#ifndef DURE_JETSTREAM_ACK_SAID_H
#define DURE_JETSTREAM_ACK_SAID_H

#include "base/bytes.h"
#include "base/err.h"

enum ack_kind {
    ACK_DONE,     /* nothing, "+ACK", "+OK" */
    ACK_NEXT,     /* "+NXT": done, and `argument` is a request for messages */
    ACK_NOT,      /* "-NAK": again, after `delay_ns` */
    ACK_PROGRESS, /* "+WPI": still at it */
    ACK_TERM,     /* "+TERM": never again, for the reason `argument` */
    ACK_UNKNOWN
};

struct ack_said {
    enum ack_kind kind;
    struct bytes argument; /* a view into what was read */
    int64_t delay_ns;      /* 0: at once */
};

/* Takes the names from the subject behind `$JS.ACK.`: `rest` is left behind the consumer's. Names
 * that are not there are empty. */
void ack_names(struct bytes *rest, struct bytes *ret_stream, struct bytes *ret_consumer);

/* The message's sequence in its stream, from what is behind the consumer's name. False: there is
 * none, or nothing behind it. */
bool ack_sequence(struct bytes rest, uint64_t *ret_sequence);

struct ack_said ack_said_read(struct bytes payload);

#endif
