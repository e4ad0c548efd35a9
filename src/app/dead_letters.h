/* dead_letters: the stream DEAD: messages that were given up, on DEAD.STREAM.CONSUMER, with their
 * history in headers (Dure-Dead-Stream, -Consumer, -Subject, -Sequence, -Attempts, -Reason, -Time).
 * Listed, published again to where they came from, forgotten, with ordinary JetStream requests. */
#ifndef DURE_APP_DEAD_LETTERS_H
#define DURE_APP_DEAD_LETTERS_H

#include "app/bus_client.h"

/* Which: those of a stream, of a queue of it; all. */
struct dead_options {
    const char *stream, *queue;
    bool all;
};

/* Each returns an exit code. */
int dead_list(struct dure_ctx *ctx, const struct dead_options *options, bool json);
int dead_show(struct dure_ctx *ctx, const char *sequence, bool json);

/* Stores each again on its subject, without the headers above, and takes it out of DEAD when that
 * is acknowledged. The message id is made of its place in DEAD, so that a replay that was cut short
 * and is repeated does not store a message twice. `sequence`: one letter; NULL: by options. */
int dead_replay(struct dure_ctx *ctx, const struct dead_options *options, const char *sequence,
                bool json);
int dead_purge(struct dure_ctx *ctx, const struct dead_options *options, bool json);

#endif
