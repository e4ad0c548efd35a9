/* child: one process that the parent runs for the worker, with its two output pipes. */
#ifndef DURE_RUN_CHILD_H
#define DURE_RUN_CHILD_H

#include "io/io.h"
#include "run/output.h"

#include <jansson.h>

struct child {
    struct io_process process;
    struct output out, err;
    int open_outputs;
    bool exited;
    int status;  /* as of waitpid(2) */
    json_t *tag; /* the worker's own note about it, given back to the next worker */
    struct list link;
    void (*exit)(struct child *child);
    void (*gone)(struct child *child);
    void *owner;
    char id[128]; /* the worker's name for it, unique among the living */
};

/* Starts what a spawn message asks for (see control.h); `file` is where its output goes. `exit`
 * runs when the process has ended, and what it left behind in its process group is killed; `gone`
 * after that, when its output has ended too (a grandchild in a group of its own may hold the pipes
 * open for longer), and then the owner calls child_free. On an error, `error`
 * says which program and why, and neither runs. */
int child_new(struct io *io, json_t *request, struct output_file *file, void *owner,
              void (*exit)(struct child *child), void (*gone)(struct child *child),
              struct child **ret_child, struct error *error);

void child_free(struct child *child);

#endif
