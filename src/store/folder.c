#include "store/folder.h"

#include "base/err.h"
#include "store/journal_impl.h"

#include <stdlib.h>

/* How many bytes of `dir` name its root. */
static size_t root_len(const char *root, const char *dir)
{
    if (root) return strlen(root);
    const char *slash = strrchr(dir, '/');
    return slash ? (size_t)(slash - dir) : 0;
}

int folder_make(struct io *io, const char *root, const char *dir)
{
    char path[JOURNAL_PATH];
    size_t len = strlen(dir);
    if (len >= sizeof path) return ERR_TOO_BIG;
    memcpy(path, dir, len + 1);
    int r = 0;
    for (size_t at = root_len(root, dir) + 1; r == 0 && at <= len; at++) {
        if (path[at] != '/' && path[at] != '\0') continue;
        char end = path[at];
        path[at] = '\0';
        r = io_mkdir(io, path);
        path[at] = end;
    }
    return r;
}

int folder_sync(struct io *io, const char *root, const char *dir)
{
    char path[JOURNAL_PATH];
    size_t least = root_len(root, dir), len = strlen(dir);
    if (len >= sizeof path) return ERR_TOO_BIG;
    memcpy(path, dir, len + 1);
    for (;;) {
        int r = io_sync_dir(io, len ? path : dir[0] == '/' ? "/" : ".");
        if (r < 0 && r != ERR_NOT_FOUND) return r;
        if (len <= least) return 0;
        while (len > 0 && path[len - 1] != '/') len--;
        while (len > 0 && path[len - 1] == '/') len--;
        path[len] = '\0';
    }
}

/* ---- many at once ---- */

void folders_init(struct folders *folders, struct io *io, const char *root)
{
    *folders = (struct folders){.io = io, .root = root};
    map_init(&folders->done, SIZE_MAX);
}

void folders_release(struct folders *folders)
{
    size_t cursor = 0;
    for (char *path; (path = map_next(&folders->done, &cursor));) free(path);
    map_release(&folders->done);
}

/* 0: it has been synced now; 1: it had been. */
static int sync_once(struct folders *folders, const char *path)
{
    if (map_get(&folders->done, bytes_str(path))) return 1;
    char *copy = strdup(path);
    int r = copy ? map_put(&folders->done, bytes_str(copy), copy, NULL) : ERR_NOMEM;
    if (r < 0) {
        free(copy);
        return r;
    }
    r = io_sync_dir(folders->io, path);
    return r == ERR_NOT_FOUND ? 0 : r;
}

int folders_sync(struct folders *folders, const char *name)
{
    char path[JOURNAL_PATH];
    size_t least = strlen(folders->root);
    int r = journal_path(folders->root, name, path);
    for (size_t len = strlen(path); r == 0; len = (size_t)(strrchr(path, '/') - path)) {
        path[len] = '\0';
        r = sync_once(folders, path);
        if (len <= least) break;
    }
    return r < 0 ? r : 0;
}

/* ---- removing ---- */

struct removing {
    struct io *io;
    const char *dir;
};

static int remove_one(void *context, const char *name)
{
    const struct removing *removing = context;
    char path[JOURNAL_PATH];
    bool is_dir = false;
    uint64_t size, time_ns;
    int r = journal_path(removing->dir, name, path);
    if (r == 0) r = io_stat(removing->io, path, &size, &time_ns, &is_dir);
    if (r == 0) r = is_dir ? folder_remove(removing->io, path) : io_unlink(removing->io, path);
    return r == ERR_NOT_FOUND ? 0 : r;
}

int folder_remove(struct io *io, const char *dir)
{
    struct removing removing = {io, dir};
    int r = io_list_dir(io, dir, remove_one, &removing);
    if (r == 0) r = io_rmdir(io, dir);
    return r == ERR_NOT_FOUND ? 0 : r;
}
