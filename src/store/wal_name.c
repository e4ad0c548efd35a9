/* New segments get their names when the frame that made them is durable, and every one before it:
 * whatever bears a name, the log knows, and makes again if it is lost. So a file that
 * has a name and no good header is damage, never a leftover of a crash. Their owners are told when
 * that is done. */
#include "store/wal_impl.h"

static void name_run(struct io_job *job)
{
    struct wal_naming *naming = CONTAINER_OF(job, struct wal_naming, job);
    naming->result = 0;
    LIST_EACH(&naming->batches, struct batch, link, batch) {
        if (naming->result < 0) break;
        naming->result = writer_name(&batch->journal->writer, batch->roll);
    }
}

static void start(struct wal *wal)
{
    struct wal_naming *naming = &wal->naming;
    if (naming->busy || list_empty(&naming->waiting)) return;
    naming->busy = true;
    list_splice(&naming->batches, &naming->waiting);
    io_job_submit(wal->io, &naming->job);
}

static void name_done(struct io_job *job)
{
    struct wal_naming *naming = CONTAINER_OF(job, struct wal_naming, job);
    struct wal *wal = CONTAINER_OF(naming, struct wal, naming);
    naming->busy = false;
    if (naming->result < 0) wal_fail(wal, ERR_IO, "name");
    for (struct list *link; (link = list_pop(&naming->batches));) {
        struct batch *batch = CONTAINER_OF(link, struct batch, link);
        batch->file->commits--;
        wal_tell_batch(wal, batch->file, batch);
    }
    start(wal);
    wal_tick(wal);
}

void wal_name(struct wal *wal, struct wal_file *file, struct batch *batch)
{
    batch->file = file;
    file->commits++; /* no checkpoint before the names are there */
    list_push(&wal->naming.waiting, &batch->link);
    start(wal);
}

void wal_name_fail(struct wal *wal, int result)
{
    LIST_EACH(&wal->naming.waiting, struct batch, link, batch) journal_fail(batch->journal, result);
    LIST_EACH(&wal->naming.batches, struct batch, link, batch) journal_fail(batch->journal, result);
}

void wal_name_init(struct wal *wal)
{
    list_init(&wal->naming.waiting);
    list_init(&wal->naming.batches);
    wal->naming.job = (struct io_job){.run = name_run, .done = name_done};
}
