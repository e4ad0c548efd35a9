#include "stream/stream_impl.h"

#include "base/le.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

const struct stream_config *stream_config(const struct stream *stream)
{
    return stream->config;
}

struct stream_state stream_state(const struct stream *stream)
{
    const struct stream_entry *first = stream_index_first(&stream->index);
    struct stream_state state = {
        .messages = stream->index.count,
        .bytes = stream->index.bytes,
        .first_seq = stream->last_seq ? stream->last_seq + 1 : 0,
        .last_seq = stream->last_seq,
        .last_time_ns = stream->last_time_ns,
    };
    size_t cursor = 0;
    const struct stream_subject *subject;
    while ((subject = map_next(&stream->index.subjects, &cursor))) {
        if (subject->count) state.subjects++;
    }
    if (first) {
        state.first_seq = first->seq;
        state.first_time_ns = first->time_ns;
        state.deleted = state.last_seq + 1 - state.first_seq - state.messages;
    }
    return state;
}

/* ---- snapshot: last_seq:8 last_time_ns:8 ranges:8 (first_seq:8 count:8)* configuration ---- */

static void put64(struct buf *out, uint64_t value)
{
    value = htole64(value);
    buf_append(out, bytes_make(&value, sizeof value));
}

/* The sequences that are held, as runs without a gap. */
static void put_ranges(const struct stream_index *index, struct buf *out)
{
    uint64_t count = 0, first = 0, next = 0;
    size_t at = buf_len(out);
    put64(out, 0);
    const struct stream_entry *entry = stream_index_first(index);
    for (; entry; entry = stream_index_after(index, entry)) {
        if (entry->seq != next) {
            if (count++) put64(out, next - first);
            put64(out, first = entry->seq);
        }
        next = entry->seq + 1;
    }
    if (count) put64(out, next - first);
    if (out->failed) return;
    count = htole64(count);
    memcpy(out->data + out->start + at, &count, sizeof count);
}

void stream_snapshot_encode(const struct stream *stream, struct buf *out)
{
    put64(out, stream->last_seq);
    put64(out, stream->last_time_ns);
    put_ranges(&stream->index, out);
    stream_config_encode(stream->config, out);
}

static int snapshot_decode(struct stream *stream, struct bytes data)
{
    if (data.len < 24) return ERR_CORRUPT;
    stream->last_seq = le_get64(data.data);
    stream->last_time_ns = le_get64(data.data + 8);
    uint64_t count = le_get64(data.data + 16);
    data = bytes_skip(data, 24);
    if (count > data.len / 16) return ERR_CORRUPT;
    stream->ranges = calloc((size_t)count + 1, sizeof *stream->ranges);
    if (!stream->ranges) return ERR_NOMEM;
    stream->range_count = (size_t)count;
    for (size_t i = 0; i < count; i++) {
        stream->ranges[i].first = le_get64(data.data + i * 16);
        stream->ranges[i].count = le_get64(data.data + i * 16 + 8);
    }
    int r = stream_config_decode(bytes_skip(data, (size_t)count * 16), &stream->config, NULL);
    return r == 0 || r == ERR_NOMEM ? r : ERR_CORRUPT;
}

static int load_snapshot(struct stream *stream, struct error *error)
{
    struct buf data;
    buf_init(&data, SIZE_MAX);
    int r = journal_snapshot_read(stream->host->io, stream->dir, &data, &stream->snapshot_covers,
                                  error);
    if (r == 0) r = snapshot_decode(stream, buf_bytes(&data));
    buf_release(&data);
    return r == ERR_NOT_FOUND ? 0 : r;
}

/* ---- opening ---- */

static int open_journal(struct stream *stream, bool make, struct error *error)
{
    struct journal_options options = {
        .dir = stream->dir,
        .must_exist = !make,
        .sync = stream->config ? stream->config->sync : JOURNAL_SYNC_EACH,
        .segment_bytes = stream->host->segment_bytes,
        .log = stream->host->log,
        .metrics = stream->host->store_metrics,
        .context = stream,
        .recovered = stream_recovered,
        .appended = stream_appended,
    };
    stream->replaying = true;
    int r = journal_open(stream->host->io, &options, &stream->journal, error);
    stream->replaying = false;
    free(stream->ranges);
    stream->ranges = NULL;
    return r;
}

/* The configuration is the stream's first record, and durable before the stream can be used. */
static int write_config(struct stream *stream, const struct stream_config *config)
{
    struct buf json;
    buf_init(&json, SIZE_MAX);
    struct stream_config *copy = stream_config_copy(config);
    if (copy) stream_config_encode(copy, &json);
    free(copy);
    const struct stream_record record = {.kind = STREAM_RECORD_CONFIG,
                                         .seq = stream->last_seq,
                                         .time_ns = io_wall_ns(stream->host->io),
                                         .payload = buf_bytes(&json)};
    int r = !copy || json.failed ? ERR_NOMEM : stream_submit(stream, &record);
    if (r == 0) r = journal_flush(stream->journal);
    buf_release(&json);
    return r;
}

static void init(struct stream *stream, const struct stream_host *host)
{
    stream->host = host;
    stream_index_init(&stream->index);
    stream_dedupe_init(&stream->dedupe);
    list_init(&stream->waiting);
    list_init(&stream->ready);
    list_init(&stream->gets);
    list_init(&stream->observers);
    io_task_init(&stream->ready_task, stream_ready_run);
    io_timer_init(&stream->age_timer, stream_age_due);
    stream_cleaner_init(stream);
}

int stream_open(const struct stream_host *host, const char *name,
                const struct stream_config *config, struct stream **ret_stream, struct error *error)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    init(stream, host);
    snprintf(stream->name, sizeof stream->name, "%s", name);
    int n = snprintf(stream->dir, sizeof stream->dir, "%s/%s", host->dir, name);
    int r = n < (int)sizeof stream->dir ? 0 : ERR_TOO_BIG;
    if (r == 0) r = load_snapshot(stream, error);
    if (r == 0) r = open_journal(stream, config != NULL, error);
    if (r == 0 && config) r = write_config(stream, config);
    if (r == 0 && !stream->config) r = ERR_NOT_FOUND;
    if (r < 0) {
        if (error && !error->code) error_set(error, r, "stream %s: %s", name, err_text(r));
        stream_free(stream);
        return r;
    }
    stream->submitted_seq = stream->last_seq;
    stream->applied_place = journal_last(stream->journal);
    stream_expire(stream);
    stream->host->metrics->streams++;
    *ret_stream = stream;
    return 0;
}

/* ---- closing ---- */

static void journal_gone(void *context)
{
    struct stream *stream = context;
    stream->journal = NULL;
    stream_ready_run(&stream->ready_task);
    void (*closed)(void *) = stream->closed;
    void *closed_context = stream->closed_context;
    struct stream_metrics *metrics = stream->host->metrics;
    metrics->streams--;
    metrics->messages -= stream->index.count;
    metrics->bytes -= stream->index.bytes;
    stream_free(stream);
    if (closed) closed(closed_context);
}

void stream_close(struct stream *stream, void (*done)(void *context), void *context)
{
    assert(!stream->closing && stream->users == 0);
    stream->closing = true;
    stream->closed = done;
    stream->closed_context = context;
    io_timer_cancel(stream->host->io, &stream->age_timer);
    journal_close(stream->journal, journal_gone, stream);
}

void stream_free(struct stream *stream)
{
    if (!stream) return;
    io_timer_cancel(stream->host->io, &stream->age_timer);
    io_task_cancel(stream->host->io, &stream->ready_task);
    io_task_cancel(stream->host->io, &stream->cleaner.task);
    journal_free(stream->journal);
    stream->cleaner.get.read.busy = false;
    stream_get_release(&stream->cleaner.get);
    stream_index_release(&stream->index);
    stream_dedupe_release(&stream->dedupe);
    free(stream->ranges);
    free(stream->consumers.at);
    free(stream->config);
    free(stream);
}
