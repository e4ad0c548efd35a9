#include "store/journal_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/wal_impl.h"

enum {
    SEGMENT_BYTES = 64 << 20,
    SEGMENT_BYTES_MIN = 4 << 10,
    SEGMENT_BYTES_MAX = 1 << 30,
    ALLOCATE_BYTES = 1 << 20,
    RECORD_MAX = 8 << 20,
    PENDING_MAX = 16 << 20,
    SYNC_INTERVAL_MS = 1000,
};

const struct metric store_metric_table[] = {
#define METRICS "store/metrics.def"
#define METRICS_OF struct store_metrics
#include "base/metric_rows.h"
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

/* ---- appending ---- */

bool journal_is_busy(const struct journal *journal)
{
    return journal->pending > journal->options.pending_max / 8;
}

int journal_append(struct journal *journal, const struct iovec *parts, int count, uint64_t *ret_seq)
{
    if (journal->closing) return ERR_CLOSED;
    if (journal_status(journal) < 0) return journal_status(journal);
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
    struct batch *batch = journal_batch(journal, size);
    char *at = batch ? buf_reserve(&batch->data, size) : NULL;
    if (!at) {
        if (batch) batch->data.failed = false;
        if (batch && batch->count == 0) {
            journal_unbatch(journal, batch);
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
    journal_wake(journal);
    return 0;
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
    if (journal->status < 0 || !journal->wal) return journal->status;
    return wal_status(journal->wal);
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
    if (!journal_idle(journal) || journal->reads || journal->snapshot.busy || journal->trim.busy ||
        journal_digest_busy(journal)) {
        return;
    }
    bool syncs = !journal->wal && journal->options.sync != JOURNAL_SYNC_NEVER && journal->made;
    if (syncs && !journal->synced_last && journal->status == 0) {
        journal->synced_last = true;
        journal_sync_start(journal);
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
    journal_commit_init(journal);
    io_task_init(&journal->close_task, close_task);
    buf_init(&journal->snapshot.data, SIZE_MAX);
    journal->batch_max = SIZE_MAX;
    journal->dir = strdup(options->dir);
    int r = journal->dir ? journal_digest_init(journal) : ERR_NOMEM;
    if (r == 0 && o->wal) r = wal_adopt(o->wal, journal);
    if (r == 0 && o->wal && o->sync != JOURNAL_SYNC_EACH) journal_leave_log(journal);
    if (r < 0) {
        journal_free(journal);
        return r;
    }
    journal->writer = (struct writer){
        .io = io,
        .dir = journal->dir,
        .root = o->wal ? o->wal->dir : NULL,
        .segment_bytes = o->segment_bytes,
        .allocate_bytes = o->allocate_bytes,
        .zeros = !journal->wal && o->sync != JOURNAL_SYNC_NEVER,
        .logged = journal->wal,
        .doubt = o->wal ? &o->wal->doubt : NULL,
    };
    *ret = journal;
    return 0;
}

void journal_free(struct journal *journal)
{
    if (!journal) return;
    io_task_cancel(journal->io, &journal->close_task);
    journal_commit_release(journal);
    writer_close(&journal->writer);
    for (size_t i = 0; i < journal->segment_count; i++) free(journal->segments[i].points);
    free(journal->segments);
    journal_digest_release(journal);
    buf_release(&journal->snapshot.data);
    free(journal->trim.firsts);
    free(journal->dir);
    free(journal);
}
