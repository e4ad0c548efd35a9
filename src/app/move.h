/* move: copies streams, with everything that stands on them, from one JetStream to another. Both
 * sides are clients; the calls here turn the loop until they are done, for a command line tool.
 *
 * A message keeps its sequence, so that consumers' places, revisions of keys and checks need no
 * translation: what is missing at the source (removed, overwritten) becomes a filler on a subject
 * of the move's own, which is purged at the end. So the target's last sequence also says how far
 * the move is, and it goes on from there when it is run again. */
#ifndef DURE_APP_MOVE_H
#define DURE_APP_MOVE_H

#include "client/client.h"
#include "client/jsapi.h"

enum { MOVE_NAME_MAX = 256, MOVE_WINDOW = 256 };

struct move {
    struct io *io;
    struct client *from, *to;
    unsigned replicas; /* of streams at the target */
    struct error error;
};

/* A message as a stream holds it. */
struct move_message {
    uint64_t seq;
    struct buf subject, headers, payload;
};

/* What is known of one stream. */
struct move_stream {
    char name[MOVE_NAME_MAX];
    json_t *config;                          /* the source's */
    uint64_t copied;                         /* messages, in this run */
    uint64_t first_seq, last_seq, messages;  /* the source's, when asked last */
    uint64_t to_first, to_last, to_messages; /* the target's */
    uint64_t checksum, to_checksum;          /* over all messages; after move_check */
    bool finished, same;
    bool interest;     /* keeps only what its consumers have not settled */
    size_t ephemerals; /* consumers that are not moved; after move_consumers */
    json_t *consumers; /* after move_consumers: [{name, ack_floor, ...}] */
};

/* ---- move.c: asking ---- */

/* Asks and waits; what passes (no leader now, a connection lost) is asked again for a while. The
 * answer is the caller's. An error's words are in move->error. */
int move_ask(struct move *move, struct client *client, const char *what, json_t *body,
             json_t **ret_answer);

/* Until both sides are connected, at most timeout_ms. */
int move_connect(struct move *move, uint32_t timeout_ms);

/* The streams of the source: each is told, by name. */
int move_list(struct move *move, int (*each)(void *context, const char *name), void *context);

/* Reads the states of both sides. ERR_NOT_FOUND: the source has no such stream. */
int move_refresh(struct move *move, struct move_stream *stream);
void move_stream_release(struct move_stream *stream);

/* Decodes a message of STREAM.MSG.GET into `message`. */
int move_decode(const json_t *answer, struct move_message *message);
void move_message_init(struct move_message *message);
void move_message_release(struct move_message *message);

/* ---- move_copy.c ---- */

/* Makes the stream at the target, if it is not there: without limits for the time of the move. */
int move_prepare(struct move *move, struct move_stream *stream);

/* Copies up to the source's last sequence as it was refreshed last. `progress` is called now and
 * then. */
int move_copy(struct move *move, struct move_stream *stream,
              void (*progress)(void *context, const struct move_stream *stream), void *context);

/* ---- move_finish.c ---- */

/* Removes the fillers and what the source has removed meanwhile; gives the target the source's
 * limits. */
int move_finish(struct move *move, struct move_stream *stream);

/* Of a stream with retention `interest`, before messages are copied: makes the durable consumers
 * that the target lacks, or it would keep none of the messages. */
int move_interest(struct move *move, struct move_stream *stream);

/* Makes the durable consumers at the place where they are at the source. */
int move_consumers(struct move *move, struct move_stream *stream);

/* Reads all messages of both sides, and says whether they are the same (stream->same). */
int move_check(struct move *move, struct move_stream *stream);

/* ---- move_place.c ---- */

/* Settles at the target what the consumer "STREAM.NAME" has settled at the source: everything up to
 * the sequence `floor`, for which it needed so many deliveries; `exactly`: here as there. */
int move_place(struct move *move, const char *consumer, uint64_t floor, uint64_t deliveries,
               bool exactly);

#define MOVE_FILLER "_MOVE"

#endif
