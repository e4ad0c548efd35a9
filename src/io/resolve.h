/* resolve: the addresses of a host by its name, asked of the machine's resolver on a thread of the
 * pool. A literal address needs no asking. Simulated hosts know literal addresses only. */
#ifndef DURE_IO_RESOLVE_H
#define DURE_IO_RESOLVE_H

#include "io/io.h"

enum { IO_RESOLVE_MAX = 8, IO_RESOLVE_NAME = 256 };

/* Embedded in its owner; must not move or go until done has run: it cannot be taken back. */
struct io_resolve {
    /* result 0: addrs[0 .. count - 1]. ERR_NOT_FOUND: there is no such name; ERR_UNAVAILABLE: the
     * resolver does not answer now. */
    void (*done)(struct io_resolve *resolve, int result);
    struct io_addr addrs[IO_RESOLVE_MAX];
    size_t count;

    /* private */
    struct io_job job;
    char name[IO_RESOLVE_NAME];
    uint16_t port;
    int result;
};

/* `done` runs from the loop. ERR_TOO_BIG: a name that is too long. */
int io_resolve(struct io *io, struct io_resolve *resolve, struct bytes name, uint16_t port,
               void (*done)(struct io_resolve *resolve, int result));

#endif
