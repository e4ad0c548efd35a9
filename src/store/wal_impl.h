/* What the parts of the commit log share: wal.c (life, what is done when), wal_commit.c (commits),
 * wal_file.c (log files: made, used, synced behind), wal_open.c (recovery). For this folder only.
 *
 * A log file's life:
 *     FREE -> READY (next in line: header written) -> ACTIVE (commits go there) -> FULL
 *          -> SYNCED (what its frames are about is on the disk by itself) -> FREE
 * SYNCED becomes FREE when a frame that says so (replay_from) is durable. */
#ifndef DURE_STORE_WAL_IMPL_H
#define DURE_STORE_WAL_IMPL_H

#include "store/journal_impl.h"
#include "store/scrub.h"
#include "store/wal.h"
#include "store/wal_frame.h"

#include <stdatomic.h>

enum {
    WAL_FILES_MAX = 64,
    WAL_COMMITS = JOURNAL_FLYING, /* under way at once */
    WAL_PATH = JOURNAL_PATH,
};

enum wal_file_state { WAL_FREE, WAL_READY, WAL_ACTIVE, WAL_FULL, WAL_SYNCED };

/* Behind the name of a new segment while it lies beside the log. */
#define WAL_UNNAMED ".new"

/* A segment file that frames of one generation are about, and how far it was acknowledged then. Or
 * a journal that they have removed: segment 0. */
struct wal_dirty {
    char *name; /* of the journal */
    bool begun; /* it was new: the names that lead to the file are not durable yet */
    uint64_t segment, salt;
    struct segment_mark mark; /* next_seq 0: nothing is known (recovered) */
};

struct wal_file {
    enum wal_file_state state;
    struct io_file file;
    bool open;
    uint64_t size; /* written once, whatever is there now; 0: there is none yet */
    uint64_t generation, salt;
    uint64_t first;   /* number of its first frame */
    uint64_t end;     /* where the next frame goes */
    unsigned commits; /* under way to it */
    struct wal_dirty *dirty;
    size_t dirty_count, dirty_size;
};

/* A journal that is to be no more. */
struct wal_removal {
    struct list link; /* in wal->removals, among those of a commit, or in wal->sweep */
    void (*done)(void *context, int result);
    void *context;
    char name[WAL_NAME_MAX + 1];
};

/* The job that removes the files of what was removed. */
struct wal_sweep {
    struct io_job job;
    struct list waiting, removals; /* of struct wal_removal; removals: of the job */
    bool busy;
};

/* The job that gives new segments their names. */
struct wal_naming {
    struct io_job job;
    struct list waiting, batches; /* of struct batch; batches: of the job */
    int result;
    bool busy;
};

struct wal_commit {
    struct io_job job;
    struct wal *wal;
    struct list batches;  /* of struct batch */
    struct list removals; /* of struct wal_removal */
    char *frame;          /* aligned; the first block is for the end of the file before */
    size_t frame_size;
    struct wal_file *file, *ended; /* ended: NULL, or the file that ends before this commit */
    uint64_t offset, end_offset;
    size_t size; /* of the frame, in bytes of whole blocks */
    struct wal_head head, end_head;
    uint64_t started_ns;
    atomic_bool staged; /* the journals' files are written: another commit may do that now */
    bool done;
    int result;
};

/* The job that syncs what a full log file is about. */
struct wal_checkpoint {
    struct io_job job;
    struct wal_file *file;
    uint64_t started_ns;
    int result;
    bool busy;
};

/* The job that makes a file ready. */
struct wal_prepare {
    struct io_job job;
    struct wal_file *file;
    uint64_t size, generation, salt, replay_from;
    int result;
    bool busy;
};

/* What recovery has written into a journal: how far its last segment is in the log, and which
 * record comes behind that, as its opening has found. */
struct wal_end {
    char *name;
    uint64_t segment, salt, end;
    struct segment_mark mark; /* next_seq 0: it has not been opened */
};

struct wal {
    struct io *io;
    struct wal_options options;
    char *dir;  /* of the store */
    char *path; /* of the log */
    struct io_file lock;
    bool locked;
    struct store_metrics own_metrics, *metrics;
    int status;

    struct wal_file files[WAL_FILES_MAX];
    int file_count;
    struct wal_file *active, *ready; /* ready: NULL while there is none */
    uint64_t file_size;              /* wanted of the next file */
    uint64_t switched_ns;
    uint64_t next_number, acked; /* of frames; acked: all before it are durable */
    uint64_t replay_from;        /* generations before it are synced */
    uint64_t durable_replay_from, sent_replay_from; /* in frames that are durable; under way */
    uint64_t header_replay_from;                    /* in the header of the newest file */
    uint64_t grow_after_ns;      /* the disk was full: no file is made or enlarged before */
    size_t frame_max, batch_max; /* bytes of a frame; of one journal's part of it */

    struct list wanting;  /* of struct journal: have batches to commit */
    struct list removals; /* of struct wal_removal: to commit */
    struct wal_sweep sweep;
    struct wal_naming naming;
    struct io_task commit_task;
    struct wal_commit commits[WAL_COMMITS]; /* a ring */
    int commit_first, commit_count;
    bool mark;                  /* a frame is wanted even when no journal has anything */
    uint64_t vouched;           /* frames before it are vouched for by one that is durable */
    uint64_t last_filled;       /* number of the last frame with records */
    struct io_timer rest_timer; /* the log rests: a frame is to vouch for the last ones */

    struct wal_checkpoint checkpoint;
    atomic_bool doubt; /* a journal's file could not be synced: no checkpoint is to be believed */
    struct wal_prepare prepare;
    struct wal_end *ends; /* sorted by name */
    size_t end_count;

    struct scrub scrub;
    struct io_task start_task;
    bool closing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- for journals ---- */

/* The journal commits with this wal from now on. ERR_INVALID: its directory is not below the
 * wal's. */
int wal_adopt(struct wal *wal, struct journal *journal);

/* How the log calls a journal in this directory. ERR_INVALID. */
int wal_name_of(const struct wal *wal, const char *dir, struct bytes *ret_name);

/* The journal has something to commit. */
void wal_want(struct wal *wal, struct journal *journal);

/* Recovery found all of the segment with that salt, the last one that the log knows of the journal,
 * up to this offset; 0: it found nothing of it. */
uint64_t wal_end(const struct wal *wal, struct bytes name, uint64_t salt);

/* The journal has been opened, and all that recovery found of that segment stands before `mark`:
 * that is for the checkpoint to write. */
void wal_opened(struct wal *wal, struct bytes name, uint64_t salt, const struct segment_mark *mark);

/* ---- among the parts ---- */

/* What recovery found of that segment; NULL: nothing. */
struct wal_end *wal_end_of(const struct wal *wal, struct bytes name, uint64_t salt);

/* Does what is due: gives files free, starts checkpoints and preparations, ends. After every
 * completion. */
void wal_tick(struct wal *wal);

/* Nothing is acknowledged any more. */
void wal_fail(struct wal *wal, int result, const char *what);

void wal_commit_init(struct wal *wal);
void wal_commit_release(struct wal *wal);

/* Notes that frames of `file` are about the segment that the batch stands in. ERR_NOMEM. */
int wal_file_note(struct wal_file *file, struct journal *journal, const struct batch *batch);

/* The same, from a recovered frame. */
int wal_file_note_extent(struct wal_file *file, const struct wal_extent *extent);

/* The same of a journal that was removed. */
int wal_file_note_removal(struct wal_file *file, struct bytes name);

/* A segment of that journal is not there any more: it was trimmed or removed. Makes that durable,
 * before the log forgets what stood in it: a name that comes back must find its records. BLOCKS. */
int wal_removed(struct wal *wal, struct bytes journal);
void wal_file_forget(struct wal_file *file);
void wal_file_close(struct wal_file *file);

/* "dir/wal/0007.wal". ERR_TOO_BIG. */
int wal_file_path(const struct wal *wal, const struct wal_file *file, char ret_path[WAL_PATH]);

/* Makes `file` the READY one, with `size` bytes that were written once; BLOCKS. */
int wal_file_prepare(struct wal *wal, struct wal_prepare *prepare);

/* Makes a second file if there is one only, to be used later; BLOCKS. */
int wal_file_second(struct wal *wal);

/* Syncs what the file's frames are about; BLOCKS. */
int wal_file_sync(struct wal *wal, const struct wal_file *file);
void wal_prepare_start(struct wal *wal);

/* When the log is to be closed and all is synced: makes a file ready whose header says so, which
 * the next start needs no frames to learn. True while it is for this to say it, not for a frame. */
bool wal_prepare_last(struct wal *wal);
void wal_checkpoint_start(struct wal *wal);

/* Makes the READY file the ACTIVE one. */
void wal_file_switch(struct wal *wal);

/* A batch of a commit has come back from the disk, and its owner can be told. */
void wal_tell_batch(struct wal *wal, struct wal_file *file, struct batch *batch);

/* wal_name.c */
void wal_name_init(struct wal *wal);

/* The batch, durable in `file` behind all that was committed before, begins a segment. */
void wal_name(struct wal *wal, struct wal_file *file, struct batch *batch);

/* Nothing more is acknowledged. */
void wal_name_fail(struct wal *wal, int result);

/* wal_remove.c */
void wal_remove_init(struct wal *wal);
void wal_remove_release(struct wal *wal);

/* The commit is durable, or `result` has befallen it. */
void wal_removals_tell(struct wal *wal, struct list *removals, int result);

/* What is removed of files when the log forgets it: BLOCKS. */
int wal_remove_files(struct wal *wal, const char *name);

int wal_recover(struct wal *wal, struct error *error);

#endif
