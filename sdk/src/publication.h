/* publication: a message that is to be sent, as its sender describes it (dure_publication). */
#ifndef DURE_SDK_PUBLICATION_H
#define DURE_SDK_PUBLICATION_H

#include "sdk/src/ctx.h"

/* Whether every part of it may be sent. */
bool publication_valid(const struct dure_publication *publication);

/* Its header block into `headers`, which is emptied first; empty when it has none. `id`: the
 * Nats-Msg-Id, or NULL. */
void publication_put_headers(const struct dure_publication *publication, const char *id,
                             struct buf *headers);

#endif
