/* call: a POST to a service on the internal road, with the answer whole in memory. The road does
 * the balancing, the waiting for an instance that starts, and the tracing. */
#ifndef DURE_MESH_CALL_H
#define DURE_MESH_CALL_H

#include "http/client.h"
#include "mesh/body.h"

/* Connections to the internal road that are kept between calls. One for each loop. */
struct callers {
    struct http *http;
    struct io_addr road;
    struct http_client_options options;
    struct list idle;
    size_t idle_count;
};

enum { CALLERS_IDLE_MAX = 64, CALL_ANSWER_MAX = 1024 * 1024, CALL_FIELDS_MAX = 12 };

struct call_field {
    struct bytes name, value;
};

struct call_request {
    struct bytes service, path, body;
    struct call_field fields[CALL_FIELDS_MAX];
    size_t field_count;
    uint32_t timeout_ms;
};

struct call;

/* result 0: there was an answer; `status`, `type` and `body` are its, valid during the call. Else
 * an error, and they are 0 and empty. */
typedef void call_done(void *context, int result, int status, struct bytes type, struct bytes body);

void callers_init(struct callers *callers, struct http *http, const struct io_addr *road);

/* Closes idle connections. Calls under way must have ended or be cancelled. */
void callers_release(struct callers *callers);

/* Starts a call. What `request` refers to must stay until `done` has run. ERR_NOMEM. */
int call_start(struct callers *callers, const struct call_request *request, call_done *done,
               void *context, struct call **ret_call);

/* After this `done` will not run. NULL is allowed. */
void call_cancel(struct call *call);

#endif
