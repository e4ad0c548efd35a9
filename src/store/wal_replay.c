#include "store/wal_replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "store/folder.h"

enum { SEGMENTS_MAX = 1 << 24, OPEN_MAX = 256 };

/* A segment file that the log names. */
struct target {
    char path[WAL_PATH];
    size_t name_at, name_len; /* of the journal, within the path */
    struct io_file file;
    bool open, looked, there;
    uint64_t segment, salt, end;
    uint64_t noted; /* the last generation that knows that it is about this file */
};

struct wal_replay {
    struct wal *wal;
    struct map targets; /* by path */
    int open_count;
};

struct wal_replay *wal_replay_new(struct wal *wal)
{
    struct wal_replay *replay = calloc(1, sizeof *replay);
    if (!replay) return NULL;
    replay->wal = wal;
    map_init(&replay->targets, SEGMENTS_MAX);
    return replay;
}

static void close_all(struct wal_replay *replay)
{
    size_t cursor = 0;
    for (struct target *target; (target = map_next(&replay->targets, &cursor));) {
        if (target->open) io_file_close(&target->file);
        target->open = false;
    }
    replay->open_count = 0;
}

void wal_replay_free(struct wal_replay *replay)
{
    if (!replay) return;
    close_all(replay);
    size_t cursor = 0;
    for (struct target *target; (target = map_next(&replay->targets, &cursor));) free(target);
    map_release(&replay->targets);
    free(replay);
}

static int target_of(struct wal_replay *replay, const struct wal_extent *extent,
                     struct target **ret_target)
{
    char path[WAL_PATH], name[SEGMENT_NAME];
    segment_name(extent->segment, name);
    int n =
        snprintf(path, sizeof path, "%s/%.*s/%s", replay->wal->dir, BYTES_ARG(extent->name), name);
    if (n < 0 || n >= (int)sizeof path) return ERR_TOO_BIG;
    *ret_target = map_get(&replay->targets, bytes_str(path));
    if (*ret_target) return 0;
    struct target *target = calloc(1, sizeof *target);
    if (!target) return ERR_NOMEM;
    memcpy(target->path, path, (size_t)n + 1);
    target->name_at = strlen(replay->wal->dir) + 1;
    target->name_len = extent->name.len;
    target->segment = extent->segment;
    int r = map_put(&replay->targets, bytes_str(target->path), target, NULL);
    if (r < 0) free(target);
    *ret_target = target;
    return r < 0 ? r : 0;
}

/* Whose file this is. One without a good header is left for the journal to complain of. */
static int read_salt(struct target *target)
{
    char bytes[SEGMENT_HEADER];
    struct segment_header header;
    int64_t n = io_file_read(&target->file, bytes, sizeof bytes, 0);
    if (n < 0) return (int)n;
    target->there = n == SEGMENT_HEADER && segment_header_decode(bytes, &header) == 0;
    if (target->there) target->salt = header.salt;
    return 0;
}

/* ---- a segment that the log has made ---- */

static int write_header(struct target *target, const struct wal_extent *extent)
{
    char bytes[SEGMENT_HEADER];
    const struct segment_header header = {extent->salt, extent->segment};
    segment_header_encode(&header, bytes);
    struct iovec iov = {bytes, sizeof bytes};
    int r = io_file_write(&target->file, &iov, 1, 0);
    target->salt = extent->salt;
    target->there = r == 0;
    return r;
}

static int is_later(void *context, const char *name)
{
    uint64_t first;
    return segment_name_parse(name, &first) && first > *(uint64_t *)context ? ERR_EXISTS : 0;
}

/* Not when it was there and has been trimmed: then there are later ones. So the names of earlier
 * ones, which may have been made here too, are durable before it has one. */
static int make_file(struct wal_replay *replay, struct target *target, uint64_t segment)
{
    char dir[WAL_PATH];
    struct io *io = replay->wal->io;
    snprintf(dir, sizeof dir, "%.*s", (int)(target->name_at + target->name_len), target->path);
    int r = io_list_dir(io, dir, is_later, &segment);
    if (r == ERR_EXISTS)
        return wal_removed(replay->wal, bytes_skip(bytes_str(dir), target->name_at));
    if (r < 0 && r != ERR_NOT_FOUND) return r;
    r = r == 0 ? io_sync_dir(io, dir) : folder_make(io, replay->wal->dir, dir);
    if (r == 0) r = io_file_open(io, &target->file, target->path, IO_READ | IO_WRITE | IO_CREATE);
    target->open = r == 0;
    replay->open_count += target->open;
    return r;
}

static int open_target(struct wal_replay *replay, struct target *target,
                       const struct wal_extent *extent)
{
    bool begins = extent->kind == WAL_EXTENT_BEGINS;
    if (target->open || (target->looked && !target->there)) return 0;
    if (replay->open_count == OPEN_MAX) close_all(replay);
    int r = io_file_open(replay->wal->io, &target->file, target->path, IO_READ | IO_WRITE);
    bool missing = r == ERR_NOT_FOUND;
    if (missing && begins) {
        r = make_file(replay, target, extent->segment);
    } else if (missing) {
        r = wal_removed(replay->wal, bytes_make(target->path + target->name_at, target->name_len));
    } else if (r == 0) {
        target->open = true;
        replay->open_count++;
    }
    if (r < 0 || target->looked) return r;
    target->looked = true;
    if (!target->open) return 0;
    r = read_salt(target);
    return r == 0 && begins && !target->there ? write_header(target, extent) : r;
}

int wal_replay_extent(struct wal_replay *replay, struct wal_file *file,
                      const struct wal_extent *extent)
{
    struct target *target;
    if (extent->kind == WAL_EXTENT_REMOVED) {
        char name[WAL_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", BYTES_ARG(extent->name));
        int r = wal_remove_files(replay->wal, name);
        return r < 0 ? r : wal_file_note_removal(file, extent->name);
    }
    int r = target_of(replay, extent, &target);
    if (r == 0) r = open_target(replay, target, extent);
    if (r < 0 || !target->there || target->salt != extent->salt) return r;
    if (target->noted != file->generation) {
        r = wal_file_note_extent(file, extent);
        target->noted = file->generation;
    }
    if (r == 0 && wal_extent_is_inline(extent)) {
        struct iovec iov = {(char *)extent->data.data, extent->data.len};
        r = io_file_write(&target->file, &iov, 1, extent->offset);
    }
    target->end = extent->offset + extent->length;
    return r;
}

static int by_name(const void *a, const void *b)
{
    const struct wal_end *first = a, *second = b;
    int order = strcmp(first->name, second->name);
    if (order) return order;
    return first->segment < second->segment ? -1 : first->segment > second->segment;
}

/* Of a journal's segments the last one counts. */
int wal_replay_ends(struct wal_replay *replay, struct wal *wal)
{
    wal->ends = calloc(replay->targets.count ? replay->targets.count : 1, sizeof *wal->ends);
    if (!wal->ends) return ERR_NOMEM;
    size_t cursor = 0;
    for (struct target *target; (target = map_next(&replay->targets, &cursor));) {
        if (!target->there || !target->end) continue;
        char *name = strndup(target->path + target->name_at, target->name_len);
        if (!name) return ERR_NOMEM;
        wal->ends[wal->end_count++] =
            (struct wal_end){name, target->segment, target->salt, target->end, {0}};
    }
    qsort(wal->ends, wal->end_count, sizeof *wal->ends, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < wal->end_count; i++) {
        bool last =
            i + 1 == wal->end_count || strcmp(wal->ends[i].name, wal->ends[i + 1].name) != 0;
        if (last) {
            wal->ends[kept++] = wal->ends[i];
        } else {
            free(wal->ends[i].name);
        }
    }
    wal->end_count = kept;
    return 0;
}
