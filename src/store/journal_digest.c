/* Digests: beside each segment a file in which a job notes, now and then, what the owner says of
 * the records since; start-up reads that, checks it against the segment, and then only the records
 * behind it. Nothing is synced: what a power failure takes of a digest is read from the segment.
 *
 * What digests are about must be on the disk for good. A journal that acknowledges only what is
 * durable writes them as it goes. Any other keeps them under another name (JOURNAL_DIGEST_LATE)
 * until the segment is whole, and synced by that.
 *
 * One write is under way at most, and one waits: the last of a segment. When there is no room for
 * that, or a write fails, the segment's digest ends early, and the rest is read at start-up. */
#include "store/journal_impl.h"

#include <stdlib.h>

enum {
    PARTS = 64, /* of a segment: so much of it is at most in no digest */
    FILE_MAX = 1 << 30,
};

void journal_digest_release(struct journal *journal)
{
    struct journal_digest *digest = journal->digest;
    if (!digest) return;
    buf_release(&digest->flying.data);
    buf_release(&digest->waiting.data);
    free(digest);
    journal->digest = NULL;
}

bool journal_digest_busy(const struct journal *journal)
{
    return journal->digest && journal->digest->flying.busy;
}

void journal_digest_segment(struct journal *journal, uint64_t first)
{
    struct journal_digest *digest = journal->digest;
    if (!digest) return;
    digest->next = first;
    digest->offset = SEGMENT_HEADER;
    digest->written = 0;
    digest->lost = false;
}

void journal_digest_note(struct journal *journal, uint64_t offset, uint64_t hash)
{
    if (!journal->digest) return;
    journal->digest->last_offset = offset;
    journal->digest->last_hash = hash;
}

/* ---- writing ---- */

static int path_of(const struct journal *journal, uint64_t segment, char ret_path[JOURNAL_PATH])
{
    char name[DIGEST_NAME];
    digest_name(segment, name);
    return journal_path(journal->dir, name, ret_path);
}

static int put(struct journal *journal, const char *path, const struct digest_write *write)
{
    struct io_file file;
    struct bytes data = buf_bytes(&write->data);
    int flags = write->at ? IO_WRITE : IO_WRITE | IO_CREATE | IO_TRUNCATE;
    if (data.len == 0) return 0;
    int r = io_file_open(journal->io, &file, path, flags);
    if (r < 0) return r;
    struct iovec iov = {(char *)data.data, data.len};
    r = io_file_write(&file, &iov, 1, write->at);
    io_file_close(&file);
    return r;
}

static int write_out(struct journal *journal, const struct digest_write *write)
{
    char path[JOURNAL_PATH], late[JOURNAL_PATH];
    bool is_late = journal->digest->late;
    int r = path_of(journal, write->segment, path);
    if (r == 0) r = journal_path(journal->dir, JOURNAL_DIGEST_LATE, late);
    if (r == 0) r = put(journal, is_late ? late : path, write);
    if (r == 0 && is_late && write->seals) r = io_rename(journal->io, late, path);
    return r;
}

static void run(struct io_job *job)
{
    struct journal_digest *digest = CONTAINER_OF(job, struct journal_digest, job);
    struct journal *journal = digest->journal;
    digest->result = write_out(journal, &digest->flying);
}

static void start(struct journal *journal)
{
    journal->digest->flying.busy = true;
    io_job_submit(journal->io, &journal->digest->job);
}

/* What has failed is a gap: nothing may come behind it. */
static void settle(struct journal *journal, const struct digest_write *write, int result)
{
    struct journal_digest *digest = journal->digest;
    const struct segment *newest = &journal->segments[journal->segment_count - 1];
    if (result == 0) journal->metrics->digest_bytes += buf_len(&write->data);
    if (result < 0 && newest->first == write->segment) digest->lost = true;
}

static void done(struct io_job *job)
{
    struct journal_digest *digest = CONTAINER_OF(job, struct journal_digest, job);
    struct journal *journal = digest->journal;
    settle(journal, &digest->flying, digest->result);
    buf_release(&digest->flying.data);
    digest->flying.busy = false;
    if (digest->waiting.busy) {
        digest->flying = digest->waiting;
        digest->waiting = (struct digest_write){0};
        buf_init(&digest->waiting.data, UINT32_MAX);
        start(journal);
        return;
    }
    journal_settle(journal);
}

int journal_digest_init(struct journal *journal)
{
    if (!journal->options.digest) return 0;
    struct journal_digest *digest = calloc(1, sizeof *digest);
    if (!digest) return ERR_NOMEM;
    digest->journal = journal;
    digest->job = (struct io_job){.run = run, .done = done};
    digest->late = journal->options.sync != JOURNAL_SYNC_EACH;
    digest->loading = true;
    buf_init(&digest->flying.data, UINT32_MAX);
    buf_init(&digest->waiting.data, UINT32_MAX);
    journal->digest = digest;
    return 0;
}

/* The chunk about all that was told since the last one. */
static int encode(struct journal *journal, struct buf *out)
{
    struct journal_digest *digest = journal->digest;
    const struct segment *segment = &journal->segments[journal->segment_count - 1];
    uint64_t from = digest->next - segment->first;
    size_t point = segment->point_count;
    while (point > 0 && segment->points[point - 1].index >= from) point--;
    const struct digest_chunk chunk = {
        .first = digest->next,
        .count = (uint32_t)(journal->last + 1 - digest->next),
        .point_count = (uint32_t)(segment->point_count - point),
        .offset = digest->offset,
        .end = segment->end,
        .last_offset = digest->last_offset,
        .last_hash = digest->last_hash,
    };
    digest_begin(out, segment->points + point, chunk.point_count);
    int r = journal->options.digest(journal->options.context, out);
    digest_end(out, &chunk, segment->salt);
    digest->next = journal->last + 1;
    digest->offset = segment->end;
    return out->failed && r == 0 ? ERR_NOMEM : r;
}

/* Hands over what has come together. The owner is asked in any case, so that it begins anew. */
static void cut(struct journal *journal, bool seals)
{
    struct journal_digest *digest = journal->digest;
    const struct segment *segment = &journal->segments[journal->segment_count - 1];
    struct digest_write write = {.segment = segment->first, .seals = seals, .busy = true};
    buf_init(&write.data, UINT32_MAX);
    int r = digest->next <= journal->last ? encode(journal, &write.data) : 0;
    write.at = digest->written;
    if (r < 0 || digest->lost || digest->waiting.busy) {
        digest->lost = true;
        buf_release(&write.data);
        return;
    }
    digest->written += buf_len(&write.data);
    if (digest->loading) {
        settle(journal, &write, write_out(journal, &write));
        buf_release(&write.data);
    } else if (digest->flying.busy) {
        digest->waiting = write;
    } else {
        digest->flying = write;
        start(journal);
    }
}

void journal_digest_due(struct journal *journal)
{
    const struct journal_digest *digest = journal->digest;
    if (!digest || digest->flying.busy || digest->next > journal->last) return;
    const struct segment *newest = &journal->segments[journal->segment_count - 1];
    uint64_t behind = newest->end - digest->offset;
    if (behind >= journal->options.segment_bytes / PARTS) cut(journal, false);
}

void journal_digest_seal(struct journal *journal)
{
    const struct journal_digest *digest = journal->digest;
    if (!digest) return;
    if (digest->next <= journal->last || (digest->late && digest->written)) cut(journal, true);
}

/* ---- start-up ---- */

/* Whether the last record that the chunk is about stands where it says. */
static int check_last(struct segment_scan *scan, const struct digest_chunk *chunk)
{
    char head[SEGMENT_RECORD_HEADER];
    struct segment_record record;
    if (chunk->end > scan->size) return ERR_CORRUPT;
    int64_t n = scan->read(scan->context, head, sizeof head, chunk->last_offset);
    if (n < SEGMENT_RECORD_HEADER) return n < 0 ? (int)n : ERR_CORRUPT;
    if (segment_record_head(head, scan->header.salt, &record) < 0) return ERR_CORRUPT;
    bool same = record.hash == chunk->last_hash && record.seq == chunk->first + chunk->count - 1 &&
                chunk->last_offset + record.size == chunk->end;
    return same ? 0 : ERR_CORRUPT;
}

static bool points_fit(const struct digest_chunk *chunk, uint64_t segment_first)
{
    uint64_t from = chunk->first - segment_first, last = 0;
    for (uint32_t i = 0; i < chunk->point_count; i++) {
        struct segment_point point = digest_point(chunk, i);
        if (point.index < from || point.index - from >= chunk->count) return false;
        if (point.offset < chunk->offset || point.offset > chunk->last_offset) return false;
        if (i > 0 && point.offset <= last) return false;
        last = point.offset;
    }
    return true;
}

/* How many bytes of a digest file can be believed. Of a segment that is whole the last chunk is
 * looked up; in the newest one, whose end may have been lost with the log, every one. */
static int64_t believable(struct segment_scan *scan, struct bytes bytes, uint64_t next)
{
    uint64_t seq = scan->next_seq, offset = scan->offset;
    struct digest_chunk chunk = {0};
    size_t good = 0;
    while (good < bytes.len) {
        struct digest_chunk one;
        int64_t len = digest_decode(bytes_skip(bytes, good), scan->header.salt, &one);
        if (len < 0 || one.first != seq || one.offset != offset) break;
        if (next && one.count > next - seq) break;
        if (!points_fit(&one, scan->header.first_seq)) break;
        int r = next ? 0 : check_last(scan, &one);
        if (r == ERR_CORRUPT) break;
        if (r < 0) return r;
        chunk = one;
        seq += one.count;
        offset = one.end;
        good += (size_t)len;
    }
    int r = next && good ? check_last(scan, &chunk) : 0;
    if (r < 0) return r == ERR_CORRUPT ? 0 : r;
    return (int64_t)good;
}

static int take(struct journal *journal, struct segment_scan *scan,
                const struct digest_chunk *chunk)
{
    struct journal_digest *digest = journal->digest;
    struct segment *segment = &journal->segments[journal->segment_count - 1];
    for (uint32_t i = 0; i < chunk->point_count; i++) {
        struct segment_point point = digest_point(chunk, i);
        int r = segment_note(segment, segment->first + point.index, point.offset);
        if (r < 0) return r;
    }
    segment->end = digest->offset = chunk->end;
    journal->last = chunk->first + chunk->count - 1;
    digest->next = journal->last + 1;
    journal_digest_note(journal, chunk->last_offset, chunk->last_hash);
    segment_scan_skip(scan, digest->next, chunk->end);
    return journal->options.digested(journal->options.context, chunk->first, chunk->count,
                                     chunk->said);
}

static int take_all(struct journal *journal, struct segment_scan *scan, struct bytes bytes)
{
    int r = 0;
    while (r == 0 && bytes.len > 0) {
        struct digest_chunk chunk;
        int64_t len = digest_decode(bytes, scan->header.salt, &chunk);
        if (len < 0) return (int)len;
        bytes = bytes_skip(bytes, (size_t)len);
        r = take(journal, scan, &chunk);
    }
    return r;
}

/* Also cuts off what cannot be believed: it must not be found behind what is written next. */
static int read_file(struct io_file *file, struct segment_scan *scan, uint64_t next,
                     struct buf *out)
{
    int64_t size = io_file_size(file);
    if (size < 0 || size > FILE_MAX) return size < 0 ? (int)size : ERR_CORRUPT;
    char *room = buf_reserve(out, (size_t)size);
    if (!room) return ERR_NOMEM;
    int64_t n = io_file_read(file, room, (size_t)size, 0);
    if (n < 0) return (int)n;
    buf_commit(out, (size_t)n);
    int64_t good = believable(scan, buf_bytes(out), next);
    if (good < 0) return (int)good;
    out->end = out->start + (size_t)good;
    return good < size ? io_file_truncate(file, (uint64_t)good) : 0;
}

int journal_digest_load(struct journal *journal, struct segment_scan *scan, uint64_t next)
{
    struct journal_digest *digest = journal->digest;
    char path[JOURNAL_PATH];
    struct io_file file;
    struct buf bytes;
    if (!digest || !journal->options.digested) return 0;
    if (digest->late && !next) return 0;
    int r = path_of(journal, scan->header.first_seq, path);
    if (r == 0) r = io_file_open(journal->io, &file, path, IO_READ | IO_WRITE);
    if (r < 0) return r == ERR_NOT_FOUND ? 0 : r;
    buf_init(&bytes, FILE_MAX);
    r = read_file(&file, scan, next, &bytes);
    io_file_close(&file);
    if (r == ERR_CORRUPT || r == ERR_IO) {
        r = 0; /* the records say the same */
    } else if (r == 0) {
        r = take_all(journal, scan, buf_bytes(&bytes));
        digest->written = buf_len(&bytes);
    }
    buf_release(&bytes);
    return r;
}

void journal_digest_loaded(struct journal *journal)
{
    if (!journal->digest) return;
    journal_digest_due(journal);
    journal->digest->loading = false;
}
