/* port: a TCP port on the loopback interface that nothing listens on now. */
#ifndef DURE_RUN_PORT_H
#define DURE_RUN_PORT_H

#include "io/io.h"

/* Ports for services come from this range, which lies below the one that the kernel uses for
 * outgoing connections, so that those cannot take a service's port away. */
enum { PORT_FIRST = 20000, PORT_LAST = 29999 };

/* Finds one by trying to listen. ERR_IN_USE when none was found. Somebody else may still take it
 * before the service does: then the service fails to start, and the next try gets another. */
int port_find(struct io *io, uint16_t *ret_port);

#endif
