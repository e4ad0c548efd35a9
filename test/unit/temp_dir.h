/* temp_dir: a folder of its own for a test, and its removal with all that is in it. */
#ifndef DURE_TEST_TEMP_DIR_H
#define DURE_TEST_TEMP_DIR_H

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct temp_dir {
    char path[64];
};

static inline void temp_dir_make(struct temp_dir *dir)
{
    snprintf(dir->path, sizeof dir->path, "/tmp/dure-test-XXXXXX");
    char *made = mkdtemp(dir->path);
    assert(made);
}

static inline int temp_dir_remove_one(const char *path, const struct stat *unused_stat,
                                      int unused_kind, struct FTW *unused_ftw)
{
    (void)unused_stat, (void)unused_kind, (void)unused_ftw;
    return remove(path);
}

static inline void temp_dir_remove(const struct temp_dir *dir)
{
    int err = nftw(dir->path, temp_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    assert(!err);
}

#endif
