/* Log files: made ready ahead of need, used one after the other, and given free when what their
 * frames are about is on the disk by itself. */
#include "store/folder.h"
#include "store/wal_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ZEROS = 256 << 10,
    BUSY_NS = 2000000000, /* a file that is full so soon was too small */
    PART_OF_DISK = 16,
};

int wal_file_path(const struct wal *wal, const struct wal_file *file, char ret_path[WAL_PATH])
{
    int n = snprintf(ret_path, WAL_PATH, "%s/%04d.wal", wal->path, (int)(file - wal->files));
    return n > 0 && n < WAL_PATH ? 0 : ERR_TOO_BIG;
}

void wal_file_close(struct wal_file *file)
{
    if (file->open) io_file_close(&file->file);
    file->open = false;
}

/* ---- what frames are about ---- */

static struct wal_dirty *add_dirty(struct wal_file *file, struct bytes name, uint64_t segment,
                                   uint64_t salt)
{
    if (file->dirty_count == file->dirty_size) {
        size_t size = file->dirty_size ? file->dirty_size * 2 : 8;
        struct wal_dirty *dirty = realloc(file->dirty, size * sizeof *dirty);
        if (!dirty) return NULL;
        file->dirty = dirty;
        file->dirty_size = size;
    }
    char *copy = strndup(name.data, name.len);
    if (!copy) return NULL;
    struct wal_dirty *dirty = &file->dirty[file->dirty_count++];
    *dirty = (struct wal_dirty){.name = copy, .segment = segment, .salt = salt};
    return dirty;
}

int wal_file_note(struct wal_file *file, struct journal *journal, const struct batch *batch)
{
    bool known =
        journal->wal_generation == file->generation && journal->wal_segment == batch->segment_first;
    struct wal_dirty *dirty =
        known ? &file->dirty[journal->wal_dirty]
              : add_dirty(file, journal->wal_name, batch->segment_first, batch->segment_salt);
    if (!dirty) return ERR_NOMEM;
    dirty->begun |= batch->begins;
    dirty->mark =
        (struct segment_mark){batch->first + batch->count, batch->offset + buf_len(&batch->data)};
    journal->wal_generation = file->generation;
    journal->wal_segment = batch->segment_first;
    journal->wal_dirty = (size_t)(dirty - file->dirty);
    return 0;
}

int wal_file_note_extent(struct wal_file *file, const struct wal_extent *extent)
{
    struct wal_dirty *dirty = add_dirty(file, extent->name, extent->segment, extent->salt);
    if (!dirty) return ERR_NOMEM;
    dirty->begun = extent->kind == WAL_EXTENT_BEGINS;
    return 0;
}

int wal_file_note_removal(struct wal_file *file, struct bytes name)
{
    return add_dirty(file, name, 0, 0) ? 0 : ERR_NOMEM;
}

void wal_file_forget(struct wal_file *file)
{
    for (size_t i = 0; i < file->dirty_count; i++) free(file->dirty[i].name);
    free(file->dirty);
    file->dirty = NULL;
    file->dirty_count = file->dirty_size = 0;
}

/* ---- checkpoints ---- */

int wal_removed(struct wal *wal, struct bytes journal)
{
    char dir[WAL_PATH];
    int n = snprintf(dir, sizeof dir, "%s/%.*s", wal->dir, BYTES_ARG(journal));
    if (n < 0 || n >= (int)sizeof dir) return ERR_TOO_BIG;
    int r = io_sync_dir(wal->io, dir);
    return r == ERR_NOT_FOUND ? 0 : r;
}

static int sync_dirty(struct wal *wal, const struct wal_dirty *dirty)
{
    char path[WAL_PATH], name[SEGMENT_NAME];
    segment_name(dirty->segment, name);
    int n = snprintf(path, sizeof path, "%s/%s/%s", wal->dir, dirty->name, name);
    if (n < 0 || n >= (int)sizeof path) return ERR_TOO_BIG;
    struct io_file file;
    int r = io_file_open(wal->io, &file, path, IO_READ | IO_WRITE);
    if (r == ERR_NOT_FOUND) return wal_removed(wal, bytes_str(dirty->name));
    if (r < 0) return r;
    r = io_file_sync(&file);
    if (r == 0 && dirty->mark.next_seq) {
        (void)writer_mark(&file, dirty->salt, &dirty->mark); /* without it opening takes longer */
    }
    io_file_close(&file);
    return r;
}

/* The names that lead to what was begun, and that what was removed had. Most of them lead through
 * the same folders, each of which is synced once. */
static int sync_names(struct wal *wal, const struct wal_file *file)
{
    struct folders folders;
    folders_init(&folders, wal->io, wal->dir);
    int r = 0;
    for (size_t i = 0; r == 0 && i < file->dirty_count; i++) {
        const struct wal_dirty *dirty = &file->dirty[i];
        if (dirty->begun || dirty->segment == 0) r = folders_sync(&folders, dirty->name);
    }
    folders_release(&folders);
    return r;
}

int wal_file_sync(struct wal *wal, const struct wal_file *file)
{
    int r = 0;
    for (size_t i = 0; i < file->dirty_count && r == 0; i++) {
        const struct wal_dirty *dirty = &file->dirty[i];
        r = dirty->segment ? sync_dirty(wal, dirty) : wal_remove_files(wal, dirty->name);
    }
    return r == 0 ? sync_names(wal, file) : r;
}

static void checkpoint_run(struct io_job *job)
{
    struct wal_checkpoint *checkpoint = CONTAINER_OF(job, struct wal_checkpoint, job);
    struct wal *wal = CONTAINER_OF(checkpoint, struct wal, checkpoint);
    checkpoint->result = wal_file_sync(wal, checkpoint->file);
    if (checkpoint->result < 0) atomic_store_explicit(&wal->doubt, true, memory_order_release);
    if (atomic_load_explicit(&wal->doubt, memory_order_acquire)) checkpoint->result = ERR_IO;
}

static void checkpoint_done(struct io_job *job)
{
    struct wal_checkpoint *checkpoint = CONTAINER_OF(job, struct wal_checkpoint, job);
    struct wal *wal = CONTAINER_OF(checkpoint, struct wal, checkpoint);
    struct wal_file *file = checkpoint->file;
    checkpoint->busy = false;
    if (checkpoint->result < 0) {
        wal_fail(wal, ERR_IO, "checkpoint");
    } else {
        wal->metrics->checkpoints++;
        histogram_add(&wal->metrics->checkpoint_duration,
                      (io_now_ns(wal->io) - checkpoint->started_ns) / 1000);
        wal_file_forget(file);
        wal->metrics->wal_behind = wal->active->end;
        for (int i = 0; i < wal->file_count; i++) {
            const struct wal_file *other = &wal->files[i];
            if (other->state == WAL_FULL && other != file) wal->metrics->wal_behind += other->end;
        }
        wal->replay_from = file->generation + 1;
        if (file->state == WAL_FULL) file->state = WAL_SYNCED;
    }
    wal_tick(wal);
}

/* What was recovered says nothing of sequences; who has opened the journal does. */
static void find_marks(const struct wal *wal, const struct wal_file *file)
{
    for (size_t i = 0; i < file->dirty_count; i++) {
        struct wal_dirty *dirty = &file->dirty[i];
        if (!dirty->segment || dirty->mark.next_seq) continue;
        const struct wal_end *end = wal_end_of(wal, bytes_str(dirty->name), dirty->salt);
        if (end) dirty->mark = end->mark;
    }
}

/* The oldest one that is full; when the log is to be closed, also the one in use. */
void wal_checkpoint_start(struct wal *wal)
{
    struct wal_checkpoint *checkpoint = &wal->checkpoint;
    if (checkpoint->busy) return;
    struct wal_file *oldest = NULL;
    for (int i = 0; i < wal->file_count; i++) {
        struct wal_file *file = &wal->files[i];
        bool last = file->state == WAL_ACTIVE && wal->closing && file->dirty_count > 0;
        if (file->state != WAL_FULL && !last) continue;
        if (!oldest || file->generation < oldest->generation) oldest = file;
    }
    if (!oldest || oldest->commits > 0) return;
    find_marks(wal, oldest);
    checkpoint->job = (struct io_job){.run = checkpoint_run, .done = checkpoint_done};
    checkpoint->file = oldest;
    checkpoint->busy = true;
    checkpoint->started_ns = io_now_ns(wal->io);
    io_job_submit(wal->io, &checkpoint->job);
}

/* ---- making files ready ---- */

static int write_zeros(struct io_file *file, uint64_t from, uint64_t to)
{
    char *zeros = aligned_alloc(WAL_BLOCK, ZEROS);
    if (!zeros) return ERR_NOMEM;
    memset(zeros, 0, ZEROS);
    int r = io_file_allocate(file, to);
    while (r == 0 && from < to) {
        struct iovec iov = {zeros, to - from < ZEROS ? (size_t)(to - from) : ZEROS};
        r = io_file_write(file, &iov, 1, from);
        from += iov.iov_len;
    }
    if (r == 0) r = io_file_sync(file);
    free(zeros);
    return r;
}

static int write_header(struct wal_file *file, const struct wal_header *header)
{
    char *block = aligned_alloc(WAL_BLOCK, WAL_BLOCK);
    if (!block) return ERR_NOMEM;
    wal_header_encode(header, block);
    int r = io_file_write_durable(&file->file, block, WAL_BLOCK, 0);
    free(block);
    return r;
}

/* The log takes a small part of what is free, and the least that it can do with when the disk is
 * nearly full: the room is for journals. */
static uint64_t modest(struct wal *wal, const struct wal_file *file, uint64_t size)
{
    uint64_t left = 0, least = file->size ? file->size : wal->options.file_min;
    if (size <= least || io_disk_free(wal->io, wal->path, &left) < 0) return least;
    return left / PART_OF_DISK >= size - file->size ? size : least;
}

/* A file that cannot grow is used as it is. One that cannot be made is not there. */
static int make_room(struct wal *wal, struct wal_file *file, uint64_t size)
{
    char path[WAL_PATH];
    int r = wal_file_path(wal, file, path);
    if (r == 0 && !file->open) {
        r = io_file_open(wal->io, &file->file, path, IO_READ | IO_WRITE | IO_CREATE | IO_DIRECT);
        file->open = r == 0;
    }
    if (r == 0 && file->size == 0) r = io_sync_dir(wal->io, wal->path); /* it had no header yet */
    size = modest(wal, file, size);
    if (r < 0 || file->size >= size) return r;
    r = write_zeros(&file->file, file->size, size);
    if (r == 0) file->size = size;
    if (r != ERR_NO_SPACE) return r;
    int back = io_file_truncate(&file->file, file->size);
    if (back < 0) return back;
    return file->size >= wal->options.file_min ? 0 : ERR_NO_SPACE;
}

int wal_file_second(struct wal *wal)
{
    int there = 0;
    for (int i = 0; i < wal->file_count; i++) there += wal->files[i].size > 0;
    if (there > 1) return 0;
    int slot = 0;
    while (wal->files[slot].size > 0) slot++;
    if (slot >= wal->file_count) wal->file_count = slot + 1;
    return make_room(wal, &wal->files[slot], wal->file_size);
}

int wal_file_prepare(struct wal *wal, struct wal_prepare *prepare)
{
    struct wal_file *file = prepare->file;
    int r = make_room(wal, file, prepare->size);
    const struct wal_header header = {
        .salt = prepare->salt,
        .generation = prepare->generation,
        .replay_from = prepare->replay_from,
        .size = file->size,
    };
    if (r == 0) r = write_header(file, &header);
    if (r < 0) return r;
    file->salt = prepare->salt;
    file->generation = prepare->generation;
    file->end = WAL_BLOCK;
    return 0;
}

static void prepare_run(struct io_job *job)
{
    struct wal_prepare *prepare = CONTAINER_OF(job, struct wal_prepare, job);
    struct wal *wal = CONTAINER_OF(prepare, struct wal, prepare);
    prepare->result = wal_file_prepare(wal, prepare);
}

/* With a full disk the log goes on with the files that it has, as fast as checkpoints give them
 * free. */
static void prepare_done(struct io_job *job)
{
    struct wal_prepare *prepare = CONTAINER_OF(job, struct wal_prepare, job);
    struct wal *wal = CONTAINER_OF(prepare, struct wal, prepare);
    prepare->busy = false;
    if (prepare->result == 0) {
        prepare->file->state = WAL_READY;
        wal->ready = prepare->file;
    } else if (prepare->result == ERR_NO_SPACE || prepare->result == ERR_NOMEM) {
        wal->grow_after_ns = io_now_ns(wal->io) + BUSY_NS;
    } else {
        wal_fail(wal, ERR_IO, "prepare");
    }
    wal_tick(wal);
}

static uint64_t total_size(const struct wal *wal)
{
    uint64_t total = 0;
    for (int i = 0; i < wal->file_count; i++) total += wal->files[i].size;
    wal->metrics->wal_size = total;
    return total;
}

/* One that is free, the largest; else a new one. */
static struct wal_file *choose(struct wal *wal)
{
    struct wal_file *best = NULL;
    int unused = -1;
    for (int i = 0; i < wal->file_count; i++) {
        struct wal_file *file = &wal->files[i];
        if (file->state != WAL_FREE) continue;
        if (file->size == 0) unused = i;
        if (file->size > 0 && (!best || file->size > best->size)) best = file;
    }
    uint64_t total = total_size(wal);
    bool full =
        total + wal->file_size > wal->options.total_max || io_now_ns(wal->io) < wal->grow_after_ns;
    if (best || full) return best;
    if (unused >= 0) return &wal->files[unused];
    return wal->file_count < WAL_FILES_MAX ? &wal->files[wal->file_count++] : NULL;
}

static void prepare_file(struct wal *wal, struct wal_file *file, uint64_t size)
{
    struct wal_prepare *prepare = &wal->prepare;
    *prepare = (struct wal_prepare){
        .job = {.run = prepare_run, .done = prepare_done},
        .file = file,
        .size = size,
        .generation = wal->active->generation + 1,
        .salt = io_random_u64(wal->io),
        .replay_from = wal->replay_from,
        .busy = true,
    };
    wal->header_replay_from = wal->replay_from;
    io_job_submit(wal->io, &prepare->job);
}

bool wal_prepare_last(struct wal *wal)
{
    bool synced = wal->active->dirty_count == 0 && !wal->checkpoint.busy;
    for (int i = 0; i < wal->file_count; i++) synced &= wal->files[i].state != WAL_FULL;
    if (!synced || wal->prepare.busy) return true;
    struct wal_file *file = wal->ready ? wal->ready : choose(wal);
    if (!file || file->size == 0) return false;
    wal->ready = NULL;
    prepare_file(wal, file, file->size);
    return true;
}

/* The next file is made ready when half of the one in use is written. */
void wal_prepare_start(struct wal *wal)
{
    if (wal->prepare.busy || wal->ready || wal->status < 0) return;
    if (wal->active->end < wal->active->size / 2) return;
    struct wal_file *file = choose(wal);
    if (!file) return;
    bool may_grow = io_now_ns(wal->io) >= wal->grow_after_ns;
    prepare_file(wal, file, may_grow || !file->size ? wal->file_size : file->size);
}

void wal_file_switch(struct wal *wal)
{
    assert(wal->ready);
    uint64_t now = io_now_ns(wal->io);
    if (now - wal->switched_ns < BUSY_NS && wal->file_size < wal->options.file_max) {
        wal->file_size *= 2;
        if (wal->file_size > wal->options.file_max) wal->file_size = wal->options.file_max;
    }
    wal->switched_ns = now;
    wal->active->state = WAL_FULL;
    wal->active = wal->ready;
    wal->active->state = WAL_ACTIVE;
    wal->active->first = wal->next_number;
    wal->ready = NULL;
}
