/* ping: answers on the bus that this instance lives: requests to $SRV.PING.SERVICE.INSTANCE (the
 * discovery subjects of NATS services, ADR-32). dure asks there when a manifest says
 * `health: {bus: true}`. */
#ifndef DURE_SDK_PING_H
#define DURE_SDK_PING_H

#include "sdk/src/ctx.h"

/* Subscribes, if $DURE_INSTANCE says who this is; in init. An enum dure_error. */
int ping_register(struct dure_ctx *ctx);

#endif
