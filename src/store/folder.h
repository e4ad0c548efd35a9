/* folder: the directories that journals lie in, and their names. For this folder only; all of it
 * BLOCKS. `root` is a directory that `dir` lies below; NULL: the parent of `dir`. */
#ifndef DURE_STORE_FOLDER_H
#define DURE_STORE_FOLDER_H

#include "base/map.h"
#include "io/io.h"

/* Makes `dir` and what is missing between it and `root`; nothing is synced. */
int folder_make(struct io *io, const char *root, const char *dir);

/* Makes the names in `dir` durable, its own, and those of all directories between it and `root`.
 * What is missing is passed over. */
int folder_sync(struct io *io, const char *root, const char *dir);

/* Syncs many folders below one root, and what lies between, each once. */
struct folders {
    struct io *io;
    const char *root;
    struct map done; /* the paths, which it owns */
};

void folders_init(struct folders *folders, struct io *io, const char *root);
void folders_release(struct folders *folders);

/* root/name and up to the root. What is missing is passed over. ERR_NOMEM, errors of the disk. */
int folders_sync(struct folders *folders, const char *name);

/* Removes `dir` with all that is in it; nothing is synced. 0 also when there is none. */
int folder_remove(struct io *io, const char *dir);

#endif
