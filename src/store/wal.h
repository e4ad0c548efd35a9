/* wal: the commit log under all journals of one store (write-ahead log, as databases call it).
 *
 *     turn of the loop: appends to many journals
 *        -> [job: each journal's own file is written (cached), then one write + sync of the log]
 *        -> appended(record, 0) of all of them, in order
 *
 * A journal that is opened with a wal and JOURNAL_SYNC_EACH does not sync its own files: what is
 * acknowledged is in the log, which costs one durable write for all journals together, into space
 * that was allocated and written before. The journals' own files are synced in the background when
 * a log file is full (a checkpoint); then the log file is used again. wal_open writes what the log
 * still holds into the journals' files, so a wal is opened before any journal below its directory.
 *
 * What a power failure leaves, and why nothing that was deleted comes back: see wal_frame.h and
 * the README.
 *
 * Full disk: the log's files exist already, so the log goes on; a journal whose own file cannot
 * grow refuses its appends with ERR_NO_SPACE, the other journals notice nothing. After a write or
 * sync of the log has failed, no journal on it acknowledges anything until the store is opened
 * anew.
 *
 * Owned by the caller; belongs to one loop, the loop of its journals. */
#ifndef DURE_STORE_WAL_H
#define DURE_STORE_WAL_H

#include "base/log.h"
#include "io/io.h"
#include "store/metrics.h"

struct wal;

struct wal_options {
    const char *dir;    /* of the store: all journals lie below it, the log is in dir/wal; made if
                         * it is missing (its parent must exist) */
    uint64_t file_min;  /* bytes of a log file in a store that is hardly used; 0: 1 MiB */
    uint64_t file_max;  /* they double up to this under load; 0: 2 MiB */
    uint64_t total_max; /* of all log files; when checkpoints cannot keep up, commits wait; 0:
                         * 256 MiB */
    /* The scrub reads all sealed segments of all journals again, past the cache, and checks them
     * (journal_options.damaged). */
    uint64_t scrub_bytes_per_second; /* 0: never */
    uint32_t scrub_pause_ms;         /* between two walks, and before the first; 0: an hour */
    struct log *log;                 /* may be NULL */
    struct store_metrics *metrics;   /* may be NULL */
};

/* Opens or creates, and brings the journals' files up to date; BLOCKS (start-up). Before any
 * journal below `dir` is opened. ERR_IN_USE: another
 * process has the store open. ERR_CORRUPT: `error` names the file and the message the offset. */
int wal_open(struct io *io, const struct wal_options *options, struct wal **ret_wal,
             struct error *error);

/* Syncs all journals' files, so that the next start has nothing to do, then releases. Journals on
 * it must be closed (their `done` has run). `done` (may be NULL) runs last, from the loop. */
void wal_close(struct wal *wal, void (*done)(void *context), void *context);

/* Gives everything back at once and writes nothing: where nothing is in flight, and for a simulated
 * host that has crashed. Journals on it must be freed before. NULL is allowed. */
void wal_free(struct wal *wal);

/* Removes the folder of a journal that is closed, with all that is in it, in one step: when `done`
 * runs with 0 it is gone for good, and else it is there whole after the next start, or not at all.
 * The files go in the background. No journal may ever be made in a folder of that name again: the
 * log knows journals by their folders. Harmless when there is none. `dir` is copied. ERR_INVALID
 * (not below the wal's), ERR_TOO_BIG, ERR_NOMEM, or what wal_status says: nothing has happened
 * then. */
int wal_remove(struct wal *wal, const char *dir, void (*done)(void *context, int result),
               void *context);

/* 0, or the error after which nothing is acknowledged any more. */
int wal_status(const struct wal *wal);

#endif
