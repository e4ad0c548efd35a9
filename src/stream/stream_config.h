/* stream_config: a stream's configuration as a value of its own: checked, with its defaults,
 * copied, and as JSON with the names that JetStream gives its fields. */
#ifndef DURE_BUS_STREAM_CONFIG_H
#define DURE_BUS_STREAM_CONFIG_H

#include "base/buf.h"
#include "stream/stream.h"

/* ERR_INVALID (and what a refusal's code stands for); `refusal` says what is wrong. What depends on
 * other streams is checked by streams_add and stream_update. */
int stream_config_check(const struct stream_config *config, struct api_error *refusal);

/* Whether an update may lead from one to the other, both checked and with their defaults.
 * ERR_INVALID as above. */
int stream_config_may_become(const struct stream_config *from, const struct stream_config *to,
                             struct api_error *refusal);

/* A copy with the defaults filled in, in one piece that free() gives back; NULL: no memory. */
struct stream_config *stream_config_copy(const struct stream_config *config);

/* A stream that is sealed is also closed to all changes. Before, may_become has seen what was asked
 * for: who seals a stream that denies deletes or purges has to deny them in the same breath. */
void stream_config_seal(struct stream_config *config);

/* Both with their defaults. */
bool stream_config_equal(const struct stream_config *a, const struct stream_config *b);

/* The JSON of a STREAM.INFO's "config"; also how it stands in the journal. */
void stream_config_encode(const struct stream_config *config, struct buf *out);

/* Reads what a client has sent or _encode has written, and checks it; a copy as above. Members that
 * are not known are left alone. ERR_SYNTAX (10025: no JSON, or a member of the wrong type),
 * ERR_INVALID, ERR_NOMEM. */
int stream_config_decode(struct bytes json, struct stream_config **ret_config,
                         struct api_error *refusal);

/* Whether a message with this literal subject belongs to the stream. */
bool stream_config_captures(const struct stream_config *config, struct bytes subject);

/* Whether there is a subject that both would capture. */
bool stream_config_overlaps(const struct stream_config *a, const struct stream_config *b);

/* Whether it can name a stream or a consumer. */
bool stream_name_valid(const char *name);

#endif
