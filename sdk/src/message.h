/* message: one that came from the bus, copied out of the connection's buffer in one piece, so that
 * it can wait in a queue until somebody takes it. */
#ifndef DURE_SDK_MESSAGE_H
#define DURE_SDK_MESSAGE_H

#include "sdk/src/ctx.h"

#include "wire/nats.h"

/* Copies the fields of a NATS header block. DURE_EPROTOCOL, DURE_ENOMEM, DURE_EFULL. */
int headers_copy(struct bytes block, struct arena *arena, struct dure_headers *headers);

struct message {
    struct list link;
    struct dure_message public;
    struct dure_headers headers;
    size_t size; /* bytes of memory */
};

/* NULL: no memory, or its headers are broken. */
struct message *message_new(const struct nats_frame *frame);

/* From parts: `stored` is what the frame does not say. */
struct message *message_new_stored(const struct nats_frame *frame, const char *stream,
                                   uint64_t sequence, uint64_t time_ns);
void message_free(struct message *message);

/* A queue of them, and the one that was given last. */
struct message_queue {
    struct list waiting;
    size_t count, bytes;
    struct message *given;
};

void message_queue_init(struct message_queue *queue);
void message_queue_release(struct message_queue *queue);
void message_queue_push(struct message_queue *queue, struct message *message);

/* Frees the one given before. NULL: none waits. */
struct message *message_queue_take(struct message_queue *queue);

/* What an ack subject ("$JS.ACK.S.C.1.7.3.1700000000000000000.9") says. False: it is none. */
struct ack_subject {
    struct bytes stream, consumer;
    uint64_t deliveries, sequence, consumer_sequence, time_ns, pending;
};
bool ack_subject_parse(struct bytes subject, struct ack_subject *ret_ack);

#endif
