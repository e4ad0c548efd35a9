/* scrub: a slow walk over all segments that are not written to any more, past the cache, to find
 * what has rotted on the disk while nobody reads it. Part of the wal (which knows the journals);
 * its owner learns of damage through journal_options.damaged, the log and a metric. For this folder
 * only.
 *
 * A step is one job: it opens the file, checks a run of records and closes it, so that journals can
 * be trimmed, closed and removed at any time. */
#ifndef DURE_STORE_SCRUB_H
#define DURE_STORE_SCRUB_H

#include "base/log.h"
#include "io/io.h"
#include "store/metrics.h"

enum { SCRUB_PATH = 512 };

struct journal;

struct scrub {
    struct io *io;
    struct log *log;
    struct store_metrics *metrics;
    uint64_t bytes_per_second;
    uint32_t pause_ms;       /* between two walks */
    struct list journals;    /* of struct journal */
    size_t left;             /* of them, in this walk */
    struct journal *journal; /* the one that is being walked; NULL: the next is to be chosen */
    uint64_t after;          /* segments that begin behind this sequence are still to be walked */
    struct io_timer timer;
    struct io_job job;
    bool busy, stopped;

    /* the segment at hand; for the job */
    char path[SCRUB_PATH];
    uint64_t first, next_first; /* of the segment, of the one behind it */
    uint64_t offset, seq;       /* where the walk stands in it; offset 0: at its beginning */
    uint64_t read_bytes;
    int result; /* 1: the segment is at its end */
};

/* 0 bytes per second: no scrub. */
void scrub_init(struct scrub *scrub, struct io *io, uint64_t bytes_per_second, uint32_t pause_ms);
void scrub_add(struct scrub *scrub, struct journal *journal);

/* Harmless when it was not added. */
void scrub_remove(struct scrub *scrub, struct journal *journal);

/* No step begins any more; one may still be under way (busy). */
void scrub_stop(struct scrub *scrub);

#endif
