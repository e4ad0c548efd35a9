#include "store/scrub.h"

#include <inttypes.h>
#include <stdlib.h>

#include "store/journal_impl.h"
#include "store/wal_impl.h"

enum { STEP = 256 << 10 };

/* ---- in the job ---- */

struct reader {
    struct io_file file;
    char *block; /* aligned */
    size_t block_size;
};

/* Past the cache: whole blocks around what is wanted. */
static int64_t read_direct(void *context, void *buf, size_t size, uint64_t offset)
{
    struct reader *reader = context;
    uint64_t from = offset / IO_ALIGN * IO_ALIGN;
    size_t skip = (size_t)(offset - from), len = (skip + size + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
    if (len > reader->block_size) {
        free(reader->block);
        reader->block = aligned_alloc(IO_ALIGN, len);
        reader->block_size = reader->block ? len : 0;
        if (!reader->block) return ERR_NOMEM;
    }
    int64_t n = io_file_read(&reader->file, reader->block, len, from);
    if (n < 0) return n;
    if ((size_t)n <= skip) return 0;
    size_t got = (size_t)n - skip < size ? (size_t)n - skip : size;
    memcpy(buf, reader->block + skip, got);
    return (int64_t)got;
}

/* 1: this was the end of the segment; 0: so far good. */
static int check_run(struct scrub *scrub, struct segment_scan *scan)
{
    if (scrub->offset) {
        scan->offset = scrub->offset;
        scan->next_seq = scrub->seq;
    }
    uint64_t from = scan->offset;
    int r = 1;
    while (r == 1 && scan->next_seq < scrub->next_first && scan->offset - from < STEP) {
        struct segment_record record;
        r = segment_scan_next(scan, &record);
    }
    scrub->read_bytes = scan->offset - from;
    scrub->offset = scan->offset;
    scrub->seq = scan->next_seq;
    if (r == 0) return ERR_CORRUPT;
    return r < 0 ? r : scan->next_seq == scrub->next_first;
}

static void scrub_run(struct io_job *job)
{
    struct scrub *scrub = CONTAINER_OF(job, struct scrub, job);
    struct reader reader = {0};
    int r = io_file_open(scrub->io, &reader.file, scrub->path, IO_READ | IO_DIRECT);
    scrub->read_bytes = 0;
    if (r == 0) {
        struct segment_scan scan;
        int64_t size = io_file_size(&reader.file);
        r = size < 0 ? (int)size
                     : segment_scan_init(&scan, read_direct, &reader, (uint64_t)size, scrub->first,
                                         SEGMENT_PAYLOAD_MAX);
        if (r == 0) r = check_run(scrub, &scan);
        if (size >= 0) segment_scan_release(&scan);
        io_file_close(&reader.file);
    }
    free(reader.block);
    scrub->result = r;
}

/* ---- the walk ---- */

/* The first segment of the journal at hand that begins behind `after` and is not written to. */
static bool choose_segment(struct scrub *scrub)
{
    const struct journal *journal = scrub->journal;
    for (size_t i = 0; i + 1 < journal->segment_count; i++) {
        const struct segment *segment = &journal->segments[i];
        char name[SEGMENT_NAME];
        if (segment->first <= scrub->after) continue;
        segment_name(segment->first, name);
        if (journal_path(journal->dir, name, scrub->path) < 0) return false;
        scrub->first = segment->first;
        scrub->next_first = segment[1].first;
        scrub->offset = 0;
        return true;
    }
    return false;
}

static bool choose(struct scrub *scrub)
{
    while (!scrub->journal || !choose_segment(scrub)) {
        struct list *link = scrub->left > 0 ? list_pop(&scrub->journals) : NULL;
        if (!link) return false;
        list_push(&scrub->journals, link);
        scrub->left--;
        scrub->journal = CONTAINER_OF(link, struct journal, scrub_link);
        scrub->after = 0;
    }
    return true;
}

static void start_step(struct scrub *scrub)
{
    scrub->busy = true;
    io_job_submit(scrub->io, &scrub->job);
}

static void begin_walk(struct scrub *scrub)
{
    scrub->journal = NULL;
    scrub->left = 0;
    LIST_EACH(&scrub->journals, struct journal, scrub_link, journal) scrub->left++;
}

static void timer_done(struct io_timer *timer)
{
    struct scrub *scrub = CONTAINER_OF(timer, struct scrub, timer);
    if (scrub->busy || scrub->stopped) return;
    if (scrub->journal && scrub->offset) {
        start_step(scrub);
        return;
    }
    if (!scrub->journal && scrub->left == 0) begin_walk(scrub);
    if (choose(scrub)) {
        start_step(scrub);
        return;
    }
    scrub->journal = NULL;
    scrub->metrics->scrub_walks++;
    io_timer_set(scrub->io, &scrub->timer, scrub->pause_ms);
}

static void report(struct scrub *scrub)
{
    struct journal *journal = scrub->journal;
    scrub->metrics->scrub_damaged++;
    LOG(scrub->log, LOG_ERROR, "journal_damaged", LOG_S("file", scrub->path),
        LOG_U("offset", scrub->offset), LOG_U("seq", scrub->seq), LOG_ERR(scrub->result));
    if (journal->options.damaged) {
        journal->options.damaged(journal->options.context, scrub->path, scrub->seq);
    }
}

static void scrub_done(struct io_job *job)
{
    struct scrub *scrub = CONTAINER_OF(job, struct scrub, job);
    struct wal *wal = CONTAINER_OF(scrub, struct wal, scrub);
    scrub->busy = false;
    scrub->metrics->scrub_bytes += scrub->read_bytes;
    /* closed, or trimmed */
    bool gone = !scrub->journal || scrub->first < journal_first(scrub->journal);
    if (!gone && scrub->result < 0 && scrub->result != ERR_NOMEM) report(scrub);
    if (scrub->result != 0) {
        scrub->after = scrub->first;
        scrub->offset = 0;
    }
    uint64_t rest_ms = scrub->read_bytes * 1000 / scrub->bytes_per_second;
    if (!scrub->stopped) io_timer_set(scrub->io, &scrub->timer, rest_ms);
    wal_tick(wal);
}

void scrub_init(struct scrub *scrub, struct io *io, uint64_t bytes_per_second, uint32_t pause_ms)
{
    *scrub = (struct scrub){.io = io, .bytes_per_second = bytes_per_second, .pause_ms = pause_ms};
    scrub->job = (struct io_job){.run = scrub_run, .done = scrub_done};
    list_init(&scrub->journals);
    io_timer_init(&scrub->timer, timer_done);
}

void scrub_add(struct scrub *scrub, struct journal *journal)
{
    list_push(&scrub->journals, &journal->scrub_link);
    journal->scrub = scrub;
    if (scrub->bytes_per_second && !scrub->busy && !scrub->timer.armed) {
        io_timer_set(scrub->io, &scrub->timer, scrub->pause_ms);
    }
}

void scrub_remove(struct scrub *scrub, struct journal *journal)
{
    if (!scrub) return;
    list_remove(&journal->scrub_link);
    if (scrub->journal == journal) {
        scrub->journal = NULL;
        scrub->offset = 0;
    }
}

void scrub_stop(struct scrub *scrub)
{
    scrub->stopped = true;
    io_timer_cancel(scrub->io, &scrub->timer);
}
