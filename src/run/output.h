/* output: what a child prints, line by line, into the log file of its service.
 *
 * The file is LOGS/SERVICE.log: one JSON object a line {time, service, instance, stream, line}. At
 * OUTPUT_FILE_MAX bytes it is renamed to SERVICE.log.1 (replacing the last one) and begun anew, so
 * a service holds at most twice that on the disk. The parent writes it: a service's last words
 * survive even when the worker does not. */
#ifndef DURE_RUN_OUTPUT_H
#define DURE_RUN_OUTPUT_H

#include "base/buf.h"
#include "io/io.h"

enum { OUTPUT_FILE_MAX = 16 * 1024 * 1024, OUTPUT_LINE_MAX = 16 * 1024 };

/* A service's log file, shared by the outputs of its instances. */
struct output_file {
    struct io *io;
    struct io_file file;
    uint64_t size;
    bool open;
    int users;
    uint64_t dropped; /* lines that could not be written: disk full */
    char service[64];
    char path[512];
};

/* Opens (creates) LOGS/SERVICE.log for appending; one user. ERR_TOO_BIG, ERR_* of io_file_open. */
int output_file_open(struct io *io, const char *logs, const char *service,
                     struct output_file **ret_file);
struct output_file *output_file_ref(struct output_file *file);
void output_file_unref(struct output_file *file);

/* Appends one line; a failure is counted, never returned: a full disk must not stop a service. */
void output_file_write(struct output_file *file, const char *instance, const char *stream,
                       struct bytes line);

/* One stream of one child. */
struct output {
    struct io_stream stream; /* to be filled by io_spawn before output_start */
    struct output_file *file;
    const char *instance; /* owned by the child, which outlives its outputs */
    const char *name;     /* "out" or "err" */
    struct buf line;      /* a line that is not whole yet */
    bool cutting;         /* inside a line that is too long: the rest is left out */
    void (*ended)(struct output *output);
};

/* Reads until the end of the stream; then closes it and calls `ended`. A line longer than
 * OUTPUT_LINE_MAX is cut there and marked with "...". */
void output_start(struct output *output, struct output_file *file, const char *instance,
                  const char *name, void (*ended)(struct output *output));

#endif
