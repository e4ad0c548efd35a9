#include "stream/streams.h"

#include "base/jsonw.h"
#include "bus/bus.h"
#include "stream/consumer_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_STREAMS = 1024, MAX_MESSAGES = 16 << 20, SEGMENT_BYTES = 64 << 20 };

const struct metric stream_metric_table[] = {
#define COUNTER(field, name, help) \
    {name, help, METRIC_COUNTER, offsetof(struct stream_metrics, field)},
#define GAUGE(field, name, help) {name, help, METRIC_GAUGE, offsetof(struct stream_metrics, field)},
#define HISTOGRAM(field, name, help) \
    {name, help, METRIC_HISTOGRAM, offsetof(struct stream_metrics, field)},
#include "stream/stream_metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
};
const size_t stream_metric_count = sizeof stream_metric_table / sizeof stream_metric_table[0];

struct streams {
    struct io *io;
    struct bus *bus; /* may be NULL */
    char dir[STREAM_PATH];
    struct stream_host host;
    struct stream_metrics metrics;
    struct store_metrics store_metrics;
    struct map streams; /* of struct stream, by name */
    struct bus_capture capture;
    struct consumer_port *consumer_port;
    bool closing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;
};

/* ---- capture ---- */

/* A publish that wants its acknowledgement. */
struct capture_op {
    struct stream_op op;
    struct streams *streams;
    struct stream *stream;
    struct message *message;
};

static void put_ack(struct buf *out, const struct capture_op *capture, int result)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    if (result < 0) api_error_encode(&capture->op.refusal, &json);
    jsonw_cstr(&json, "stream", stream_config(capture->stream)->name);
    jsonw_u64(&json, "seq", result < 0 ? 0 : capture->op.seq);
    if (capture->op.duplicate) jsonw_bool(&json, "duplicate", true);
    jsonw_object_end(&json);
}

static void captured(struct stream_op *op, int result)
{
    struct capture_op *capture = CONTAINER_OF(op, struct capture_op, op);
    struct buf text;
    buf_init(&text, 4096);
    put_ack(&text, capture, result);
    struct message ack =
        message_borrow(capture->message->reply, BYTES(""), BYTES(""), buf_bytes(&text));
    if (!text.failed) (void)bus_publish(capture->streams->bus, &ack);
    message_done(&ack);
    buf_release(&text);
    message_unref(capture->message);
    free(capture);
}

static bool captures(struct bus_capture *capture, struct bytes subject)
{
    return streams_capturing(CONTAINER_OF(capture, struct streams, capture), subject) != NULL;
}

/* Without memory for the acknowledgement nothing is stored either: the publisher must not believe
 * that a message is lost which is not. */
static void capture_append(struct bus_capture *capture, struct message *message)
{
    struct streams *streams = CONTAINER_OF(capture, struct streams, capture);
    struct stream *stream = streams_capturing(streams, message->subject);
    if (!stream) return;
    if (message->reply.len == 0) {
        stream_publish(stream, NULL, message, NULL, NULL);
        return;
    }
    struct capture_op *op = calloc(1, sizeof *op);
    if (op) op->message = message_ref(message);
    if (!op || !op->message) {
        free(op);
        streams->metrics.refused++;
        return;
    }
    op->streams = streams;
    op->stream = stream;
    stream_publish(stream, &op->op, message, NULL, captured);
}

/* ---- finding ---- */

struct stream *streams_find(struct streams *streams, struct bytes name)
{
    return map_get(&streams->streams, name);
}

struct stream *streams_next(struct streams *streams, size_t *cursor)
{
    return map_next(&streams->streams, cursor);
}

struct stream *streams_capturing(struct streams *streams, struct bytes subject)
{
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        if (!stream->closing && stream_config_captures(stream->config, subject)) return stream;
    }
    return NULL;
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

static void changed(void *context)
{
    struct streams *streams = context;
    if (streams->bus && !streams->closing) bus_capture_changed(streams->bus);
}

const struct stream_metrics *streams_metrics(const struct streams *streams)
{
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
    if (streams->streams.count >= streams->streams.max) {
        return api_error_fail(refusal, ERR_FULL, API_MAX_STREAMS, NULL);
    }
    if (overlaps(streams, config)) {
        return api_error_fail(refusal, ERR_CONFLICT, API_SUBJECT_OVERLAP, NULL);
    }
    struct error error = {0};
    int r = stream_open(&streams->host, config->name, config, &stream, &error);
    if (r < 0) return api_error_fail(refusal, r, API_STREAM_CREATE, "%s", error.message);
    r = map_put(&streams->streams, bytes_str(stream->name), stream, NULL);
    if (r < 0) {
        stream_close(stream, NULL, NULL);
        return api_error_of(refusal, r);
    }
    *ret_stream = stream;
    changed(streams);
    return 0;
}

int streams_add(struct streams *streams, const struct stream_config *config,
                struct stream **ret_stream, struct api_error *refusal)
{
    int r = stream_config_check(config, refusal);
    if (r < 0) return r;
    struct stream_config *full = stream_config_copy(config);
    if (!full) return api_error_of(refusal, ERR_NOMEM);
    r = add(streams, full, ret_stream, refusal);
    free(full);
    return r;
}

struct removal {
    struct streams *streams;
    struct stream *stream;
    char dir[STREAM_PATH];
    void (*done)(void *context);
    void *context;
};

static void removed(void *context)
{
    struct removal *removal = context;
    int r = journal_destroy(removal->streams->io, removal->dir);
    if (r < 0) {
        LOG(removal->streams->host.log, LOG_ERROR, "stream_remove_failed",
            LOG_S("dir", removal->dir), LOG_ERR(r));
    }
    if (removal->done) removal->done(removal->context);
    free(removal);
}

/* The consumers went first: their places mean nothing in another stream of the same name. */
static void remove_stream(void *context)
{
    struct removal *removal = context;
    stream_close(removal->stream, removed, removal);
}

void streams_remove(struct streams *streams, struct stream *stream, void (*done)(void *context),
                    void *context)
{
    struct removal *removal = calloc(1, sizeof *removal);
    if (!removal) {
        if (done) done(context); /* without memory the stream stays */
        return;
    }
    *removal =
        (struct removal){.streams = streams, .stream = stream, .done = done, .context = context};
    snprintf(removal->dir, sizeof removal->dir, "%s", stream->dir);
    map_remove(&streams->streams, bytes_str(stream->name));
    changed(streams);
    consumers_close_all(stream, true, remove_stream, removal);
}

/* ---- opening ---- */

struct opening {
    struct streams *streams;
    struct error *error;
};

static int open_one(void *context, const char *name)
{
    struct opening *opening = context;
    struct streams *streams = opening->streams;
    if (!stream_name_valid(name)) return 0;
    struct stream *stream;
    int r = stream_open(&streams->host, name, NULL, &stream, opening->error);
    if (r == ERR_NOT_FOUND) return 0; /* was being made, or has been removed */
    if (r < 0) return r;
    r = map_put(&streams->streams, bytes_str(stream->name), stream, NULL);
    if (r < 0) stream_free(stream);
    return r;
}

static int open_all(struct streams *streams, struct error *error)
{
    struct opening opening = {streams, error};
    int r = io_mkdir(streams->io, streams->dir);
    char *slash = strrchr(streams->dir, '/');
    if (r == 0 && slash) {
        char parent[STREAM_PATH];
        size_t len = slash == streams->dir ? 1 : (size_t)(slash - streams->dir);
        snprintf(parent, sizeof parent, "%.*s", (int)len, streams->dir);
        r = io_sync_dir(streams->io, parent);
    }
    if (r == 0) r = io_list_dir(streams->io, streams->dir, open_one, &opening);
    if (r < 0 && error && !error->code) {
        error_set(error, r, "%s", err_text(r));
        error_at(error, streams->dir, 0, 0);
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
        if (r == 0) stream_interest_known(stream);
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
    streams->capture = (struct bus_capture){captures, capture_append};
    map_init(&streams->streams, options->max_streams ? options->max_streams : MAX_STREAMS);
    io_task_init(&streams->close_task, close_task);
    int n = snprintf(streams->dir, sizeof streams->dir, "%s", options->dir);
    streams->host = (struct stream_host){
        .io = io,
        .log = options->log,
        .metrics = &streams->metrics,
        .store_metrics = &streams->store_metrics,
        .dir = streams->dir,
        .segment_bytes = options->segment_bytes ? options->segment_bytes : SEGMENT_BYTES,
        .max_messages = options->max_messages ? options->max_messages : MAX_MESSAGES,
        .consumer_port = &streams->consumer_port,
        .context = streams,
        .changed = changed,
        .overlaps = overlaps,
    };
    int r = n < (int)sizeof streams->dir ? 0 : error_set(error, ERR_TOO_BIG, "path too long");
    if (r == 0) r = open_all(streams, error);
    if (r == 0) r = open_consumers(streams, error);
    if (r < 0) {
        streams_free(streams);
        return r;
    }
    if (bus) bus_set_capture(bus, &streams->capture);
    *ret_streams = streams;
    return 0;
}

/* ---- closing ---- */

static void close_task(struct io_task *task)
{
    struct streams *streams = CONTAINER_OF(task, struct streams, close_task);
    void (*closed)(void *) = streams->closed;
    void *context = streams->closed_context;
    map_release(&streams->streams);
    free(streams);
    if (closed) closed(context);
}

static void close_next(void *context)
{
    struct streams *streams = context;
    size_t cursor = 0;
    struct stream *stream = map_next(&streams->streams, &cursor);
    if (!stream) {
        io_post(streams->io, &streams->close_task);
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
        if (consumers_count(stream) == 0) continue;
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
    close_consumers(streams);
}

void streams_free(struct streams *streams)
{
    if (!streams) return;
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        consumers_free_all(stream);
    }
    cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        stream_free(stream);
    }
    map_release(&streams->streams);
    free(streams);
}
