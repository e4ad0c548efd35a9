/* jsapi: requests to the JetStream API ($JS.API.>) of the server that a client is connected to:
 * JSON in, JSON out. */
#ifndef DURE_CLIENT_JSAPI_H
#define DURE_CLIENT_JSAPI_H

#include "client/client.h"

#include <jansson.h>

/* Embedded in its owner; must not move or go until done has run or jsapi_cancel(). */
struct jsapi {
    /* result 0: `answer` is what the server says, valid for the call. Else NULL, and `error` says
     * in words what went wrong; its code is the result: ERR_NOT_FOUND (no such stream, consumer,
     * message), ERR_EXISTS, ERR_INVALID, ERR_FULL ..., ERR_UNAVAILABLE (no JetStream there, or no
     * leader now), ERR_TIMEOUT, ERR_RESET, ERR_CLOSED. */
    void (*done)(struct jsapi *api, int result, json_t *answer, const struct error *error);
    int err_code; /* JetStream's own number of the error; 0: none */

    /* private */
    struct client_request request;
};

/* Asks $JS.API.<what>. `body` (may be NULL) is taken over. Errors of client_request, ERR_NOMEM and
 * ERR_TOO_BIG are returned; then done will not run. */
int jsapi_ask(struct client *client, struct jsapi *api, const char *what, json_t *body,
              uint32_t timeout_ms,
              void (*done)(struct jsapi *api, int result, json_t *answer,
                           const struct error *error));
void jsapi_cancel(struct jsapi *api);

/* The error for JetStream's (HTTP-like) code and its own err_code. */
int jsapi_error(int code, int err_code);

/* What a stream answered to a publication. 0: stored. ERR_PROTOCOL: the text is no such answer.
 * Else why it was refused, as jsapi_error() says. */
int jsapi_puback(struct bytes text, struct puback *ret_ack);

/* Where a delivered message stands, by its reply subject "$JS.ACK....". */
struct jsapi_position {
    struct bytes stream, consumer; /* views of the subject */
    uint64_t stream_seq, consumer_seq, delivered, time_ns, pending;
};

/* ERR_SYNTAX: the subject is none of a delivery. Knows the forms with 9 and with 11 and more
 * tokens. */
int jsapi_position(struct bytes reply, struct jsapi_position *ret_position);

#endif
