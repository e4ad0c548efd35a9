/* The state machine of a stream: what each record does to it. The same at recovery and live, so
 * what a restart finds is what was there. Limits are enforced here, oldest first, which makes the
 * outcome independent of when they were enforced. */
#include "stream/stream_impl.h"
#include "bus/subject.h"
#include "wire/nats.h"

#include <stdlib.h>

struct bytes stream_message_id(struct bytes headers)
{
    struct bytes id;
    if (headers.len == 0 || nats_headers_get(headers, BYTES("Nats-Msg-Id"), &id) < 0) {
        return BYTES("");
    }
    return id;
}

static void remove_entry(struct stream *stream, struct stream_entry *entry)
{
    struct stream_metrics *metrics = stream->host->metrics;
    metrics->messages--;
    metrics->bytes -= entry->size;
    if (!stream->replaying) {
        metrics->removed++;
        LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
            if (observer->removed) observer->removed(observer, entry->seq, entry->subject->name);
        }
    }
    stream_index_remove(&stream->index, entry);
}

/* ---- limits ---- */

static void enforce_subject(struct stream *stream, struct bytes name, uint64_t keep)
{
    struct stream_subject *subject;
    while ((subject = stream_index_subject(&stream->index, name)) && subject->count > keep) {
        remove_entry(stream, stream_index_find(&stream->index, subject->first));
    }
}

static void enforce_totals(struct stream *stream)
{
    const struct stream_config *config = stream->config;
    struct stream_index *index = &stream->index;
    uint64_t max_msgs = stream->host->max_messages, max_bytes = UINT64_MAX;
    if (config && config->discard == STREAM_DISCARD_OLD) {
        if (config->max_msgs > 0 && (uint64_t)config->max_msgs < max_msgs) {
            max_msgs = (uint64_t)config->max_msgs;
        }
        if (config->max_bytes > 0) max_bytes = (uint64_t)config->max_bytes;
    }
    while (index->count > max_msgs || index->bytes > max_bytes) {
        remove_entry(stream, stream_index_first(index));
    }
}

/* After a change of the configuration. */
static void enforce_all(struct stream *stream)
{
    uint64_t keep = stream->config->max_msgs_per_subject > 0
                        ? (uint64_t)stream->config->max_msgs_per_subject
                        : UINT64_MAX;
    struct stream_entry *entry = stream_index_first(&stream->index);
    while (entry) {
        uint64_t seq = entry->seq;
        if (entry->subject->count > keep) remove_entry(stream, entry);
        entry = stream_index_from(&stream->index, seq + 1);
    }
    enforce_totals(stream);
}

void stream_expire(struct stream *stream)
{
    io_timer_cancel(stream->host->io, &stream->age_timer);
    if (stream->config->max_age_ns <= 0 || stream->closing) return;
    uint64_t age = (uint64_t)stream->config->max_age_ns, now = io_wall_ns(stream->host->io);
    struct stream_entry *entry;
    while ((entry = stream_index_first(&stream->index))) {
        if (entry->time_ns + age > now) {
            uint64_t wait_ms = (entry->time_ns + age - now) / 1000000 + 1;
            /* No longer than an hour at once: wall clocks are set. */
            io_timer_set(stream->host->io, &stream->age_timer,
                         wait_ms < 3600000 ? wait_ms : 3600000);
            return;
        }
        remove_entry(stream, entry);
    }
}

void stream_age_due(struct io_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, age_timer);
    stream_expire(stream);
    stream_clean(stream);
}

/* ---- records ---- */

static void tell_stored(struct stream *stream, const struct stream_record *record)
{
    struct stream_message message = {
        .seq = record->seq,
        .time_ns = record->time_ns,
        .message = message_borrow(record->subject, BYTES(""), record->headers, record->payload),
    };
    LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
        if (observer->stored) observer->stored(observer, &message);
    }
    message_done(&message.message);
}

static int add_entry(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    const struct stream_entry entry = {
        .seq = record->seq,
        .time_ns = record->time_ns,
        .place = place,
        .size = (uint32_t)(record->subject.len + record->headers.len + record->payload.len),
        .moved = record->kind == STREAM_RECORD_MOVE,
    };
    int r = stream_index_add(&stream->index, record->subject, &entry);
    if (r < 0) return r;
    stream->host->metrics->messages++;
    stream->host->metrics->bytes += entry.size;
    return 0;
}

/* Only at recovery: live, the id was noted when the message was submitted. */
static void note_id(struct stream *stream, const struct stream_record *record)
{
    uint64_t now = io_wall_ns(stream->host->io);
    uint64_t window = stream->config ? (uint64_t)stream->config->duplicate_window_ns : UINT64_MAX;
    if (window < now && record->time_ns < now - window) return;
    struct bytes id = stream_message_id(record->headers);
    if (id.len > 0) (void)stream_dedupe_add(&stream->dedupe, id, record->seq, record->time_ns);
}

static void apply_rollup(struct stream *stream, const struct stream_record *record)
{
    struct bytes rollup;
    if (!stream->config || !stream->config->allow_rollup || record->headers.len == 0) return;
    if (nats_headers_get(record->headers, BYTES("Nats-Rollup"), &rollup) < 0) return;
    if (bytes_eq_nocase(rollup, BYTES("sub"))) enforce_subject(stream, record->subject, 1);
    if (!bytes_eq_nocase(rollup, BYTES("all"))) return;
    while (stream->index.count > 1) remove_entry(stream, stream_index_first(&stream->index));
}

static int apply_message(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    const struct stream_config *config = stream->config;
    if (record->seq <= stream->last_seq) return ERR_CORRUPT;
    stream->last_seq = record->seq;
    stream->last_time_ns = record->time_ns;
    int r = add_entry(stream, record, place);
    if (r < 0) return r;
    apply_rollup(stream, record);
    if (config && config->max_msgs_per_subject > 0) {
        enforce_subject(stream, record->subject, (uint64_t)config->max_msgs_per_subject);
    }
    enforce_totals(stream);
    if (stream->replaying) {
        note_id(stream, record);
    } else {
        if (!stream->age_timer.armed) stream_expire(stream);
        tell_stored(stream, record);
    }
    return 0;
}

/* A copy forward; of a message that is gone by now it means nothing. */
static void apply_move(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    struct stream_entry *entry = stream_index_find(&stream->index, record->seq);
    if (!entry) return;
    entry->place = place;
    entry->moved = true;
}

static void apply_delete(struct stream *stream, const struct stream_record *record)
{
    struct stream_entry *entry = stream_index_find(&stream->index, record->seq);
    if (entry) remove_entry(stream, entry);
}

static uint64_t apply_purge(struct stream *stream, const struct stream_record *record)
{
    uint64_t matching = stream_count(stream, 0, record->subject), purged = 0;
    uint64_t most = matching > record->origin ? matching - record->origin : 0;
    struct stream_entry *entry = stream_index_first(&stream->index);
    while (entry && entry->seq < record->seq && purged < most) {
        uint64_t seq = entry->seq;
        if (record->subject.len == 0 || subject_matches(record->subject, entry->subject->name)) {
            remove_entry(stream, entry);
            purged++;
        }
        entry = stream_index_from(&stream->index, seq + 1);
    }
    return purged;
}

static int apply_config(struct stream *stream, const struct stream_record *record)
{
    struct stream_config *config;
    int r = stream_config_decode(record->payload, &config, NULL);
    if (r < 0) return r == ERR_NOMEM ? r : ERR_CORRUPT;
    free(stream->config);
    stream->config = config;
    if (!stream->created_ns) stream->created_ns = record->time_ns;
    if (record->seq > stream->last_seq) stream->last_seq = record->seq;
    enforce_all(stream);
    if (!stream->replaying) {
        stream_expire(stream);
        stream->host->changed(stream->host->context);
    }
    return 0;
}

int stream_apply(struct stream *stream, const struct stream_record *record, uint64_t place,
                 struct stream_op *op)
{
    switch (record->kind) {
    case STREAM_RECORD_MESSAGE: return apply_message(stream, record, place);
    case STREAM_RECORD_MOVE: apply_move(stream, record, place); return 0;
    case STREAM_RECORD_DELETE: apply_delete(stream, record); return 0;
    case STREAM_RECORD_PURGE: {
        uint64_t purged = apply_purge(stream, record);
        if (op) op->purged = purged;
        return 0;
    }
    case STREAM_RECORD_CONFIG: return apply_config(stream, record);
    }
    return ERR_CORRUPT;
}

static bool in_ranges(const struct stream *stream, uint64_t seq)
{
    size_t low = 0, high = stream->range_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream->ranges[middle].first <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && seq - stream->ranges[low - 1].first < stream->ranges[low - 1].count;
}

/* A record that the snapshot covers counts only as the place of a message that was left. */
static int recover_covered(struct stream *stream, const struct stream_record *record,
                           uint64_t place)
{
    bool message = record->kind == STREAM_RECORD_MESSAGE;
    if (message) note_id(stream, record);
    if (!message && record->kind != STREAM_RECORD_MOVE) return 0;
    if (!in_ranges(stream, record->seq)) return 0;
    if (!stream_index_find(&stream->index, record->seq)) return add_entry(stream, record, place);
    if (message) return ERR_CORRUPT;
    apply_move(stream, record, place);
    return 0;
}

int stream_recovered(void *context, const struct journal_record *record)
{
    struct stream *stream = context;
    struct stream_record decoded;
    int r = stream_record_decode(record->payload, &decoded);
    if (r < 0) return r;
    if (record->seq <= stream->snapshot_covers) {
        return recover_covered(stream, &decoded, record->seq);
    }
    return stream_apply(stream, &decoded, record->seq, NULL);
}
