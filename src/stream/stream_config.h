/* stream_config: a stream's configuration as a value of its own: checked, with its defaults,
 * copied, and as JSON with the names that JetStream gives its fields. */
#ifndef DURE_BUS_STREAM_CONFIG_H
#define DURE_BUS_STREAM_CONFIG_H

#include "base/buf.h"
#include "stream/stream.h"

/* ERR_INVALID; `error` says what is wrong with which field. */
int stream_config_check(const struct stream_config *config, struct error *error);

/* A copy with the defaults filled in, in one piece that free() gives back; NULL: no memory. */
struct stream_config *stream_config_copy(const struct stream_config *config);

bool stream_config_equal(const struct stream_config *a, const struct stream_config *b);

void stream_config_encode(const struct stream_config *config, struct buf *out);

/* A copy as above. ERR_CORRUPT, ERR_NOMEM. */
int stream_config_decode(struct bytes json, struct stream_config **ret_config);

/* Whether a message with this literal subject belongs to the stream. */
bool stream_config_captures(const struct stream_config *config, struct bytes subject);

/* Whether there is a subject that both would capture. */
bool stream_config_overlaps(const struct stream_config *a, const struct stream_config *b);

/* Whether it can name a stream or a consumer. */
bool stream_name_valid(const char *name);

#endif
