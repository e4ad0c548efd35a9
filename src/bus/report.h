/* report: what is remembered of connections for bus/bus_report.h. */
#ifndef DURE_BUS_REPORT_H
#define DURE_BUS_REPORT_H

#include "bus/core.h"

struct nats_connect;
struct session;

/* The connection is there. */
void report_begin(struct session *session);

/* Keeps what CONNECT says of the client. */
void report_introduce(struct session *session, const struct nats_connect *connect);

/* Why the connection is going to end; the first reason is the one. `text` is that of an -ERR, or
 * NULL. */
void report_reason(struct session *session, const char *text);

/* The session is about to be freed. */
void report_end(struct session *session);

void report_release(struct ended_connections *ended);

#endif
