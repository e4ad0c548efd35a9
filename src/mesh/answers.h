/* answers: requests on the bus that a service without a bus client answers: each becomes a POST to
 * a path of the service, and the response's body the reply. A response with status 400 or more is
 * told with the headers Nats-Service-Error-Code and Nats-Service-Error (ADR-32). One member of the
 * service's queue group for the whole system, so every request is answered once. */
#ifndef DURE_MESH_ANSWERS_H
#define DURE_MESH_ANSWERS_H

#include "base/log.h"
#include "mesh/call.h"
#include "messaging/messaging.h"

struct answers;

enum { ANSWERS_IN_FLIGHT_MAX = 1024, ANSWERS_PATH_MAX = 512 };

struct answers_config {
    struct bytes service, subject, path;
    uint32_t timeout_ms;
};

/* The config is copied. ERR_INVALID, ERR_NOMEM. */
int answers_open(struct messaging *messaging, struct callers *callers, struct log *log,
                 const struct answers_config *config, struct answers **ret_answers);

/* Changes path and timeout from the next request on. ERR_TOO_BIG: the path. */
int answers_update(struct answers *answers, const struct answers_config *config);

/* Takes no more; what is under way is cancelled: the asker asks again. NULL is allowed. */
void answers_close(struct answers *answers);

#endif
