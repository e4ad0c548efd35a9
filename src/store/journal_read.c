/* Reading a run of records, in a job that opens the file for itself: so no descriptor has to be
 * kept for each segment, and a segment may be removed at any time: before the job opens it, or
 * while it reads what is cut short then. */
#include "store/journal_impl.h"

#include <assert.h>

void journal_read_init(struct journal_read *read)
{
    *read = (struct journal_read){0};
    buf_init(&read->data, SIZE_MAX);
}

void journal_read_release(struct journal_read *read)
{
    assert(!read->busy);
    buf_release(&read->data);
}

/* Brings the file's bytes from `offset` on into the buffer until it holds `len`, or the file ends.
 */
static int load(struct journal_read *read, struct io_file *file, uint64_t offset, size_t len)
{
    while (buf_len(&read->data) < len) {
        size_t have = buf_len(&read->data);
        char *room = buf_reserve(&read->data, len - have);
        if (!room) return ERR_NOMEM;
        int64_t n = io_file_read(file, room, len - have, offset + have);
        if (n < 0) return (int)n;
        if (n == 0) return 0;
        buf_commit(&read->data, (size_t)n);
    }
    return 0;
}

/* The record at `at` of the buffer, loading more when it is not whole. */
static int64_t record_at(struct journal_read *read, struct io_file *file, size_t at,
                         struct segment_record *ret_record)
{
    for (;;) {
        size_t need, len = buf_len(&read->data);
        struct bytes bytes = bytes_skip(buf_bytes(&read->data), at);
        int64_t n =
            segment_record_decode(bytes, read->salt, SEGMENT_PAYLOAD_MAX, ret_record, &need);
        if (n != 0) return n;
        int r = load(read, file, read->offset, at + need);
        if (r < 0) return r;
        if (buf_len(&read->data) == len) return ERR_CORRUPT;
    }
}

/* The first whole header from `at` on: its place in the buffer, or ERR_CORRUPT: the file has none.
 */
static int64_t head_from(struct journal_read *read, struct io_file *file, size_t at,
                         struct segment_record *ret_record)
{
    for (;; at += 8) { /* records stand at multiples of 8 */
        int r = load(read, file, read->offset, at + SEGMENT_RECORD_HEADER);
        if (r < 0) return r;
        struct bytes bytes = bytes_skip(buf_bytes(&read->data), at);
        if (bytes.len < SEGMENT_RECORD_HEADER) return ERR_CORRUPT;
        if (segment_record_head(bytes.data, read->salt, ret_record) == 0) return (int64_t)at;
    }
}

/* Heads have hashes of their own, so damage to one record does not hide the others. */
static int find_first(struct journal_read *read, struct io_file *file, size_t *ret_at)
{
    struct segment_record record;
    int64_t at = head_from(read, file, 0, &record);
    while (at >= 0 && record.seq < read->seq)
        at = head_from(read, file, (size_t)at + record.size, &record);
    if (at < 0) return (int)at;
    if (record.seq > read->seq) return ERR_CORRUPT;
    int64_t n = record_at(read, file, (size_t)at, &record);
    if (n < 0) return (int)n;
    *ret_at = (size_t)at;
    return 0;
}

/* Leaves in the buffer the record that was asked for and whole ones behind it. */
static int collect(struct journal_read *read, struct io_file *file)
{
    size_t before = read->seq == read->next_seq ? 0 : JOURNAL_POINT_EVERY;
    int r = load(read, file, read->offset, read->limit + before);
    size_t start = 0;
    if (r == 0) r = find_first(read, file, &start);
    if (r < 0) return r;
    size_t at = start;
    uint64_t seq = read->seq;
    for (; seq <= read->last; seq++) {
        struct segment_record record;
        size_t need;
        struct bytes bytes = bytes_skip(buf_bytes(&read->data), at);
        int64_t n = segment_record_decode(bytes, read->salt, SEGMENT_PAYLOAD_MAX, &record, &need);
        if (n <= 0 || record.seq != seq) break; /* who asks for a bad one is told so */
        if (seq > read->seq && at + (size_t)n - start > read->limit) break;
        at += (size_t)n;
    }
    read->next_seq = seq;
    read->next_offset = read->offset + at;
    read->data.end = read->data.start + at;
    buf_consume(&read->data, start);
    return 0;
}

static void read_run(struct io_job *job)
{
    struct journal_read *read = CONTAINER_OF(job, struct journal_read, job);
    char name[SEGMENT_NAME], path[JOURNAL_PATH];
    segment_name(read->segment_first, name);
    int r = journal_path(read->journal->dir, name, path);
    struct io_file file;
    if (r == 0) r = io_file_open(read->journal->io, &file, path, IO_READ);
    if (r == 0) {
        r = collect(read, &file);
        io_file_close(&file);
    }
    if (r < 0) {
        buf_clear(&read->data);
        read->next_seq = 0;
    }
    read->result = r;
}

static void read_done(struct io_job *job)
{
    struct journal_read *read = CONTAINER_OF(job, struct journal_read, job);
    struct journal *journal = read->journal;
    read->busy = false;
    journal->reads--;
    bool trimmed = read->seq < journal_first(journal);
    if (read->result == ERR_CORRUPT && trimmed) read->result = ERR_NOT_FOUND;
    /* After a failed sync the cache may have forgotten what the next start finds in the log. */
    if (read->result == ERR_CORRUPT && journal_status(journal) < 0) read->result = ERR_IO;
    journal_settle(journal);
    read->done(read, read->result);
}

/* The last segment whose first sequence is <= seq. */
static const struct segment *segment_of(const struct journal *journal, uint64_t seq)
{
    size_t low = 0, high = journal->segment_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (journal->segments[middle].first <= seq) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &journal->segments[low];
}

static uint64_t point_before(const struct segment *segment, uint64_t index)
{
    size_t low = 0, high = segment->point_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (segment->points[middle].index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return segment->points[low].offset;
}

static int prepare(struct journal *journal, struct journal_read *read, uint64_t seq,
                   size_t max_bytes)
{
    assert(!read->busy);
    if (journal->closing) return ERR_CLOSED;
    if (seq < journal_first(journal) || seq > journal->last) return ERR_NOT_FOUND;
    const struct segment *segment = segment_of(journal, seq);
    const struct segment *end = journal->segments + journal->segment_count - 1;
    bool follows = read->segment_first == segment->first && read->salt == segment->salt &&
                   read->next_seq == seq;
    if (!follows) {
        read->next_seq = 0;
        read->next_offset = point_before(segment, seq - segment->first);
    }
    read->journal = journal;
    read->seq = seq;
    read->last = segment == end ? journal->last : segment[1].first - 1;
    read->salt = segment->salt;
    read->segment_first = segment->first;
    read->offset = read->next_offset;
    read->limit = max_bytes;
    read->at = 0;
    buf_clear(&read->data);
    read->job.run = read_run;
    read->job.done = read_done;
    journal->metrics->reads++;
    return 0;
}

int journal_read_start(struct journal *journal, struct journal_read *read, uint64_t seq,
                       size_t max_bytes)
{
    int r = prepare(journal, read, seq, max_bytes);
    if (r < 0) return r;
    read->busy = true;
    journal->reads++;
    io_job_submit(journal->io, &read->job);
    return 0;
}

int journal_read_now(struct journal *journal, struct journal_read *read, uint64_t seq,
                     size_t max_bytes)
{
    int r = prepare(journal, read, seq, max_bytes);
    if (r < 0) return r;
    read_run(&read->job);
    return read->result;
}

bool journal_read_next(struct journal_read *read, struct journal_record *ret_record)
{
    struct bytes data = buf_bytes(&read->data);
    if (read->busy || read->at >= data.len) return false;
    struct segment_record record;
    segment_record_peek(data.data + read->at, &record);
    *ret_record = (struct journal_record){record.seq, record.payload};
    read->at += record.size;
    return true;
}

bool journal_read_find(const struct journal_read *read, uint64_t seq,
                       struct journal_record *ret_record)
{
    struct bytes data = buf_bytes(&read->data);
    if (read->busy || seq < read->seq) return false;
    for (size_t at = 0; at < data.len;) {
        struct segment_record record;
        segment_record_peek(data.data + at, &record);
        if (record.seq == seq) {
            *ret_record = (struct journal_record){record.seq, record.payload};
            return true;
        }
        at += record.size;
    }
    return false;
}
