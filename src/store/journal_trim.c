#include "store/journal_impl.h"

#include <stdlib.h>

enum { ROLL_MIN = 256 << 10 };

uint64_t journal_second_segment(const struct journal *journal)
{
    return journal->segment_count > 1 ? journal->segments[1].first : 0;
}

void journal_roll(struct journal *journal)
{
    uint64_t quarter = journal->options.segment_bytes / 4;
    uint64_t worth = quarter < ROLL_MIN ? quarter : ROLL_MIN;
    if (journal->made && journal->fill >= worth) journal->roll_next = true;
}

/* A digest that stays behind is removed at the next start. */
static int remove_segment(struct journal *journal, uint64_t first)
{
    char name[SEGMENT_NAME], path[JOURNAL_PATH];
    int r = 0;
    if (journal->digest) {
        digest_name(first, name);
        r = journal_path(journal->dir, name, path);
        if (r == 0) (void)io_unlink(journal->io, path);
    }
    segment_name(first, name);
    if (r == 0) r = journal_path(journal->dir, name, path);
    return r == 0 ? io_unlink(journal->io, path) : r;
}

/* Oldest first, and each removal durable before the next: what a crash leaves has no gap. The
 * names of later segments are durable before that, and removals before the journal was opened. */
static void trim_run(struct io_job *job)
{
    struct trim_job *trim = CONTAINER_OF(job, struct trim_job, job);
    struct journal *journal = CONTAINER_OF(trim, struct journal, trim);
    int r = io_sync_dir(journal->io, journal->dir);
    for (size_t i = 0; r == 0 && i < trim->count; i++) {
        r = remove_segment(journal, trim->firsts[i]);
        if (r == 0 || r == ERR_NOT_FOUND) r = io_sync_dir(journal->io, journal->dir);
    }
    trim->result = r;
}

/* After a failure nothing more is removed, so that there is never a gap; the files stay until the
 * journal is opened anew. */
static void trim_done(struct io_job *job)
{
    struct trim_job *trim = CONTAINER_OF(job, struct trim_job, job);
    struct journal *journal = CONTAINER_OF(trim, struct journal, trim);
    free(trim->firsts);
    trim->firsts = NULL;
    trim->busy = false;
    if (trim->result < 0) {
        LOG(journal->options.log, LOG_ERROR, "journal_trim_failed", LOG_S("dir", journal->dir),
            LOG_ERR(trim->result));
    }
    if (!journal->closing) journal_trim_run(journal);
    journal_settle(journal);
}

void journal_trim_run(struct journal *journal)
{
    struct trim_job *trim = &journal->trim;
    if (trim->busy || trim->result < 0) return;
    size_t drop = 0;
    while (drop + 1 < journal->segment_count &&
           journal->segments[drop + 1].first <= journal->trim_before) {
        drop++;
    }
    if (drop == 0) return;
    trim->firsts = malloc(drop * sizeof *trim->firsts);
    if (!trim->firsts) return; /* tried again at the next trim */
    for (size_t i = 0; i < drop; i++) {
        trim->firsts[i] = journal->segments[i].first;
        free(journal->segments[i].points);
    }
    journal->segment_count -= drop;
    memmove(journal->segments, journal->segments + drop,
            journal->segment_count * sizeof *journal->segments);
    journal->metrics->segments_dropped += drop;
    trim->count = drop;
    trim->busy = true;
    trim->job.run = trim_run;
    trim->job.done = trim_done;
    io_job_submit(journal->io, &trim->job);
}

void journal_trim(struct journal *journal, uint64_t first_keep)
{
    if (first_keep > journal->trim_before) journal->trim_before = first_keep;
    if (!journal->closing && journal->status == 0) journal_trim_run(journal);
}
