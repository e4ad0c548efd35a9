/* serve: HTTP/1.1 for the tenants: listeners, connections, keep-alive, pipelining, limits and
 * timeouts. A connection runs one handler at a time; when its client closes it, even only the
 * sending side, that handler is cancelled. */
#ifndef DURE_SDK_SERVE_H
#define DURE_SDK_SERVE_H

#include "sdk/src/ctx.h"

/* Binds host:port (0: any) and sets tenant->port. Connections wait in the kernel until
 * serve_open(). A negative enum err. */
int serve_bind(struct tenant *tenant, const char *address, int port);

/* Takes connections. 0 or a negative enum err. */
int serve_open(struct tenant *tenant);

/* Takes no more, and closes those that are idle; the others close after their response. */
void serve_close(struct tenant *tenant);

/* Whether no request is being received, handled or answered. */
bool serve_quiet(const struct tenant *tenant);

/* Closes every connection, whatever it does. */
void serve_abort(struct tenant *tenant);

/* Chooses the handler of a request that came over HTTP or from inside: sets ctx->handler and the
 * parameters. `raw_path` is without its query. */
void serve_route(struct dure_ctx *ctx, struct bytes raw_path);

#endif
