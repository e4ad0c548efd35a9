/* The way of a batch: gathered, on its way to the disk, told. A journal without a wal commits for
 * itself, one batch at a time; on a wal up to JOURNAL_FLYING batches are under way, and the wal
 * calls journal_deliver when they are durable. */
#include "store/journal_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "store/wal_impl.h"

enum {
    SPARE_MAX = 128 << 10, /* a batch's buffer that is larger is not kept for the next one */
    SPARE_IDLE_MAX = 16 << 10,
};

static const uint64_t full_said_ns = 60000000000;

/* ---- batches ---- */

static void batch_free(struct batch *batch)
{
    if (!batch) return;
    buf_release(&batch->data);
    free(batch);
}

static void give_back(struct journal *journal, struct batch *batch)
{
    size_t max = journal_idle(journal) ? SPARE_IDLE_MAX : SPARE_MAX;
    if (journal->spare || batch->data.size > max) {
        batch_free(batch);
        return;
    }
    buf_clear(&batch->data);
    journal->spare = batch;
}

struct batch *journal_batch(struct journal *journal, size_t size)
{
    bool full = journal->fill + size > journal->options.segment_bytes;
    bool roll = full || (journal->roll_next && journal->fill > SEGMENT_HEADER);
    if (!list_empty(&journal->batches) && !roll) {
        struct batch *last = CONTAINER_OF(journal->batches.prev, struct batch, link);
        if (buf_len(&last->data) + size <= journal->batch_max) return last;
    }
    struct batch *batch = journal->spare;
    journal->spare = NULL;
    if (!batch) {
        batch = calloc(1, sizeof *batch);
        if (!batch) return NULL;
        buf_init(&batch->data, journal->options.pending_max);
        batch->journal = journal;
    }
    list_init(&batch->link);
    list_push(&journal->batches, &batch->link);
    batch->first = journal->next;
    batch->count = 0;
    batch->roll = roll;
    batch->may_stay = !full;
    batch->told = batch->must_sync = false;
    if (roll) {
        journal->fill = SEGMENT_HEADER;
        journal->roll_next = false;
    }
    return batch;
}

void journal_unbatch(struct journal *journal, struct batch *batch)
{
    list_remove(&batch->link);
    give_back(journal, batch);
}

struct batch *journal_take(struct journal *journal, bool sync)
{
    if (list_empty(&journal->batches) || journal->flying_count == JOURNAL_FLYING) return NULL;
    struct batch *batch = CONTAINER_OF(journal->batches.next, struct batch, link);
    bool begins = batch->roll || !journal->made;
    if (journal->flying_count > 0 && (begins || journal->flying[0]->roll)) return NULL;
    list_remove(&batch->link);
    journal->flying[journal->flying_count++] = batch;
    batch->sync = sync;
    batch->synced_next = journal->synced_next;
    batch->roll_salt = batch->roll ? io_random_u64(journal->io) : 0;
    return batch;
}

/* Hands every record of the batch to the owner. */
static void tell(struct journal *journal, struct batch *batch, int result)
{
    if (!journal->options.appended) return;
    struct bytes data = buf_bytes(&batch->data);
    struct segment_record record = {0};
    for (size_t at = 0; at < data.len; at += record.size) {
        segment_record_peek(data.data + at, &record);
        const struct journal_record told = {record.seq, record.payload};
        journal->options.appended(journal->options.context, &told, result);
    }
    if (result == 0) {
        journal_digest_note(journal, batch->offset + data.len - record.size, record.hash);
    }
}

/* ---- the books ---- */

/* The job may have begun a segment, also when it could not write to it then. */
static int note_segment(struct journal *journal, const struct batch *batch)
{
    if (journal->segments[journal->segment_count - 1].first == batch->segment_first) return 0;
    journal->metrics->segments_made++;
    journal_digest_seal(journal);
    if (!journal_add_segment(journal, batch->segment_first, batch->segment_salt)) return ERR_NOMEM;
    journal_digest_segment(journal, batch->segment_first);
    return 0;
}

/* Most batches are smaller than the distance of two points, and have none. */
static int note_records(struct journal *journal, const struct batch *batch)
{
    struct segment *segment = &journal->segments[journal->segment_count - 1];
    struct bytes data = buf_bytes(&batch->data);
    uint64_t seq = batch->first, offset = batch->offset;
    assert(segment->end == offset);
    segment->end = offset + data.len;
    const struct segment_point *last =
        segment->point_count ? &segment->points[segment->point_count - 1] : NULL;
    if (last && segment->end - last->offset <= JOURNAL_POINT_EVERY) return 0;
    for (size_t at = 0; at < data.len; seq++) {
        struct segment_record record;
        segment_record_peek(data.data + at, &record);
        int r = segment_note(segment, seq, offset + at);
        if (r < 0) return r;
        at += record.size;
    }
    return 0;
}

/* Said again each minute in which something is refused. */
static void say_full(struct journal *journal)
{
    uint64_t now = io_now_ns(journal->io);
    journal->metrics->no_space++;
    if (now < journal->say_full_ns) return;
    journal->say_full_ns = now + full_said_ns;
    LOG(journal->options.log, LOG_ERROR, "disk_full", LOG_S("dir", journal->dir),
        LOG_S("consequence", "what is to be stored here is refused until there is room"));
}

/* What is under way stays there until its job is done, but is told now. */
void journal_fail(struct journal *journal, int result)
{
    if (result == ERR_NO_SPACE) {
        say_full(journal);
    } else if (journal->status == 0) {
        journal->metrics->failures++;
        journal->status = result;
        LOG(journal->options.log, LOG_ERROR, "journal_failed", LOG_S("dir", journal->dir),
            LOG_ERR(result));
    }
    struct list failed;
    list_init(&failed);
    list_splice(&failed, &journal->batches);
    journal->next = journal->last + 1;
    journal->metrics->pending_bytes -= journal->pending;
    journal->pending = 0;
    bool calling = journal->calling;
    journal->calling = true;
    for (int i = 0; i < journal->flying_count; i++) {
        struct batch *batch = journal->flying[i];
        if (batch->told) continue;
        batch->told = true;
        tell(journal, batch, result);
    }
    for (struct list *link; (link = list_pop(&failed));) {
        struct batch *batch = CONTAINER_OF(link, struct batch, link);
        tell(journal, batch, result);
        give_back(journal, batch);
    }
    journal->calling = calling;
}

/* The log has made the journal. From here on its own policy holds. */
static void begun(struct journal *journal)
{
    journal->made = true;
    if (journal->options.sync != JOURNAL_SYNC_EACH) journal_leave_log(journal);
}

static void succeed(struct journal *journal, struct batch *batch)
{
    size_t size = buf_len(&batch->data);
    journal->last = batch->first + batch->count - 1;
    if (batch->sync || journal->wal) journal->synced_next = journal->last + 1;
    if (!journal->made) begun(journal);
    journal->pending -= size;
    journal->metrics->pending_bytes -= size;
    tell(journal, batch, 0);
    journal_digest_due(journal);
}

void journal_deliver(struct journal *journal, struct batch *batch)
{
    assert(journal->flying_count > 0 && journal->flying[0] == batch);
    journal->calling = true;
    if (!batch->told) {
        int r = batch->result, noted = note_segment(journal, batch);
        if (r == 0) r = noted;
        if (r == 0) r = note_records(journal, batch);
        if (r < 0) {
            journal->fill = batch->offset;
            journal_fail(journal, r);
        } else {
            if (batch->roll)
                journal->fill += batch->offset - SEGMENT_HEADER; /* it may have stayed */
            succeed(journal, batch);
        }
    }
    journal->calling = false;
    journal->flying[0] = journal->flying[1];
    journal->flying[--journal->flying_count] = NULL;
    give_back(journal, batch);
    if (!list_empty(&journal->batches)) journal_wake(journal);
}

void journal_leave_log(struct journal *journal)
{
    list_remove(&journal->wal_link);
    journal->wal = NULL;
    journal->batch_max = SIZE_MAX;
    journal->writer.logged = false;
    journal->writer.zeros = journal->options.sync != JOURNAL_SYNC_NEVER;
}

/* ---- committing for itself ---- */

/* A file of a journal could not be synced, and this may be the one: the system has forgotten what
 * it could not write, of records that stand before those of this batch. */
static bool in_doubt(const struct writer *writer)
{
    return writer->doubt && atomic_load_explicit(writer->doubt, memory_order_acquire);
}

static void commit_run(struct io_job *job)
{
    struct journal *journal = CONTAINER_OF(job, struct journal, commit_job);
    struct writer *writer = &journal->writer;
    int r = 0;
    if (journal->flying_count > 0) {
        r = writer_put(writer, journal->flying[0]);
    } else {
        r = writer_sync(writer) < 0 ? ERR_IO : 0;
    }
    if (r == 0 && in_doubt(writer)) r = ERR_IO;
    if (journal->flying_count > 0) journal->flying[0]->result = r;
    if (r == 0 && journal->commit_sync && journal->synced_last) {
        const struct segment_mark mark = {writer->next, writer->offset};
        (void)writer_mark(&writer->file, writer->salt, &mark); /* without it opening takes longer */
    }
    journal->commit_result = r;
}

static void commit_done(struct io_job *job)
{
    struct journal *journal = CONTAINER_OF(job, struct journal, commit_job);
    uint64_t now = io_now_ns(journal->io);
    int r = journal->commit_result;
    journal->committing = false;
    if (r == 0) {
        journal->metrics->commits++;
        histogram_add(&journal->metrics->commit_duration,
                      (now - journal->commit_started_ns) / 1000);
        journal->unsynced = !journal->commit_sync && !journal->wal;
        if (journal->commit_sync) journal->synced_ns = now;
        if (journal->commit_sync) journal->synced_next = journal->last + 1;
    }
    if (journal->flying_count > 0) {
        journal_deliver(journal, journal->flying[0]);
    } else if (r < 0) {
        journal_fail(journal, r);
    } else if (!list_empty(&journal->batches)) {
        journal_wake(journal); /* they came during a sync alone */
    }
    if (journal->unsynced && journal->options.sync == JOURNAL_SYNC_INTERVAL &&
        !journal->sync_timer.armed) {
        io_timer_set(journal->io, &journal->sync_timer, journal->options.sync_interval_ms);
    }
    journal_settle(journal);
}

static void commit_begin(struct journal *journal, bool sync)
{
    (void)journal_take(journal, sync);
    journal->committing = true;
    journal->commit_sync = sync;
    journal->commit_started_ns = io_now_ns(journal->io);
}

void journal_sync_start(struct journal *journal)
{
    commit_begin(journal, true);
    io_job_submit(journal->io, &journal->commit_job);
}

static void commit_task(struct io_task *task)
{
    struct journal *journal = CONTAINER_OF(task, struct journal, commit_task);
    if (journal->committing || list_empty(&journal->batches)) return;
    uint64_t interval_ns = journal->options.sync_interval_ms * UINT64_C(1000000);
    bool due = journal->options.sync == JOURNAL_SYNC_INTERVAL &&
               io_now_ns(journal->io) - journal->synced_ns >= interval_ns;
    bool must = CONTAINER_OF(journal->batches.next, struct batch, link)->must_sync;
    commit_begin(journal, due || must || journal->options.sync == JOURNAL_SYNC_EACH);
    io_job_submit(journal->io, &journal->commit_job);
}

/* JOURNAL_SYNC_INTERVAL: what was written last is synced even if nothing follows. */
static void sync_due(struct io_timer *timer)
{
    struct journal *journal = CONTAINER_OF(timer, struct journal, sync_timer);
    if (journal->committing || !journal->unsynced || journal->status < 0) return;
    journal_sync_start(journal);
}

void journal_wake(struct journal *journal)
{
    if (journal->wal) {
        wal_want(journal->wal, journal);
    } else if (!journal->committing) {
        io_defer(journal->io, &journal->commit_task);
    }
}

/* Through the journal's own files, whether there is a wal or not: what is synced in them needs no
 * other place. */
int journal_flush(struct journal *journal)
{
    if (journal->committing || journal->flying_count > 0) return ERR_FULL;
    while (!list_empty(&journal->batches)) {
        commit_begin(journal, true);
        commit_run(&journal->commit_job);
        int r = journal->commit_result;
        commit_done(&journal->commit_job);
        if (r < 0) return r;
    }
    return journal->status;
}

void journal_sync_last(struct journal *journal)
{
    if (list_empty(&journal->batches)) return;
    CONTAINER_OF(journal->batches.prev, struct batch, link)->must_sync = true;
}

bool journal_idle(const struct journal *journal)
{
    return !journal->committing && journal->flying_count == 0 && list_empty(&journal->batches);
}

void journal_commit_init(struct journal *journal)
{
    list_init(&journal->batches);
    list_init(&journal->wal_link);
    list_init(&journal->scrub_link);
    io_task_init(&journal->commit_task, commit_task);
    io_timer_init(&journal->sync_timer, sync_due);
    journal->commit_job = (struct io_job){.run = commit_run, .done = commit_done};
}

void journal_commit_release(struct journal *journal)
{
    io_timer_cancel(journal->io, &journal->sync_timer);
    io_task_cancel(journal->io, &journal->commit_task);
    list_remove(&journal->wal_link);
    scrub_remove(journal->scrub, journal);
    for (struct list *link; (link = list_pop(&journal->batches));) {
        batch_free(CONTAINER_OF(link, struct batch, link));
    }
    for (int i = 0; i < journal->flying_count; i++) batch_free(journal->flying[i]);
    batch_free(journal->spare);
}
