/* A stream at start-up. Behind the snapshot, if there is one, its records take effect as they did
 * live. Of the records that the snapshot stands for just those count that hold a message which it
 * says is left. Copies (MOVE) come late in the journal though early in the order: they are
 * gathered, and merged when the last record that the snapshot stands for has been seen. */
#include "stream/stream_impl.h"

#include "base/le.h"

#include <assert.h>
#include <stdlib.h>

/* ---- snapshot: last_seq:8 last_time_ns:8 created_ns:8 moved_end:8 ids sources count:8
 *                len:8 runs config
 * -- */

enum { FIXED = 32 };

static void put64(struct buf *out, uint64_t value)
{
    char bytes[8];
    le_put64(bytes, value);
    buf_append(out, bytes_make(bytes, sizeof bytes));
}

/* The sequences that are held, as runs without a gap. */
static void put_runs(struct stream_index *index, struct buf *out)
{
    uint64_t end = 0, first = 0, next = 0, seq;
    uint32_t subject;
    struct stream_walk walk;
    stream_walk_begin(&walk, index, 0);
    while (stream_walk_next(&walk, &seq, &subject)) {
        if (seq != next || !first) {
            if (first) stream_runs_put(out, &end, first, next - first);
            first = seq;
        }
        next = seq + 1;
    }
    if (first) stream_runs_put(out, &end, first, next - first);
}

void stream_snapshot_encode(struct stream *stream, struct buf *out)
{
    struct buf runs;
    buf_init(&runs, SIZE_MAX);
    put_runs(&stream->index, &runs);
    put64(out, stream->last_seq);
    put64(out, stream->last_time_ns);
    put64(out, stream->created_ns);
    put64(out, stream->cleaner.moved_end);
    stream_dedupe_encode(&stream->dedupe, stream->last_seq, out);
    stream_progress_encode(stream, out);
    put64(out, stream->index.count);
    put64(out, buf_len(&runs));
    buf_append(out, buf_bytes(&runs));
    if (runs.failed) out->failed = true;
    buf_release(&runs);
    stream_config_encode(stream->config, out);
}

static int decode_runs(struct stream_recovery *recovery, struct bytes rest)
{
    size_t room = 0;
    uint64_t end = 0, first, count, left = 0;
    int r;
    while ((r = stream_runs_next(&rest, &end, &first, &count)) > 0) {
        if (recovery->range_count == room) {
            room = room ? room * 2 : 64;
            struct stream_range *ranges = realloc(recovery->ranges, room * sizeof *ranges);
            if (!ranges) return ERR_NOMEM;
            recovery->ranges = ranges;
        }
        recovery->ranges[recovery->range_count++] = (struct stream_range){first, count};
        left += count;
    }
    return r == 0 && left != recovery->left ? ERR_CORRUPT : r;
}

static int decode_snapshot(struct stream *stream, struct bytes data)
{
    if (data.len < FIXED) return ERR_CORRUPT;
    stream->last_seq = stream->recovery.covers_seq = le_get64(data.data);
    stream->last_time_ns = le_get64(data.data + 8);
    stream->created_ns = le_get64(data.data + 16);
    stream->cleaner.moved_end = le_get64(data.data + 24);
    data = bytes_skip(data, FIXED);
    int r = stream_dedupe_decode(&stream->dedupe, &data);
    if (r == 0) r = stream_progress_decode(stream, &data);
    if (r < 0) return r;
    if (data.len < 16) return ERR_CORRUPT;
    stream->recovery.left = le_get64(data.data);
    uint64_t len = le_get64(data.data + 8);
    data = bytes_skip(data, 16);
    if (len > data.len) return ERR_CORRUPT;
    r = decode_runs(&stream->recovery, bytes_head(data, (size_t)len));
    if (r < 0) return r;
    r = stream_config_decode(bytes_skip(data, (size_t)len), &stream->config, NULL);
    if (r == 0) r = stream_take_rules(stream, stream->config);
    return r == 0 || r == ERR_NOMEM ? r : ERR_CORRUPT;
}

int stream_recovery_begin(struct stream *stream, struct error *error)
{
    struct buf data;
    buf_init(&data, SIZE_MAX);
    stream->recovery.running = true;
    int r = journal_snapshot_read(stream->host->io, stream->dir, &data, &stream->recovery.covers,
                                  error);
    if (r == 0) r = decode_snapshot(stream, buf_bytes(&data));
    buf_release(&data);
    return r == ERR_NOT_FOUND ? 0 : r;
}

/* ---- records ---- */

static bool is_left(const struct stream_recovery *recovery, uint64_t seq)
{
    size_t low = 0, high = recovery->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (recovery->ranges[middle].first <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && seq - recovery->ranges[low - 1].first < recovery->ranges[low - 1].count;
}

static int gather(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    struct stream_recovery *recovery = &stream->recovery;
    if (recovery->entry_count == recovery->entry_room) {
        size_t room = recovery->entry_room ? recovery->entry_room * 2 : 64;
        struct stream_entry *entries = realloc(recovery->entries, room * sizeof *entries);
        if (!entries) return ERR_NOMEM;
        recovery->entries = entries;
        recovery->entry_room = room;
    }
    struct stream_entry *entry = &recovery->entries[recovery->entry_count];
    int r = stream_entry_of(stream, record, place, NULL, entry);
    if (r == 0) recovery->entry_count++;
    return r;
}

static int recover_covered(struct stream *stream, const struct stream_record *record,
                           uint64_t place)
{
    bool message = record->kind == STREAM_RECORD_MESSAGE;
    if (!message && record->kind != STREAM_RECORD_MOVE) return 0;
    if (!is_left(&stream->recovery, record->seq)) return 0;
    struct stream_entry last;
    bool known = stream_index_last(&stream->index, &last);
    if (message) {
        if (known && record->seq <= last.seq) return ERR_CORRUPT;
        return stream_add_entry(stream, record, place, NULL);
    }
    if (known && stream_index_find(&stream->index, record->seq, NULL)) {
        return stream_index_move(&stream->index, record->seq, place);
    }
    return gather(stream, record, place);
}

/* All that the snapshot stands for has been seen. */
static int cross(struct stream *stream)
{
    struct stream_recovery *recovery = &stream->recovery;
    struct stream_metrics *metrics = stream->host->metrics;
    recovery->crossed = true;
    if (!recovery->covers) return 0;
    uint64_t count = stream->index.count, bytes = stream->index.bytes;
    int r = stream_index_merge(&stream->index, recovery->entries, recovery->entry_count);
    metrics->messages += stream->index.count - count;
    metrics->bytes += stream->index.bytes - bytes;
    if (r == 0 && stream->index.count != recovery->left) r = ERR_CORRUPT;
    return r;
}

static int recover_one(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    if (place <= stream->recovery.covers) return recover_covered(stream, record, place);
    int r = stream->recovery.crossed ? 0 : cross(stream);
    return r < 0 ? r : stream_apply(stream, record, place, NULL, NULL);
}

int stream_recovered(void *context, const struct journal_record *record)
{
    struct stream *stream = context;
    struct stream_record decoded;
    int r = stream_record_decode(record->payload, &decoded);
    if (r < 0) return r;
    if (record->seq <= stream->recovery.covers) stream_digest_other(stream, &decoded);
    return recover_one(stream, &decoded, record->seq);
}

/* ---- digests ---- */

void stream_digest_other(struct stream *stream, const struct stream_record *record)
{
    stream_digest_record(&stream->digest, record, stream_record_counts(stream, record));
}

int stream_digest_wanted(void *context, struct buf *out)
{
    struct stream *stream = context;
    return stream_digest_take(&stream->digest, &stream->dedupe, out);
}

/* Whether so many messages more of one subject lead to no removal. */
static bool has_room(const struct stream *stream, const struct stream_subject *subject,
                     uint32_t count, uint32_t size)
{
    const struct stream_config *config = stream->config;
    if (!config) return true;
    uint64_t each = (uint64_t)config->max_msgs_per_subject, all = (uint64_t)config->max_msgs;
    uint64_t bytes = stream->index.bytes + (uint64_t)count * size;
    if (config->max_msgs_per_subject > 0 && subject->count + count > each) return false;
    if (config->discard != STREAM_DISCARD_OLD) return true;
    if (config->max_msgs > 0 && stream->index.count + count > all) return false;
    return config->max_bytes <= 0 || bytes <= (uint64_t)config->max_bytes;
}

/* A run that does nothing but add messages, as most do. 1: done. */
static int add_run(struct stream *stream, const struct stream_digest_item *item, uint64_t place)
{
    const struct stream_record *record = &item->record;
    struct stream_entry first = {0};
    if (place <= stream->recovery.covers || record->seq <= stream->last_seq) return 0;
    int r = stream->recovery.crossed ? 0 : cross(stream);
    if (r == 0) r = stream_entry_of(stream, record, place, NULL, &first);
    if (r < 0) return r;
    assert(first.subject);
    if (!has_room(stream, first.subject, item->count, record->size)) {
        stream_subjects_drop(&stream->index.subjects, first.subject);
        return 0;
    }
    r = stream_index_add_run(&stream->index, &first, item->times_us, item->count);
    if (r < 0) return r;
    stream->last_seq = record->seq + item->count - 1;
    stream->last_time_ns = record->value + UINT64_C(1000) * item->times_us[item->count - 1];
    stream->host->metrics->messages += item->count;
    stream->host->metrics->bytes += (uint64_t)item->count * record->size;
    return 1;
}

static int digested_run(struct stream *stream, const struct stream_digest_item *item,
                        uint64_t place)
{
    int r = add_run(stream, item, place);
    if (r != 0) return r < 0 ? r : 0;
    for (uint32_t i = 0; r == 0 && i < item->count; i++) {
        struct stream_record record = item->record;
        record.seq += i;
        record.value += UINT64_C(1000) * item->times_us[i];
        r = recover_one(stream, &record, place + i);
    }
    return r;
}

/* The snapshot has those of the messages that it stands for. */
static int digested_id(struct stream *stream, const struct stream_digest_item *item)
{
    const struct stream_id *id = &item->id;
    if (id->seq <= stream->recovery.covers_seq || !stream_id_counts(stream, id->time_ns)) return 0;
    if (item->kind == STREAM_DIGEST_ID) (void)stream_dedupe_add_hash(&stream->dedupe, id);
    if (item->kind == STREAM_DIGEST_LAST_ID) {
        stream_dedupe_set_last(&stream->dedupe, item->text, id->seq);
    }
    return 0;
}

int stream_digested(void *context, uint64_t first, uint32_t count, struct bytes digest)
{
    struct stream *stream = context;
    struct stream_digest_walk walk;
    struct stream_digest_item item;
    uint64_t place = first, end = first + count;
    int r;
    stream_digest_walk_init(&walk, digest);
    while ((r = stream_digest_next(&walk, &item)) > 0) {
        bool messages = item.kind == STREAM_DIGEST_RECORD || item.kind == STREAM_DIGEST_RUN;
        if (!messages) {
            r = digested_id(stream, &item);
        } else if (item.count > end - place) {
            r = ERR_CORRUPT;
        } else {
            r = item.kind == STREAM_DIGEST_RUN ? digested_run(stream, &item, place)
                                               : recover_one(stream, &item.record, place);
            place += item.count;
        }
        if (r < 0) break;
    }
    stream_digest_walk_release(&walk);
    return r == 0 && place != end ? ERR_CORRUPT : r;
}

int stream_recovery_end(struct stream *stream)
{
    int r = stream->recovery.crossed ? 0 : cross(stream);
    stream_recovery_release(stream);
    return r;
}

void stream_recovery_release(struct stream *stream)
{
    free(stream->recovery.ranges);
    free(stream->recovery.entries);
    stream->recovery = (struct stream_recovery){0};
}
