/* request: one request on its way through the proxy, from its head to the end of its response.
 * Owned by itself: it ends when both its exchanges have ended.
 *
 *                     no endpoint usable          an endpoint is there
 *     dispatch ----------------------> WAITING ------------------+
 *        |  ^                             | too long             |
 *        |  +---- BACKING_OFF <-----------|------ failed, may be tried again
 *        v                                |                |     |
 *     CONNECTING ----> CALLING -----------|----------------+ <---+
 *        |                | response      |
 *        |                v               v
 *        +---------> RELAYING         ANSWERED (by an error document of our own)
 *
 * The exchange with the client is `down`, the one with the endpoint `up`. Either may end first;
 * what is then left of the other is broken off, unless it is complete. */
#ifndef DURE_PROXY_REQUEST_H
#define DURE_PROXY_REQUEST_H

#include "proxy/pick.h"
#include "proxy/proxy_impl.h"

enum request_state {
    REQUEST_WAITING,
    REQUEST_BACKING_OFF,
    REQUEST_CONNECTING,
    REQUEST_CALLING,
    REQUEST_RELAYING,
    REQUEST_ANSWERED
};

enum { REQUEST_HOST_MAX = 256, REQUEST_CALLER_MAX = 64 };

struct request {
    struct list link; /* in the proxy's spare ones */
    struct proxy *proxy;
    struct generation *generation;
    enum proxy_side side;
    enum request_state state;
    struct http_exchange *down, *up; /* NULL: ended, or not begun */
    struct upstream *upstream;       /* where it is now; NULL: nowhere */
    struct upstream_conn *conn;      /* to there */
    struct io_timer timer;           /* of the state; at last the deadline */

    /* where it goes: target.c */
    const struct route *route; /* NULL on the internal road */
    const struct cluster *cluster;
    const struct endpoint *endpoint; /* of the latest attempt */
    struct traffic *service, *route_traffic;
    struct bytes target; /* for the request line; a view of the head, or of `text` */
    struct buf text;
    size_t host_len; /* of `host` */
    struct bytes caller;

    /* times, as of io_now_ns */
    uint64_t begin_ns, begin_wall_ns;
    uint64_t deadline_ns, timeout_ns;                  /* for the response's head */
    struct list wait_link;                             /* in service->waiters */
    uint64_t wait_until_ns, waiting_since_ns, wait_ns; /* the sum of waits */
    uint64_t call_ns, upstream_ns;

    /* attempts */
    uint32_t attempts;
    uint32_t retries_max;
    struct pick_tried tried;
    bool idempotent;
    bool sent;     /* an endpoint may have seen a part of it */
    bool retrying; /* counted in service->retrying */
    bool due;      /* the back-off is over, the failed exchange has not ended yet */

    /* the request's body: relay.c */
    struct buf replay; /* what was read of it and may be needed again, or is not written yet */
    size_t replay_at;  /* how far that is written to `up` */
    bool keep;         /* all that was read is in `replay`, for another attempt */
    bool reading, writing;

    int status, error;
    struct trace trace;

    /* from here on not zeroed: written before it is read */
    struct trace_intake intake;
    char host[REQUEST_HOST_MAX]; /* lower case, without port */
    char caller_text[REQUEST_CALLER_MAX];
};

/* http_server_options.request: a head has arrived. */
void request_begin(struct http_exchange *x);

/* Finds where the request goes under the configuration in force, and goes there. */
void request_dispatch(struct request *r);

/* Ends it with an error document (problem.c); nothing of a response has gone out. */
void request_fail(struct request *r, int error);

/* Lets waiting requests of the service go on, as far as there is room. */
void request_wake(struct traffic *service);

/* Answers a body that cannot be read: malformed, too large or too slow (ERR_PROTOCOL, ERR_TOO_BIG,
 * ERR_TIMEOUT). */
void request_refuse(struct request *r, int error);

/* All waiting requests look again, under a new configuration. */
void request_wake_all(struct proxy *proxy);

/* Gives the memory of spare requests back. */
void request_release_spare(struct proxy *proxy);

/* ---- target.c: 0 and route, cluster and target are set; else the error, of which a document has
 * been sent ---- */
int target_edge(struct request *r);
int target_internal(struct request *r);

/* The handler that a request on the internal road is for (proxy_handle), or NULL. */
const struct handler *target_handler(const struct proxy *proxy, const struct http_exchange *x);

/* ---- heads.c: compose up->out and down->out ---- */
void heads_request(struct request *r);
void heads_response(struct request *r);

/* ---- relay.c ---- */

/* Sends the request's body to `up`, whose head is sent; what was sent before is sent again. */
void relay_request(struct request *r);

/* Sends the response's body to `down`, whose head is sent. */
void relay_response(struct request *r);

/* Whether what was read of the body is still there. */
bool relay_replayable(const struct request *r);

/* ---- problem.c ---- */

/* Answers with `status` and a document that says `detail` and what is known of the request. */
void problem_send(struct request *r, int status, struct bytes detail, struct bytes nearest);

/* The same, worded for an error of the way to the endpoint. */
void problem_send_error(struct request *r, int error);

/* ---- record.c ---- */

/* Counts it and tells the owner. `down` is still there. */
void record(struct request *r);

#endif
