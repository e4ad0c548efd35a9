/* retry: whether a failed attempt is made again, and when. Pure.
 *
 * A request is repeated only when that cannot do harm: it is idempotent (RFC 9110 section 9.2.2, or
 * marked with an Idempotency-Key) or was never sent; nothing of a response has gone to the client;
 * its body can be sent again; attempts and time are left; and the retries of the whole cluster stay
 * within their budget, so that an outage is not made worse by repeating. */
#ifndef DURE_PROXY_RETRY_H
#define DURE_PROXY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RETRY_DEFAULT = 2,
    RETRY_BASE_MS = 25,
    RETRY_CAP_MS = 250,
    RETRY_BUDGET_PERCENT = 20, /* of the cluster's requests in flight */
    RETRY_BUDGET_MIN = 3       /* at a time, however little traffic there is */
};

enum retry_verdict {
    RETRY_YES,
    RETRY_NO,     /* it must not be, or there is nothing to gain */
    RETRY_REFUSED /* it might, but the budget is used up */
};

struct retry_question {
    bool idempotent;
    bool sent;          /* a byte of the request may have reached the endpoint */
    bool relayed;       /* a byte of the response has gone to the client */
    bool replayable;    /* the body as far as it was sent is still here */
    bool retry_helps;   /* the failure is one that another attempt may avoid */
    uint32_t retries;   /* made so far */
    uint32_t retry_max; /* allowed */
    uint32_t in_flight; /* the cluster's requests */
    uint32_t retrying;  /* of them: in an attempt beyond their first, or waiting for one */
    uint64_t left_ms;   /* until the request's deadline */
};

enum retry_verdict retry_decide(const struct retry_question *question);

/* How long to wait before retry number `retry` (1: the first): anything between 0 and
 * RETRY_BASE_MS * (2^retry - 1), at most RETRY_CAP_MS ("full jitter"). */
uint32_t retry_delay_ms(uint32_t retry, uint64_t random);

/* A response that says "not by me, not now": 503. Another endpoint may do better. */
bool retry_status(int status);

#endif
