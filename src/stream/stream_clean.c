/* Giving disk space back. A journal can only be cut at its start, and only segment by segment, so a
 * message that stays for long (a key that never changes) would hold everything behind it. When the
 * journal is more than twice as large as what it holds, the messages of its oldest segment are
 * copied forward (STREAM_RECORD_MOVE); then the segment can go.
 *
 * Before segments go, a snapshot notes which messages are left (sequences only), the configuration
 * and the last sequence. A recovery then takes of the records that the snapshot covers just these
 * messages, wherever they stand, and applies limits and deletes only behind it: with a part of the
 * history gone they would not lead to the same state again.
 *
 * All messages that were copied precede, in the order of sequences, all that were not; and those
 * stand in the journal in that order. So the oldest record that is needed is found among the copied
 * ones and the first other. */
#include "stream/stream_impl.h"

enum {
    READ_AHEAD = 64 << 10,
    RECORD_OVERHEAD = 72, /* bytes that a message costs in the journal besides its own */
};

/* The message whose record is the oldest. */
static bool oldest(struct stream *stream, struct stream_entry *ret_entry)
{
    struct stream_entry entry;
    uint64_t seq = 0;
    bool found = false;
    while (stream_index_from(&stream->index, seq, &entry)) {
        if (!found || entry.place < ret_entry->place) *ret_entry = entry;
        found = true;
        if (entry.seq >= stream->cleaner.moved_end) break;
        seq = entry.seq + 1;
    }
    return found;
}

/* The next message, from cleaner.next on, that stands in the oldest segment. */
static bool next_to_copy(struct stream *stream, struct stream_entry *ret_entry)
{
    uint64_t second = journal_second_segment(stream->journal), seq = stream->cleaner.next;
    while (stream_index_from(&stream->index, seq, ret_entry)) {
        if (ret_entry->place < second) return true;
        if (ret_entry->seq >= stream->cleaner.moved_end) break;
        seq = ret_entry->seq + 1;
    }
    return false;
}

/* The record as it stands, but for its kind. */
static int submit_copy(struct stream *stream, const struct stream_get *get)
{
    struct stream_record record;
    int r = stream_record_decode(get->record.payload, &record);
    if (r < 0) return r;
    record.kind = STREAM_RECORD_MOVE;
    record.flags &= (uint8_t)~STREAM_FLAG_RELEASED;
    r = stream_submit(stream, &record);
    if (r < 0) return r;
    stream->cleaner.records++;
    stream->host->metrics->moved++;
    return 0;
}

static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct stream *stream = CONTAINER_OF(get, struct stream, cleaner.get);
    struct stream_cleaner *cleaner = &stream->cleaner;
    struct stream_entry entry;
    bool there = stream_index_find(&stream->index, get->seq, &entry);
    cleaner->getting = false;
    if (message && there && entry.place == get->place && !stream->closing) {
        result = submit_copy(stream, get);
    }
    if (result < 0 && there) {
        cleaner->copying = false; /* begun again when something has been written */
        return;
    }
    cleaner->next = get->seq + 1;
    io_post(stream->host->io, &cleaner->task);
}

static void copy_next(struct io_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, cleaner.task);
    struct stream_cleaner *cleaner = &stream->cleaner;
    if (stream->closing || !cleaner->copying) return;
    struct stream_entry entry;
    if (!next_to_copy(stream, &entry)) {
        cleaner->copying = false;
        stream_clean(stream);
        return;
    }
    cleaner->getting = true;
    stream_get(stream, &cleaner->get, entry.seq, got);
}

void stream_cleaner_init(struct stream *stream)
{
    stream_get_init(&stream->cleaner.get);
    stream->cleaner.get.ahead_bytes = READ_AHEAD;
    io_task_init(&stream->cleaner.task, copy_next);
}

void stream_cleaner_told(struct stream *stream, int result)
{
    stream->cleaner.records--;
    if (result < 0) stream->cleaner.copying = false;
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct stream *stream = context;
    stream->cleaner.snapshot = false;
    if (result < 0 || stream->closing) return;
    journal_trim(stream->journal, stream->cleaner.trim_to);
    stream->cleaner.blocker = 0;
    stream_clean(stream);
}

static void start_trim(struct stream *stream, uint64_t first_keep)
{
    struct buf data;
    buf_init(&data, SIZE_MAX);
    stream_snapshot_encode(stream, &data);
    int r = data.failed ? ERR_NOMEM
                        : journal_snapshot_write(stream->journal, buf_bytes(&data),
                                                 stream->applied_place, snapshot_done);
    buf_release(&data);
    if (r < 0) return;
    stream->cleaner.snapshot = true;
    stream->cleaner.trim_to = first_keep;
}

void stream_clean(struct stream *stream)
{
    struct stream_cleaner *cleaner = &stream->cleaner;
    uint64_t second = stream->journal ? journal_second_segment(stream->journal) : 0;
    if (!second || stream->closing || !stream->config) return;
    if (cleaner->copying || cleaner->getting || cleaner->snapshot || cleaner->records) return;
    struct stream_entry entry;
    bool found = stream_index_find(&stream->index, cleaner->blocker, &entry);
    if (!found || entry.place >= second) found = oldest(stream, &entry);
    cleaner->blocker = found ? entry.seq : 0;
    uint64_t first_keep = found ? entry.place : stream->applied_place + 1;
    if (first_keep >= second) {
        start_trim(stream, first_keep);
        return;
    }
    uint64_t needed = stream->index.bytes + stream->index.count * RECORD_OVERHEAD;
    if (journal_bytes(stream->journal) <= 2 * needed + 2 * stream->host->segment_bytes) return;
    cleaner->copying = true;
    cleaner->next = 0;
    io_post(stream->host->io, &cleaner->task);
}
