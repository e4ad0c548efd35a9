/* pull_request: what a client asks a pull consumer for: so many messages, within a time. Read from
 * the payload of MSG.NEXT, or behind "+NXT". */
#ifndef DURE_JETSTREAM_PULL_REQUEST_H
#define DURE_JETSTREAM_PULL_REQUEST_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

enum { PULL_GROUP_MAX = 16, PULL_ID_MAX = 64 };

struct pull_request {
    struct list link;
    int64_t batch;                           /* messages still to come */
    int64_t bytes;                           /* that may still come; 0 when there is no limit */
    int64_t expires_ns, heartbeat_ns;        /* 0: none */
    uint64_t expires_at_ns, heartbeat_at_ns; /* monotonic; 0: never */
    int64_t min_pending, min_ack_pending;
    unsigned priority;
    bool no_wait, has_bytes, has_group;
    bool formal;  /* asked in JSON: only there a group can be named */
    bool is_over; /* asked with an expiry below zero, which nats-server answers with 408 at once */
    uint64_t delivered;
    char group[PULL_GROUP_MAX + 1], id[PULL_ID_MAX + 1];
    char error[96]; /* why it cannot be served; "": it can */
    size_t reply_len;
    char reply[];
};

/* Always a request, unless there is no memory (NULL): one that makes no sense says why. Empty or
 * blank: one message; a number: so many. free() gives it back. */
struct pull_request *pull_request_read(struct bytes payload, struct bytes reply);

#endif
