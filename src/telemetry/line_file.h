/* line_file: lines appended to a file without making the loop wait. What is written while a batch
 * is on its way forms the next one; past LINE_FILE_PENDING_MAX lines are dropped and counted. At
 * LINE_FILE_MAX bytes the file is renamed to PATH.1 and begun anew. */
#ifndef DURE_TELEMETRY_LINE_FILE_H
#define DURE_TELEMETRY_LINE_FILE_H

#include "base/buf.h"
#include "io/io.h"

enum { LINE_FILE_PENDING_MAX = 4 * 1024 * 1024, LINE_FILE_MAX = 64 * 1024 * 1024 };

struct line_file {
    struct io *io;
    struct io_job job;
    struct io_timer timer;
    struct buf pending, writing;
    struct io_file file;
    bool open, busy, closing;
    int result;             /* of the last batch */
    uint64_t size, dropped; /* bytes in the file; lines lost */
    void (*closed)(void *context);
    void *context;
    char path[512];
};

/* Nothing is opened before the first line. ERR_TOO_BIG: the path. */
int line_file_init(struct line_file *file, struct io *io, const char *path);

/* Appends a line (with its newline); written within 200 ms. */
void line_file_add(struct line_file *file, struct bytes line);

/* Writes what waits, then `closed` (may be NULL), from the loop. */
void line_file_close(struct line_file *file, void (*closed)(void *context), void *context);

#endif
