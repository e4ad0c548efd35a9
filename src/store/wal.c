#include "store/wal.h"

#include <stdlib.h>

struct wal {
    struct io *io;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

static void close_task(struct io_task *task)
{
    struct wal *wal = CONTAINER_OF(task, struct wal, close_task);
    void (*closed)(void *) = wal->closed;
    void *context = wal->closed_context;
    wal_free(wal);
    if (closed) closed(context);
}

int wal_open(struct io *io, const struct wal_options *options, struct wal **ret_wal,
             struct error *error)
{
    int r = io_mkdir(io, options->dir);
    struct wal *wal = r == 0 ? calloc(1, sizeof *wal) : NULL;
    *ret_wal = wal;
    if (r == 0 && !wal) r = ERR_NOMEM;
    if (r < 0) {
        error_set(error, r, "cannot open the commit log: %s", err_text(r));
        error_at(error, options->dir, 0, 0);
        return r;
    }
    wal->io = io;
    io_task_init(&wal->close_task, close_task);
    return 0;
}

void wal_close(struct wal *wal, void (*done)(void *context), void *context)
{
    wal->closed = done;
    wal->closed_context = context;
    io_post(wal->io, &wal->close_task);
}

void wal_free(struct wal *wal)
{
    if (!wal) return;
    io_task_cancel(wal->io, &wal->close_task);
    free(wal);
}

int wal_status(const struct wal *wal)
{
    return 0;
}
