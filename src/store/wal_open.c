/* Recovery: the frames of the log that may still be needed are read once, in order, and what they
 * say is written into the segment files again. Then the log goes on in a file of its own, so that
 * what a torn commit has left behind is never in the way of a new one. See wal_frame.h for what is
 * judged how. */
#include "store/wal_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/folder.h"

#include "store/wal_replay.h"

enum { WINDOW = 1 << 20, TAIL = 8 };

/* A good frame near the end. */
struct place {
    struct wal_file *file;
    uint64_t number, offset;
    size_t size;
};

struct scan {
    struct wal *wal;
    struct error *error;
    struct wal_file *files[WAL_FILES_MAX]; /* in order of generations, without a gap */
    int count, last;                       /* last: in which the run of good frames ends; or -1 */
    char *block;                           /* for a head alone */
    char *window;
    size_t window_size, window_len;
    const struct wal_file *window_file;
    uint64_t window_offset;
    uint64_t expected; /* number of the next frame; 0: not known yet */
    uint64_t acked, replay_from;
    uint64_t frames;
    uint64_t last_first, last_end; /* of the file of the last good frame: its first, its end */
    struct place tail[TAIL];       /* the last good frames, by number modulo TAIL */
    struct wal_replay *replay;
};

static int damaged(struct scan *scan, const struct wal_file *file, uint64_t offset,
                   const char *what)
{
    char path[WAL_PATH] = "";
    (void)wal_file_path(scan->wal, file, path);
    error_set(scan->error, ERR_CORRUPT,
              "%s at byte %" PRIu64 ": data that had been acknowledged is damaged", what, offset);
    error_at(scan->error, path, 0, 0);
    error_remedy(scan->error, "dure has changed nothing in the log; without the folder `wal` the "
                              "store opens, and lacks what only the log holds");
    return ERR_CORRUPT;
}

/* ---- reading ---- */

/* Makes `len` bytes at `offset`, both of whole blocks, readable. Less only at the end. */
static int64_t look(struct scan *scan, struct wal_file *file, uint64_t offset, size_t len,
                    char **ret_bytes)
{
    bool inside = scan->window_file == file && offset >= scan->window_offset &&
                  offset + len <= scan->window_offset + scan->window_len;
    if (!inside) {
        if (len > scan->window_size) {
            free(scan->window);
            scan->window_size = 0;
            scan->window = aligned_alloc(WAL_BLOCK, len);
            if (!scan->window) return ERR_NOMEM;
            scan->window_size = len;
        }
        size_t ahead = offset == 0 ? len : scan->window_size; /* a header is looked at alone */
        int64_t n = io_file_read(&file->file, scan->window, ahead, offset);
        if (n < 0) return n;
        scan->window_file = file;
        scan->window_offset = offset;
        scan->window_len = (size_t)n / WAL_BLOCK * WAL_BLOCK;
    }
    size_t skip = (size_t)(offset - scan->window_offset), left = scan->window_len - skip;
    *ret_bytes = scan->window + skip;
    return (int64_t)(left < len ? left : len);
}

/* 1: a head that is whole. */
static int head_at(struct scan *scan, struct wal_file *file, uint64_t offset,
                   struct wal_head *ret_head)
{
    char *bytes;
    if (offset + WAL_BLOCK > file->size) return 0;
    int64_t n = look(scan, file, offset, WAL_BLOCK, &bytes);
    if (n < WAL_BLOCK) return n < 0 ? (int)n : 0;
    return wal_head_decode(bytes, file->salt, ret_head) == 0;
}

/* 1: a frame that is whole. */
static int frame_at(struct scan *scan, struct wal_file *file, uint64_t offset,
                    struct wal_head *ret_head, struct bytes *ret_body)
{
    int r = head_at(scan, file, offset, ret_head);
    if (r <= 0) return r;
    uint64_t size = (uint64_t)ret_head->blocks * WAL_BLOCK;
    if (size > file->size - offset) return 0;
    char *bytes;
    int64_t n = look(scan, file, offset, (size_t)size, &bytes);
    if (n < (int64_t)size) return n < 0 ? (int)n : 0;
    if (wal_frame_check(bytes, ret_head, file->salt) < 0) return 0;
    *ret_body = bytes_make(bytes + WAL_HEAD, ret_head->length - WAL_HEAD);
    return 1;
}

/* The head of a file's first frame. Leaves the window where it is. */
static int first_head(struct scan *scan, struct wal_file *file, struct wal_head *ret_head)
{
    int64_t n = io_file_read(&file->file, scan->block, WAL_BLOCK, WAL_BLOCK);
    if (n < WAL_BLOCK) return n < 0 ? (int)n : 0;
    return wal_head_decode(scan->block, file->salt, ret_head) == 0;
}

/* ---- the run of good frames ---- */

static int take_frame(struct scan *scan, struct wal_file *file, uint64_t offset,
                      const struct wal_head *head, struct bytes body)
{
    struct wal_extent extent;
    int r;
    while ((r = wal_extent_next(&body, &extent)) > 0) {
        r = wal_replay_extent(scan->replay, file, &extent);
        if (r < 0) return r;
    }
    if (r < 0) return damaged(scan, file, offset, "bad extent");
    scan->frames++;
    scan->expected = head->number + 1;
    if (head->acked > scan->acked) scan->acked = head->acked;
    if (head->replay_from > scan->replay_from) scan->replay_from = head->replay_from;
    scan->tail[head->number % TAIL] =
        (struct place){file, head->number, offset, (size_t)head->blocks * WAL_BLOCK};
    return 0;
}

/* The frame was read, but nobody has said that it is on the disk. */
static int write_again(struct scan *scan, struct wal_file *file, uint64_t offset, size_t size)
{
    char *bytes = NULL;
    int64_t n = look(scan, file, offset, size, &bytes);
    if (n < (int64_t)size) return n < 0 ? (int)n : ERR_IO;
    return io_file_write_durable(&file->file, bytes, size, offset);
}

static bool changes_names(struct bytes body)
{
    struct wal_extent extent;
    while (wal_extent_next(&body, &extent) > 0) {
        if (extent.kind == WAL_EXTENT_BEGINS || extent.kind == WAL_EXTENT_REMOVED) return true;
    }
    return false;
}

/* A name that comes or goes may outlive a power failure that the frame does not, which was read but
 * may be in the cache alone: makes sure of it where no frame behind it does. */
static int settle_frame(struct scan *scan, struct wal_file *file, uint64_t offset,
                        const struct wal_head *head)
{
    struct wal_head later = *head;
    uint64_t at = offset;
    for (int i = 0; i < TAIL; i++) {
        at += (uint64_t)later.blocks * WAL_BLOCK;
        int r = head_at(scan, file, at, &later);
        if (r < 0 || (r > 0 && later.acked > head->number)) return r < 0 ? r : 0;
        if (r == 0) break;
    }
    return write_again(scan, file, offset, (size_t)head->blocks * WAL_BLOCK);
}

/* The frames of one file. `stop`: the number with which the next file begins; a frame with that
 * number in this one was torn, or not there, when the next one was begun. */
static int take_file(struct scan *scan, int index, uint64_t stop, uint64_t *ret_offset,
                     bool *ret_ended)
{
    struct wal_file *file = scan->files[index];
    uint64_t offset = WAL_BLOCK;
    *ret_ended = false;
    int r = 0;
    while (!*ret_ended) {
        struct wal_head head;
        struct bytes body;
        r = frame_at(scan, file, offset, &head, &body);
        if (r <= 0) break;
        if ((scan->expected && head.number != scan->expected) || head.number == stop) break;
        if (changes_names(body)) {
            r = settle_frame(scan, file, offset, &head);
            if (r == 0) r = frame_at(scan, file, offset, &head, &body);
            if (r <= 0) break;
        }
        r = take_frame(scan, file, offset, &head, body);
        if (r < 0) break;
        scan->last = index;
        scan->last_first = head.first;
        scan->last_end = offset + (uint64_t)head.blocks * WAL_BLOCK;
        *ret_ended = head.end;
        offset += (uint64_t)head.blocks * WAL_BLOCK;
    }
    *ret_offset = offset;
    return r < 0 ? r : 0;
}

/* Behind the run of good frames: does anything vouch for the frame that is missing? */
static int judge(struct scan *scan, int index, uint64_t offset)
{
    uint64_t missing = scan->expected;
    for (int i = index; i < scan->count; i++) {
        struct wal_file *file = scan->files[i];
        uint64_t at = i == index ? offset : WAL_BLOCK, end = file->size;
        if (i > index && end > WINDOW) end = WINDOW; /* a file begins with a frame, or has none */
        for (; at < end; at += WAL_BLOCK) {
            struct wal_head head;
            int r = head_at(scan, file, at, &head);
            if (r < 0) return r;
            if (r == 0) continue;
            end = file->size;
            if (!missing) missing = head.first;
            if (head.acked > missing) return damaged(scan, scan->files[index], offset, "bad frame");
        }
    }
    if (!scan->expected) scan->expected = missing;
    return 0;
}

static int take_files(struct scan *scan)
{
    for (int i = 0; i < scan->count; i++) {
        struct wal_head next = {0};
        bool more = i + 1 < scan->count, ended;
        uint64_t offset;
        int r = more ? first_head(scan, scan->files[i + 1], &next) : 0;
        if (r == 0) next.number = 0;
        if (r >= 0) r = take_file(scan, i, next.number, &offset, &ended);
        if (r < 0) return r;
        if (ended && !more) return damaged(scan, scan->files[i], offset, "missing log file");
        bool continues = ended || (scan->expected && next.number == scan->expected);
        if (!continues) return judge(scan, i, offset);
    }
    return 0;
}

/* ---- files ---- */

static int note_name(void *context, const char *name)
{
    struct wal *wal = context;
    uint64_t slot;
    struct bytes text = bytes_str(name);
    if (text.len != 8 || !bytes_ends(text, BYTES(".wal"))) return 0;
    if (bytes_to_u64(bytes_head(text, 4), WAL_FILES_MAX - 1, &slot) < 0) return 0;
    if ((int)slot >= wal->file_count) wal->file_count = (int)slot + 1;
    return 0;
}

/* A header that is not whole is that of a file that was never used, or of one that was free when
 * the power failed while it was made ready; if it is not, the frames before it say so. */
static int open_file(struct scan *scan, struct wal_file *file, struct wal_header *ret_header)
{
    char path[WAL_PATH], *block;
    int r = wal_file_path(scan->wal, file, path);
    if (r == 0) {
        r = io_file_open(scan->wal->io, &file->file, path, IO_READ | IO_WRITE | IO_DIRECT);
    }
    if (r < 0) return r == ERR_NOT_FOUND ? 0 : r;
    file->open = true;
    int64_t size = io_file_size(&file->file), n = look(scan, file, 0, WAL_BLOCK, &block);
    if (size < 0 || n < 0) return (int)(n < 0 ? n : size);
    if (n < WAL_BLOCK || wal_header_decode(block, ret_header) < 0) return 0;
    if (ret_header->size > (uint64_t)size) return 0;
    file->size = ret_header->size;
    file->salt = ret_header->salt;
    file->generation = ret_header->generation;
    return 0;
}

static int by_generation(const void *a, const void *b)
{
    uint64_t first = (*(struct wal_file *const *)a)->generation;
    uint64_t second = (*(struct wal_file *const *)b)->generation;
    return first < second ? -1 : first > second;
}

/* The names that lead to the log, and those in it, before the first header is durable: a header
 * that is there vouches for them. */
static int sync_names(struct wal *wal)
{
    int r = folder_sync(wal->io, NULL, wal->dir);
    return r == 0 ? folder_sync(wal->io, NULL, wal->path) : r;
}

/* Leaves in the scan those files that can matter: the newest, and before it without a gap those
 * that were needed when the newest was made ready. */
static int open_files(struct scan *scan)
{
    struct wal *wal = scan->wal;
    int r = io_list_dir(wal->io, wal->path, note_name, wal);
    uint64_t newest = 0;
    for (int i = 0; r == 0 && i < wal->file_count; i++) {
        struct wal_header header = {0};
        r = open_file(scan, &wal->files[i], &header);
        if (header.generation) scan->files[scan->count++] = &wal->files[i];
        if (header.generation > newest) {
            newest = header.generation;
            scan->replay_from = header.replay_from;
        }
    }
    if (r < 0) return r;
    if (scan->count == 0) return sync_names(wal);
    qsort(scan->files, (size_t)scan->count, sizeof scan->files[0], by_generation);
    int first = scan->count - 1;
    while (first > 0 && scan->files[first - 1]->generation + 1 == scan->files[first]->generation &&
           scan->files[first]->generation > scan->replay_from) {
        first--;
    }
    scan->count -= first;
    memmove(scan->files, scan->files + first, (size_t)scan->count * sizeof scan->files[0]);
    return 0;
}

/* ---- going on ---- */

static int settle_tail(struct scan *scan)
{
    int r = 0;
    for (uint64_t number = scan->acked; r == 0 && number < scan->expected; number++) {
        const struct place *place = &scan->tail[number % TAIL];
        if (!place->file || place->number != number) continue;
        r = write_again(scan, place->file, place->offset, place->size);
    }
    return r;
}

/* What a torn commit has left in files behind the end must not be found the next time. The newest
 * first, so that no gap appears. Not the first of them: that one is used next. */
static int wipe_rest(struct scan *scan)
{
    for (int i = scan->count - 1; i > scan->last + 1; i--) {
        memset(scan->window, 0, WAL_BLOCK);
        scan->window_file = NULL;
        int r = io_file_write_durable(&scan->files[i]->file, scan->window, WAL_BLOCK, 0);
        if (r < 0) return r;
    }
    return 0;
}

static struct wal_file *free_file(struct wal *wal)
{
    for (int i = 0; i < wal->file_count; i++) {
        if (wal->files[i].state == WAL_FREE && wal->files[i].size > 0) return &wal->files[i];
    }
    for (int i = 0; i < wal->file_count; i++) {
        if (wal->files[i].state == WAL_FREE) return &wal->files[i];
    }
    return wal->file_count < WAL_FILES_MAX ? &wal->files[wal->file_count++] : NULL;
}

/* The disk has no room for another file: a checkpoint, and a frame that says so, so that all files
 * but the last can be used again. There is room for one block behind the last frame of a file that
 * has no end. */
static int make_free(struct scan *scan)
{
    struct wal *wal = scan->wal;
    if (scan->last < 1) return ERR_NO_SPACE;
    int r = 0;
    for (int i = 0; r == 0 && i <= scan->last; i++) r = wal_file_sync(wal, scan->files[i]);
    if (r < 0) return r;
    struct wal_file *last = scan->files[scan->last];
    scan->replay_from = last->generation + 1;
    const struct wal_head head = {
        .number = scan->expected,
        .acked = scan->expected,
        .first = scan->last_first,
        .replay_from = scan->replay_from,
        .length = WAL_HEAD,
        .blocks = 1,
    };
    wal_frame_seal(scan->window, &head, last->salt);
    scan->window_file = NULL;
    r = io_file_write_durable(&last->file, scan->window, WAL_BLOCK, scan->last_end);
    scan->expected++;
    for (int i = 0; i < scan->last; i++) {
        wal_file_forget(scan->files[i]);
        scan->files[i]->state = WAL_FREE;
    }
    return r;
}

/* The file in which the log goes on: first choice is the one that has this generation already. */
static int begin_file(struct scan *scan, uint64_t generation)
{
    struct wal *wal = scan->wal;
    bool there = scan->last + 1 < scan->count;
    struct wal_file *file = there ? scan->files[scan->last + 1] : free_file(wal);
    if (!file) return ERR_FULL;
    struct wal_prepare prepare = {
        .file = file,
        .size = file->size ? file->size : wal->file_size,
        .generation = generation,
        .salt = io_random_u64(wal->io),
        .replay_from = scan->replay_from ? scan->replay_from : generation,
    };
    int r = wal_file_prepare(wal, &prepare);
    if (r < 0) return r;
    file->state = WAL_ACTIVE;
    wal->active = file;
    wal->next_number = file->first = wal->acked = scan->expected ? scan->expected : 1;
    wal->replay_from = wal->durable_replay_from = wal->sent_replay_from = prepare.replay_from;
    wal->header_replay_from = prepare.replay_from;
    wal->switched_ns = io_now_ns(wal->io);
    return 0;
}

static int go_on(struct scan *scan)
{
    /* Also those that were not needed any more: what they have made and removed again now is in the
     * cache alone, and must not be forgotten before it is on the disk. */
    for (int i = 0; i <= scan->last; i++) scan->files[i]->state = WAL_FULL;
    if (scan->last >= 0) scan->replay_from = scan->files[0]->generation;
    uint64_t generation = scan->last >= 0   ? scan->files[scan->last]->generation + 1
                          : scan->count > 0 ? scan->files[0]->generation
                                            : 1;
    int r = begin_file(scan, generation);
    if (r == ERR_NO_SPACE) {
        r = make_free(scan);
        if (r == 0) r = begin_file(scan, generation);
    }
    /* With two files the log can go on for ever, whatever else fills the disk. */
    return r < 0 ? r : wal_file_second(scan->wal);
}

static int recover(struct scan *scan)
{
    struct wal *wal = scan->wal;
    int r = open_files(scan);
    if (r == 0) r = take_files(scan);
    if (r == 0 && scan->count > 0 && scan->replay_from < scan->files[0]->generation) {
        r = damaged(scan, scan->files[0], 0, "the log file before this one is missing");
    }
    if (r == 0) r = settle_tail(scan);
    if (r == 0) r = wal_replay_ends(scan->replay, wal);
    if (r == 0) r = wipe_rest(scan);
    if (r == 0) r = go_on(scan);
    if (r == 0 && scan->frames > 0) {
        wal->metrics->wal_replayed += scan->frames;
        LOG(wal->options.log, LOG_INFO, "commit_log_replayed", LOG_S("dir", wal->dir),
            LOG_U("frames", scan->frames));
    }
    return r;
}

int wal_recover(struct wal *wal, struct error *error)
{
    struct scan scan = {
        .wal = wal,
        .error = error,
        .last = -1,
        .block = aligned_alloc(WAL_BLOCK, WAL_BLOCK),
        .window = aligned_alloc(WAL_BLOCK, WINDOW),
        .window_size = WINDOW,
        .replay = wal_replay_new(wal),
    };
    int r = scan.block && scan.window && scan.replay ? recover(&scan) : ERR_NOMEM;
    wal_replay_free(scan.replay);
    free(scan.window);
    free(scan.block);
    return r;
}
