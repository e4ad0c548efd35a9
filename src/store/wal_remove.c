/* Journals that are to be no more. Each is removed by a frame that says so; its files go behind
 * that in a job, and once more before the log forgets it: after a crash they may have come back. */
#include "store/folder.h"
#include "store/wal_impl.h"

#include <stdio.h>
#include <stdlib.h>

int wal_remove_files(struct wal *wal, const char *name)
{
    char dir[WAL_PATH];
    int r = journal_path(wal->dir, name, dir);
    return r == 0 ? folder_remove(wal->io, dir) : r;
}

static void free_all(struct list *removals)
{
    for (struct list *link; (link = list_pop(removals));) {
        free(CONTAINER_OF(link, struct wal_removal, link));
    }
}

/* ---- the files ---- */

static void sweep_run(struct io_job *job)
{
    struct wal_sweep *sweep = CONTAINER_OF(job, struct wal_sweep, job);
    struct wal *wal = CONTAINER_OF(sweep, struct wal, sweep);
    LIST_EACH(&sweep->removals, struct wal_removal, link, removal) {
        (void)wal_remove_files(wal, removal->name); /* the checkpoint tries again, and tells */
    }
}

static void sweep_start(struct wal *wal)
{
    struct wal_sweep *sweep = &wal->sweep;
    if (sweep->busy || list_empty(&sweep->waiting)) return;
    sweep->busy = true;
    list_splice(&sweep->removals, &sweep->waiting);
    io_job_submit(wal->io, &sweep->job);
}

static void sweep_done(struct io_job *job)
{
    struct wal_sweep *sweep = CONTAINER_OF(job, struct wal_sweep, job);
    struct wal *wal = CONTAINER_OF(sweep, struct wal, sweep);
    free_all(&sweep->removals);
    sweep->busy = false;
    sweep_start(wal);
    wal_tick(wal);
}

/* ---- the frames ---- */

int wal_remove(struct wal *wal, const char *dir, void (*done)(void *context, int result),
               void *context)
{
    struct bytes name;
    int r = wal->status < 0 ? wal->status : wal_name_of(wal, dir, &name);
    if (r < 0) return r;
    if (name.len > WAL_NAME_MAX) return ERR_TOO_BIG;
    struct wal_removal *removal = calloc(1, sizeof *removal);
    if (!removal) return ERR_NOMEM;
    removal->done = done;
    removal->context = context;
    memcpy(removal->name, name.data, name.len);
    list_push(&wal->removals, &removal->link);
    io_defer(wal->io, &wal->commit_task);
    return 0;
}

void wal_removals_tell(struct wal *wal, struct list *removals, int result)
{
    struct list told;
    list_init(&told);
    list_splice(&told, removals);
    for (struct list *link; (link = list_pop(&told));) {
        struct wal_removal *removal = CONTAINER_OF(link, struct wal_removal, link);
        void (*done)(void *, int) = removal->done;
        void *context = removal->context;
        if (result == 0) {
            list_push(&wal->sweep.waiting, link);
        } else {
            free(removal);
        }
        done(context, result);
    }
    sweep_start(wal);
}

void wal_remove_init(struct wal *wal)
{
    list_init(&wal->removals);
    list_init(&wal->sweep.waiting);
    list_init(&wal->sweep.removals);
    wal->sweep.job = (struct io_job){.run = sweep_run, .done = sweep_done};
}

void wal_remove_release(struct wal *wal)
{
    free_all(&wal->removals);
    free_all(&wal->sweep.waiting);
    free_all(&wal->sweep.removals);
    for (int i = 0; i < WAL_COMMITS; i++) free_all(&wal->commits[i].removals);
}
