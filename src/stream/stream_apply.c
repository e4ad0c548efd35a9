/* The state machine of a stream: what each record does to it. The same at recovery and live, so
 * what a restart finds is what was there. Limits are enforced here, oldest first, which makes the
 * outcome independent of when they were enforced; whatever goes for another reason goes by a record
 * (the oldest message for its age excepted, which is the next that a limit would take). */
#include "stream/stream_impl.h"
#include "bus/subject.h"

#include <assert.h>
#include <stdlib.h>

void stream_remove(struct stream *stream, const struct stream_entry *entry)
{
    struct stream_metrics *metrics = stream->host->metrics;
    metrics->messages--;
    metrics->bytes -= entry->size;
    if (!stream->recovery.running) {
        metrics->removed++;
        LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
            if (observer->removed) observer->removed(observer, entry->seq, entry->subject->name);
        }
    }
    if (stream->in_memory) stream_memory_forget(stream, entry->place);
    stream_index_remove(&stream->index, entry->seq);
}

static void tell_purged(struct stream *stream, struct bytes pattern)
{
    if (stream->recovery.running) return;
    LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
        if (observer->purged) observer->purged(observer, pattern);
    }
}

static bool remove_seq(struct stream *stream, uint64_t seq)
{
    struct stream_entry entry;
    if (!stream_index_find(&stream->index, seq, &entry)) return false;
    stream_remove(stream, &entry);
    return true;
}

/* ---- limits ---- */

/* The subject stays while its message is being applied: it is pending, or claimed and not empty. */
static void enforce_subject(struct stream *stream, const struct stream_subject *subject,
                            uint64_t keep)
{
    while (subject->count > keep) remove_seq(stream, subject->first);
}

static void enforce_totals(struct stream *stream)
{
    const struct stream_config *config = stream->config;
    struct stream_index *index = &stream->index;
    if (!config || config->discard != STREAM_DISCARD_OLD) return;
    uint64_t max_msgs = config->max_msgs > 0 ? (uint64_t)config->max_msgs : UINT64_MAX;
    uint64_t max_bytes = config->max_bytes > 0 ? (uint64_t)config->max_bytes : UINT64_MAX;
    struct stream_entry first;
    while ((index->count > max_msgs || index->bytes > max_bytes) &&
           stream_index_first(index, &first)) {
        stream_remove(stream, &first);
    }
}

/* After a change of the configuration. */
static void enforce_all(struct stream *stream)
{
    int64_t most = stream->config->max_msgs_per_subject;
    struct stream_entry entry;
    bool more = most > 0 && stream_index_first(&stream->index, &entry);
    while (more) {
        uint64_t seq = entry.seq;
        if (entry.subject->count > (uint64_t)most) stream_remove(stream, &entry);
        more = stream_index_from(&stream->index, seq + 1, &entry);
    }
    enforce_totals(stream);
}

/* ---- messages ---- */

static int claim(struct stream *stream, const struct stream_record *record,
                 struct stream_subject **ret_subject)
{
    char room[STREAM_SUBJECT_MAX + 1];
    struct bytes name = record->subject;
    if (name.len > STREAM_SUBJECT_MAX) return ERR_CORRUPT;
    if (record->flags & STREAM_FLAG_DELAYED) name = stream_hidden_name(record->subject, room);
    *ret_subject = stream_subjects_claim(&stream->index.subjects, name);
    return *ret_subject ? 0 : ERR_NOMEM;
}

uint32_t stream_record_counts(const struct stream *stream, const struct stream_record *record)
{
    if (record->size) return record->size;
    return stream_message_size(stream, record->subject.len, record->headers.len,
                               record->payload.len);
}

int stream_entry_of(struct stream *stream, const struct stream_record *record, uint64_t place,
                    struct stream_subject *subject, struct stream_entry *ret_entry)
{
    int r = subject ? 0 : claim(stream, record, &subject);
    if (r < 0) return r;
    uint64_t expires = STREAM_NEVER;
    bool delayed = record->flags & STREAM_FLAG_DELAYED; /* lives from when it is seen */
    bool timed = (record->flags & STREAM_FLAG_TTL) && !delayed;
    if (timed) expires = stream_expires(stream, record);
    *ret_entry = (struct stream_entry){
        .seq = record->seq,
        .time_ns = record->value,
        .place = place,
        .subject = subject,
        .size = stream_record_counts(stream, record),
        .marker = record->flags & STREAM_FLAG_MARKER,
        .ageless = delayed || (timed && expires == STREAM_NEVER),
    };
    if (expires != STREAM_NEVER) r = stream_clock_add(&stream->expiry, expires, record->seq);
    if (r == 0 && delayed) {
        r = stream_clock_add(&stream->delayed, stream_due(record), record->seq);
    }
    if (r == 0) return 0;
    stream_subjects_drop(&stream->index.subjects, subject);
    return r;
}

int stream_add_entry(struct stream *stream, const struct stream_record *record, uint64_t place,
                     struct stream_subject *subject)
{
    struct stream_entry entry;
    int r = stream_entry_of(stream, record, place, subject, &entry);
    if (r < 0) return r;
    r = stream_index_add(&stream->index, &entry);
    if (r < 0) {
        stream_subjects_drop(&stream->index.subjects, entry.subject);
        return r;
    }
    if (stream->in_memory) stream_memory_hold(place);
    stream->host->metrics->messages++;
    stream->host->metrics->bytes += entry.size;
    return 0;
}

static void tell_stored(struct stream *stream, const struct stream_record *record)
{
    struct stream_message message = {
        .seq = record->seq,
        .time_ns = record->value,
        .message = message_borrow(record->subject, BYTES(""), record->headers, record->payload),
    };
    LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
        if (observer->stored) observer->stored(observer, &message);
    }
    message_done(&message.message);
}

/* Subscribers have not seen it when it was published. */
static void publish_released(struct stream *stream, const struct stream_record *record)
{
    struct message message =
        message_borrow(record->subject, BYTES(""), record->headers, record->payload);
    stream->host->publish(stream->host->context, &message, true);
    message_done(&message);
}

static void roll_up(struct stream *stream, const struct stream_record *record,
                    const struct stream_subject *subject)
{
    struct stream_entry first;
    bool all = record->flags & STREAM_FLAG_ROLLUP_ALL;
    if (record->flags & STREAM_FLAG_ROLLUP_SUB) enforce_subject(stream, subject, 1);
    while (all && stream->index.count > 1 && stream_index_first(&stream->index, &first)) {
        stream_remove(stream, &first);
    }
    tell_purged(stream, all ? BYTES("") : record->subject);
}

bool stream_id_counts(const struct stream *stream, uint64_t time_ns)
{
    uint64_t now = io_wall_ns(stream->host->io);
    uint64_t window = stream->config ? (uint64_t)stream->config->duplicate_window_ns : UINT64_MAX;
    return window >= now || time_ns >= now - window;
}

/* Only at recovery: live, the id was noted when the message was submitted. A digest tells of ids
 * apart. */
static void note_id(struct stream *stream, const struct stream_record *record)
{
    struct stream_headers headers;
    if (!(record->flags & STREAM_FLAG_ID) || record->size) return;
    if (!stream_id_counts(stream, record->value)) return;
    if (stream_headers_read(record->headers, &headers) < 0) return;
    (void)stream_dedupe_add(&stream->dedupe, headers.id, record->seq, record->value);
}

static int apply_message(struct stream *stream, const struct stream_record *record, uint64_t place,
                         struct stream_subject *subject)
{
    const struct stream_config *config = stream->config;
    if (record->seq <= stream->last_seq) return ERR_CORRUPT;
    stream->last_seq = record->seq;
    stream->last_time_ns = record->value;
    int r = subject ? 0 : claim(stream, record, &subject);
    uint64_t before = r == 0 ? subject->last : 0;
    if (r == 0 && !stream->in_memory && !record->size) {
        stream_digest_message(&stream->digest, record, subject,
                              stream_record_counts(stream, record));
    }
    if (r == 0) r = stream_add_entry(stream, record, place, subject);
    if (r == 0 && (record->flags & STREAM_FLAG_SOURCED)) {
        r = stream_source_applied(stream, &record->origin);
    }
    if (r < 0) return r;
    if (record->flags & STREAM_FLAG_RELEASED) remove_seq(stream, record->origin.seq);
    if (record->flags & (STREAM_FLAG_ROLLUP_SUB | STREAM_FLAG_ROLLUP_ALL)) {
        roll_up(stream, record, subject);
    }
    if (config && config->max_msgs_per_subject > 0) {
        enforce_subject(stream, subject, (uint64_t)config->max_msgs_per_subject);
    }
    enforce_totals(stream);
    if (stream->recovery.running) {
        note_id(stream, record);
        return 0;
    }
    assert(config); /* live, a stream has one */
    bool timed = record->flags & (STREAM_FLAG_TTL | STREAM_FLAG_DELAYED);
    if (timed || (config->max_age_ns > 0 && !stream->timer.armed)) stream_tick_soon(stream);
    if (record->flags & STREAM_FLAG_DELAYED) return 0;
    tell_stored(stream, record);
    stream_republish(stream, record, before);
    bool released = record->flags & STREAM_FLAG_RELEASED;
    if (released) publish_released(stream, record);
    if (released && config->retention == STREAM_RETENTION_INTEREST) {
        stream_let_go(stream, record->seq);
    }
    return 0;
}

/* A sequence without a message. */
static int apply_skip(struct stream *stream, const struct stream_record *record)
{
    if (record->seq <= stream->last_seq) return ERR_CORRUPT;
    stream->last_seq = record->seq;
    stream->last_time_ns = record->value;
    return 0;
}

/* A copy forward; of a message that is gone by now it means nothing. */
static int apply_move(struct stream *stream, const struct stream_record *record, uint64_t place)
{
    if (record->seq >= stream->cleaner.moved_end) stream->cleaner.moved_end = record->seq + 1;
    return stream_index_move(&stream->index, record->seq, place);
}

/* ---- removals ---- */

static uint64_t apply_purge(struct stream *stream, const struct stream_record *record)
{
    uint64_t matching = stream_count(stream, 0, record->subject), purged = 0;
    uint64_t most = matching > record->value ? matching - record->value : 0;
    uint64_t seq = 0;
    struct stream_entry entry;
    while (purged < most && stream_index_from(&stream->index, seq, &entry) &&
           entry.seq < record->seq) {
        seq = entry.seq + 1;
        bool all = record->subject.len == 0;
        bool hidden = stream_subject_hidden(entry.subject);
        if (!all && (hidden || !subject_matches(record->subject, entry.subject->name))) continue;
        stream_remove(stream, &entry);
        purged++;
    }
    /* Up to a sequence that was not given out yet: the stream moves on to it. */
    if (record->subject.len == 0 && record->seq > stream->last_seq) {
        stream_dedupe_skip(&stream->dedupe, stream->last_seq, record->seq - 1);
        stream->last_seq = record->seq - 1;
    }
    tell_purged(stream, record->subject);
    return purged;
}

static int apply_remove(struct stream *stream, const struct stream_record *record)
{
    struct bytes rest = record->payload;
    uint64_t end = 0, first, count;
    int r;
    while ((r = stream_runs_next(&rest, &end, &first, &count)) > 0) {
        uint64_t seq = first;
        struct stream_entry entry;
        while (stream_index_from(&stream->index, seq, &entry) && entry.seq < first + count) {
            seq = entry.seq + 1;
            stream_remove(stream, &entry);
        }
    }
    return r;
}

/* ---- configuration ---- */

int stream_take_rules(struct stream *stream, const struct stream_config *config)
{
    char why[STREAM_SCHEMA_TEXT];
    struct stream_mappers mappers;
    struct stream_schema *schema = NULL;
    int r = stream_mappers_make(config, &mappers);
    if (r == 0 && config->schema) {
        r = stream_schema_new(bytes_str(config->schema), &schema, why);
        if (r < 0) stream_mappers_release(&mappers);
    }
    if (r < 0) return r == ERR_NOMEM ? r : ERR_CORRUPT;
    stream_mappers_release(&stream->mappers);
    stream_schema_free(stream->schema);
    stream->mappers = mappers;
    stream->schema = schema;
    return 0;
}

static int apply_config(struct stream *stream, const struct stream_record *record)
{
    struct stream_config *config;
    int r = stream_config_decode(record->payload, &config, NULL);
    if (r < 0) return r == ERR_NOMEM ? r : ERR_CORRUPT;
    r = stream_take_rules(stream, config);
    if (r < 0) {
        free(config);
        return r;
    }
    free(stream->config);
    stream->config = config;
    stream->created_ns = record->value;
    stream->age_floor = 0;
    if (record->seq > stream->last_seq) stream->last_seq = record->seq;
    enforce_all(stream);
    if (stream->recovery.running) return 0;
    stream_tick_soon(stream);
    stream_interest_changed(stream);
    stream->host->changed(stream->host->context, stream);
    return 0;
}

int stream_apply(struct stream *stream, const struct stream_record *record, uint64_t place,
                 struct stream_subject *subject, struct stream_op *op)
{
    bool other = record->kind != STREAM_RECORD_MESSAGE;
    if (other && !stream->in_memory && !record->size) stream_digest_other(stream, record);
    switch (record->kind) {
    case STREAM_RECORD_MESSAGE: return apply_message(stream, record, place, subject);
    case STREAM_RECORD_MOVE: return apply_move(stream, record, place);
    case STREAM_RECORD_DELETE: remove_seq(stream, record->seq); return 0;
    case STREAM_RECORD_PURGE: {
        uint64_t purged = apply_purge(stream, record);
        if (op) op->purged = purged;
        return 0;
    }
    case STREAM_RECORD_CONFIG: return apply_config(stream, record);
    case STREAM_RECORD_REMOVE: return apply_remove(stream, record);
    case STREAM_RECORD_SKIP: return apply_skip(stream, record);
    }
    return ERR_CORRUPT;
}
