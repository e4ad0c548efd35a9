/* journal: the durable log. An append-only run of records, numbered from 1 without gaps, that
 * survives kill -9 and power loss. (Named journal because `struct log` is the event log of base.)
 *
 *     append -> batch -> [job: write + sync] -> appended(record, 0), in order
 *
 * Group commit: what is appended while a batch is on its way to the disk forms the next batch, and
 * a batch costs one write and one sync; with a wal (store/wal.h) the batches of all journals cost
 * one durable write together. A record is acknowledged (`appended`) only when it is on the disk, as
 * the journal's sync policy defines it.
 *
 * The records lie in segment files, each named by the first sequence it holds. A segment's blocks
 * are allocated ahead of the writes, so that a sync need not write metadata. What recovery can tell
 * apart and why is explained in segment.h; in short:
 *   - Everything acknowledged is there after a crash, in order; a torn tail is cut.
 *   - Damage to what had been acknowledged is never cut away silently: journal_open says
 *     ERR_CORRUPT with the file and the offset, and leaves the files as they are.
 *   - After a failed write or sync nothing more is acknowledged until the journal is opened anew
 *     (a sync that failed once may lie when it is repeated). Only ERR_NO_SPACE is gentler: the
 *     appends that wait fail with it, and later ones work when there is room again.
 *
 * Start-up reads all records, or what their owner has said of them when they were written
 * (`digest`): then just those since.
 *
 * A record is delivered to its owner in the same shape live (`appended`) and at start-up
 * (`recovered`), so an owner whose state is a function of its records needs one function for both.
 *
 * Owned by the caller; belongs to one loop. Not reentrant: callbacks come from the loop, never from
 * inside a call, except `recovered`, which runs inside journal_open. */
#ifndef DURE_STORE_JOURNAL_H
#define DURE_STORE_JOURNAL_H

#include "base/buf.h"
#include "base/log.h"
#include "io/io.h"
#include "store/metrics.h"

struct journal;
struct wal;

struct journal_record {
    uint64_t seq;
    struct bytes payload; /* valid during the callback, or as long as the journal_read it is from */
};

enum journal_sync {
    JOURNAL_SYNC_EACH,     /* acknowledged when synced, here or in the wal: survives power loss */
    JOURNAL_SYNC_INTERVAL, /* acknowledged after write; synced every sync_interval_ms */
    JOURNAL_SYNC_NEVER,    /* acknowledged after write: survives kill -9 only */
};

struct journal_options {
    const char *dir; /* used by one journal only */
    bool must_exist; /* ERR_NOT_FOUND when there is no journal in dir */
    enum journal_sync sync;
    struct wal
        *wal; /* store/wal.h; with JOURNAL_SYNC_EACH: what makes appends durable, for all
               * journals at once; NULL: the journal syncs for itself. With any policy it has
               * the journal scrubbed. Outlives the journal, whose dir lies below the wal's */
    uint32_t sync_interval_ms;     /* 0: 1000 */
    uint64_t segment_bytes;        /* 0: 64 MiB; at least 4 KiB, at most 1 GiB */
    uint64_t allocate_bytes;       /* at most, how far ahead blocks are allocated; 0: 1 MiB */
    size_t record_max;             /* largest payload; 0: 8 MiB; at most half a segment */
    size_t pending_max;            /* bytes that may wait to be written; 0: 16 MiB */
    struct log *log;               /* may be NULL */
    struct store_metrics *metrics; /* may be NULL */

    void *context; /* handed to the callbacks */

    /* Start-up, for every record that the disk holds, in order. May be NULL. An error stops the
     * opening and is returned by journal_open. */
    int (*recovered)(void *context, const struct journal_record *record);

    /* Digests (store/digest.h): so that start-up need not read every record. Both or neither.
     * `digest` appends to `out` what has to be known of all records since the last call that were
     * told (`recovered`, `appended` with 0); an error: they will be read. `digested` gets that back
     * at start-up, in the place of `recovered` for each of the `count` records from `first_seq` on.
     * ERR_CORRUPT of it, as all its errors, stops the opening: without `digested`, with a new
     * context, all records are read. The scrub and whoever reads them find out what has rotted. */
    int (*digest)(void *context, struct buf *out);
    int (*digested)(void *context, uint64_t first_seq, uint32_t count, struct bytes said);

    /* The scrub (store/wal.h) found damage in a segment that is not written to any more: from `seq`
     * on, up to the next segment. Once for each segment and walk. May be NULL. */
    void (*damaged)(void *context, const char *file, uint64_t seq);

    /* One record is durable (result 0) or has failed (a negative error; its sequence will be given
     * to another record). In order of the sequences. May be NULL. */
    void (*appended)(void *context, const struct journal_record *record, int result);
};

/* Opens; BLOCKS (start-up, tools). When there is none in dir, it begins a new one, and does not
 * block: the first batch makes dir and the files, in its job. So they are durable when the first
 * record is; with a wal, whatever the policy, that costs no more than any other record, and after a
 * crash the journal is there with its first record or not at all. (Without a wal the parent of dir
 * must exist.) Strings are copied. ERR_CORRUPT: `error` names the file and the message the offset.
 */
int journal_open(struct io *io, const struct journal_options *options, struct journal **ret_journal,
                 struct error *error);

/* Writes what waits, then releases. `done` (may be NULL) runs last, from the loop; the journal is
 * gone then. Appends from now on are ERR_CLOSED. */
void journal_close(struct journal *journal, void (*done)(void *context), void *context);

/* Gives everything back at once and writes nothing: where nothing is in flight, and for a simulated
 * host that has crashed. NULL is allowed. */
void journal_free(struct journal *journal);

/* Appends one record, the parts one after the other; they are copied. Returns 0 and its sequence,
 * or ERR_TOO_BIG, ERR_FULL (too much waits: try when `appended` has run), ERR_NOMEM, ERR_CLOSED, or
 * the error after which this journal acknowledges nothing. */
int journal_append(struct journal *journal, const struct iovec *parts, int count,
                   uint64_t *ret_seq);

/* What was appended last, in this turn of the loop, is acknowledged when it is synced, whatever the
 * policy. */
void journal_sync_last(struct journal *journal);

/* Writes and syncs what waits and runs `appended` for it; BLOCKS (start-up, and for what must be
 * durable before the call returns). ERR_FULL while a commit is under way on its own; the error that
 * made the appends fail. */
int journal_flush(struct journal *journal);

/* The first record that is kept (first - 1 == last: there is none), the last durable one, and the
 * next to be given out. */
uint64_t journal_first(const struct journal *journal);
uint64_t journal_last(const struct journal *journal);
uint64_t journal_next(const struct journal *journal);

/* 0, or the error after which nothing is acknowledged any more. */
int journal_status(const struct journal *journal);

/* ---- reading --------------------------------------------------------------------------------- */

/* Reads a run of records in a job. Embedded in its owner, which sets `done` and `context`. */
struct journal_read {
    void (*done)(struct journal_read *read, int result);
    void *context;

    /* private from here on */
    struct journal *journal;
    struct io_job job;
    struct buf data;
    uint64_t seq, last, salt, segment_first, offset;
    uint64_t next_seq, next_offset; /* where the read before ended, in its segment */
    size_t limit, at;
    int result;
    bool busy;
};

/* What it has read lies in that opening of the journal: who opens it anew begins with another. */
void journal_read_init(struct journal_read *read);

/* Not while it is busy. */
void journal_read_release(struct journal_read *read);

/* Reads from `seq` on: at least that record, then more, while they fit in max_bytes and lie in the
 * same segment. done(read, 0), then journal_read_next gives the records, until the next start or
 * release. ERR_NOT_FOUND at once: not kept any more, or not durable yet. Later also: ERR_CORRUPT,
 * ERR_IO, and ERR_NOT_FOUND when it was trimmed meanwhile. */
int journal_read_start(struct journal *journal, struct journal_read *read, uint64_t seq,
                       size_t max_bytes);

/* The same, at once: 0 instead of `done`. BLOCKS (start-up). */
int journal_read_now(struct journal *journal, struct journal_read *read, uint64_t seq,
                     size_t max_bytes);

/* The next record read; false at the end. */
bool journal_read_next(struct journal_read *read, struct journal_record *ret_record);

/* The record `seq` if it is among those read; the position is left alone. */
bool journal_read_find(const struct journal_read *read, uint64_t seq,
                       struct journal_record *ret_record);

/* ---- space ----------------------------------------------------------------------------------- */

/* Drops the segments that hold only records before first_keep; never the one that is written to.
 * journal_first moves at once, the files go in a job, oldest first. */
void journal_trim(struct journal *journal, uint64_t first_keep);

/* The next record begins a new segment, so that what stands there now can be dropped as soon as
 * none of it is needed. A wish: little of it is not worth a file, and a full disk may have no room.
 */
void journal_roll(struct journal *journal);

/* The first sequence behind the oldest segment: what journal_trim would have to be given to drop
 * it; 0 when it is the one that is written to. */
uint64_t journal_second_segment(const struct journal *journal);

/* Whether so much waits to be written (an eighth of pending_max) that whoever appends should be
 * held back: it can be refused soon. */
bool journal_is_busy(const struct journal *journal);

/* Bytes of records kept, with their headers. */
uint64_t journal_bytes(const struct journal *journal);

/* ---- snapshots ------------------------------------------------------------------------------- */

/* Replaces the journal's snapshot atomically (temporary file, sync, rename, sync of the directory)
 * with `data`, which is copied, as the state that all records up to `covers` lead to. `done` (may
 * be NULL) runs when it is durable or has failed; only then may the records be trimmed. One at a
 * time: ERR_FULL. */
int journal_snapshot_write(struct journal *journal, struct bytes data, uint64_t covers,
                           void (*done)(void *context, uint64_t covers, int result));

/* Reads the snapshot of the journal in `dir`; BLOCKS. For use before journal_open, whose records up
 * to *ret_covers the caller then skips. ERR_NOT_FOUND: there is none. ERR_CORRUPT. */
int journal_snapshot_read(struct io *io, const char *dir, struct buf *ret_data,
                          uint64_t *ret_covers, struct error *error);

/* ---- checking -------------------------------------------------------------------------------- */

struct journal_verify {
    uint64_t segments, records, bytes, first, last;
};

/* Checks every byte of the journal in `dir`, which nobody writes to; changes nothing; BLOCKS. A
 * torn tail is no error. ERR_CORRUPT with file and offset. */
int journal_verify(struct io *io, const char *dir, struct journal_verify *ret_result,
                   struct error *error);

#endif
