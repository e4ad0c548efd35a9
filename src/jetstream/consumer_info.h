/* consumer_info: what the API tells of a consumer, as members of an answer. */
#ifndef DURE_JETSTREAM_CONSUMER_INFO_H
#define DURE_JETSTREAM_CONSUMER_INFO_H

#include "base/jsonw.h"
#include "stream/consumer.h"

/* "stream_name", "name", "created", "config", ..., "ts". ERR_NOMEM. */
int consumer_info_encode(const struct consumer *consumer, uint64_t now_ns, struct jsonw *json);

#endif
