#include "stream/stream_folder.h"
#include "stream/stream_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

const struct stream_config *stream_config(const struct stream *stream)
{
    return stream->config;
}

uint64_t stream_created_ns(const struct stream *stream)
{
    return stream->created_ns;
}

struct stream_state stream_state(const struct stream *stream)
{
    struct stream_index *index = (struct stream_index *)&stream->index;
    struct stream_entry first;
    struct stream_state state = {
        .messages = index->count,
        .bytes = index->bytes,
        .subjects = index->subjects.held,
        .first_seq = stream->last_seq ? stream->last_seq + 1 : 0,
        .last_seq = stream->last_seq,
        .last_time_ns = stream->last_time_ns,
        .consumers = stream->interest_count,
    };
    if (stream_index_first(index, &first)) {
        state.first_seq = first.seq;
        state.first_time_ns = first.time_ns;
        state.deleted = stream->last_seq - first.seq + 1 - index->count;
    }
    return state;
}

uint64_t stream_memory_bytes(const struct stream *stream)
{
    return stream->index.memory + stream->index.subjects.memory +
           stream->dedupe.room * (sizeof(struct stream_id) + 2 * sizeof(uint32_t)) +
           (stream->expiry.room + stream->delayed.room) * sizeof(struct stream_due) +
           (stream->in_memory ? stream->index.bytes : 0);
}

/* ---- opening ---- */

/* `sync`: where the snapshot does not say. all: digests are not believed, but every record is read.
 */
static int open_journal(struct stream *stream, enum journal_sync sync, bool must_exist, bool all,
                        struct error *error)
{
    struct journal_options options = {
        .dir = stream->dir,
        .must_exist = must_exist,
        .wal = stream->host->wal,
        .sync = stream->config ? stream->config->sync : sync,
        .segment_bytes = stream->host->segment_bytes,
        .log = stream->host->log,
        .metrics = stream->host->store_metrics,
        .context = stream,
        .recovered = stream_recovered,
        .digest = stream_digest_wanted,
        .digested = all ? NULL : stream_digested,
        .appended = stream_appended,
    };
    return journal_open(stream->host->io, &options, &stream->journal, error);
}

static int recover(struct stream *stream, bool all, struct error *error)
{
    int r = stream_recovery_begin(stream, error);
    if (r == 0) r = open_journal(stream, JOURNAL_SYNC_EACH, true, all, error);
    if (r == 0) r = stream_recovery_end(stream);
    stream_recovery_release(stream);
    if (r == 0 && !stream->config) r = ERR_NOT_FOUND;
    if (r < 0) return r;
    snprintf(stream->name, sizeof stream->name, "%s", stream->config->name);
    stream->birth = STREAM_BORN;
    stream->applied_place = journal_last(stream->journal);
    return 0;
}

/* The configuration holds at once, and is the stream's first record. */
static int begin(struct stream *stream, const struct stream_config *config, struct error *error)
{
    struct buf json;
    buf_init(&json, SIZE_MAX);
    stream_config_encode(config, &json);
    const struct stream_record record = {
        .kind = STREAM_RECORD_CONFIG,
        .seq = config->first_seq ? config->first_seq - 1 : 0,
        .value = stream->host->made_at(stream->host->context),
        .payload = buf_bytes(&json),
    };
    int r = json.failed ? ERR_NOMEM : stream_apply(stream, &record, 0, NULL, NULL);
    buf_release(&json);
    stream->in_memory = config->storage == STREAM_STORAGE_MEMORY;
    stream->interest_known = true;
    if (r == 0 && stream->in_memory) stream->birth = STREAM_BORN;
    if (r == 0 && !stream->in_memory) r = open_journal(stream, config->sync, false, false, error);
    return r == 0 && !stream->in_memory ? stream_submit_birth(stream) : r;
}

static void init(struct stream *stream, const struct stream_host *host)
{
    stream->host = host;
    stream_index_init(&stream->index);
    stream_dedupe_init(&stream->dedupe);
    stream_digest_init(&stream->digest);
    stream_memory_init(stream);
    stream_retain_init(stream);
    list_init(&stream->waiting);
    list_init(&stream->ready);
    list_init(&stream->gets);
    list_init(&stream->observers);
    list_init(&stream->consumers.going);
    io_task_init(&stream->ready_task, stream_ready_run);
    stream_get_init(&stream->release_get);
    stream_cleaner_init(stream);
}

static int allocate(const struct stream_host *host, const char *folder, const char *name,
                    struct stream **ret_stream, struct error *error)
{
    struct stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    init(stream, host);
    snprintf(stream->name, sizeof stream->name, "%s", name);
    int n = snprintf(stream->dir, sizeof stream->dir, "%s/%s", host->dir, folder);
    *ret_stream = stream;
    if (n < (int)sizeof stream->dir) return 0;
    stream_free(stream);
    error_set(error, ERR_TOO_BIG, "stream %s: path too long", name);
    return ERR_TOO_BIG;
}

static int opened(struct stream *stream, int result, struct stream **ret_stream,
                  struct error *error)
{
    struct stream_metrics *metrics = stream->host->metrics;
    if (result < 0) {
        if (error && !error->code) {
            error_set(error, result, "stream %s: %s", stream->name, err_text(result));
        }
        metrics->messages -= stream->index.count;
        metrics->bytes -= stream->index.bytes;
        stream_free(stream);
        return result;
    }
    stream->submitted_seq = stream->last_seq;
    stream_tick(stream);
    metrics->streams++;
    *ret_stream = stream;
    return 0;
}

static int open_folder(const struct stream_host *host, const char *folder, bool all,
                       struct stream **ret_stream, struct error *error)
{
    struct stream *stream;
    int r = allocate(host, folder, folder, &stream, error); /* the name is not known yet */
    return r < 0 ? r : opened(stream, recover(stream, all, error), ret_stream, error);
}

/* What does not fit together is told from the records themselves, before it is called damage. */
int stream_open(const struct stream_host *host, const char *folder, struct stream **ret_stream,
                struct error *error)
{
    int r = open_folder(host, folder, false, ret_stream, error);
    if (r != ERR_CORRUPT) return r;
    if (error) *error = (struct error){0};
    return open_folder(host, folder, true, ret_stream, error);
}

int stream_make(const struct stream_host *host, const struct stream_config *config,
                struct stream **ret_stream, struct error *error)
{
    char folder[STREAM_FOLDER];
    stream_folder_name(host->io, config->name, folder);
    struct stream *stream;
    int r = allocate(host, folder, config->name, &stream, error);
    return r < 0 ? r : opened(stream, begin(stream, config, error), ret_stream, error);
}

/* ---- closing ---- */

static void finish(struct stream *stream)
{
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

static void journal_gone(void *context)
{
    struct stream *stream = context;
    stream->journal = NULL;
    finish(stream);
}

static void close_run(struct io_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, close_task);
    stream_memory_flush(stream);
    finish(stream);
}

void stream_close(struct stream *stream, void (*done)(void *context), void *context)
{
    assert(!stream->closing && stream->users == 0 && stream->interest_count == 0);
    stream->closing = true;
    stream->closed = done;
    stream->closed_context = context;
    io_timer_cancel(stream->host->io, &stream->timer);
    io_timer_cancel(stream->host->io, &stream->removal.retry);
    if (stream->in_memory) {
        io_task_init(&stream->close_task, close_run);
        io_post(stream->host->io, &stream->close_task);
    } else {
        journal_close(stream->journal, journal_gone, stream);
    }
}

void stream_free(struct stream *stream)
{
    if (!stream) return;
    struct io *io = stream->host->io;
    io_task_cancel(io, &stream->ready_task);
    io_task_cancel(io, &stream->cleaner.task);
    if (stream->close_task.run) io_task_cancel(io, &stream->close_task);
    journal_free(stream->journal);
    stream->cleaner.get.read.busy = stream->release_get.read.busy = false;
    stream_get_release(&stream->cleaner.get);
    stream_get_release(&stream->release_get);
    stream_memory_release(stream);
    stream_retain_release(stream);
    stream_index_release(&stream->index);
    stream_dedupe_release(&stream->dedupe);
    stream_digest_release(&stream->digest);
    stream_recovery_release(stream);
    streams_capture_free(stream->capture);
    free(stream->consumers.at);
    stream_mappers_release(&stream->mappers);
    stream_schema_free(stream->schema);
    free(stream->ring.slots);
    free(stream->progress.places);
    free(stream->config);
    free(stream);
}
