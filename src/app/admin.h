/* admin: the interface for `dure status`, `apply`, `trace` and so on: HTTP with JSON on a Unix
 * socket whose file only its owner can open. Parts of it (metrics, status) are also on the internal
 * road below /-/, for Prometheus and for services.
 *
 *     GET  /status            how every service is doing
 *     POST /apply             reads the manifests anew and deploys them; answers when that is done
 *     POST /stop              ends the system
 *     GET  /trace?last=N      the last N traces; ?id=TRACE: one
 *     GET  /metrics           Prometheus text format */
#ifndef DURE_APP_ADMIN_H
#define DURE_APP_ADMIN_H

#include "http/server.h"

/* The status that says: the manifests have mistakes. */
enum { ADMIN_MISTAKES = 422 };

struct worker;

/* Serves on a listening socket that the parent made. */
int admin_open(struct worker *worker, int fd);
void admin_close(struct worker *worker, void (*closed)(void *context));

/* GET /-/metrics on the internal road; for proxy_handle(). `context` is the worker. */
void admin_metrics(void *context, struct http_exchange *x);

#endif
