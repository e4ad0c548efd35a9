/* versions: what a stream's or a consumer's metadata tells of the API: the level it needs, the
 * level there is, the server (ADR-44). */
#ifndef DURE_JETSTREAM_VERSIONS_H
#define DURE_JETSTREAM_VERSIONS_H

#include "stream/stream.h"

/* The pairs with those of the API in front; to be freed, while the texts stay where they are. NULL:
 * no memory. */
struct stream_pair *versions_add(const struct stream_pair *pairs, size_t count,
                                 bool needs_first_level, size_t *ret_count);

#endif
