/* What the parts of the journal share: journal.c (append, commit, close), journal_open.c (recovery
 * and checking), journal_read.c, journal_trim.c, snapshot.c, writer.c. For this folder only. */
#ifndef DURE_STORE_JOURNAL_IMPL_H
#define DURE_STORE_JOURNAL_IMPL_H

#include "store/journal.h"
#include "store/segment.h"

enum {
    JOURNAL_PATH = 512,
    SEGMENT_PAYLOAD_MAX = 1 << 29,  /* half of the largest segment: whatever record_max is now */
    JOURNAL_POINT_EVERY = 32 << 10, /* bytes between two points of a segment's index */
};

/* Where a record stands: one for every JOURNAL_POINT_EVERY bytes, so that a read scans no more. */
struct segment_point {
    uint32_t index; /* sequence - first */
    uint32_t offset;
};

/* What memory knows of one segment file. */
struct segment {
    uint64_t first, salt;
    uint64_t end; /* offset behind its last durable record */
    struct segment_point *points;
    size_t point_count, point_size;
};

/* The end of the journal that is written to. Belongs to the commit job while that is under way. */
struct writer {
    struct io *io;
    const char *dir;
    struct io_file file;
    bool open;
    uint64_t first, salt;
    uint64_t offset;    /* where the next record goes */
    uint64_t allocated; /* blocks are there and zero up to here */
    uint64_t segment_bytes, allocate_bytes;
    uint64_t synced_next; /* every record before this sequence is known to be on the disk */
};

/* Starts the segment whose first record will be `first`; the one before must be complete and is
 * synced first. ERR_NO_SPACE leaves the writer as it was. */
int writer_roll(struct writer *writer, uint64_t first, uint64_t salt);

/* Seals and writes `count` records that stand in `data`, and syncs. ERR_NO_SPACE: nothing of them
 * is on the disk, and the writer can be used on. Any other error: it can not. */
int writer_write(struct writer *writer, char *data, size_t len, uint64_t first_seq, bool sync);
void writer_close(struct writer *writer);

/* Records that go to the disk together. */
struct batch {
    struct list link;
    struct buf data;
    uint64_t first;
    uint32_t count;
    bool roll; /* they begin a new segment */
};

struct snapshot_job {
    struct io_job job;
    struct buf data; /* the whole file */
    uint64_t covers;
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

struct journal {
    struct io *io;
    struct journal_options options;
    char *dir;
    struct store_metrics own_metrics, *metrics;

    struct segment *segments; /* oldest first; the last one is written to */
    size_t segment_count, segment_size;

    uint64_t last;                 /* last durable sequence */
    uint64_t next;                 /* next to give out */
    uint64_t fill;                 /* where in its segment the next append will stand */
    size_t pending;                /* bytes in the batches */
    struct list batches;           /* of struct batch: those that wait */
    struct batch *current, *spare; /* the one under way to the disk; an empty one, or NULL */
    int status;

    struct io_task commit_task; /* starts a commit at the end of the turn */
    struct io_timer sync_timer;
    uint64_t synced_ns;
    bool unsynced;

    struct io_job commit_job;
    bool committing;
    struct writer writer;
    uint64_t commit_salt; /* for the segment that the job may have to make */
    bool commit_sync;
    int commit_result;
    uint64_t commit_started_ns;

    struct snapshot_job snapshot;
    struct trim_job trim;
    uint64_t trim_before; /* segments that hold only records before this one may go */
    unsigned reads;       /* under way */

    bool closing, calling; /* calling: inside callbacks of this journal */
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

/* Goes on with closing when nothing is under way any more. */
void journal_settle(struct journal *journal);

/* Starts a trim job when segments wait to be removed and none is under way. */
void journal_trim_run(struct journal *journal);

#endif
