#include "store/journal_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SEGMENT_BYTES = 64 << 20,
    SEGMENT_BYTES_MIN = 4 << 10,
    SEGMENT_BYTES_MAX = 1 << 30,
    ALLOCATE_BYTES = 1 << 20,
    RECORD_MAX = 8 << 20,
    PENDING_MAX = 16 << 20,
    SYNC_INTERVAL_MS = 1000,
    SPARE_MAX = 1 << 20, /* a batch's buffer that is larger is not kept for the next one */
};

const struct metric store_metric_table[] = {
#define COUNTER(field, name, help) \
    {name, help, METRIC_COUNTER, offsetof(struct store_metrics, field)},
#define GAUGE(field, name, help) {name, help, METRIC_GAUGE, offsetof(struct store_metrics, field)},
#define HISTOGRAM(field, name, help) \
    {name, help, METRIC_HISTOGRAM, offsetof(struct store_metrics, field)},
#include "store/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};
const size_t store_metric_count = sizeof store_metric_table / sizeof store_metric_table[0];

int journal_path(const char *dir, const char *name, char ret_path[JOURNAL_PATH])
{
    int n = snprintf(ret_path, JOURNAL_PATH, "%s/%s", dir, name);
    return n > 0 && n < JOURNAL_PATH ? 0 : ERR_TOO_BIG;
}

/* ---- segments in memory ---- */

struct segment *journal_add_segment(struct journal *journal, uint64_t first, uint64_t salt)
{
    if (journal->segment_count == journal->segment_size) {
        size_t size = journal->segment_size ? journal->segment_size * 2 : 8;
        struct segment *segments = realloc(journal->segments, size * sizeof *segments);
        if (!segments) return NULL;
        journal->segments = segments;
        journal->segment_size = size;
    }
    struct segment *segment = &journal->segments[journal->segment_count++];
    *segment = (struct segment){.first = first, .salt = salt, .end = SEGMENT_HEADER};
    return segment;
}

int segment_note(struct segment *segment, uint64_t seq, uint64_t offset)
{
    uint64_t last = segment->point_count ? segment->points[segment->point_count - 1].offset : 0;
    if (segment->point_count > 0 && offset - last < JOURNAL_POINT_EVERY) return 0;
    if (segment->point_count == segment->point_size) {
        size_t size = segment->point_size ? segment->point_size * 2 : 4;
        struct segment_point *points = realloc(segment->points, size * sizeof *points);
        if (!points) return ERR_NOMEM;
        segment->points = points;
        segment->point_size = size;
    }
    segment->points[segment->point_count++] =
        (struct segment_point){(uint32_t)(seq - segment->first), (uint32_t)offset};
    return 0;
}

/* ---- batches ---- */

static void batch_free(struct batch *batch)
{
    if (!batch) return;
    buf_release(&batch->data);
    free(batch);
}

static void batch_give_back(struct journal *journal, struct batch *batch)
{
    if (journal->spare || batch->data.size > SPARE_MAX) {
        batch_free(batch);
        return;
    }
    buf_clear(&batch->data);
    journal->spare = batch;
}

/* The batch that the next record of `size` bytes joins. */
static struct batch *batch_for(struct journal *journal, size_t size)
{
    bool roll = journal->fill + size > journal->options.segment_bytes;
    if (!list_empty(&journal->batches) && !roll) {
        return CONTAINER_OF(journal->batches.prev, struct batch, link);
    }
    struct batch *batch = journal->spare;
    journal->spare = NULL;
    if (!batch) {
        batch = calloc(1, sizeof *batch);
        if (!batch) return NULL;
        buf_init(&batch->data, journal->options.pending_max);
    }
    list_init(&batch->link);
    list_push(&journal->batches, &batch->link);
    batch->first = journal->next;
    batch->count = 0;
    batch->roll = roll;
    if (roll) journal->fill = SEGMENT_HEADER;
    return batch;
}

/* Hands every record of the batch to the owner. */
static void batch_tell(struct journal *journal, struct batch *batch, int result)
{
    struct bytes data = buf_bytes(&batch->data);
    for (size_t at = 0; at < data.len;) {
        struct segment_record record;
        segment_record_peek(data.data + at, &record);
        const struct journal_record told = {record.seq, record.payload};
        if (journal->options.appended) {
            journal->options.appended(journal->options.context, &told, result);
        }
        at += record.size;
    }
}

/* ---- commit ---- */

static void commit_run(struct io_job *job)
{
    struct journal *journal = CONTAINER_OF(job, struct journal, commit_job);
    struct batch *batch = journal->current;
    int r = 0;
    if (batch && batch->roll) r = writer_roll(&journal->writer, batch->first, journal->commit_salt);
    if (r == 0) {
        struct bytes data = batch ? buf_bytes(&batch->data) : BYTES("");
        uint64_t first = batch ? batch->first : journal->last + 1;
        r = writer_write(&journal->writer, (char *)data.data, data.len, first,
                         journal->commit_sync);
    }
    journal->commit_result = r;
}

/* The job may have begun a segment, also when it could not write to it then. */
static int note_segment(struct journal *journal)
{
    const struct writer *writer = &journal->writer;
    if (journal->segments[journal->segment_count - 1].first == writer->first) return 0;
    journal->metrics->segments_made++;
    return journal_add_segment(journal, writer->first, writer->salt) ? 0 : ERR_NOMEM;
}

/* Puts what the job has written into the books. */
static int note_batch(struct journal *journal, const struct batch *batch)
{
    struct segment *segment = &journal->segments[journal->segment_count - 1];
    struct bytes data = buf_bytes(&batch->data);
    uint64_t seq = batch->first, offset = segment->end;
    for (size_t at = 0; at < data.len; seq++) {
        struct segment_record record;
        segment_record_peek(data.data + at, &record);
        int r = segment_note(segment, seq, offset + at);
        if (r < 0) return r;
        at += record.size;
    }
    segment->end = offset + data.len;
    return 0;
}

static void fail_all(struct journal *journal, int result)
{
    if (result == ERR_NO_SPACE) {
        journal->metrics->no_space++;
    } else {
        journal->metrics->failures++;
        journal->status = result;
        LOG(journal->options.log, LOG_ERROR, "journal_failed", LOG_S("dir", journal->dir),
            LOG_ERR(result));
    }
    struct list failed;
    list_init(&failed);
    if (journal->current) list_push(&failed, &journal->current->link);
    journal->current = NULL;
    list_splice(&failed, &journal->batches);
    journal->next = journal->last + 1;
    journal->fill = journal->writer.offset;
    journal->metrics->pending_bytes -= journal->pending;
    journal->pending = 0;
    for (struct list *link; (link = list_pop(&failed));) {
        struct batch *batch = CONTAINER_OF(link, struct batch, link);
        batch_tell(journal, batch, result);
        batch_give_back(journal, batch);
    }
}

static void succeed(struct journal *journal)
{
    uint64_t now = io_now_ns(journal->io);
    journal->metrics->commits++;
    histogram_add(&journal->metrics->commit_duration, (now - journal->commit_started_ns) / 1000);
    journal->unsynced = !journal->commit_sync;
    if (journal->commit_sync) journal->synced_ns = now;
    struct batch *batch = journal->current;
    if (!batch) return;
    journal->current = NULL;
    size_t size = buf_len(&batch->data);
    journal->last = batch->first + batch->count - 1;
    journal->pending -= size;
    journal->metrics->pending_bytes -= size;
    batch_tell(journal, batch, 0);
    batch_give_back(journal, batch);
}

static void commit_done(struct io_job *job)
{
    struct journal *journal = CONTAINER_OF(job, struct journal, commit_job);
    journal->committing = false;
    int r = journal->commit_result;
    int noted = note_segment(journal);
    if (r == 0) r = noted;
    if (r == 0 && journal->current) r = note_batch(journal, journal->current);
    journal->calling = true;
    if (r == 0) {
        succeed(journal);
    } else {
        fail_all(journal, r);
    }
    journal->calling = false;
    if (!list_empty(&journal->batches)) io_defer(journal->io, &journal->commit_task);
    if (journal->unsynced && journal->options.sync == JOURNAL_SYNC_INTERVAL &&
        !journal->sync_timer.armed) {
        io_timer_set(journal->io, &journal->sync_timer, journal->options.sync_interval_ms);
    }
    journal_settle(journal);
}

/* Makes the batch that waits the one that is written. */
static void commit_begin(struct journal *journal, bool sync)
{
    struct list *link = list_pop(&journal->batches);
    journal->current = link ? CONTAINER_OF(link, struct batch, link) : NULL;
    journal->committing = true;
    journal->commit_sync = sync;
    journal->commit_salt = io_random_u64(journal->io);
    journal->commit_started_ns = io_now_ns(journal->io);
}

static void commit_start(struct journal *journal, bool sync)
{
    commit_begin(journal, sync);
    io_job_submit(journal->io, &journal->commit_job);
}

static void commit_task(struct io_task *task)
{
    struct journal *journal = CONTAINER_OF(task, struct journal, commit_task);
    if (journal->committing || list_empty(&journal->batches)) return;
    uint64_t interval_ns = journal->options.sync_interval_ms * UINT64_C(1000000);
    bool due = journal->options.sync == JOURNAL_SYNC_INTERVAL &&
               io_now_ns(journal->io) - journal->synced_ns >= interval_ns;
    commit_start(journal, due || journal->options.sync == JOURNAL_SYNC_EACH);
}

/* JOURNAL_SYNC_INTERVAL: what was written last is synced even if nothing follows. */
static void sync_due(struct io_timer *timer)
{
    struct journal *journal = CONTAINER_OF(timer, struct journal, sync_timer);
    if (journal->committing || !journal->unsynced || journal->status < 0) return;
    commit_start(journal, true);
}

int journal_append(struct journal *journal, const struct iovec *parts, int count, uint64_t *ret_seq)
{
    if (journal->closing) return ERR_CLOSED;
    if (journal->status < 0) return journal->status;
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > journal->options.record_max - len) return ERR_TOO_BIG;
        len += parts[i].iov_len;
    }
    size_t size = segment_record_size(len);
    if (size > journal->options.pending_max - journal->pending) {
        journal->metrics->refused++;
        return ERR_FULL;
    }
    uint64_t fill = journal->fill;
    struct batch *batch = batch_for(journal, size);
    char *at = batch ? buf_reserve(&batch->data, size) : NULL;
    if (!at) {
        if (batch) batch->data.failed = false;
        if (batch && batch->count == 0) {
            list_remove(&batch->link);
            batch_give_back(journal, batch);
            journal->fill = fill;
        }
        return ERR_NOMEM;
    }
    segment_record_begin(at, journal->next, (uint32_t)len);
    at += SEGMENT_RECORD_HEADER;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    buf_commit(&batch->data, size);
    batch->count++;
    *ret_seq = journal->next++;
    journal->fill += size;
    journal->pending += size;
    journal->metrics->appends++;
    journal->metrics->append_bytes += size;
    journal->metrics->pending_bytes += size;
    if (!journal->committing) io_defer(journal->io, &journal->commit_task);
    return 0;
}

int journal_flush(struct journal *journal)
{
    if (journal->committing) return ERR_FULL;
    while (!list_empty(&journal->batches)) {
        commit_begin(journal, true);
        commit_run(&journal->commit_job);
        int r = journal->commit_result;
        commit_done(&journal->commit_job);
        if (r < 0) return r;
    }
    return journal->status;
}

uint64_t journal_first(const struct journal *journal)
{
    return journal->segments[0].first;
}

uint64_t journal_last(const struct journal *journal)
{
    return journal->last;
}

uint64_t journal_next(const struct journal *journal)
{
    return journal->next;
}

int journal_status(const struct journal *journal)
{
    return journal->status;
}

uint64_t journal_bytes(const struct journal *journal)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < journal->segment_count; i++) {
        bytes += journal->segments[i].end - SEGMENT_HEADER;
    }
    return bytes;
}

/* ---- lifecycle ---- */

static void close_task(struct io_task *task)
{
    struct journal *journal = CONTAINER_OF(task, struct journal, close_task);
    void (*closed)(void *) = journal->closed;
    void *context = journal->closed_context;
    journal_free(journal);
    if (closed) closed(context);
}

void journal_settle(struct journal *journal)
{
    if (!journal->closing || journal->calling) return;
    if (journal->committing || journal->reads || journal->snapshot.busy || journal->trim.busy) {
        return;
    }
    if (!list_empty(&journal->batches)) return;
    if (journal->unsynced && journal->status == 0 && journal->options.sync != JOURNAL_SYNC_NEVER) {
        commit_start(journal, true);
        return;
    }
    io_post(journal->io, &journal->close_task);
}

void journal_close(struct journal *journal, void (*done)(void *context), void *context)
{
    journal->closing = true;
    journal->closed = done;
    journal->closed_context = context;
    journal_settle(journal);
}

int journal_make(struct io *io, const struct journal_options *options, struct journal **ret)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal) return ERR_NOMEM;
    journal->io = io;
    journal->options = *options;
    struct journal_options *o = &journal->options;
    if (!o->segment_bytes) o->segment_bytes = SEGMENT_BYTES;
    if (o->segment_bytes < SEGMENT_BYTES_MIN) o->segment_bytes = SEGMENT_BYTES_MIN;
    if (o->segment_bytes > SEGMENT_BYTES_MAX) o->segment_bytes = SEGMENT_BYTES_MAX;
    if (!o->allocate_bytes) o->allocate_bytes = ALLOCATE_BYTES;
    if (o->allocate_bytes > o->segment_bytes) o->allocate_bytes = o->segment_bytes;
    if (!o->record_max) o->record_max = RECORD_MAX;
    if (o->record_max > o->segment_bytes / 2) o->record_max = (size_t)o->segment_bytes / 2;
    if (!o->pending_max) o->pending_max = PENDING_MAX;
    if (o->pending_max < segment_record_size(o->record_max)) {
        o->pending_max = segment_record_size(o->record_max);
    }
    if (!o->sync_interval_ms) o->sync_interval_ms = SYNC_INTERVAL_MS;
    journal->metrics = o->metrics ? o->metrics : &journal->own_metrics;
    list_init(&journal->batches);
    io_task_init(&journal->commit_task, commit_task);
    io_task_init(&journal->close_task, close_task);
    io_timer_init(&journal->sync_timer, sync_due);
    journal->commit_job = (struct io_job){.run = commit_run, .done = commit_done};
    buf_init(&journal->snapshot.data, SIZE_MAX);
    journal->dir = strdup(options->dir);
    if (!journal->dir) {
        journal_free(journal);
        return ERR_NOMEM;
    }
    journal->writer = (struct writer){
        .io = io,
        .dir = journal->dir,
        .segment_bytes = o->segment_bytes,
        .allocate_bytes = o->allocate_bytes,
    };
    *ret = journal;
    return 0;
}

void journal_free(struct journal *journal)
{
    if (!journal) return;
    io_timer_cancel(journal->io, &journal->sync_timer);
    io_task_cancel(journal->io, &journal->commit_task);
    io_task_cancel(journal->io, &journal->close_task);
    writer_close(&journal->writer);
    for (struct list *link; (link = list_pop(&journal->batches));) {
        batch_free(CONTAINER_OF(link, struct batch, link));
    }
    batch_free(journal->current);
    batch_free(journal->spare);
    for (size_t i = 0; i < journal->segment_count; i++) free(journal->segments[i].points);
    free(journal->segments);
    buf_release(&journal->snapshot.data);
    free(journal->trim.firsts);
    free(journal->dir);
    free(journal);
}
