#include "run/port.h"

enum { TRIES = 200 };

static void not_taken(struct io_listener *listener)
{
    /* A connection to a port that is only being tried is closed: io does that for what is not
     * taken. */
}

int port_find(struct io *io, uint16_t *ret_port)
{
    struct io_addr addr = {.family = IO_IPV4, .ip = {127, 0, 0, 1}};
    for (int i = 0; i < TRIES; i++) {
        struct io_listener listener;
        addr.port = (uint16_t)(PORT_FIRST + io_random_u64(io) % (PORT_LAST - PORT_FIRST + 1));
        if (io_listen(io, &listener, &addr, NULL, not_taken) != 0) continue;
        io_listener_close(&listener);
        *ret_port = addr.port;
        return 0;
    }
    return ERR_IN_USE;
}
