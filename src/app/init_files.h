/* init_files: what `dure init` writes. The texts lie in src/app/scaffold/KIND/ and are embedded at
 * build time; @NAME@ in a text and NAME in a file's name stand for the service, @SYSTEM@ for the
 * system, and `dot_` at the start of a file's name for a dot. */
#ifndef DURE_APP_INIT_FILES_H
#define DURE_APP_INIT_FILES_H

#include "io/io.h"

struct scaffold_file {
    const char *path, *text; /* path: "KIND/NAME.c" */
};

/* In the file that tools/embed_files.py makes. */
extern const struct scaffold_file scaffold_files[];
extern const size_t scaffold_file_count;

/* Whether there are files of this kind. */
bool init_files_known(const char *kind);

/* Makes the folder `dir`, which must not exist yet, and writes the files of a kind into it; says
 * each on stdout. ERR_EXISTS and errors of the file system, told in `error`. */
int init_files_write(struct io *io, const char *kind, const char *dir, const char *system,
                     const char *name, struct error *error);

#endif
