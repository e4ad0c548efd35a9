/* stream_origins: what a configuration that a client asks for may not have because of itself or of
 * the streams there are. */
#ifndef DURE_JETSTREAM_STREAM_ORIGINS_H
#define DURE_JETSTREAM_STREAM_ORIGINS_H

#include "stream/streams.h"

/* Two of its subjects have subjects in common: a message would be two people's. (This program's own
 * streams may have such.) False, and `refusal` filled. */
bool stream_subjects_distinct(const struct stream_config *config, struct api_error *refusal);

/* The messages of its mirror and sources are not too large for it. */
bool stream_origins_fit(struct streams *streams, const struct stream_config *config,
                        struct api_error *refusal);

#endif
