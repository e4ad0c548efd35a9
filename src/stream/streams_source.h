/* streams_source: mirrors and sources within the node: a stream that takes what another one stores.
 * A follower stands for each: it watches its origin, reads what is new there, and submits it to its
 * own stream. How far it has come is known from that stream's records alone: a mirror keeps the
 * sequences of its origin, and what comes from a source says in its record where it stood there. */
#ifndef DURE_STREAM_STREAMS_SOURCE_H
#define DURE_STREAM_STREAMS_SOURCE_H

#include "stream/streams_impl.h"

/* Makes the followers that the stream's configuration asks for, in place of those it has. Without
 * memory: ERR_NOMEM, and it follows none. */
int streams_follow(struct streams *streams, struct stream *stream);

/* Ends the followers of the stream, and lets go of it those that follow it. */
void streams_unfollow(struct streams *streams, struct stream *stream);

/* What its followers have submitted is lost: they go back to what it has. */
void streams_follow_again(struct streams *streams, struct stream *stream);

/* A stream has come: those that wait for it begin. */
void streams_origin_came(struct streams *streams, struct stream *origin);

/* Frees all, for a simulated host that has crashed. */
void streams_followers_free(struct streams *streams);

#endif
