/* drain: gives the supervisor its port to the data plane: waiting until nothing is in flight to an
 * instance. */
#ifndef DURE_APP_DRAIN_H
#define DURE_APP_DRAIN_H

#include "proxy/proxy.h"
#include "run/process.h"

struct drain_port drain_port_of(struct proxy *proxy);

#endif
