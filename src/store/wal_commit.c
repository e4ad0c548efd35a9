/* Commits: what the journals have gathered becomes one frame of the log. Two at a time may be on
 * their way to the disk: while one is being written to the log, the next may write the journals'
 * files, and then the log too. They are told in order, and the later one only when the earlier one
 * is durable: recovery ends at the first frame that is not whole. */
#include "store/wal_impl.h"

#include <assert.h>
#include <stdlib.h>

enum {
    REST_MS = 1000,
    FRAME_KEPT = 128 << 10, /* a buffer that is larger is not kept */
    ROOM_OF_END = WAL_BLOCK,
    /* Kept for a frame without batches: when there is no other file, it is what gives one free. */
    ROOM_OF_MARK = WAL_BLOCK,
};

static struct wal_commit *commit_at(struct wal *wal, int index)
{
    return &wal->commits[(wal->commit_first + index) % WAL_COMMITS];
}

/* ---- in the job ---- */

static struct wal_extent extent_of(const struct batch *batch)
{
    struct bytes data = buf_bytes(&batch->data);
    return (struct wal_extent){
        .name = batch->journal->wal_name,
        .segment = batch->segment_first,
        .salt = batch->segment_salt,
        .offset = batch->offset,
        .length = data.len,
        .kind = batch->sync     ? WAL_EXTENT_EXTERNAL
                : batch->begins ? WAL_EXTENT_BEGINS
                                : WAL_EXTENT_INLINE,
        .data = data,
    };
}

/* A journal that refuses its batch has no part in the frame; its owner learns it when the commit is
 * done. */
static char *write_journals(struct wal_commit *commit, char *at)
{
    LIST_EACH(&commit->batches, struct batch, link, batch) {
        batch->result = writer_put(&batch->journal->writer, batch);
        if (batch->result < 0) continue;
        const struct wal_extent extent = extent_of(batch);
        at = wal_extent_encode(at, &extent);
    }
    LIST_EACH(&commit->removals, struct wal_removal, link, removal) {
        const struct wal_extent extent = {.name = bytes_str(removal->name),
                                          .kind = WAL_EXTENT_REMOVED};
        at = wal_extent_encode(at, &extent);
    }
    atomic_store_explicit(&commit->staged, true, memory_order_release);
    return at;
}

static void commit_run(struct io_job *job)
{
    struct wal_commit *commit = CONTAINER_OF(job, struct wal_commit, job);
    char *frame = commit->frame + WAL_BLOCK;
    char *end = write_journals(commit, frame + WAL_HEAD);
    commit->head.length = (uint32_t)(end - frame);
    commit->result = 0;
    if (commit->ended) {
        wal_frame_seal(commit->frame, &commit->end_head, commit->ended->salt);
        commit->result = io_file_write_durable(&commit->ended->file, commit->frame, WAL_BLOCK,
                                               commit->end_offset);
    }
    if (commit->result < 0) return;
    wal_frame_seal(frame, &commit->head, commit->file->salt);
    commit->result =
        io_file_write_durable(&commit->file->file, frame, commit->size, commit->offset);
}

/* ---- before it ---- */

/* Room for the end of a file, then for a frame. The batches' sizes bound it. */
static int reserve(struct wal_commit *commit, size_t size)
{
    if (commit->frame_size >= size) return 0;
    free(commit->frame);
    commit->frame_size = 0;
    size_t wanted = 4 * WAL_BLOCK;
    while (wanted < size) wanted *= 2;
    commit->frame = aligned_alloc(WAL_BLOCK, wanted);
    if (!commit->frame) return ERR_NOMEM;
    commit->frame_size = wanted;
    return 0;
}

/* What the journal's next batch takes in a frame; 0: it has none that can go now. */
static size_t size_of_next(const struct wal *wal, const struct journal *journal, bool *ret_sync)
{
    if (list_empty(&journal->batches) || journal->committing) return 0;
    const struct batch *batch = CONTAINER_OF(journal->batches.next, struct batch, link);
    size_t len = buf_len(&batch->data);
    *ret_sync = len > wal->batch_max; /* written once, and synced, where it belongs */
    return wal_extent_size(journal->wal_name.len, *ret_sync ? 0 : len);
}

static size_t size_of_removal(const struct wal_removal *removal)
{
    return wal_extent_size(strlen(removal->name), 0);
}

/* How large a frame of what the journals have would be, at most `limit`. */
static size_t measure(const struct wal *wal, size_t limit)
{
    size_t size = WAL_HEAD;
    LIST_EACH(&wal->removals, struct wal_removal, link, removal) {
        size += size_of_removal(removal);
        if (size >= limit) return limit;
    }
    LIST_EACH(&wal->wanting, struct journal, wal_link, journal) {
        bool sync;
        size += size_of_next(wal, journal, &sync);
        if (size >= limit) return limit;
    }
    return size;
}

/* Removals first: they are small, and give room. */
static size_t gather_removals(struct wal *wal, struct wal_commit *commit, size_t limit)
{
    size_t size = WAL_HEAD;
    list_init(&commit->removals);
    while (!list_empty(&wal->removals)) {
        struct wal_removal *removal = CONTAINER_OF(wal->removals.next, struct wal_removal, link);
        if (size + size_of_removal(removal) > limit) break;
        size += size_of_removal(removal);
        list_remove(&removal->link);
        list_push(&commit->removals, &removal->link);
    }
    return size;
}

/* Takes one batch of each journal, as many as fit; the others come first the next time. Returns the
 * bytes of the frame: WAL_HEAD when there is none. */
static size_t gather(struct wal *wal, struct wal_commit *commit, size_t limit)
{
    struct list now, later;
    size_t size = gather_removals(wal, commit, limit);
    list_init(&now);
    list_init(&later);
    list_init(&commit->batches);
    list_splice(&now, &wal->wanting);
    while (!list_empty(&now)) {
        struct journal *journal = CONTAINER_OF(now.next, struct journal, wal_link);
        bool sync = false;
        size_t part = size_of_next(wal, journal, &sync);
        if (size + part > limit) break;
        list_remove(&journal->wal_link);
        struct batch *batch = part ? journal_take(journal, sync) : NULL;
        if (batch) {
            list_push(&commit->batches, &batch->link);
            size += part;
        }
        if (!list_empty(&journal->batches)) list_push(&later, &journal->wal_link);
    }
    list_splice(&wal->wanting, &now);
    list_splice(&wal->wanting, &later);
    return size;
}

static bool is_empty(const struct wal_commit *commit)
{
    return list_empty(&commit->batches) && list_empty(&commit->removals);
}

static bool has_nothing(const struct wal *wal)
{
    return list_empty(&wal->wanting) && list_empty(&wal->removals);
}

/* The commit's place in the log. */
static void place(struct wal *wal, struct wal_commit *commit, size_t size)
{
    commit->size = (size + WAL_BLOCK - 1) / WAL_BLOCK * WAL_BLOCK;
    commit->ended = NULL;
    size_t spare = is_empty(commit) ? ROOM_OF_END : ROOM_OF_END + ROOM_OF_MARK;
    if (wal->active->end + commit->size + spare > wal->active->size) {
        commit->ended = wal->active;
        commit->end_offset = wal->active->end;
        commit->end_head = (struct wal_head){
            .number = wal->next_number++,
            .acked = wal->acked,
            .first = wal->active->first,
            .replay_from = wal->replay_from,
            .length = WAL_HEAD,
            .blocks = 1,
            .end = true,
        };
        commit->ended->commits++;
        wal_file_switch(wal);
    }
    struct wal_file *file = commit->file = wal->active;
    commit->offset = file->end;
    file->end += commit->size;
    file->commits++;
    commit->head = (struct wal_head){
        .number = wal->next_number++,
        .acked = wal->acked,
        .first = file->first,
        .replay_from = wal->replay_from,
        .blocks = (uint32_t)(commit->size / WAL_BLOCK),
    };
}

/* Whether another commit may begin now. */
static bool may_start(struct wal *wal)
{
    if (wal->status < 0 || wal->commit_count == WAL_COMMITS) return false;
    if (has_nothing(wal) && !wal->mark) return false;
    for (int i = 0; i < wal->commit_count; i++) {
        if (!atomic_load_explicit(&commit_at(wal, i)->staged, memory_order_acquire)) return false;
    }
    return true;
}

/* How large the next frame may be. */
static size_t limit_of(const struct wal *wal)
{
    const struct wal_file *active = wal->active;
    uint64_t used = active->end + ROOM_OF_END + ROOM_OF_MARK;
    uint64_t room = used < active->size ? active->size - used : 0;
    return wal->ready || room > wal->frame_max ? wal->frame_max : (size_t)room;
}

static bool commit_start(struct wal *wal)
{
    struct wal_commit *commit = commit_at(wal, wal->commit_count);
    size_t limit = limit_of(wal);
    /* The frame may end up to a block behind what stands in it. */
    if (reserve(commit, 2 * WAL_BLOCK + measure(wal, limit)) < 0) return false;
    size_t size = gather(wal, commit, limit);
    if (is_empty(commit)) {
        bool room = wal->ready || wal->active->end + WAL_BLOCK + ROOM_OF_END <= wal->active->size;
        if (!wal->mark || !room) return false;
    }
    wal->mark = false;
    wal->sent_replay_from = wal->replay_from;
    place(wal, commit, size);
    commit->done = false;
    atomic_store_explicit(&commit->staged, false, memory_order_relaxed);
    commit->started_ns = io_now_ns(wal->io);
    wal->commit_count++;
    wal->metrics->wal_bytes += commit->size;
    io_job_submit(wal->io, &commit->job);
    return true;
}

static void commit_task(struct io_task *task)
{
    struct wal *wal = CONTAINER_OF(task, struct wal, commit_task);
    while (may_start(wal) && commit_start(wal)) continue;
    wal_prepare_start(wal);
}

void wal_want(struct wal *wal, struct journal *journal)
{
    if (list_linked(&journal->wal_link)) return;
    list_push(&wal->wanting, &journal->wal_link);
    io_defer(wal->io, &wal->commit_task);
}

/* ---- after it ---- */

void wal_fail(struct wal *wal, int result, const char *what)
{
    if (wal->status < 0) return;
    wal->status = result;
    wal->metrics->failures++;
    LOG(wal->options.log, LOG_ERROR, "commit_log_failed", LOG_S("dir", wal->dir),
        LOG_S("what", what), LOG_ERR(result));
    for (int i = 0; i < wal->commit_count; i++) {
        LIST_EACH(&commit_at(wal, i)->batches, struct batch, link, batch)
            journal_fail(batch->journal, result);
    }
    wal_name_fail(wal, result);
    wal_removals_tell(wal, &wal->removals, result);
    for (struct list *link; (link = list_pop(&wal->wanting));) {
        struct journal *journal = CONTAINER_OF(link, struct journal, wal_link);
        journal_fail(journal, result);
        journal_settle(journal);
    }
}

void wal_tell_batch(struct wal *wal, struct wal_file *file, struct batch *batch)
{
    struct journal *journal = batch->journal;
    bool good = batch->result == 0 && wal->status == 0;
    int r = good ? wal_file_note(file, journal, batch) : 0;
    if (r < 0) wal_fail(wal, r, "memory");
    journal_deliver(journal, batch);
    journal_settle(journal);
}

static void tell_journals(struct wal *wal, struct wal_commit *commit)
{
    for (struct list *link; (link = list_pop(&commit->batches));) {
        struct batch *batch = CONTAINER_OF(link, struct batch, link);
        if (batch->begins && batch->result == 0 && wal->status == 0) {
            wal_name(wal, commit->file, batch);
        } else {
            wal_tell_batch(wal, commit->file, batch);
        }
    }
    LIST_EACH(&commit->removals, struct wal_removal, link, removal) {
        int r =
            wal->status == 0 ? wal_file_note_removal(commit->file, bytes_str(removal->name)) : 0;
        if (r < 0) wal_fail(wal, r, "memory");
    }
    wal_removals_tell(wal, &commit->removals, wal->status);
}

static void finish(struct wal *wal, struct wal_commit *commit)
{
    if (commit->result < 0) wal_fail(wal, ERR_IO, "write");
    if (wal->status == 0) {
        wal->metrics->commits++;
        wal->metrics->wal_behind += commit->size;
        histogram_add(&wal->metrics->commit_duration,
                      (io_now_ns(wal->io) - commit->started_ns) / 1000);
        wal->acked = commit->head.number + 1;
        wal->vouched = commit->head.acked;
        if (!is_empty(commit)) wal->last_filled = commit->head.number;
        if (commit->head.replay_from > wal->durable_replay_from) {
            wal->durable_replay_from = commit->head.replay_from;
        }
    }
    tell_journals(wal, commit);
    commit->file->commits--;
    if (commit->ended) commit->ended->commits--;
    if (commit->frame_size > FRAME_KEPT) {
        free(commit->frame);
        commit->frame = NULL;
        commit->frame_size = 0;
    }
    wal->commit_first = (wal->commit_first + 1) % WAL_COMMITS;
    wal->commit_count--;
}

/* Nothing has been committed for a while. Without this frame, damage to the last ones could pass
 * for a torn write. */
static void rest_done(struct io_timer *timer)
{
    struct wal *wal = CONTAINER_OF(timer, struct wal, rest_timer);
    if (wal->status < 0 || wal->commit_count > 0) return;
    wal->mark = true;
    io_defer(wal->io, &wal->commit_task);
}

static void commit_done(struct io_job *job)
{
    struct wal_commit *done = CONTAINER_OF(job, struct wal_commit, job);
    struct wal *wal = done->wal;
    done->done = true;
    while (wal->commit_count > 0 && commit_at(wal, 0)->done) finish(wal, commit_at(wal, 0));
    /* A frame without records needs nobody to vouch for it. */
    bool rests = wal->commit_count == 0 && has_nothing(wal) && wal->status == 0;
    if (rests && wal->vouched <= wal->last_filled) {
        io_timer_set(wal->io, &wal->rest_timer, REST_MS);
    } else {
        io_timer_cancel(wal->io, &wal->rest_timer);
    }
    wal_tick(wal);
}

void wal_commit_init(struct wal *wal)
{
    io_task_init(&wal->commit_task, commit_task);
    io_timer_init(&wal->rest_timer, rest_done);
    for (int i = 0; i < WAL_COMMITS; i++) {
        struct wal_commit *commit = &wal->commits[i];
        commit->job = (struct io_job){.run = commit_run, .done = commit_done};
        commit->wal = wal;
        list_init(&commit->batches);
        list_init(&commit->removals);
        atomic_init(&commit->staged, false);
    }
}

void wal_commit_release(struct wal *wal)
{
    io_task_cancel(wal->io, &wal->commit_task);
    io_timer_cancel(wal->io, &wal->rest_timer);
    for (int i = 0; i < WAL_COMMITS; i++) free(wal->commits[i].frame);
}
