/* responses: the requests that a client has got and may answer, though it may not publish to their
 * reply subjects otherwise (allow_responses). Bounded: when there are too many, the oldest can no
 * longer be answered. Pure. */
#ifndef DURE_BUS_RESPONSES_H
#define DURE_BUS_RESPONSES_H

#include "base/list.h"
#include "base/map.h"

struct responses {
    struct map replies; /* reply subject -> struct response */
    struct list order;  /* oldest first */
    int64_t max;        /* answers to one request; < 0: any number */
    int64_t ttl_ms;     /* how long; < 0: for ever */
};

enum { RESPONSES_MAX = 4096 };

void responses_init(struct responses *responses, int64_t max, int64_t ttl_ms);
void responses_release(struct responses *responses);

/* A request with this reply subject has been delivered. Without memory it cannot be answered. */
void responses_expect(struct responses *responses, struct bytes reply, uint64_t now_ms);

/* Whether a message to this subject is an answer that is still allowed; counts it. */
bool responses_take(struct responses *responses, struct bytes subject, uint64_t now_ms);

#endif
