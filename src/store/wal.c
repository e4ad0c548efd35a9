#include "store/folder.h"
#include "store/wal_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FILE_MIN = 1 << 20,
    FILE_LEAST = 32 << 10, /* half of it, the largest frame, fits behind the header */
    FILE_MAX = 2 << 20,    /* two of them, or what checkpoints are behind, are read at a start */
    FILE_MOST = 1 << 30,
    TOTAL_MAX = 256 << 20,
    FRAME_MAX = 512 << 10,
    SCRUB_PAUSE_MS = 3600 * 1000,
};

int wal_name_of(const struct wal *wal, const char *dir, struct bytes *ret_name)
{
    struct bytes path = bytes_str(dir), root = bytes_str(wal->dir);
    bool below = bytes_starts(path, root) && path.len > root.len + 1 && dir[root.len] == '/';
    if (!below) return ERR_INVALID;
    *ret_name = bytes_skip(path, root.len + 1);
    return 0;
}

int wal_adopt(struct wal *wal, struct journal *journal)
{
    int r = wal_name_of(wal, journal->dir, &journal->wal_name);
    if (r < 0) return r;
    journal->wal = wal;
    journal->batch_max = wal->batch_max;
    return journal->wal_name.len <= WAL_NAME_MAX ? 0 : ERR_TOO_BIG;
}

int wal_status(const struct wal *wal)
{
    return wal->status;
}

static int compare_names(const void *key, const void *element)
{
    const struct bytes *name = key;
    return bytes_cmp(*name, bytes_str(((const struct wal_end *)element)->name));
}

struct wal_end *wal_end_of(const struct wal *wal, struct bytes name, uint64_t salt)
{
    if (wal->end_count == 0) return NULL;
    struct wal_end *end = bsearch(&name, wal->ends, wal->end_count, sizeof *end, compare_names);
    return end && end->salt == salt ? end : NULL;
}

uint64_t wal_end(const struct wal *wal, struct bytes name, uint64_t salt)
{
    const struct wal_end *end = wal_end_of(wal, name, salt);
    return end ? end->end : 0;
}

void wal_opened(struct wal *wal, struct bytes name, uint64_t salt, const struct segment_mark *mark)
{
    struct wal_end *end = wal_end_of(wal, name, salt);
    if (end) end->mark = *mark;
}

/* ---- what is due ---- */

/* Frames that are durable say that these are not needed any more. */
static void give_files_free(struct wal *wal)
{
    for (int i = 0; i < wal->file_count; i++) {
        struct wal_file *file = &wal->files[i];
        if (file->state == WAL_SYNCED && file->generation < wal->durable_replay_from) {
            file->state = WAL_FREE;
        }
    }
}

static void close_task(struct io_task *task)
{
    struct wal *wal = CONTAINER_OF(task, struct wal, close_task);
    void (*closed)(void *) = wal->closed;
    void *context = wal->closed_context;
    wal_free(wal);
    if (closed) closed(context);
}

void wal_tick(struct wal *wal)
{
    bool last = false;
    if (wal->status == 0) {
        give_files_free(wal);
        wal_checkpoint_start(wal);
        wal_prepare_start(wal);
        last = wal->closing && wal->replay_from > wal->header_replay_from && wal_prepare_last(wal);
        if (!last && wal->replay_from > wal->sent_replay_from) wal->mark = true;
        bool waits = !list_empty(&wal->wanting) || !list_empty(&wal->removals);
        if (wal->mark || waits) io_defer(wal->io, &wal->commit_task);
    }
    if (!wal->closing || wal->commit_count || wal->checkpoint.busy || wal->prepare.busy) return;
    if (wal->scrub.busy || wal->sweep.busy) return;
    if (wal->status == 0 && (wal->mark || last || !list_empty(&wal->removals))) return;
    io_post(wal->io, &wal->close_task);
}

/* What recovery has left waits until the journals are open, which is at once as a rule: then it is
 * known how far they are, and their opening has the disk for itself. */
static void start_task(struct io_task *task)
{
    wal_tick(CONTAINER_OF(task, struct wal, start_task));
}

/* ---- lifecycle ---- */

static uint64_t clamp(uint64_t value, uint64_t standard, uint64_t low, uint64_t high)
{
    if (!value) value = standard;
    value = value < low ? low : value > high ? high : value;
    return value / WAL_BLOCK * WAL_BLOCK;
}

static int wal_make(struct io *io, const struct wal_options *options, struct wal **ret_wal)
{
    struct wal *wal = calloc(1, sizeof *wal);
    if (!wal) return ERR_NOMEM;
    wal->io = io;
    wal->options = *options;
    struct wal_options *o = &wal->options;
    o->file_min = clamp(o->file_min, FILE_MIN, FILE_LEAST, FILE_MOST);
    o->file_max = clamp(o->file_max, FILE_MAX, o->file_min, FILE_MOST);
    o->total_max = clamp(o->total_max, TOTAL_MAX, 4 * o->file_max, UINT64_MAX);
    wal->file_size = o->file_min;
    wal->frame_max = o->file_min / 2 < FRAME_MAX ? o->file_min / 2 : FRAME_MAX;
    wal->batch_max = wal->frame_max / 2;
    wal->metrics = o->metrics ? o->metrics : &wal->own_metrics;
    list_init(&wal->wanting);
    wal_name_init(wal);
    wal_remove_init(wal);
    scrub_init(&wal->scrub, io, o->scrub_bytes_per_second,
               o->scrub_pause_ms ? o->scrub_pause_ms : SCRUB_PAUSE_MS);
    wal->scrub.log = o->log;
    wal->scrub.metrics = wal->metrics;
    io_task_init(&wal->start_task, start_task);
    io_task_init(&wal->close_task, close_task);
    wal_commit_init(wal);
    wal->dir = strdup(options->dir);
    size_t size = strlen(options->dir) + sizeof "/wal";
    wal->path = malloc(size);
    if (wal->path) snprintf(wal->path, size, "%s/wal", options->dir);
    if (!wal->dir || !wal->path) {
        wal_free(wal);
        return ERR_NOMEM;
    }
    *ret_wal = wal;
    return 0;
}

static int lock(struct wal *wal, struct error *error)
{
    int r = io_lock_dir(wal->io, wal->path, &wal->lock);
    wal->locked = r == 0;
    if (r != ERR_IN_USE) return r;
    error_set(error, r, "another process has this store open");
    error_at(error, wal->dir, 0, 0);
    return r;
}

/* Segments that the log never knew, or has made again. */
static int remove_unnamed(void *context, const char *name)
{
    const struct wal *wal = context;
    char path[WAL_PATH];
    if (!bytes_ends(bytes_str(name), BYTES(WAL_UNNAMED))) return 0;
    int r = journal_path(wal->path, name, path);
    return r == 0 ? io_unlink(wal->io, path) : r;
}

int wal_open(struct io *io, const struct wal_options *options, struct wal **ret_wal,
             struct error *error)
{
    struct wal *wal = NULL;
    *ret_wal = NULL;
    if (error) *error = (struct error){0};
    int r = wal_make(io, options, &wal);
    if (r == 0) r = folder_make(io, NULL, wal->dir);
    if (r == 0) r = folder_make(io, NULL, wal->path);
    if (r == 0) r = lock(wal, error);
    if (r == 0) r = io_list_dir(io, wal->path, remove_unnamed, wal);
    if (r == 0) r = wal_recover(wal, error);
    if (r < 0) {
        if (error && !error->code) {
            error_set(error, r, "cannot open the commit log: %s", err_text(r));
            error_at(error, options->dir, 0, 0);
        }
        wal_free(wal);
        return r;
    }
    *ret_wal = wal;
    io_post(io, &wal->start_task);
    return 0;
}

void wal_close(struct wal *wal, void (*done)(void *context), void *context)
{
    assert(list_empty(&wal->wanting));
    wal->closing = true;
    scrub_stop(&wal->scrub);
    wal->closed = done;
    wal->closed_context = context;
    wal_tick(wal);
}

void wal_free(struct wal *wal)
{
    if (!wal) return;
    io_task_cancel(wal->io, &wal->start_task);
    io_task_cancel(wal->io, &wal->close_task);
    scrub_stop(&wal->scrub);
    wal_commit_release(wal);
    wal_remove_release(wal);
    for (int i = 0; i < wal->file_count; i++) {
        wal_file_close(&wal->files[i]);
        wal_file_forget(&wal->files[i]);
    }
    for (size_t i = 0; i < wal->end_count; i++) free(wal->ends[i].name);
    free(wal->ends);
    if (wal->locked) io_file_close(&wal->lock);
    free(wal->dir);
    free(wal->path);
    free(wal);
}
