/* admin_client: one HTTP request from a command line tool, waiting for the answer. */
#ifndef DURE_APP_ADMIN_CLIENT_H
#define DURE_APP_ADMIN_CLIENT_H

#include "app/paths.h"
#include "base/buf.h"
#include "io/io.h"

struct admin_request {
    struct io_addr addr;
    const char *method, *target, *host;
    const char *content_type; /* NULL: none */
    struct bytes body;
    uint32_t timeout_ms; /* 0: 2 minutes */
};

/* Sends it and waits. 0 and the status, the answer's body in `answer` (the caller's, initialised);
 * or ERR_*: ERR_NOT_FOUND and ERR_REFUSED mean that nobody listens there. */
int admin_request(const struct admin_request *request, int *ret_status, struct buf *answer,
                  struct error *error);

/* The same to the running system in `paths`: tells stderr when there is none. Returns an exit code
 * (EXIT_OK when there was an answer with a status below 400); on others stderr has the reason. */
int admin_ask(const struct paths *paths, const char *method, const char *target, struct bytes body,
              struct buf *answer);

#endif
