/* What the parts of the journal share: journal.c (append, close), journal_commit.c, journal_open.c
 * (recovery and checking), journal_digest.c, journal_read.c, journal_trim.c, snapshot.c, writer.c.
 * For this folder only. */
#ifndef DURE_STORE_JOURNAL_IMPL_H
#define DURE_STORE_JOURNAL_IMPL_H

#include "store/digest.h"
#include "store/journal.h"
#include "store/scrub.h"
#include "store/segment.h"

#include <stdatomic.h>

enum {
    JOURNAL_PATH = 512,
    SEGMENT_PAYLOAD_MAX = 1 << 29,  /* half of the largest segment: whatever record_max is now */
    JOURNAL_POINT_EVERY = 32 << 10, /* bytes between two points of a segment's index */
    JOURNAL_FLYING = 2,             /* batches of one journal on their way to the disk */
};

struct wal_file;

/* What memory knows of one segment file. */
struct segment {
    uint64_t first, salt;
    uint64_t end; /* offset behind its last durable record */
    struct segment_point
        *points; /* one for every JOURNAL_POINT_EVERY bytes: a read scans no more */
    size_t point_count, point_size;
};

/* Records that go to the disk together. */
struct batch {
    struct list link; /* in journal->batches, or among those of a commit of the wal */
    struct journal *journal;
    struct buf data;
    uint64_t first;
    uint32_t count;
    bool roll;      /* they begin a new segment */
    bool may_stay;  /* or stand in the old one, when there is no room for another */
    bool must_sync; /* whatever the policy */
    bool told;      /* the owner knows that they have failed, though the job is still under way */

    /* for the job */
    bool sync;            /* in the journal's own files */
    uint64_t synced_next; /* every record before this sequence is known to be on the disk */
    uint64_t roll_salt;

    /* from the job: where they stand, or would stand next */
    int result;
    bool begins; /* in a file of their own, which gets its name when the log knows of it, */
    struct wal_file *file; /* which does so in this file */
    uint64_t segment_first, segment_salt, offset;
};

/* The end of the journal that is written to. Belongs to the commit job while that is under way. */
struct writer {
    struct io *io;
    const char *dir, *root; /* root: that of the store, or NULL */
    struct io_file file;
    bool open;    /* not before the first batch of a new journal */
    bool unnamed; /* the names that lead to the file may be in the cache alone */
    bool zeros;  /* blocks allocated ahead are filled, so that a sync of the file writes no metadata
                  */
    bool logged; /* a wal makes the records durable: a roll need not sync the segment before */
    atomic_bool *doubt; /* the log's: what was written may have been lost; NULL: no log */
    uint64_t first, salt;
    uint64_t next;      /* sequence of the next record */
    uint64_t offset;    /* where it goes */
    uint64_t allocated; /* blocks are there and zero up to here */
    uint64_t segment_bytes, allocate_bytes;
};

/* Seals and writes the batch, and syncs if it says so. The first one of a journal makes its files,
 * one that rolls the next one: where the log makes records durable, without a sync and without a
 * name (`begins`). ERR_NO_SPACE: nothing of it is on the disk, and the writer can be used on; a
 * batch behind it fails too. Any other error: it can not. */
int writer_put(struct writer *writer, struct batch *batch);

/* Puts into the segment's file that all before `mark` is synced. ERR_NOT_FOUND, ERR_CONFLICT: the
 * file is not there any more, or belongs to another journal. BLOCKS. */
int writer_mark(struct io_file *file, uint64_t salt, const struct segment_mark *mark);
void writer_close(struct writer *writer);

/* The batch that `begins` is durable in the log: gives the file its name. When it follows another
 * segment, the name of that one is durable before: where there is a later segment, an earlier one
 * that is missing was trimmed. ERR_IO. */
int writer_name(struct writer *writer, bool follows);

/* Syncs the file, and the names that lead to it. */
int writer_sync(struct writer *writer);

struct snapshot_job {
    struct io_job job;
    struct buf data; /* the whole file */
    uint64_t covers;
    uint64_t segment; /* where the last records that it covers stand, if they may not be on the
                         disk; 0 */
    int result;
    void (*done)(void *context, uint64_t covers, int result);
    bool busy;
};

struct trim_job {
    struct io_job job;
    uint64_t *firsts; /* of the segments to remove */
    size_t count;
    int result; /* negative: nothing is removed any more */
    bool busy;
};

/* Bytes on their way to a digest file. */
struct digest_write {
    struct buf data;
    uint64_t segment, at;
    bool seals; /* the last of its segment */
    bool busy;
};

/* Where a journal stands with its digests; see journal_digest.c. */
struct journal_digest {
    struct journal *journal;
    uint64_t next, offset;           /* the first record that is in none, and where it stands */
    uint64_t last_offset, last_hash; /* of the last durable record */
    uint64_t written; /* bytes of the segment's digest file: the next chunk goes there */
    bool lost;        /* that file takes no more */
    bool late;        /* it gets its name when the segment is whole */
    bool loading;
    struct io_job job; /* writes `flying` */
    int result;
    struct digest_write flying, waiting;
};

struct journal {
    struct io *io;
    struct journal_options options;
    char *dir;
    struct store_metrics own_metrics, *metrics;

    struct segment *segments; /* oldest first; the last one is written to */
    size_t segment_count, segment_size;

    uint64_t last;                        /* last durable sequence */
    uint64_t synced_next;                 /* records before this one survive a power failure */
    uint64_t next;                        /* next to give out */
    uint64_t fill;                        /* where in its segment the next append will stand */
    size_t pending;                       /* bytes in the batches */
    size_t batch_max;                     /* bytes of a batch of several records */
    struct list batches;                  /* of struct batch: those that wait */
    struct batch *spare;                  /* an empty one, or NULL */
    struct batch *flying[JOURNAL_FLYING]; /* under way to the disk, oldest first */
    int flying_count;
    int status;

    struct io_task commit_task; /* starts a commit at the end of the turn */
    struct io_timer sync_timer;
    uint64_t synced_ns;
    bool unsynced;
    uint64_t say_full_ns; /* when a full disk is worth a line again */

    struct io_job commit_job;
    bool committing; /* commit_job is under way */
    struct writer writer;
    bool commit_sync;
    int commit_result;
    uint64_t commit_started_ns;

    struct scrub *scrub; /* NULL: nobody looks after its sealed segments */
    struct list scrub_link;
    struct wal *wal;      /* NULL: the journal commits for itself */
    struct list wal_link; /* in the wal's list of journals that have something to commit */
    struct bytes wal_name;
    uint64_t wal_generation, wal_segment; /* what wal_dirty is about */
    size_t wal_dirty; /* its place among what that log file's time has written */

    struct journal_digest *digest; /* NULL: its owner has none */
    struct snapshot_job snapshot;
    struct trim_job trim;
    bool roll_next;       /* the next batch begins a segment */
    uint64_t trim_before; /* segments that hold only records before this one may go */
    unsigned reads;       /* under way */

    bool made;             /* its files are there; else the first batch makes them */
    bool closing, calling; /* calling: inside callbacks of this journal */
    bool synced_last;      /* the sync that comes before the end has been started */
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* dir/name; ERR_TOO_BIG. */
int journal_path(const char *dir, const char *name, char ret_path[JOURNAL_PATH]);

/* The memory of a journal without files: options taken over, nothing opened. */
int journal_make(struct io *io, const struct journal_options *options, struct journal **ret);

struct segment *journal_add_segment(struct journal *journal, uint64_t first, uint64_t salt);

/* Notes that the record `seq` stands at `offset` of `segment`. ERR_NOMEM. */
int segment_note(struct segment *segment, uint64_t seq, uint64_t offset);

#define JOURNAL_DIGEST_LATE "digest.tmp"

/* ---- journal_digest.c; all of them do nothing for a journal without digests ---- */

int journal_digest_init(struct journal *journal);
void journal_digest_release(struct journal *journal);
bool journal_digest_busy(const struct journal *journal);

/* The newest segment, which has no record yet, is what digests are about from now on. */
void journal_digest_segment(struct journal *journal, uint64_t first);

/* Where the last record stands. */
void journal_digest_note(struct journal *journal, uint64_t offset, uint64_t hash);

/* All durable records have been told: writes a chunk when enough has come together. */
void journal_digest_due(struct journal *journal);

/* The newest segment is whole, and another one comes. */
void journal_digest_seal(struct journal *journal);

/* Start-up: hands the segment's digests to the owner, and moves the scan behind what they are
 * about. next: the first sequence of the following segment; 0: this is the newest. BLOCKS. */
int journal_digest_load(struct journal *journal, struct segment_scan *scan, uint64_t next);

/* Start-up is over: all that was read is on the disk. BLOCKS. */
void journal_digest_loaded(struct journal *journal);

/* What waits has got company or room: starts a commit soon. */
void journal_wake(struct journal *journal);

/* Takes the first batch that waits and makes it the last one under way. Not when another is under
 * way and one of them begins a segment: what comes before must be whole, and have its name. */
struct batch *journal_take(struct journal *journal, bool sync);

/* The oldest batch under way has come back from the disk: tells the owner, in both cases. */
void journal_deliver(struct journal *journal, struct batch *batch);

/* Nothing is acknowledged any more: all that waits or is under way fails. */
void journal_fail(struct journal *journal, int result);

/* commit_job's functions, and the rest of the life of a batch. */
void journal_commit_init(struct journal *journal);
void journal_commit_release(struct journal *journal);
bool journal_idle(const struct journal *journal);
void journal_sync_start(struct journal *journal);

/* The batch that the next record of `size` bytes joins; NULL: no memory. */
struct batch *journal_batch(struct journal *journal, size_t size);

/* Takes an empty batch back that the record after all did not join. */
void journal_unbatch(struct journal *journal, struct batch *batch);

/* The journal commits for itself from now on. Nothing of it is under way in the log. */
void journal_leave_log(struct journal *journal);

/* Goes on with closing when nothing is under way any more. */
void journal_settle(struct journal *journal);

/* Starts a trim job when segments wait to be removed and none is under way. */
void journal_trim_run(struct journal *journal);

#endif
