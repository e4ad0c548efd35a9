/* Operations, and records on their way to the disk: submitting, and telling their owners. */
#include "stream/stream_impl.h"
#include "wire/nats.h"

#include <stdlib.h>

enum { CLEAN_EVERY = 64 /* records */ };

/* ---- operations ---- */

void stream_post_ready(struct stream *stream)
{
    io_post(stream->host->io, &stream->ready_task);
}

static void op_ready(struct stream *stream, struct stream_op *op)
{
    list_remove(&op->link);
    list_push(&stream->ready, &op->link);
    stream_post_ready(stream);
}

void stream_op_begin(struct stream *stream, struct stream_op *op,
                     void (*done)(struct stream_op *op, int result))
{
    if (!op) return;
    op->done = done;
    op->stream = stream;
    op->seq = op->purged = op->ticket = 0;
    op->duplicate = false;
    op->result = 0;
    op->waits_for = STREAM_OP_NONE;
    op->refusal.kind = API_OK;
    list_init(&op->link);
}

void stream_op_wait(struct stream *stream, struct stream_op *op, int result)
{
    if (!op) return;
    op->result = result;
    op->ticket = stream->submitted;
    list_push(&stream->waiting, &op->link);
    if (op->ticket <= stream->told) op_ready(stream, op);
}

void stream_refuse(struct stream *stream, struct stream_op *op, int result,
                   void (*done)(struct stream_op *op, int result))
{
    stream_op_begin(stream, op, done);
    stream_op_wait(stream, op, api_error_of(&op->refusal, result));
}

void stream_when_durable(struct stream *stream, struct stream_op *op,
                         void (*done)(struct stream_op *op, int result))
{
    stream_op_begin(stream, op, done);
    int r = stream->closing ? ERR_CLOSED : 0;
    if (r == 0 && stream->birth == STREAM_UNBORN) r = stream_submit_birth(stream);
    if (r < 0) api_error_of(&op->refusal, r);
    op->waits_for = STREAM_OP_BEFORE;
    stream_op_wait(stream, op, r);
}

void stream_ready_run(struct io_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, ready_task);
    struct list ops, gets;
    list_init(&ops);
    list_init(&gets);
    list_splice(&ops, &stream->ready);
    list_splice(&gets, &stream->gets);
    for (struct list *link; (link = list_pop(&ops));) {
        struct stream_op *op = CONTAINER_OF(link, struct stream_op, link);
        if (op->done) op->done(op, op->result);
    }
    for (struct list *link; (link = list_pop(&gets));) {
        stream_get_tell(CONTAINER_OF(link, struct stream_get, link));
    }
}

/* ---- records on their way ---- */

static int ring_room(struct stream_ring *ring)
{
    if (ring->count < ring->room) return 0;
    size_t room = ring->room ? ring->room * 2 : 64;
    struct stream_pending *slots = malloc(room * sizeof *slots);
    if (!slots) return ERR_NOMEM;
    for (size_t i = 0; i < ring->count; i++) {
        slots[i] = ring->slots[(ring->start + i) & (ring->room - 1)];
    }
    free(ring->slots);
    *ring = (struct stream_ring){slots, 0, ring->count, room};
    return 0;
}

static struct stream_pending ring_pop(struct stream_ring *ring)
{
    struct stream_pending pending = ring->slots[ring->start];
    ring->start = (ring->start + 1) & (ring->room - 1);
    ring->count--;
    return pending;
}

static int append(struct stream *stream, const struct stream_record *record,
                  struct stream_pending pending)
{
    char header[STREAM_RECORD_HEADER_MAX];
    struct stream_ring *ring = &stream->ring;
    int r = stream->birth == STREAM_UNBORN && !pending.birth ? stream_submit_birth(stream) : 0;
    if (r == 0) r = ring_room(ring);
    if (r < 0) return r;
    const struct iovec parts[] = {
        {header, stream_record_encode(record, header)},
        {(char *)record->subject.data, record->subject.len},
        {(char *)record->headers.data, record->headers.len},
        {(char *)record->payload.data, record->payload.len},
    };
    uint64_t place;
    r = stream->in_memory ? stream_memory_append(stream, parts, 4)
                          : journal_append(stream->journal, parts, 4, &place);
    if (r < 0) return r;
    ring->slots[(ring->start + ring->count++) & (ring->room - 1)] = pending;
    stream->submitted++;
    return 0;
}

int stream_submit_birth(struct stream *stream)
{
    struct buf json;
    buf_init(&json, SIZE_MAX);
    stream_config_encode(stream->config, &json);
    const struct stream_record record = {
        .kind = STREAM_RECORD_CONFIG,
        .seq = stream->last_seq,
        .value = stream->created_ns,
        .payload = buf_bytes(&json),
    };
    const struct stream_pending pending = {.birth = true};
    int r = json.failed ? ERR_NOMEM : append(stream, &record, pending);
    if (r == 0) stream->birth = STREAM_BEING_BORN;
    buf_release(&json);
    return r;
}

int stream_submit(struct stream *stream, const struct stream_record *record)
{
    int r = append(stream, record, (struct stream_pending){0});
    bool config = record->kind == STREAM_RECORD_CONFIG;
    if (r == 0 && config && stream->journal) journal_sync_last(stream->journal);
    return r;
}

int stream_submit_message(struct stream *stream, const struct stream_record *record,
                          struct bytes id)
{
    char room[STREAM_SUBJECT_MAX + 1];
    bool hidden = record->flags & STREAM_FLAG_DELAYED;
    struct bytes name = hidden ? stream_hidden_name(record->subject, room) : record->subject;
    struct stream_subject *subject = stream_subjects_claim(&stream->index.subjects, name);
    if (!subject) return ERR_NOMEM;
    const struct stream_pending pending = {
        .subject = subject,
        .size = stream_message_size(stream, record->subject.len, record->headers.len,
                                    record->payload.len),
    };
    int r = 0;
    if (record->flags & STREAM_FLAG_SOURCED) r = stream_source_submitted(stream, &record->origin);
    if (r == 0) r = append(stream, record, pending);
    if (r < 0) {
        stream_source_lost(stream);
        stream_subjects_drop(&stream->index.subjects, subject);
        return r;
    }
    subject->pending++;
    subject->pending_last = record->seq;
    stream->submitted_seq = record->seq;
    stream->pending_messages++;
    stream->pending_bytes += pending.size;
    if (id.len == 0) return 0;
    /* Without memory a duplicate of this message will not be known as one. */
    uint64_t forgotten = stream->dedupe.forgotten;
    (void)stream_dedupe_add(&stream->dedupe, id, record->seq, record->value);
    stream->host->metrics->ids_forgotten += stream->dedupe.forgotten - forgotten;
    return 0;
}

/* ---- telling ---- */

static struct stream_op *op_of(struct stream *stream)
{
    if (list_empty(&stream->waiting)) return NULL;
    struct stream_op *op = CONTAINER_OF(stream->waiting.next, struct stream_op, link);
    return op->ticket == stream->told && op->waits_for == STREAM_OP_RECORD ? op : NULL;
}

static void forget_id(struct stream *stream, const struct stream_record *record)
{
    struct stream_headers headers;
    if (!(record->flags & STREAM_FLAG_ID)) return;
    if (stream_headers_read(record->headers, &headers) < 0) return;
    stream_dedupe_remove(&stream->dedupe, headers.id, record->seq);
}

/* A record is no longer under way: it is durable, or will never be. */
static void settle(struct stream *stream, const struct stream_record *record,
                   const struct stream_pending *pending, int result)
{
    struct stream_metrics *metrics = stream->host->metrics;
    if (result < 0) metrics->failed++;
    if (result < 0 && record->kind == STREAM_RECORD_REMOVE) {
        stream_removal_failed(stream, record->payload);
    }
    if (record->kind == STREAM_RECORD_MOVE) stream_cleaner_told(stream, result);
    if (!pending->subject) return;
    pending->subject->pending--;
    stream->pending_messages--;
    stream->pending_bytes -= pending->size;
    if (result < 0) {
        forget_id(stream, record);
        stream_source_lost(stream);
        stream->host->lost(stream->host->context, stream);
        if (record->flags & STREAM_FLAG_RELEASED) stream_release_failed(stream, record->origin.seq);
    } else {
        metrics->stored++;
        metrics->stored_bytes += pending->size;
    }
    stream_subjects_drop(&stream->index.subjects, pending->subject);
}

static void tell_waiting(struct stream *stream, int result)
{
    while (!list_empty(&stream->waiting)) {
        struct stream_op *next = CONTAINER_OF(stream->waiting.next, struct stream_op, link);
        if (next->ticket > stream->told) return;
        bool depends = next->waits_for != STREAM_OP_NONE;
        if (depends && next->result == 0) next->result = result;
        if (depends && result < 0) api_error_of(&next->refusal, result);
        op_ready(stream, next);
    }
}

void stream_appended(void *context, const struct journal_record *record, int result)
{
    struct stream *stream = context;
    struct stream_record decoded = {0};
    struct stream_pending pending = ring_pop(&stream->ring);
    stream->told++;
    if (result == 0) stream->applied_place = record->seq;
    struct stream_op *op = op_of(stream);
    int r = stream_record_decode(record->payload, &decoded);
    if (r == 0) r = result;
    if (pending.birth) stream->birth = r == 0 ? STREAM_BORN : STREAM_UNBORN;
    /* Applied before it is settled: the subject must not be dropped between the two. */
    if (r == 0 && !pending.birth)
        r = stream_apply(stream, &decoded, record->seq, pending.subject, op);
    settle(stream, &decoded, &pending, r);
    if (stream->told == stream->submitted) stream->submitted_seq = stream->last_seq;
    tell_waiting(stream, r);
    if (stream->told % CLEAN_EVERY == 0 || stream->told == stream->submitted) stream_clean(stream);
}
