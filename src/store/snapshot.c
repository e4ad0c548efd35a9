/* The snapshot file: "duresnap"  covers:8  length:8  hash:8  data. Replaced as a whole. */

#include "base/le.h"
#include "store/folder.h"
#include "store/journal_impl.h"

#include <xxhash.h>

enum { SNAPSHOT_HEADER = 32 };

static const char magic[8] = {'d', 'u', 'r', 'e', 's', 'n', 'a', 'p'};

/* The seed binds the data to what it covers. */
static uint64_t hash(uint64_t covers, struct bytes data)
{
    return XXH3_64bits_withSeed(data.data, data.len, covers);
}

static int write_file(struct io *io, const char *path, struct bytes bytes)
{
    struct io_file file;
    int r = io_file_open(io, &file, path, IO_WRITE | IO_CREATE | IO_TRUNCATE);
    if (r < 0) return r;
    struct iovec iov = {(char *)bytes.data, bytes.len};
    r = io_file_write(&file, &iov, 1, 0);
    if (r == 0) r = io_file_sync(&file);
    io_file_close(&file);
    return r;
}

/* A snapshot never knows of records that a power failure can take. */
static int sync_covered(const struct journal *journal, uint64_t segment)
{
    char name[SEGMENT_NAME], path[JOURNAL_PATH];
    struct io_file file;
    if (!segment) return 0;
    segment_name(segment, name);
    int r = journal_path(journal->dir, name, path);
    if (r == 0) r = io_file_open(journal->io, &file, path, IO_READ | IO_WRITE);
    if (r < 0) return r;
    r = io_file_sync(&file);
    io_file_close(&file);
    return r;
}

static void snapshot_run(struct io_job *job)
{
    struct snapshot_job *snapshot = CONTAINER_OF(job, struct snapshot_job, job);
    struct journal *journal = CONTAINER_OF(snapshot, struct journal, snapshot);
    char temporary[JOURNAL_PATH], path[JOURNAL_PATH];
    int r = sync_covered(journal, snapshot->segment);
    if (r == 0) r = journal_path(journal->dir, "snapshot.tmp", temporary);
    if (r == 0) r = journal_path(journal->dir, "snapshot", path);
    if (r == 0) r = write_file(journal->io, temporary, buf_bytes(&snapshot->data));
    if (r == 0) r = io_rename(journal->io, temporary, path);
    if (r == 0) r = folder_sync(journal->io, journal->writer.root, journal->dir);
    snapshot->result = r;
}

static void snapshot_done(struct io_job *job)
{
    struct snapshot_job *snapshot = CONTAINER_OF(job, struct snapshot_job, job);
    struct journal *journal = CONTAINER_OF(snapshot, struct journal, snapshot);
    snapshot->busy = false;
    buf_release(&snapshot->data);
    if (snapshot->result == 0) journal->metrics->snapshots++;
    journal->calling = true;
    if (snapshot->done) {
        snapshot->done(journal->options.context, snapshot->covers, snapshot->result);
    }
    journal->calling = false;
    journal_settle(journal);
}

int journal_snapshot_write(struct journal *journal, struct bytes data, uint64_t covers,
                           void (*done)(void *context, uint64_t covers, int result))
{
    struct snapshot_job *snapshot = &journal->snapshot;
    if (journal->closing) return ERR_CLOSED;
    if (snapshot->busy) return ERR_FULL;
    char *header = buf_reserve(&snapshot->data, SNAPSHOT_HEADER);
    if (header) {
        memcpy(header, magic, sizeof magic);
        le_put64(header + 8, covers);
        le_put64(header + 16, data.len);
        le_put64(header + 24, hash(covers, data));
        buf_commit(&snapshot->data, SNAPSHOT_HEADER);
        buf_append(&snapshot->data, data);
    }
    if (snapshot->data.failed) {
        buf_release(&snapshot->data);
        return ERR_NOMEM;
    }
    bool synced = journal->options.sync == JOURNAL_SYNC_EACH;
    snapshot->segment = synced ? 0 : journal->segments[journal->segment_count - 1].first;
    snapshot->covers = covers;
    snapshot->done = done;
    snapshot->busy = true;
    snapshot->job.run = snapshot_run;
    snapshot->job.done = snapshot_done;
    io_job_submit(journal->io, &snapshot->job);
    return 0;
}

static int read_file(struct io_file *file, struct buf *ret_data, uint64_t *ret_covers)
{
    char header[SNAPSHOT_HEADER];
    int64_t size = io_file_size(file);
    if (size < 0) return (int)size;
    int64_t n = io_file_read(file, header, sizeof header, 0);
    if (n < 0) return (int)n;
    if (n < SNAPSHOT_HEADER || memcmp(header, magic, sizeof magic) != 0) return ERR_CORRUPT;
    uint64_t len = le_get64(header + 16);
    if (len != (uint64_t)size - SNAPSHOT_HEADER) return ERR_CORRUPT;
    char *room = buf_reserve(ret_data, (size_t)len);
    if (!room) return ERR_NOMEM;
    n = io_file_read(file, room, (size_t)len, SNAPSHOT_HEADER);
    if (n < 0) return (int)n;
    if ((uint64_t)n != len) return ERR_CORRUPT;
    buf_commit(ret_data, (size_t)len);
    *ret_covers = le_get64(header + 8);
    return le_get64(header + 24) == hash(*ret_covers, buf_bytes(ret_data)) ? 0 : ERR_CORRUPT;
}

int journal_snapshot_read(struct io *io, const char *dir, struct buf *ret_data,
                          uint64_t *ret_covers, struct error *error)
{
    char path[JOURNAL_PATH];
    struct io_file file;
    int r = journal_path(dir, "snapshot", path);
    if (r == 0) r = io_file_open(io, &file, path, IO_READ);
    if (r < 0) return r;
    buf_clear(ret_data);
    r = read_file(&file, ret_data, ret_covers);
    io_file_close(&file);
    if (r < 0) {
        error_set(error, r, "bad snapshot: %s", err_text(r));
        error_at(error, path, 0, 0);
        error_remedy(error, "restore the file from a backup, or move its folder away to go on "
                            "without it; dure has changed nothing");
    }
    return r;
}
