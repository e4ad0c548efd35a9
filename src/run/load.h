/* load: reads a system's manifests from its folder: dure.yaml, and the service.yaml of each folder
 * that it names. Blocks (files); for start-up, jobs and command line tools. */
#ifndef DURE_RUN_LOAD_H
#define DURE_RUN_LOAD_H

#include "io/io.h"
#include "wire/manifest.h"

/* Where the texts come from. */
struct load_source {
    /* The whole file in memory that the caller frees. ERR_TOO_BIG over a document's limit. */
    int (*read)(void *context, const char *path, char **ret_data, size_t *ret_len);
    void *context;
};

/* The files themselves: `context` is the struct io. */
int load_read_file(void *io, const char *path, char **ret_data, size_t *ret_len);

/* Reads, binds and checks everything below `dir`. All mistakes of all files go to `errors`, in
 * reading order; returns 0, or the error of the first. *ret_manifest, in `arena`, is whole on
 * success; otherwise what could be read (system and services may be NULL). Files' names in errors
 * start with `dir`, except when it is ".". LOAD_ARENA_MAX is room enough for any system within
 * the limits. */
enum { LOAD_ARENA_MAX = 64 * 1024 * 1024 };
int load_system(struct io *io, const char *dir, struct arena *arena, struct errors *errors,
                struct manifest *ret_manifest);

/* The same with texts from elsewhere (those of an earlier deployment). */
int load_system_from(struct io *io, const struct load_source *source, const char *dir,
                     struct arena *arena, struct errors *errors, struct manifest *ret_manifest);

/* The folder of services[index], dir joined with its path, in `arena`; NULL when that is full. */
const char *load_service_dir(const char *dir, const struct manifest *manifest, size_t index,
                             struct arena *arena);

#endif
