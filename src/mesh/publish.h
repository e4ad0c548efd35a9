/* publish: the bus for whoever speaks only HTTP, below /-/bus on the internal road:
 *
 *     POST /-/bus/publish/SUBJECT   the body is the message. A durable subject: 200 and
 *                                   {"stream":"EVENTS","seq":7} when it is on the disk; another:
 *                                   202 and {"deliveries":2}; nobody stores or listens: 404. (A
 *                                   cluster does not say who listens: 202 and {}.)
 *     POST /-/bus/request/SUBJECT   200 and the reply; ?timeout=2s (default 10s); 503 when nobody
 *                                   answers such requests, 504 when no answer came.
 *
 * Header fields Content-Type, traceparent, Nats-Msg-Id (or Idempotency-Key, or ce-id) go along;
 * with an id a durable message is stored once, however often it is sent. */
#ifndef DURE_MESH_PUBLISH_H
#define DURE_MESH_PUBLISH_H

#include "base/log.h"
#include "http/server.h"
#include "messaging/messaging.h"

struct publish_context {
    struct messaging *messaging;
    size_t max_payload;
};

/* The handlers, for proxy_handle(); `context` is a struct publish_context that outlives the proxy.
 */
void publish_handle(void *context, struct http_exchange *x);
void publish_handle_request(void *context, struct http_exchange *x);

#define PUBLISH_PREFIX "/-/bus/publish"
#define REQUEST_PREFIX "/-/bus/request"

#endif
