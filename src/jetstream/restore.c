/* STREAM.RESTORE: a stream from the chunks of a backup, which the client sends to a subject of its
 * own, each as a request. While it is filled the stream takes no messages, because it is on no
 * subjects; at the end it becomes what the client asked for. When something is wrong it is gone. */
#include "base/arena.h"
#include "jetstream/api_requests.h"
#include "jetstream/backup.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/stream_info.h"
#include "stream/stream_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 256, IDLE_MS = 30000, CONFIG_MAX = 1 << 20, CHUNKS_MAX = 4096 };

struct chunk {
    struct list link;
    struct message *message;
};

struct storing {
    struct stream_op op;
    struct restore *restore;
};

struct restore {
    struct jetstream *js;
    struct list link; /* of js->restores */
    struct stream_config *config;
    char subject[STREAM_NAME_MAX + 64];
    struct bus_subscription *subscription;
    struct stream *stream;
    struct list chunks; /* of struct chunk: not yet looked at */
    size_t chunk_count;
    struct backup_reader reader;
    struct bytes block; /* messages that are not stored yet */
    struct storing storing[BATCH];
    unsigned waiting; /* of them */
    struct stream_op update;
    bool known, updating;
    bool gone, removed, told; /* it has failed; the stream is away; the client knows */
    uint64_t last_seq, bytes;
    struct api_error error;
    struct message *end; /* who is told in the end; NULL: it has not come */
    struct io_timer idle;
    struct io_task step;
    uint64_t began_ns;
};

/* Frees its memory and nothing else. */
static void drop(struct restore *r)
{
    struct list *link;
    while ((link = list_pop(&r->chunks))) {
        struct chunk *chunk = CONTAINER_OF(link, struct chunk, link);
        message_unref(chunk->message);
        free(chunk);
    }
    list_remove(&r->link);
    backup_reader_release(&r->reader);
    message_unref(r->end);
    free(r->config);
    free(r);
}

static void end(struct restore *r)
{
    struct jetstream *js = r->js;
    bus_unsubscribe(r->subscription);
    io_timer_cancel(js->io, &r->idle);
    io_task_cancel(js->io, &r->step);
    drop(r);
    jetstream_get_ended(js);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void tell(struct restore *r, struct bytes to)
{
    struct buf text;
    struct jsonw json;
    buf_init(&text, 1 << 20);
    jsonw_init(&json, &text);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "type", "io.nats.jetstream.api.v1.stream_create_response");
    if (r->error.kind)
        api_error_encode(&r->error, &json);
    else
        (void)stream_info_encode(r->stream, NULL, io_wall_ns(r->js->io), &json);
    jsonw_object_end(&json);
    struct message message = message_borrow(to, BYTES(""), BYTES(""), buf_bytes(&text));
    if (to.len && !text.failed) (void)jetstream_send(r->js, &message);
    message_done(&message);
    buf_release(&text);
}

static void finish(struct restore *r)
{
    advisory_restore_done(&r->js->advisories, bytes_str(r->config->name), r->began_ns, r->bytes);
    if (r->end) tell(r, r->end->reply);
    end(r);
}

/* Who sends chunks is told with the next one. */
static void removed(void *context, int result)
{
    struct restore *r = context;
    r->removed = true;
    if (r->end || r->told || r->js->closing) finish(r);
}

static void fail(struct restore *r, const char *why)
{
    if (r->gone) return;
    r->gone = true;
    if (!r->error.kind) api_error_set(&r->error, API_RESTORE, "%s", why);
    if (!r->waiting && !r->updating) streams_remove(r->js->streams, r->stream, removed, r);
}

/* An operation has ended of a restore that has failed: the last one takes the stream away. */
static bool was_last_of_failed(struct restore *r)
{
    if (r->gone && !r->waiting && !r->updating)
        streams_remove(r->js->streams, r->stream, removed, r);
    return r->gone;
}

/* ---- consumers ------------------------------------------------------------------------------- */

static void add_consumer(struct restore *r, struct bytes file)
{
    struct arena arena;
    struct consumer_config config = {0};
    struct consumer *consumer;
    json_t *json = json_loadb(file.data, file.len, 0, NULL);
    json_t *floor = json_object_get(json, "ack_floor");
    arena_init(&arena, CONFIG_MAX);
    int err = consumer_config_read(json_object_get(json, "config"), &arena, &config, &r->error);
    if (err == 0)
        err = consumers_add(r->js->streams, r->stream, &config, CONSUMER_MAKE_OR_UPDATE, &consumer,
                            &r->error);
    if (err == 0 && json_integer_value(floor) > 0)
        err = consumer_reset(consumer, (uint64_t)json_integer_value(floor) + 1);
    arena_release(&arena);
    json_decref(json);
    if (err < 0) fail(r, err_text(err));
}

/* ---- messages -------------------------------------------------------------------------------- */

static void stored(struct stream_op *op, int result)
{
    struct restore *r = CONTAINER_OF(op, struct storing, op)->restore;
    r->waiting--;
    if (was_last_of_failed(r)) return;
    if (result < 0)
        fail(r, err_text(result));
    else if (!r->waiting)
        io_post(r->js->io, &r->step);
}

static void store_batch(struct restore *r)
{
    struct stream_message message;
    int more = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        more = backup_read_message(&r->block, &message);
        if (more <= 0) break;
        r->waiting++;
        stream_store(r->stream, &r->storing[i].op, message.seq, message.time_ns, &message.message,
                     stored);
    }
    if (more < 0) fail(r, "a block of messages is damaged");
    if (!r->waiting && !r->gone) io_post(r->js->io, &r->step);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void take_file(struct restore *r, struct bytes content)
{
    struct bytes name = bytes_str(r->reader.name);
    if (bytes_eq(name, BYTES("meta.inf"))) {
        int err = backup_read_meta(content, &r->last_seq);
        r->known = err == 0;
        if (err < 0) fail(r, "not a backup of this kind of server");
    } else if (!r->known) {
        fail(r, "not a backup of this kind of server");
    } else if (bytes_starts(name, BYTES("msgs/"))) {
        r->block = content;
    } else if (bytes_starts(name, BYTES("obs/"))) {
        add_consumer(r, content);
    }
    if (!r->gone) io_post(r->js->io, &r->step);
}

static void updated(struct stream_op *op, int result)
{
    struct restore *r = CONTAINER_OF(op, struct restore, update);
    r->updating = false;
    if (was_last_of_failed(r)) return;
    if (result < 0) {
        r->error = op->refusal;
        fail(r, err_text(result));
        return;
    }
    finish(r);
}

/* All chunks are there: the stream becomes what it is to be. */
static void complete(struct restore *r)
{
    if (!r->reader.ended || !r->known) {
        fail(r, "the backup is not complete");
        return;
    }
    if (stream_state(r->stream).last_seq < r->last_seq) {
        r->waiting++;
        stream_store(r->stream, &r->storing[0].op, r->last_seq, io_wall_ns(r->js->io), NULL,
                     stored);
        return;
    }
    r->updating = true;
    stream_update(r->stream, &r->update, r->config, updated);
}

static void step(struct io_task *task)
{
    struct restore *r = CONTAINER_OF(task, struct restore, step);
    struct bytes content;
    if (r->waiting || r->updating || r->gone) return;
    if (r->block.len) {
        store_batch(r);
        return;
    }
    int more = backup_reader_next(&r->reader, &content);
    if (more > 0) {
        take_file(r, content);
    } else if (more < 0) {
        fail(r, more == ERR_UNSUPPORTED ? "not a backup of this kind of server" : err_text(more));
    } else if (!list_empty(&r->chunks)) {
        struct chunk *chunk = CONTAINER_OF(list_pop(&r->chunks), struct chunk, link);
        struct message answer =
            message_borrow(chunk->message->reply, BYTES(""), BYTES(""), BYTES(""));
        r->chunk_count--;
        r->bytes += chunk->message->payload.len;
        int err = backup_reader_feed(&r->reader, chunk->message->payload);
        if (answer.subject.len) (void)bus_publish(r->js->bus, &answer);
        message_unref(chunk->message);
        free(chunk);
        if (err < 0) fail(r, err_text(err));
        if (!r->gone) io_post(r->js->io, &r->step);
    } else if (r->end) {
        complete(r);
    }
}

static void on_chunk(void *context, struct message *message)
{
    struct restore *r = context;
    io_timer_set(r->js->io, &r->idle, IDLE_MS);
    if (r->end) return;
    if (r->gone) {
        tell(r, message->reply);
        r->told = true;
        if (r->removed) finish(r);
        return;
    }
    if (!message->payload.len) {
        r->end = message_ref(message);
    } else {
        struct chunk *chunk = r->chunk_count < CHUNKS_MAX ? calloc(1, sizeof *chunk) : NULL;
        if (chunk) chunk->message = message_ref(message);
        if (!chunk || !chunk->message) {
            free(chunk);
            fail(r, "too much at once");
            return;
        }
        list_push(&r->chunks, &chunk->link);
        r->chunk_count++;
    }
    io_post(r->js->io, &r->step);
}

static void idle(struct io_timer *timer)
{
    struct restore *r = CONTAINER_OF(timer, struct restore, idle);
    if (r->removed)
        finish(r);
    else
        fail(r, "nothing came for a while");
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* On no subjects, and as what it can be changed from. */
static int make_stream(struct restore *r, struct api_error *refusal)
{
    struct stream_config config = *r->config;
    char subject[STREAM_NAME_MAX + 32];
    const char *subjects[] = {subject};
    snprintf(subject, sizeof subject, "$JS.EVENT.RESTORE.%s", config.name);
    config.subjects = subjects;
    config.subject_count = 1;
    config.transform = config.republish = NULL;
    config.sealed = config.deny_delete = config.deny_purge = false;
    if (config.retention == STREAM_RETENTION_INTEREST) config.retention = STREAM_RETENTION_LIMITS;
    return streams_add(r->js->streams, &config, &r->stream, refusal);
}

static struct restore *make(struct api_call *call, struct stream_config *config,
                            struct api_error *refusal)
{
    struct jetstream *js = call->js;
    struct restore *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->js = js;
    r->config = config;
    r->began_ns = io_wall_ns(js->io);
    list_init(&r->link);
    list_init(&r->chunks);
    for (size_t i = 0; i < BATCH; i++) r->storing[i].restore = r;
    list_push(&js->restores, &r->link);
    js->get_count++;
    backup_reader_init(&r->reader);
    io_timer_init(&r->idle, idle);
    io_task_init(&r->step, step);
    int len = snprintf(r->subject, sizeof r->subject, "$JS.SNAPSHOT.RESTORE.%s.%016" PRIx64,
                       config->name, io_random_u64(js->io));
    int err = bus_subscribe(js->bus, bytes_make(r->subject, (size_t)len), BYTES(""), on_chunk, r,
                            &r->subscription);
    if (err == 0) err = make_stream(r, refusal);
    if (err == 0) return r;
    if (!refusal->kind) api_error_of(refusal, err);
    end(r);
    return NULL;
}

/* The configuration of the request; NULL: the call has been failed. */
static struct stream_config *read_config(struct api_call *call)
{
    json_t *object = json_object_get(call->body, "config");
    const char *name = json_string_value(json_object_get(object, "name"));
    struct api_error refusal = {0};
    struct stream_config *config = NULL;
    if (!json_object_size(call->body)) {
        api_fail(call, API_BAD_REQUEST, NULL);
        return NULL;
    }
    if (!bytes_eq(bytes_str(name), call->stream_name)) {
        api_fail(call, API_STREAM_MISMATCH, NULL);
        return NULL;
    }
    if (streams_find(call->js->streams, call->stream_name)) {
        api_fail(call, API_RESTORE_EXISTS, NULL);
        return NULL;
    }
    char *text = json_dumps(object, JSON_COMPACT);
    int r = text ? stream_config_decode(bytes_str(text), &config, &refusal) : ERR_NOMEM;
    free(text);
    if (r < 0) {
        api_fail_result(call, r, &refusal);
        return NULL;
    }
    if (!config->mirror && !config->source_count) return config;
    /* It would take everything from there again, behind what is brought back. */
    free(config);
    api_fail(call, API_RESTORE, "a stream with a mirror or sources is filled by them");
    return NULL;
}

void api_stream_restore(struct api_call *call)
{
    struct api_error refusal = {0};
    struct stream_config *config = read_config(call);
    if (!config) return;
    struct restore *r = make(call, config, &refusal);
    if (!r) {
        if (!refusal.kind) {
            free(config);
            api_error_set(&refusal, API_INSUFFICIENT_RESOURCES, NULL);
        }
        api_fail_error(call, &refusal);
        return;
    }
    advisory_restore_began(&call->js->advisories, call->stream_name);
    io_timer_set(call->js->io, &r->idle, IDLE_MS);
    api_begin(call);
    jsonw_cstr(&call->json, "deliver_subject", r->subject);
    api_end(call);
}

/* ---- with the rest --------------------------------------------------------------------------- */

void restores_stop(struct jetstream *js)
{
    struct list *link = js->restores.next;
    while (link != &js->restores) {
        struct restore *r = CONTAINER_OF(link, struct restore, link);
        link = link->next;
        if (r->removed)
            finish(r);
        else
            fail(r, "the server is stopping");
    }
}

void restores_free(struct jetstream *js)
{
    while (!list_empty(&js->restores)) drop(CONTAINER_OF(js->restores.next, struct restore, link));
}
