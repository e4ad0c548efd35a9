/* Submitting changes, and telling their owners. What is checked here is checked against everything
 * submitted so far, durable or not, because it will be durable before this one is. */
#include "stream/stream_impl.h"
#include "wire/nats.h"

#include <stdlib.h>

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

void stream_op_wait(struct stream *stream, struct stream_op *op, int result)
{
    if (!op) return;
    op->result = result;
    op->ticket = stream->submitted;
    list_push(&stream->waiting, &op->link);
    if (op->ticket <= stream->told) op_ready(stream, op);
}

static void op_begin(struct stream *stream, struct stream_op *op,
                     void (*done)(struct stream_op *op, int result))
{
    if (!op) return;
    *op = (struct stream_op){.done = done, .stream = stream};
    list_init(&op->link);
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

/* ---- what the headers of a publish ask for ---- */

struct wishes {
    struct bytes id, expected_stream, expected_last_id, rollup;
    bool has_last_seq, has_subject_seq;
    uint64_t last_seq, subject_seq;
};

static int read_number(struct bytes text, bool *ret_has, uint64_t *ret)
{
    *ret_has = true;
    return bytes_to_u64(text, UINT64_MAX, ret);
}

static int wishes_read(struct bytes headers, struct wishes *wishes)
{
    *wishes = (struct wishes){0};
    if (headers.len == 0) return 0;
    struct nats_headers walk;
    int r = nats_headers_parse(headers, &walk);
    if (r < 0) return r;
    struct bytes name, value;
    while ((r = nats_headers_next(&walk, &name, &value)) > 0) {
        if (name.len < 9 || !bytes_eq_nocase(bytes_head(name, 5), BYTES("Nats-"))) continue;
        if (bytes_eq_nocase(name, BYTES("Nats-Msg-Id"))) wishes->id = value;
        if (bytes_eq_nocase(name, BYTES("Nats-Rollup"))) wishes->rollup = value;
        if (bytes_eq_nocase(name, BYTES("Nats-Expected-Stream"))) wishes->expected_stream = value;
        if (bytes_eq_nocase(name, BYTES("Nats-Expected-Last-Msg-Id"))) {
            wishes->expected_last_id = value;
        }
        if (bytes_eq_nocase(name, BYTES("Nats-Expected-Last-Sequence"))) {
            r = read_number(value, &wishes->has_last_seq, &wishes->last_seq);
        }
        if (bytes_eq_nocase(name, BYTES("Nats-Expected-Last-Subject-Sequence"))) {
            r = read_number(value, &wishes->has_subject_seq, &wishes->subject_seq);
        }
        if (r < 0) return r;
    }
    return r;
}

/* ---- checks, in the order in which JetStream makes them ---- */

static uint64_t submitted_last(const struct stream *stream, struct bytes name)
{
    const struct stream_subject *subject = stream_index_subject(&stream->index, name);
    if (!subject) return 0;
    return subject->pending ? subject->pending_last : subject->last;
}

static struct bytes last_id(const struct stream *stream)
{
    const struct list *list = &stream->dedupe.list;
    if (list_empty(list)) return BYTES("");
    return CONTAINER_OF(list->prev, struct stream_id, link)->id;
}

static int check_expectations(const struct stream *stream, const struct message *message,
                              const struct wishes *wishes, struct api_error *refusal)
{
    if (wishes->expected_stream.len > 0 &&
        !bytes_eq(wishes->expected_stream, bytes_str(stream->config->name))) {
        return api_error_fail(refusal, ERR_CONFLICT, API_STREAM_NOT_MATCH, NULL);
    }
    if (wishes->has_subject_seq) {
        uint64_t last = submitted_last(stream, message->subject);
        if (last != wishes->subject_seq) {
            return api_error_fail(refusal, ERR_CONFLICT, API_WRONG_LAST_SEQUENCE, "%llu",
                                  (unsigned long long)last);
        }
    }
    if (wishes->has_last_seq && wishes->last_seq != stream->submitted_seq) {
        return api_error_fail(refusal, ERR_CONFLICT, API_WRONG_LAST_SEQUENCE, "%llu",
                              (unsigned long long)stream->submitted_seq);
    }
    return 0;
}

/* 1: it was stored (or submitted) before. */
static int check_duplicate(struct stream *stream, const struct wishes *wishes,
                           struct stream_op *result)
{
    if (wishes->id.len > 0) {
        uint64_t now = io_wall_ns(stream->host->io);
        uint64_t window = (uint64_t)stream->config->duplicate_window_ns;
        stream_dedupe_expire(&stream->dedupe, now > window ? now - window : 0);
        const struct stream_id *known = stream_dedupe_find(&stream->dedupe, wishes->id);
        if (known) {
            stream->host->metrics->duplicates++;
            result->duplicate = true;
            result->seq = known->seq;
            result->waits_for =
                known->seq > stream->last_seq ? STREAM_OP_DUPLICATE : STREAM_OP_NONE;
            return 1;
        }
    }
    if (wishes->expected_last_id.len > 0) {
        struct bytes last = last_id(stream);
        if (!bytes_eq(last, wishes->expected_last_id)) {
            return api_error_fail(&result->refusal, ERR_CONFLICT, API_WRONG_LAST_MSG_ID, "%.*s",
                                  last.len < 60 ? (int)last.len : 60, last.data);
        }
    }
    return 0;
}

static int check_limits(const struct stream *stream, const struct message *message,
                        const struct wishes *wishes, struct api_error *refusal)
{
    const struct stream_config *config = stream->config;
    const struct stream_index *index = &stream->index;
    size_t body = message->headers.len + message->payload.len;
    size_t size = body + message->subject.len;
    if (wishes->rollup.len > 0) {
        bool known = bytes_eq_nocase(wishes->rollup, BYTES("sub")) ||
                     bytes_eq_nocase(wishes->rollup, BYTES("all"));
        if (!config->allow_rollup || config->deny_purge || !known) {
            return api_error_fail(refusal, ERR_INVALID, API_ROLLUP, "rollup not permitted");
        }
    }
    if (config->max_msg_size > 0 && body > (uint64_t)config->max_msg_size) {
        return api_error_fail(refusal, ERR_TOO_BIG, API_MESSAGE_TOO_BIG, NULL);
    }
    if (message->headers.len > STREAM_HEADERS_MAX) {
        return api_error_fail(refusal, ERR_TOO_BIG, API_HEADERS_TOO_BIG, NULL);
    }
    if (config->max_bytes > 0 && size > (uint64_t)config->max_bytes) {
        return api_error_fail(refusal, ERR_FULL, API_STORE_FAILED, "maximum bytes exceeded");
    }
    if (config->discard != STREAM_DISCARD_NEW) return 0;
    /* What replaces an older message of its subject takes that one's place. */
    const struct stream_subject *subject = stream_index_subject(index, message->subject);
    uint64_t held = subject ? subject->count + subject->pending : 0;
    bool replaces =
        config->max_msgs_per_subject > 0 && held >= (uint64_t)config->max_msgs_per_subject;
    uint64_t messages = index->count + stream->pending_messages + (replaces ? 0 : 1);
    uint64_t most = stream->host->max_messages;
    if (config->max_msgs > 0 && (uint64_t)config->max_msgs < most) {
        most = (uint64_t)config->max_msgs;
    }
    if (messages > most) {
        return api_error_fail(refusal, ERR_FULL, API_STORE_FAILED, "maximum messages exceeded");
    }
    uint64_t freed = 0;
    if (replaces && subject->count) freed = stream_index_find(index, subject->first)->size;
    if (config->max_bytes > 0 &&
        index->bytes + stream->pending_bytes + size - freed > (uint64_t)config->max_bytes) {
        return api_error_fail(refusal, ERR_FULL, API_STORE_FAILED, "maximum bytes exceeded");
    }
    return 0;
}

/* ---- submitting ---- */

int stream_submit(struct stream *stream, const struct stream_record *record)
{
    char header[STREAM_RECORD_HEADER];
    stream_record_encode(record, header);
    const struct iovec parts[] = {
        {header, sizeof header},
        {(char *)record->subject.data, record->subject.len},
        {(char *)record->headers.data, record->headers.len},
        {(char *)record->payload.data, record->payload.len},
    };
    uint64_t journal_seq;
    int r = journal_append(stream->journal, parts, 4, &journal_seq);
    if (r < 0) return r;
    stream->submitted++;
    return 0;
}

static size_t message_size(const struct stream_record *record)
{
    return record->subject.len + record->headers.len + record->payload.len;
}

/* Once submitted, a message counts for all later checks. */
static int submit_message(struct stream *stream, const struct stream_record *record,
                          struct bytes id)
{
    struct stream_subject *subject = stream_index_claim(&stream->index, record->subject);
    if (!subject) return ERR_NOMEM;
    int r = stream_submit(stream, record);
    if (r < 0) {
        stream_index_drop(&stream->index, subject);
        return r;
    }
    subject->pending++;
    subject->pending_last = record->seq;
    stream->submitted_seq = record->seq;
    stream->pending_messages++;
    stream->pending_bytes += message_size(record);
    /* Without memory a duplicate of this message will not be known as one. */
    if (id.len > 0) (void)stream_dedupe_add(&stream->dedupe, id, record->seq, record->time_ns);
    return 0;
}

static int publish(struct stream *stream, struct stream_op *op, const struct message *message,
                   const struct stream_expect *expect)
{
    struct wishes wishes;
    if (stream->closing) return api_error_of(&op->refusal, ERR_CLOSED);
    if (message->subject.len == 0 || message->subject.len > STREAM_SUBJECT_MAX) {
        return api_error_fail(&op->refusal, ERR_INVALID, API_BAD_REQUEST, NULL);
    }
    if (wishes_read(message->headers, &wishes) < 0) {
        return api_error_fail(&op->refusal, ERR_INVALID, API_BAD_REQUEST, NULL);
    }
    if (expect && expect->last_subject) {
        wishes.has_subject_seq = true;
        wishes.subject_seq = expect->last_subject_seq;
    }
    int r = check_expectations(stream, message, &wishes, &op->refusal);
    if (r == 0) r = check_duplicate(stream, &wishes, op);
    if (r == 1) return 0;
    if (r == 0) r = check_limits(stream, message, &wishes, &op->refusal);
    if (r < 0) return r;
    const struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .seq = stream->submitted_seq + 1,
        .time_ns = io_wall_ns(stream->host->io),
        .subject = message->subject,
        .headers = message->headers,
        .payload = message->payload,
    };
    r = submit_message(stream, &record, wishes.id);
    if (r < 0) return api_error_of(&op->refusal, r);
    op->seq = record.seq;
    op->waits_for = STREAM_OP_RECORD;
    return 0;
}

void stream_publish(struct stream *stream, struct stream_op *op, struct message *message,
                    const struct stream_expect *expect,
                    void (*done)(struct stream_op *op, int result))
{
    struct stream_op nobody;
    struct stream_op *target = op ? op : &nobody;
    op_begin(stream, target, done);
    int r = publish(stream, target, message, expect);
    if (r < 0) stream->host->metrics->refused++;
    stream_op_wait(stream, op, r);
}

void stream_refuse(struct stream *stream, struct stream_op *op, int result,
                   void (*done)(struct stream_op *op, int result))
{
    op_begin(stream, op, done);
    stream_op_wait(stream, op, api_error_of(&op->refusal, result));
}

/* A change that is no message. */
static void submit_change(struct stream *stream, struct stream_op *op,
                          const struct stream_record *record, int denied)
{
    int r = stream->closing ? ERR_CLOSED : denied;
    if (r == 0) r = stream_submit(stream, record);
    if (op && r == 0) op->waits_for = STREAM_OP_RECORD;
    if (op && r < 0) api_error_of(&op->refusal, r);
    stream_op_wait(stream, op, r);
}

void stream_delete(struct stream *stream, struct stream_op *op, uint64_t seq,
                   void (*done)(struct stream_op *op, int result))
{
    op_begin(stream, op, done);
    const struct stream_record record = {.kind = STREAM_RECORD_DELETE, .seq = seq};
    int denied = stream->config->deny_delete ? ERR_DENIED : 0;
    if (!denied && !stream_index_find(&stream->index, seq)) denied = ERR_NOT_FOUND;
    submit_change(stream, op, &record, denied);
}

void stream_purge(struct stream *stream, struct stream_op *op, struct bytes filter,
                  uint64_t below_seq, uint64_t keep, void (*done)(struct stream_op *op, int result))
{
    op_begin(stream, op, done);
    const struct stream_record record = {
        .kind = STREAM_RECORD_PURGE,
        .subject = filter,
        .seq = below_seq ? below_seq : stream->submitted_seq + 1,
        .origin = keep,
    };
    int denied = stream->config->deny_purge ? ERR_DENIED : 0;
    if (filter.len > STREAM_SUBJECT_MAX) denied = ERR_INVALID;
    submit_change(stream, op, &record, denied);
}

void stream_update(struct stream *stream, struct stream_op *op, const struct stream_config *config,
                   void (*done)(struct stream_op *op, int result))
{
    op_begin(stream, op, done);
    struct buf json;
    buf_init(&json, SIZE_MAX);
    struct api_error refusal = {0};
    int denied = stream_config_check(config, &refusal);
    struct stream_config *copy = denied == 0 ? stream_config_copy(config) : NULL;
    if (denied == 0 && !copy) denied = ERR_NOMEM;
    if (denied == 0) denied = stream_config_may_become(stream->config, copy, &refusal);
    if (denied == 0 && stream->host->overlaps(stream->host->context, copy)) {
        denied = api_error_fail(&refusal, ERR_CONFLICT, API_SUBJECT_OVERLAP, NULL);
    }
    if (denied == 0) {
        copy->first_seq = stream->config->first_seq;
        stream_config_encode(copy, &json);
    }
    if (denied == 0 && json.failed) denied = ERR_NOMEM;
    free(copy);
    const struct stream_record record = {
        .kind = STREAM_RECORD_CONFIG, .seq = stream->submitted_seq, .payload = buf_bytes(&json)};
    submit_change(stream, op, &record, denied);
    if (op && refusal.kind) op->refusal = refusal;
    buf_release(&json);
}

/* ---- telling ---- */

static struct stream_op *op_of(struct stream *stream)
{
    if (list_empty(&stream->waiting)) return NULL;
    struct stream_op *op = CONTAINER_OF(stream->waiting.next, struct stream_op, link);
    return op->ticket == stream->told && op->waits_for == STREAM_OP_RECORD ? op : NULL;
}

/* The message is no longer under way: it is durable, or will never be. */
static void settle_message(struct stream *stream, const struct stream_record *record, int result)
{
    struct stream_subject *subject = stream_index_subject(&stream->index, record->subject);
    subject->pending--;
    stream->pending_messages--;
    stream->pending_bytes -= message_size(record);
    if (result < 0) {
        struct bytes id = stream_message_id(record->headers);
        if (id.len > 0) stream_dedupe_remove(&stream->dedupe, id, record->seq);
        stream->host->metrics->failed++;
    } else {
        stream->host->metrics->stored++;
        stream->host->metrics->stored_bytes += message_size(record);
    }
    stream_index_drop(&stream->index, subject);
}

void stream_appended(void *context, const struct journal_record *record, int result)
{
    struct stream *stream = context;
    struct stream_record decoded = {0};
    stream->told++;
    if (result == 0) stream->applied_place = record->seq;
    struct stream_op *op = op_of(stream);
    int r = stream_record_decode(record->payload, &decoded);
    bool message = r == 0 && decoded.kind == STREAM_RECORD_MESSAGE;
    bool move = r == 0 && decoded.kind == STREAM_RECORD_MOVE;
    if (r == 0) r = result;
    if (message && r == 0) {
        /* Applied first: the subject must not be dropped between the two. */
        r = stream_apply(stream, &decoded, record->seq, op);
        settle_message(stream, &decoded, 0);
    } else if (message) {
        settle_message(stream, &decoded, r);
    } else if (r == 0) {
        r = stream_apply(stream, &decoded, record->seq, op);
    }
    if (stream->told == stream->submitted) stream->submitted_seq = stream->last_seq;
    if (move) stream_cleaner_told(stream, r);
    while (!list_empty(&stream->waiting)) {
        struct stream_op *next = CONTAINER_OF(stream->waiting.next, struct stream_op, link);
        if (next->ticket > stream->told) break;
        bool depends = next->waits_for != STREAM_OP_NONE;
        if (depends && next->result == 0) next->result = r;
        if (depends && r < 0) api_error_of(&next->refusal, r);
        op_ready(stream, next);
    }
    stream_clean(stream);
}
