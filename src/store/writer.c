#include "store/folder.h"
#include "store/journal_impl.h"
#include "store/wal_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define NEW_NAME "new.tmp"

enum { AHEAD_MIN = 64 << 10 };

void writer_close(struct writer *writer)
{
    if (writer->open) io_file_close(&writer->file);
    writer->open = false;
}

static int fill_zeros(struct io_file *file, uint64_t from, uint64_t to)
{
    static const char zeros[64 << 10];
    int r = 0;
    while (r == 0 && from < to) {
        size_t len = to - from < sizeof zeros ? (size_t)(to - from) : sizeof zeros;
        struct iovec iov = {(char *)zeros, len};
        r = io_file_write(file, &iov, 1, from);
        from += len;
    }
    return r;
}

/* How much is allocated at a time for a file of this size: as much as is there already, so that a
 * journal of few records takes little of the disk, and of the time to start. */
static uint64_t ahead_of(const struct writer *writer, uint64_t size)
{
    uint64_t ahead = AHEAD_MIN;
    while (ahead < size && ahead < writer->allocate_bytes) ahead *= 2;
    return ahead < writer->allocate_bytes ? ahead : writer->allocate_bytes;
}

/* Reserves the blocks first, which tells a full disk before anything is written. Where each batch
 * is synced they are filled with zeros too: a block that was reserved but never written costs the
 * file system's own journal a write at the next sync. */
static int extend(const struct writer *writer, struct io_file *file, uint64_t from, uint64_t to)
{
    int r = io_file_allocate(file, to);
    return r == 0 && writer->zeros ? fill_zeros(file, from, to) : r;
}

/* The system forgets what it could not sync, and calls the next sync a success: what the log has
 * told to be durable may be there only. */
static int sync_file(struct writer *writer)
{
    int r = io_file_sync(&writer->file);
    if (r < 0 && writer->doubt) atomic_store_explicit(writer->doubt, true, memory_order_release);
    return r;
}

int writer_sync(struct writer *writer)
{
    int r = sync_file(writer);
    if (r == 0 && writer->unnamed) r = folder_sync(writer->io, writer->root, writer->dir);
    if (r == 0) writer->unnamed = false;
    return r;
}

/* A complete file with a header and blocks up to `allocate`, still under its temporary name. */
static int make_file(struct writer *writer, struct io_file *file, const char *path,
                     const struct segment_header *header, uint64_t allocate, bool sync)
{
    int r = io_file_open(writer->io, file, path, IO_READ | IO_WRITE | IO_CREATE | IO_TRUNCATE);
    if (r < 0) return r;
    char bytes[SEGMENT_HEADER];
    segment_header_encode(header, bytes);
    struct iovec iov = {bytes, sizeof bytes};
    r = io_file_write(file, &iov, 1, 0);
    if (r == 0) r = extend(writer, file, SEGMENT_HEADER, allocate);
    if (r == 0 && sync) r = io_file_sync(file);
    if (r < 0) io_file_close(file);
    return r;
}

/* The file is the one that is written to from now on. */
static void take_file(struct writer *writer, const struct io_file *file, uint64_t first,
                      uint64_t salt, uint64_t allocated)
{
    writer->file = *file;
    writer->open = true;
    writer->first = writer->next = first;
    writer->salt = salt;
    writer->offset = SEGMENT_HEADER;
    writer->allocated = allocated;
}

/* What was allocated ahead and is not written to yet. */
static int give_back_ahead(struct writer *writer)
{
    if (!writer->open || writer->allocated <= writer->offset) return ERR_NO_SPACE;
    if (io_file_truncate(&writer->file, writer->offset) < 0) return ERR_IO;
    writer->allocated = writer->offset;
    return 0;
}

/* On a disk that is full nothing is allocated ahead, and the file before it gives back what it has.
 */
static int make_next(struct writer *writer, struct io_file *file, const char *path,
                     const struct segment_header *header, bool sync, uint64_t *ret_allocated)
{
    *ret_allocated = ahead_of(writer, writer->open ? writer->offset : SEGMENT_HEADER);
    int r = make_file(writer, file, path, header, *ret_allocated, sync);
    if (r == ERR_NO_SPACE) {
        *ret_allocated = SEGMENT_HEADER;
        r = give_back_ahead(writer);
        if (r == 0) r = make_file(writer, file, path, header, *ret_allocated, sync);
    }
    if (r == 0) return 0;
    if (io_unlink(writer->io, path) < 0 && r != ERR_NO_SPACE) return ERR_IO;
    return r == ERR_NO_SPACE ? ERR_NO_SPACE : ERR_IO;
}

/* ---- a segment whose header is durable before its name appears ---- */

/* So a segment without a good header is damage, never a leftover of a crash. */
static int roll_synced(struct writer *writer, uint64_t first, uint64_t salt)
{
    char temporary[JOURNAL_PATH], path[JOURNAL_PATH], name[SEGMENT_NAME];
    segment_name(first, name);
    int r = journal_path(writer->dir, NEW_NAME, temporary);
    if (r == 0) r = journal_path(writer->dir, name, path);
    if (r < 0) return r;
    if (writer->open && !writer->logged && sync_file(writer) < 0) {
        return ERR_IO; /* even for lack of space: what was acknowledged is in doubt */
    }
    struct io_file file;
    const struct segment_header header = {salt, first};
    uint64_t allocated;
    r = make_next(writer, &file, temporary, &header, true, &allocated);
    if (r < 0) return r;
    /* Where there is a later segment, an earlier one that is missing was trimmed. */
    if (writer->unnamed) r = folder_sync(writer->io, writer->root, writer->dir);
    if (r == 0) r = io_rename(writer->io, temporary, path);
    if (r == 0) r = io_sync_dir(writer->io, writer->dir);
    if (r < 0) {
        io_file_close(&file);
        return ERR_IO; /* nobody knows which name the disk has */
    }
    writer_close(writer);
    writer->unnamed = false;
    take_file(writer, &file, first, salt, allocated);
    return 0;
}

static int begin_synced(struct writer *writer)
{
    int r = folder_make(writer->io, writer->root, writer->dir);
    if (r < 0) return r == ERR_NO_SPACE ? r : ERR_IO;
    writer->unnamed = true;
    return roll_synced(writer, writer->first, writer->salt);
}

/* ---- a segment that the log makes again if it is lost ---- */

/* Where its file lies until the log knows of it: beside the log. */
static int unnamed_path(const struct writer *writer, uint64_t salt, char path[JOURNAL_PATH])
{
    int n = snprintf(path, JOURNAL_PATH, "%s/wal/%016" PRIx64 WAL_UNNAMED, writer->root, salt);
    return n > 0 && n < JOURNAL_PATH ? 0 : ERR_TOO_BIG;
}

/* Without a single sync. The file before it stays open, in `ret_before`. */
static int begin_unnamed(struct writer *writer, uint64_t first, uint64_t salt,
                         struct writer *ret_before)
{
    char path[JOURNAL_PATH];
    struct io_file file;
    const struct segment_header header = {salt, first};
    uint64_t allocated;
    int r = unnamed_path(writer, salt, path);
    if (r == 0) r = make_next(writer, &file, path, &header, false, &allocated);
    if (r < 0) return r;
    *ret_before = *writer;
    writer->unnamed = true;
    take_file(writer, &file, first, salt, allocated);
    return 0;
}

/* As if its first batch had never come. */
static int begin_no_more(struct writer *writer, const struct writer *before, int result)
{
    char path[JOURNAL_PATH];
    writer_close(writer);
    int r = unnamed_path(writer, writer->salt, path);
    if (r == 0) r = io_unlink(writer->io, path);
    *writer = *before;
    return r < 0 ? ERR_IO : result;
}

int writer_name(struct writer *writer, bool follows)
{
    char from[JOURNAL_PATH], name[SEGMENT_NAME], path[JOURNAL_PATH];
    segment_name(writer->first, name);
    int r = unnamed_path(writer, writer->salt, from);
    if (r == 0) r = journal_path(writer->dir, name, path);
    if (r == 0 && follows) r = io_sync_dir(writer->io, writer->dir);
    if (r == 0 && !follows) r = folder_make(writer->io, writer->root, writer->dir);
    if (r == 0) r = io_rename(writer->io, from, path);
    return r < 0 ? ERR_IO : 0;
}

/* ---- batches ---- */

/* Blocks for the next `len` bytes: a good piece ahead, or just enough when the disk is nearly full.
 */
static int allocate(struct writer *writer, size_t len)
{
    uint64_t need = writer->offset + len;
    if (need <= writer->allocated) return 0;
    uint64_t ahead = ahead_of(writer, need);
    uint64_t want = (need + ahead - 1) / ahead * ahead;
    if (want > writer->segment_bytes) want = writer->segment_bytes;
    if (want < need) want = need;
    int r = extend(writer, &writer->file, writer->allocated, want);
    if (r == ERR_NO_SPACE && want > need) {
        want = need;
        r = extend(writer, &writer->file, writer->allocated, want);
    }
    if (r == 0) writer->allocated = want;
    return r;
}

/* The disk was full in the middle of a write: makes sure that nothing of it can ever be read. */
static int take_back(struct writer *writer)
{
    int r = io_file_truncate(&writer->file, writer->offset);
    if (r == 0) r = sync_file(writer);
    if (r < 0) return ERR_IO;
    writer->allocated = writer->offset;
    return ERR_NO_SPACE;
}

static void seal(const struct writer *writer, struct batch *batch)
{
    struct bytes data = buf_bytes(&batch->data);
    uint64_t unsynced = batch->first - batch->synced_next;
    for (size_t at = 0; at < data.len; unsynced++) {
        struct segment_record record;
        segment_record_peek(data.data + at, &record);
        segment_record_seal((char *)data.data + at, writer->salt,
                            unsynced < UINT32_MAX ? (uint32_t)unsynced : UINT32_MAX);
        at += record.size;
    }
}

static int put(struct writer *writer, struct batch *batch)
{
    struct bytes data = buf_bytes(&batch->data);
    seal(writer, batch);
    int r = allocate(writer, data.len);
    if (r == 0) {
        struct iovec iov = {(char *)data.data, data.len};
        r = io_file_write(&writer->file, &iov, 1, writer->offset);
    }
    if (r == ERR_NO_SPACE) return take_back(writer);
    if (r == 0 && batch->sync) r = writer_sync(writer);
    if (r < 0) return ERR_IO;
    writer->offset += data.len;
    writer->next += batch->count;
    return 0;
}

/* The batch's records begin a segment: the first of the journal, or the next. */
static int begin(struct writer *writer, struct batch *batch, struct writer *ret_before)
{
    bool new = !writer->open;
    uint64_t first = new ? writer->first : batch->first;
    uint64_t salt = new ? writer->salt : batch->roll_salt;
    int r;
    if (writer->logged && !batch->sync) {
        r = begin_unnamed(writer, first, salt, ret_before);
        batch->begins = r == 0;
    } else {
        r = new ? begin_synced(writer) : roll_synced(writer, first, salt);
    }
    return r == ERR_NO_SPACE && !new && batch->may_stay ? 0 : r;
}

static void note_place(const struct writer *writer, struct batch *batch)
{
    batch->segment_first = writer->first;
    batch->segment_salt = writer->salt;
    batch->offset = writer->offset;
}

int writer_put(struct writer *writer, struct batch *batch)
{
    int r = batch->first == writer->next ? 0 : ERR_NO_SPACE; /* the one before it was refused */
    struct writer before;
    batch->begins = false;
    if (r == 0 && (!writer->open || batch->roll)) r = begin(writer, batch, &before);
    note_place(writer, batch);
    if (r == 0) r = put(writer, batch);
    if (!batch->begins) return r;
    if (r == 0) {
        writer_close(&before);
        return 0;
    }
    r = begin_no_more(writer, &before, r);
    note_place(writer, batch);
    return r;
}

int writer_mark(struct io_file *file, uint64_t salt, const struct segment_mark *mark)
{
    char bytes[SEGMENT_HEADER];
    struct segment_header header;
    int64_t n = io_file_read(file, bytes, sizeof bytes, 0);
    if (n < 0) return (int)n;
    if (n < SEGMENT_HEADER || segment_header_decode(bytes, &header) < 0 || header.salt != salt) {
        return ERR_CONFLICT;
    }
    segment_mark_encode(mark, salt, bytes);
    struct iovec iov = {bytes, SEGMENT_MARK};
    return io_file_write(file, &iov, 1, SEGMENT_MARK_AT);
}
