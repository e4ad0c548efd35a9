/* call: HTTP requests to other services through $DURE_HTTP, over a small pool of kept connections.
 * One request at a time on each connection. */
#ifndef DURE_SDK_CALL_H
#define DURE_SDK_CALL_H

#include "sdk/src/pending.h"

enum { CALL_CONNECTIONS_MAX = 1024, CALL_IDLE_MAX = 64 };

struct call_pool;

/* Reads $DURE_HTTP (http://host:port[/prefix]); without it, or with a name that is not known, every
 * call is DURE_EUNREACHABLE. 0, ERR_NOMEM, ERR_INVALID. */
int call_pool_new(struct host *host, struct call_pool **ret_pool);
void call_pool_free(struct call_pool *pool);

/* Never NULL. `method` and `body` are what `call` says or means. */
struct dure_pending *call_start(struct dure_ctx *ctx, const struct dure_call *call,
                                const char *method, struct bytes body);

#endif
