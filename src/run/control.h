/* control: the channel between parent and worker, one end each. A Unix socket pair that carries one
 * JSON object a line, in both directions; every object has a member "op".
 *
 *   worker to parent
 *     spawn  {id, argv[], env[], dir, log, tag}  start a child; tag is kept and given back
 *     kill   {id, signal}                        signal the child's process group
 *     say    {text}                              lines for the person at the terminal
 *     table  {text}                              the whole live table, replaces the last one
 *     ready  {}                                  the worker serves
 *     keep   {what}                              give this to the next worker, in its hello
 *     stop   {}                                  somebody asked to end the system
 *   parent to worker
 *     hello    {children: [{id, pid, tag}], columns, kept}  first message to each new worker;
 *                                                columns: width of the terminal, 0: none;
 *                                                kept: as the last worker asked, or missing
 *     spawned  {id, pid}
 *     exit     {id, status, error}               status as of waitpid(2), or error: why no spawn
 *     columns  {columns}                         the terminal's width is another now
 *     stop     {}                                end all children, then yourself
 *
 * Owned by its user; `closed` comes once, when the other end is gone or broke the protocol. */
#ifndef DURE_RUN_CONTROL_H
#define DURE_RUN_CONTROL_H

#include "base/buf.h"
#include "io/io.h"

#include <jansson.h>

struct control {
    struct io_stream stream;
    struct buf in;     /* bytes of lines that are not whole yet */
    struct buf out[2]; /* one is being sent, the other gathers */
    int gathering;
    bool sending, open, closing;
    struct iovec iov;
    void (*message)(struct control *control, const char *op, json_t *object);
    void (*closed)(struct control *control, int err);
    void *owner;
};

/* Limits: of one line (a hello lists all children and holds the texts of all manifests), and of
 * what waits for a slow other side. */
enum { CONTROL_LINE_MAX = 8 * 1024 * 1024, CONTROL_PENDING_MAX = 32 * 1024 * 1024 };

/* Takes over `fd`. `message` gets each object (borrowed). ERR_* of io_stream_adopt. */
int control_open(struct control *control, struct io *io, int fd, void *owner,
                 void (*message)(struct control *control, const char *op, json_t *object),
                 void (*closed)(struct control *control, int err));

/* Sends one object and takes over its reference (also on failure). ERR_CLOSED, ERR_FULL, ERR_NOMEM;
 * ERR_TOO_BIG: longer than a line, which the other side would take for a broken protocol. */
int control_send(struct control *control, json_t *object);

/* Closes; `closed` still comes, with ERR_CLOSED, and only then may the memory go. */
void control_close(struct control *control);

#endif
