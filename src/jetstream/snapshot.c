/* STREAM.SNAPSHOT: a stream as a run of chunks to a subject that the client listens on. Each chunk
 * is acknowledged on its reply subject, and a window of them is under way. The stream goes on
 * meanwhile: what is sent is what it holds up to the sequence that was its last when it began, as
 * far as it is still there when its turn comes. */
#include "bus/subject.h"
#include "jetstream/api_requests.h"
#include "jetstream/backup.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/lookup.h"
#include "jetstream/stream_info.h"
#include "wire/nats.h"
#include "wire/snappy_frame.h"
#include "wire/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK_DEFAULT = 128 << 10,
    CHUNK_MIN = 1024,
    CHUNK_MAX = 1 << 20,
    WINDOW_DEFAULT = 8 << 20,
    WINDOW_MAX = 32 << 20,
    ACK_TIMEOUT_MS = 5000,
    INTEREST_WAIT_MS = 2000,
    BUFFER_MAX = 256 << 20,
};

enum stage { STAGE_MESSAGES, STAGE_CONSUMERS, STAGE_DONE };

struct snapshot {
    struct jetstream *js;
    struct list link; /* of js->snapshots */
    char stream[STREAM_NAME_MAX + 1];
    uint64_t created_ns; /* tells the stream from a later one of its name */
    char *deliver;
    char acks[STREAM_NAME_MAX + 64];
    struct bus_subscription *subscription;
    size_t chunk, window, chunk_number, in_flight;
    bool consumers;

    enum stage stage;
    uint64_t next, last;
    unsigned blocks;
    size_t consumer;
    bool reading;
    struct stream_get get;
    struct buf file, archive, framed;
    struct io_timer timer;
    struct io_task pump;
    uint64_t began_ns;
};

/* Frees its memory and nothing else. */
static void drop(struct snapshot *s)
{
    list_remove(&s->link);
    stream_get_release(&s->get);
    buf_release(&s->file);
    buf_release(&s->archive);
    buf_release(&s->framed);
    free(s->deliver);
    free(s);
}

static void end(struct snapshot *s)
{
    struct jetstream *js = s->js;
    bus_unsubscribe(s->subscription);
    io_timer_cancel(js->io, &s->timer);
    io_task_cancel(js->io, &s->pump);
    drop(s);
    jetstream_get_ended(js);
}

/* The last message: 204, or what went wrong. */
static void end_with(struct snapshot *s, int status, const char *text)
{
    struct buf headers;
    buf_init(&headers, 1024);
    nats_headers_begin(&headers, status, text);
    nats_headers_end(&headers);
    struct message message =
        message_borrow(bytes_str(s->deliver), BYTES(""), buf_bytes(&headers), BYTES(""));
    (void)bus_publish(s->js->bus, &message);
    buf_release(&headers);
    advisory_snapshot_done(&s->js->advisories, bytes_str(s->stream), s->began_ns,
                           status == 204 ? NULL : text);
    end(s);
}

/* ---- what is sent ---- */

static uint64_t now_s(const struct snapshot *s)
{
    return io_wall_ns(s->js->io) / UINT64_C(1000000000);
}

/* Puts the file that has been gathered into the archive. */
static void put_file(struct snapshot *s, const char *name)
{
    buf_clear(&s->archive);
    tar_put(&s->archive, name, buf_bytes(&s->file), now_s(s));
    snappy_frame_put(&s->framed, buf_bytes(&s->archive));
    buf_clear(&s->file);
}

static void put_block(struct snapshot *s)
{
    char name[40];
    if (!buf_len(&s->file)) return;
    snprintf(name, sizeof name, "msgs/%u.blk", ++s->blocks);
    put_file(s, name);
}

static void put_next_consumer(struct snapshot *s, struct stream *stream)
{
    char name[STREAM_NAME_MAX + 16];
    struct consumer *consumer = s->consumers ? consumers_at(stream, s->consumer++) : NULL;
    if (consumer) {
        snprintf(name, sizeof name, "obs/%s.inf", consumer_config(consumer)->name);
        backup_put_consumer(&s->file, consumer);
        if (strlen(name) <= 100)
            put_file(s, name);
        else
            buf_clear(&s->file);
        return;
    }
    buf_clear(&s->archive);
    tar_put_end(&s->archive);
    snappy_frame_put(&s->framed, buf_bytes(&s->archive));
    s->stage = STAGE_DONE;
}

static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct snapshot *s = CONTAINER_OF(get, struct snapshot, get);
    s->reading = false;
    if (result == 0) {
        backup_put_message(&s->file, message);
        if (buf_len(&s->file) >= BACKUP_BLOCK) put_block(s);
    } else if (result != ERR_NOT_FOUND) { /* it has gone in the meantime: so be it */
        end_with(s, 500, err_text(result));
        return;
    }
    io_post(s->js->io, &s->pump);
}

/* Makes more to send. */
static void produce(struct snapshot *s, struct stream *stream)
{
    if (s->stage == STAGE_CONSUMERS) {
        put_next_consumer(s, stream);
        io_post(s->js->io, &s->pump);
        return;
    }
    uint64_t seq = lookup_next(stream, s->next, BYTES(""));
    if (!seq || seq > s->last) {
        put_block(s);
        s->stage = STAGE_CONSUMERS;
        io_post(s->js->io, &s->pump);
        return;
    }
    s->next = seq + 1;
    s->reading = true;
    stream_get(stream, &s->get, seq, got);
}

/* ---- sending ---- */

static void send_chunk(struct snapshot *s)
{
    char reply[sizeof s->acks + 48];
    struct bytes chunk = bytes_head(buf_bytes(&s->framed), s->chunk);
    int len = snprintf(reply, sizeof reply, "%s.%zu.%zu", s->acks, chunk.len, ++s->chunk_number);
    struct message message =
        message_borrow(bytes_str(s->deliver), bytes_make(reply, (size_t)len), BYTES(""), chunk);
    (void)jetstream_send(s->js, &message);
    buf_consume(&s->framed, chunk.len);
    s->in_flight += s->chunk;
    io_timer_set(s->js->io, &s->timer, ACK_TIMEOUT_MS);
}

static struct stream *stream_of(const struct snapshot *s)
{
    struct stream *stream = streams_find(s->js->streams, bytes_str(s->stream));
    return stream && stream_created_ns(stream) == s->created_ns ? stream : NULL;
}

static void pump(struct io_task *task)
{
    struct snapshot *s = CONTAINER_OF(task, struct snapshot, pump);
    bool room = s->in_flight + s->chunk <= s->window;
    if (s->reading) return;
    if (s->js->closing) {
        end(s);
    } else if (s->framed.failed || s->file.failed || s->archive.failed) {
        end_with(s, 500, "out of memory");
    } else if (room && (buf_len(&s->framed) >= s->chunk ||
                        (s->stage == STAGE_DONE && buf_len(&s->framed)))) {
        send_chunk(s);
        io_post(s->js->io, &s->pump);
    } else if (s->stage == STAGE_DONE) {
        if (room && !buf_len(&s->framed)) end_with(s, 204, NULL);
    } else if (buf_len(&s->framed) < s->chunk) {
        struct stream *stream = stream_of(s);
        if (stream)
            produce(s, stream);
        else
            end_with(s, 500, "the stream has gone");
    }
}

static void acknowledged(void *context, struct message *message)
{
    struct snapshot *s = context;
    if (s->in_flight >= s->chunk) s->in_flight -= s->chunk;
    if (!s->in_flight) io_timer_cancel(s->js->io, &s->timer);
    io_post(s->js->io, &s->pump);
}

/* Nobody has acknowledged anything for a while, or nobody has come to listen. */
static void timed_out(struct io_timer *timer)
{
    struct snapshot *s = CONTAINER_OF(timer, struct snapshot, timer);
    if (s->reading) {
        io_timer_set(s->js->io, timer, ACK_TIMEOUT_MS);
    } else if (s->chunk_number) {
        bool listened = bus_has_interest(s->js->bus, bytes_str(s->deliver));
        end_with(s, 408, listened ? "No Flow Response" : "No Interest");
    } else {
        io_post(s->js->io, &s->pump);
    }
}

/* ---- beginning ---- */

static size_t within(uint64_t value, size_t unset, size_t least, size_t most)
{
    if (!value) return unset;
    return value < least ? least : value > most ? most : (size_t)value;
}

static struct snapshot *make(struct api_call *call, struct stream *stream, struct bytes deliver)
{
    struct jetstream *js = call->js;
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->js = js;
    list_init(&s->link);
    list_push(&js->snapshots, &s->link);
    js->get_count++;
    stream_get_init(&s->get);
    s->get.ahead_bytes = BACKUP_BLOCK;
    buf_init(&s->file, BACKUP_FILE_MAX);
    buf_init(&s->archive, BUFFER_MAX);
    buf_init(&s->framed, BUFFER_MAX);
    io_timer_init(&s->timer, timed_out);
    io_task_init(&s->pump, pump);
    snprintf(s->stream, sizeof s->stream, "%s", stream_config(stream)->name);
    snprintf(s->acks, sizeof s->acks, "$JS.SNAPSHOT.ACK.%s.%016" PRIx64, s->stream,
             io_random_u64(js->io));
    char pattern[sizeof s->acks + 4];
    int len = snprintf(pattern, sizeof pattern, "%s.>", s->acks);
    s->deliver = strndup(deliver.data, deliver.len);
    s->created_ns = stream_created_ns(stream);
    s->last = stream_state(stream).last_seq;
    s->began_ns = io_wall_ns(js->io);
    int r = s->deliver ? bus_subscribe(js->bus, bytes_make(pattern, (size_t)len), BYTES(""),
                                       acknowledged, s, &s->subscription)
                       : ERR_NOMEM;
    if (r == 0) return s;
    end(s);
    return NULL;
}

void api_stream_snapshot(struct api_call *call)
{
    struct bytes deliver;
    uint64_t chunk, window;
    bool no_consumers;
    if (!api_get_string(call, "deliver_subject", &deliver)) return;
    if (!api_get_u64(call, "chunk_size", &chunk)) return;
    if (!api_get_u64(call, "window_size", &window)) return;
    if (!api_get_bool(call, "no_consumers", &no_consumers)) return;
    if (!json_object_size(call->body)) {
        api_fail(call, API_BAD_REQUEST, NULL);
        return;
    }
    struct stream *stream = api_stream(call);
    if (!stream) return;
    if (!subject_is_literal(deliver)) {
        api_fail(call, API_SNAPSHOT_DELIVER_INVALID, NULL);
        return;
    }
    struct snapshot *s = make(call, stream, deliver);
    if (!s) {
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
        return;
    }
    s->chunk = within(chunk, CHUNK_DEFAULT, CHUNK_MIN, CHUNK_MAX);
    s->window = within(window, WINDOW_DEFAULT, s->chunk, WINDOW_MAX);
    if (s->window < s->chunk) s->window = s->chunk;
    s->consumers = !no_consumers;
    snappy_frame_begin(&s->framed);
    backup_put_meta(&s->file, s->last);
    put_file(s, "meta.inf");
    advisory_snapshot_began(&call->js->advisories, stream);
    bool listened = bus_has_interest(call->js->bus, deliver);
    io_timer_set(call->js->io, &s->timer, listened ? 0 : INTEREST_WAIT_MS);
    api_begin(call);
    if (stream_info_encode_backup(stream, &call->json))
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
    else
        api_end(call);
}

/* ---- with the rest --------------------------------------------------------------------------- */

void snapshots_stop(struct jetstream *js)
{
    LIST_EACH(&js->snapshots, struct snapshot, link, s) {
        io_post(js->io, &s->pump);
    }
}

void snapshots_free(struct jetstream *js)
{
    while (!list_empty(&js->snapshots))
        drop(CONTAINER_OF(js->snapshots.next, struct snapshot, link));
}
