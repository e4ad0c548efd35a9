/* Changes that are no messages: deletes, purges, updates. */
#include "stream/consumer_impl.h"
#include "stream/stream_impl.h"

#include "bus/subject.h"

#include <inttypes.h>
#include <stdlib.h>

static void submit_change(struct stream *stream, struct stream_op *op,
                          const struct stream_record *record, int denied)
{
    int r = denied;
    if (r == 0 && stream->closing) {
        r = ERR_CLOSED;
        if (op) api_error_of(&op->refusal, r);
    }
    if (r == 0) {
        r = stream_submit(stream, record);
        if (op && r == 0) op->waits_for = STREAM_OP_RECORD;
        if (op && r < 0) api_error_of(&op->refusal, r);
    }
    stream_op_wait(stream, op, r);
}

static struct api_error *refusal_of(struct stream_op *op)
{
    return op ? &op->refusal : NULL;
}

static int may_delete(struct stream *stream, struct stream_op *op, uint64_t seq)
{
    if (stream->config->sealed) {
        return api_error_fail(refusal_of(op), ERR_DENIED, API_STREAM_SEALED, NULL);
    }
    if (stream->config->deny_delete) {
        return api_error_fail(refusal_of(op), ERR_DENIED, API_MESSAGE_DELETE,
                              "message delete not permitted");
    }
    if (!stream_index_find(&stream->index, seq, NULL)) {
        return api_error_fail(refusal_of(op), ERR_NOT_FOUND, API_SEQUENCE_NOT_FOUND, "%" PRIu64,
                              seq);
    }
    return 0;
}

void stream_delete(struct stream *stream, struct stream_op *op, uint64_t seq,
                   void (*done)(struct stream_op *op, int result))
{
    stream_op_begin(stream, op, done);
    const struct stream_record record = {.kind = STREAM_RECORD_DELETE, .seq = seq};
    submit_change(stream, op, &record, may_delete(stream, op, seq));
}

static int may_purge(struct stream *stream, struct stream_op *op, struct bytes filter)
{
    if (stream->config->sealed) {
        return api_error_fail(refusal_of(op), ERR_DENIED, API_STREAM_SEALED, NULL);
    }
    if (stream->config->deny_purge) {
        return api_error_fail(refusal_of(op), ERR_DENIED, API_PURGE, "stream purge not permitted");
    }
    if (filter.len > STREAM_SUBJECT_MAX || (filter.len > 0 && !subject_is_pattern(filter))) {
        return api_error_fail(refusal_of(op), ERR_INVALID, API_BAD_REQUEST, NULL);
    }
    return 0;
}

void stream_purge(struct stream *stream, struct stream_op *op, struct bytes filter,
                  uint64_t below_seq, uint64_t keep, void (*done)(struct stream_op *op, int result))
{
    stream_op_begin(stream, op, done);
    const struct stream_record record = {
        .kind = STREAM_RECORD_PURGE,
        .subject = filter,
        .seq = below_seq ? below_seq : stream->submitted_seq + 1,
        .value = keep,
    };
    int r = may_purge(stream, op, filter);
    if (r == 0 && filter.len == 0 && record.seq > stream->submitted_seq && !stream->closing) {
        stream->submitted_seq = record.seq - 1;
        /* Nothing stays: with a file of its own for what comes, all others can go at once. */
        if (!keep && stream->journal) journal_roll(stream->journal);
    }
    submit_change(stream, op, &record, r);
}

/* What it would be with its defaults, if it may be so. */
static int may_update(struct stream *stream, const struct stream_config *config,
                      struct api_error *refusal, struct stream_config **ret)
{
    int r = stream_config_check(config, refusal);
    if (r < 0) return r;
    struct stream_config *full = stream_config_copy(config);
    if (!full) return api_error_of(refusal, ERR_NOMEM);
    r = stream_config_may_become(stream->config, full, refusal);
    if (r == 0) r = consumers_keep_to(stream, full, refusal);
    if (r == 0 && stream->host->overlaps(stream->host->context, full)) {
        r = api_error_fail(refusal, ERR_CONFLICT, API_SUBJECT_OVERLAP, NULL);
    }
    if (r == 0 && stream->host->circles(stream->host->context, full)) {
        r = api_error_fail(refusal, ERR_INVALID, API_STREAM_INVALID_CONFIG, "detected cycle");
    }
    if (r == 0) r = stream->host->admits(stream->host->context, full, refusal);
    if (r < 0) {
        free(full);
        return r;
    }
    stream_config_seal(full);
    *ret = full;
    return 0;
}

void stream_update(struct stream *stream, struct stream_op *op, const struct stream_config *config,
                   void (*done)(struct stream_op *op, int result))
{
    struct buf json;
    struct stream_config *full = NULL;
    buf_init(&json, SIZE_MAX);
    stream_op_begin(stream, op, done);
    int r = may_update(stream, config, refusal_of(op), &full);
    if (r == 0) stream_config_encode(full, &json);
    if (r == 0 && json.failed)
        r = api_error_fail(refusal_of(op), ERR_NOMEM, API_STREAM_UPDATE, "%s", err_text(ERR_NOMEM));
    free(full);
    const struct stream_record record = {
        .kind = STREAM_RECORD_CONFIG,
        .seq = stream->submitted_seq,
        .value = stream->created_ns,
        .payload = buf_bytes(&json),
    };
    submit_change(stream, op, &record, r);
    buf_release(&json);
}
