#include "stream/streams.h"

#include "store/wal.h"
#include "stream/consumer_impl.h"
#include "stream/stream_folder.h"
#include "stream/streams_impl.h"
#include "stream/streams_source.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_STREAMS = 65536, SEGMENT_BYTES = 64 << 20, MICROSECOND = 1000 };

const struct metric stream_metric_table[] = {
#define METRICS "stream/stream_metrics.def"
#define METRICS_OF struct stream_metrics
#include "base/metric_rows.h"
};
const size_t stream_metric_count = sizeof stream_metric_table / sizeof stream_metric_table[0];

/* ---- finding ---- */

struct stream *streams_find(struct streams *streams, struct bytes name)
{
    return map_get(&streams->streams, name);
}

struct stream *streams_next(struct streams *streams, size_t *cursor)
{
    return map_next(&streams->streams, cursor);
}

static int admits(void *context, const struct stream_config *config, struct api_error *refusal)
{
    return streams_limits_admit(context, config, refusal);
}

static bool overlaps(void *context, const struct stream_config *config)
{
    struct streams *streams = context;
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        if (strcmp(stream->name, config->name) == 0) continue;
        if (stream_config_overlaps(stream->config, config)) return true;
    }
    return false;
}

/* A stream that is just being made is no member yet. Without memory it captures what it did before,
 * until its configuration changes again or it is opened anew. */
static void changed(void *context, struct stream *stream)
{
    struct streams *streams = context;
    if (streams_find(streams, bytes_str(stream->name)) != stream) return;
    int r = streams_capture_set(streams, stream);
    if (r == 0) r = streams_follow(streams, stream);
    if (r == 0) return;
    LOG(streams->host.log, LOG_ERROR, "stream_not_reconfigured", LOG_S("stream", stream->name),
        LOG_ERR(r));
}

static void publish(void *context, struct message *message, bool stored)
{
    struct streams *streams = context;
    if (!streams->bus) return;
    (void)(stored ? bus_publish_stored(streams->bus, message) : bus_publish(streams->bus, message));
}

static uint64_t made_at(void *context)
{
    struct streams *streams = context;
    uint64_t now = io_wall_ns(streams->io) / MICROSECOND * MICROSECOND;
    if (now <= streams->made_ns) now = streams->made_ns + MICROSECOND;
    return streams->made_ns = now;
}

static bool circles(void *context, const struct stream_config *config)
{
    return streams_circles(context, config);
}

static void lost(void *context, struct stream *stream)
{
    streams_follow_again(context, stream);
}

static int enlist(struct streams *streams, struct stream *stream)
{
    int r = map_put(&streams->streams, bytes_str(stream->name), stream, NULL);
    if (r < 0) return r;
    r = streams_capture_set(streams, stream);
    if (r < 0) map_remove(&streams->streams, bytes_str(stream->name));
    return r;
}

const struct stream_metrics *streams_metrics(struct streams *streams)
{
    size_t cursor = 0;
    streams->metrics.memory = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        streams->metrics.memory += stream_memory_bytes(stream);
    }
    return &streams->metrics;
}

const struct store_metrics *streams_store_metrics(const struct streams *streams)
{
    return &streams->store_metrics;
}

/* ---- making and removing ---- */

static int add(struct streams *streams, struct stream_config *config, struct stream **ret_stream,
               struct api_error *refusal)
{
    struct stream *stream = streams_find(streams, bytes_str(config->name));
    if (stream) {
        *ret_stream = stream;
        if (!stream->closing && stream_config_equal(stream->config, config)) return 0;
        return api_error_fail(refusal, ERR_EXISTS, API_STREAM_NAME_IN_USE, NULL);
    }
    int64_t most = streams->limits.streams;
    if (streams->streams.count >= streams->streams.max ||
        (most > 0 && streams->streams.count >= (uint64_t)most)) {
        return api_error_fail(refusal, ERR_FULL, API_MAX_STREAMS, NULL);
    }
    int allowed = streams_limits_admit(streams, config, refusal);
    if (allowed < 0) return allowed;
    if (overlaps(streams, config)) {
        return api_error_fail(refusal, ERR_CONFLICT, API_SUBJECT_OVERLAP, NULL);
    }
    if (circles(streams, config)) {
        return api_error_fail(refusal, ERR_INVALID, API_STREAM_INVALID_CONFIG, "detected cycle");
    }
    struct error error = {0};
    int r = stream_make(&streams->host, config, &stream, &error);
    if (r < 0) return api_error_fail(refusal, r, API_STREAM_CREATE, "%s", error.message);
    r = enlist(streams, stream);
    if (r == 0) r = streams_follow(streams, stream);
    if (r < 0) {
        map_remove(&streams->streams, bytes_str(stream->name));
        stream_close(stream, NULL, NULL);
        return api_error_of(refusal, r);
    }
    streams_origin_came(streams, stream);
    *ret_stream = stream;
    return 0;
}

int streams_add(struct streams *streams, const struct stream_config *config,
                struct stream **ret_stream, struct api_error *refusal)
{
    int r = stream_config_check(config, refusal);
    if (r < 0) return r;
    struct stream_config *full = stream_config_copy(config);
    if (!full) return api_error_of(refusal, ERR_NOMEM);
    stream_config_seal(full);
    r = add(streams, full, ret_stream, refusal);
    free(full);
    return r;
}

/* A stream on its way out. */
struct removal {
    struct list link; /* in streams->removals */
    struct streams *streams;
    struct stream *stream; /* NULL: closed */
    char dir[STREAM_PATH];
    bool in_memory;
    void (*done)(void *context, int result);
    void *context;
};

static void removed(void *context, int result)
{
    struct removal *removal = context;
    if (result < 0) {
        LOG(removal->streams->host.log, LOG_ERROR, "stream_remove_failed",
            LOG_S("dir", removal->dir), LOG_ERR(result));
    }
    struct streams *streams = removal->streams;
    list_remove(&removal->link);
    if (removal->done) removal->done(removal->context, result);
    free(removal);
    if (streams->all_closed && list_empty(&streams->removals)) {
        io_post(streams->io, &streams->close_task);
    }
}

static void stream_gone(void *context)
{
    struct removal *removal = context;
    removal->stream = NULL;
    int r =
        removal->in_memory ? 0 : wal_remove(removal->streams->wal, removal->dir, removed, removal);
    if (removal->in_memory || r < 0) removed(removal, r);
}

/* The consumers went first: their places mean nothing in another stream of the same name. */
static void remove_stream(void *context)
{
    struct removal *removal = context;
    stream_close(removal->stream, stream_gone, removal);
}

void streams_remove(struct streams *streams, struct stream *stream,
                    void (*done)(void *context, int result), void *context)
{
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal) {
        if (done) done(context, ERR_NOMEM); /* the stream stays */
        return;
    }
    *removal = (struct removal){.streams = streams,
                                .stream = stream,
                                .in_memory = stream->in_memory,
                                .done = done,
                                .context = context};
    snprintf(removal->dir, sizeof removal->dir, "%s", stream->dir);
    list_init(&removal->link);
    list_push(&streams->removals, &removal->link);
    map_remove(&streams->streams, bytes_str(stream->name));
    streams_capture_drop(streams, stream);
    streams_unfollow(streams, stream);
    consumers_close_all(stream, true, remove_stream, removal);
}

static void free_removals(struct streams *streams)
{
    for (struct list *link; (link = list_pop(&streams->removals));) {
        struct removal *removal = CONTAINER_OF(link, struct removal, link);
        if (removal->stream) {
            consumers_free_all(removal->stream);
            stream_free(removal->stream);
        }
        free(removal);
    }
}

/* ---- opening ---- */

struct opening {
    struct streams *streams;
    struct error *error;
};

static void dropped(void *context, int result)
{
    struct streams *streams = context;
    if (result == 0) return;
    LOG(streams->host.log, LOG_ERROR, "stream_remove_failed", LOG_ERR(result));
}

/* It was being made when the process ended, or being removed. */
static int drop(struct streams *streams, const char *folder)
{
    char dir[STREAM_PATH];
    struct bytes name;
    if (!stream_folder_parse(folder, &name)) return 0; /* not ours */
    int n = snprintf(dir, sizeof dir, "%s/%s", streams->members, folder);
    return n < (int)sizeof dir ? wal_remove(streams->wal, dir, dropped, streams) : ERR_TOO_BIG;
}

/* Of two with one name the older was on its way out. A copy is as old as what it was made of: which
 * of the two is meant is not for us to say. */
static int keep_newer(struct streams *streams, struct stream *first, struct stream *second,
                      struct error *error)
{
    char folder[STREAM_PATH];
    if (first->created_ns == second->created_ns) {
        error_set(error, ERR_INVALID, "stream %s stands in two folders: %s and %s", first->name,
                  first->dir, second->dir);
        error_remedy(error, "move the one that is a copy away; dure has changed nothing");
        stream_free(second);
        return ERR_INVALID;
    }
    struct stream *old = first->created_ns < second->created_ns ? first : second;
    snprintf(folder, sizeof folder, "%s", strrchr(old->dir, '/') + 1);
    if (old == first) {
        map_remove(&streams->streams, bytes_str(first->name));
        streams_capture_drop(streams, first);
    }
    int r = old == first ? enlist(streams, second) : 0;
    streams->metrics.streams--;
    streams->metrics.messages -= old->index.count;
    streams->metrics.bytes -= old->index.bytes;
    stream_free(old);
    return r < 0 ? r : drop(streams, folder);
}

static int open_one(void *context, const char *folder)
{
    struct opening *opening = context;
    struct streams *streams = opening->streams;
    struct stream *stream;
    int r = stream_open(&streams->host, folder, &stream, opening->error);
    if (r == ERR_NOT_FOUND) {
        if (opening->error) *opening->error = (struct error){0};
        return drop(streams, folder);
    }
    if (r < 0) return r;
    struct stream *other = streams_find(streams, bytes_str(stream->name));
    if (other) return keep_newer(streams, other, stream, opening->error);
    r = enlist(streams, stream);
    if (r < 0) stream_free(stream);
    return r;
}

static int open_wal(struct streams *streams, const struct streams_options *given,
                    struct error *error)
{
    const struct wal_options options = {
        .dir = streams->dir,
        .file_min = given->log_file_min,
        .file_max = given->log_file_max,
        .total_max = given->log_total_max,
        .scrub_bytes_per_second = given->scrub_bytes_per_second,
        .log = streams->host.log,
        .metrics = &streams->store_metrics,
    };
    int r = wal_open(streams->io, &options, &streams->wal, error);
    streams->host.wal = streams->wal;
    /* The first stream that is durable makes the name so. */
    return r == 0 ? io_mkdir(streams->io, streams->members) : r;
}

static int open_all(struct streams *streams, struct error *error)
{
    struct opening opening = {streams, error};
    int r = io_list_dir(streams->io, streams->members, open_one, &opening);
    if (r < 0 && error && !error->code) {
        error_set(error, r, "%s", err_text(r));
        error_at(error, streams->members, 0, 0);
    }
    return r;
}

static int open_consumers(struct streams *streams, struct error *error)
{
    int r = 0;
    size_t cursor = 0;
    struct stream *stream;
    while (r == 0 && (stream = map_next(&streams->streams, &cursor))) {
        r = consumers_open_all(streams, stream, error);
    }
    return r;
}

static int follow_all(struct streams *streams)
{
    int r = 0;
    size_t cursor = 0;
    struct stream *stream;
    while (r == 0 && (stream = map_next(&streams->streams, &cursor))) {
        r = streams_follow(streams, stream);
    }
    cursor = 0;
    while (r == 0 && (stream = map_next(&streams->streams, &cursor))) {
        stream_interest_known(stream);
    }
    return r;
}

static void close_task(struct io_task *task);

int streams_open(struct io *io, struct bus *bus, const struct streams_options *options,
                 struct streams **ret_streams, struct error *error)
{
    if (error) *error = (struct error){0};
    struct streams *streams = calloc(1, sizeof *streams);
    if (!streams) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    streams->io = io;
    streams->bus = bus;
    streams_capture_init(streams);
    list_init(&streams->followers);
    list_init(&streams->removals);
    map_init(&streams->streams, options->max_streams ? options->max_streams : MAX_STREAMS);
    io_task_init(&streams->close_task, close_task);
    snprintf(streams->dir, sizeof streams->dir, "%s", options->dir);
    int n =
        snprintf(streams->members, sizeof streams->members, "%s/" STREAMS_MEMBERS, options->dir);
    streams->host = (struct stream_host){
        .io = io,
        .log = options->log,
        .metrics = &streams->metrics,
        .store_metrics = &streams->store_metrics,
        .dir = streams->members,
        .segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES,
        .consumer_port = &streams->consumer_port,
        .context = streams,
        .made_at = made_at,
        .changed = changed,
        .publish = publish,
        .circles = circles,
        .lost = lost,
        .overlaps = overlaps,
        .admits = admits,
    };
    streams->limits = (struct streams_limits){.memory_bytes = -1, .disk_bytes = -1};
    int r = n < (int)sizeof streams->members ? 0 : error_set(error, ERR_TOO_BIG, "path too long");
    if (r == 0) r = open_wal(streams, options, error);
    if (r == 0) r = open_all(streams, error);
    if (r == 0) r = open_consumers(streams, error);
    if (r == 0) r = follow_all(streams);
    if (r < 0) {
        streams_free(streams);
        return r;
    }
    if (bus) bus_set_capture(bus, &streams->capture);
    *ret_streams = streams;
    return 0;
}

/* ---- closing ---- */

static void release(struct streams *streams)
{
    streams_capture_release(streams);
    map_release(&streams->streams);
    free(streams);
}

static void wal_gone(void *context)
{
    struct streams *streams = context;
    void (*closed)(void *) = streams->closed;
    void *closed_context = streams->closed_context;
    release(streams);
    if (closed) closed(closed_context);
}

static void close_task(struct io_task *task)
{
    struct streams *streams = CONTAINER_OF(task, struct streams, close_task);
    wal_close(streams->wal, wal_gone, streams);
}

static void close_next(void *context)
{
    struct streams *streams = context;
    size_t cursor = 0;
    struct stream *stream = map_next(&streams->streams, &cursor);
    if (!stream) {
        streams->all_closed = true; /* but for those that are being removed */
        if (list_empty(&streams->removals)) io_post(streams->io, &streams->close_task);
        return;
    }
    map_remove(&streams->streams, bytes_str(stream->name));
    stream_close(stream, close_next, streams);
}

static void close_consumers(void *context)
{
    struct streams *streams = context;
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        if (!consumers_are_there(stream)) continue;
        consumers_close_all(stream, false, close_consumers, streams);
        return;
    }
    close_next(streams);
}

struct consumer_port **streams_consumer_port(struct streams *streams)
{
    return &streams->consumer_port;
}

void streams_close(struct streams *streams, void (*done)(void *context), void *context)
{
    if (!streams) {
        if (done) done(context);
        return;
    }
    streams->closing = true;
    streams->closed = done;
    streams->closed_context = context;
    if (streams->bus) bus_set_capture(streams->bus, NULL);
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        streams_unfollow(streams, stream);
    }
    close_consumers(streams);
}

void streams_free(struct streams *streams)
{
    if (!streams) return;
    streams_followers_free(streams);
    free_removals(streams);
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        consumers_free_all(stream);
    }
    cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        stream_free(stream);
    }
    wal_free(streams->wal);
    release(streams);
}
